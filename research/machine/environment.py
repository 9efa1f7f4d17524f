"""What code ran, in which environment: git, packages, command line."""

import platform
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path

from research.paths import ROOT

REPORTED = ("torch", "torchvision", "numpy", "scikit-learn", "matplotlib", "mlflow")


@dataclass(frozen=True)
class Checkout:
    """The state of the code.

    Attributes:
        commit: the git commit; empty outside a checkout, or before its first commit.
        branch: empty when detached or outside a checkout.
        dirty: whether any file differs from the commit or is neither tracked nor ignored.
        diff: untracked files by name, then the changes as `git apply` takes them.
    """

    commit: str = ""
    branch: str = ""
    dirty: bool = False
    diff: str = ""


def checkout(root: Path = ROOT) -> Checkout:
    """The checkout this package runs from.

    A package that was installed below somebody else's checkout, as in its `.venv`, is not part of
    that checkout, so only a tree that tracks the package counts.
    """
    if not _git(root, "ls-files", "research/__init__.py"):
        return Checkout()
    untracked = _git(root, "ls-files", "--others", "--exclude-standard").splitlines()
    changes = _git(root, "diff", "--binary", "HEAD")
    return Checkout(
        commit=_git(root, "rev-parse", "--verify", "HEAD").strip(),
        branch=_git(root, "symbolic-ref", "--short", "HEAD").strip(),
        dirty=bool(untracked or changes),
        diff="".join(f"# untracked: {name}\n" for name in untracked) + changes,
    )


def versions() -> dict[str, str]:
    """Version of Python and of the installed packages that can change a result."""
    installed = packages()
    found = {name: installed[name] for name in REPORTED if name in installed}
    return {"python": platform.python_version()} | found


@cache
def packages() -> dict[str, str]:
    """Every installed distribution and its version, by lower-case name."""
    found = {dist.metadata["Name"].lower(): dist.version for dist in metadata.distributions()}
    return dict(sorted(found.items()))


def argv() -> str:
    """The command line as a shell takes it; the program without its folder."""
    return shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])


def save(folder: Path, code: Checkout) -> None:
    """Writes packages.txt, argv.txt, git.diff and a copy of requirements.lock."""
    folder.mkdir(parents=True, exist_ok=True)
    listed = "".join(f"{name}=={version}\n" for name, version in packages().items())
    for name, text in {"packages.txt": listed, "argv.txt": argv() + "\n"}.items():
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "git.diff").write_text(code.diff, encoding="utf-8")
    if (ROOT / "requirements.lock").exists():
        shutil.copyfile(ROOT / "requirements.lock", folder / "requirements.lock")


def _git(root: Path, *command: str) -> str:
    """Output of a git command; empty where it fails or git is not installed."""
    try:
        # Without optional locks a run cannot disturb a commit that is being made meanwhile.
        done = subprocess.run(
            ["git", "--no-optional-locks", *command], cwd=root, capture_output=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.decode("utf-8", errors="replace")
