"""What code ran, in which environment: git, packages, command line."""

import os
import platform
import shlex
import shutil
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path

from research.errors import hidden
from research.paths import ROOT
from research.records import damage

UNKNOWN = "unknown"
"""The commit of code of which git tells none."""

PACKAGE = "research-report-generator"
"""Our own distribution: where it is installed, the user's commit does not tell its code."""

REPORTED = (PACKAGE, "torch", "torchvision", "numpy", "scikit-learn", "matplotlib", "mlflow")


@dataclass(frozen=True)
class Checkout:
    """The state of the code.

    Attributes:
        commit: the git commit, `unknown` where git cannot tell.
        branch: empty when detached or unknown.
        dirty: whether any file differs from the commit or is neither tracked nor ignored; None
            where git cannot tell.
        diff: untracked files by name, then the changes as `git apply` takes them.
        why: what keeps git from telling; empty where it does.
    """

    commit: str = UNKNOWN
    branch: str = ""
    dirty: bool | None = None
    diff: str = ""
    why: str = ""


def checkout(root: Path = ROOT) -> Checkout:
    """The checkout that a project is, or is a folder of.

    A project that lies below somebody else's checkout is not part of it until that tracks one of
    its files.
    """
    try:
        if not _git(root, "ls-files"):
            return Checkout(why=f"no file of {root.name} is tracked by a git repository")
        commit = _git(root, "rev-parse", "--verify", "HEAD").strip()
        untracked = _git(root, "ls-files", "--others", "--exclude-standard").splitlines()
        changes = _git(root, "diff", "--binary", "HEAD")
    except _SilentError as reason:
        return Checkout(why=str(reason))
    return Checkout(
        commit=commit,
        branch=_branch(root),
        dirty=bool(untracked or changes),
        diff="".join(f"# untracked: {name}\n" for name in untracked) + changes,
    )


def below(root: Path) -> str:
    """The folder of a project within its checkout; empty where it is all of it."""
    with suppress(_SilentError):
        return _git(root, "rev-parse", "--show-prefix").strip()
    return ""


def versions() -> dict[str, str]:
    """Version of Python and of the installed packages that can change a result."""
    installed = packages()
    reported = {name: installed[name] for name in REPORTED if name in installed}
    return {"python": platform.python_version()} | reported


@cache
def packages() -> dict[str, str]:
    """Every installed distribution and its version, by lower-case name."""
    known = {dist.metadata["Name"].lower(): dist.version for dist in metadata.distributions()}
    return dict(sorted(known.items()))


def argv() -> str:
    """The command line as a shell takes it; the program without its folder, no password."""
    return hidden(shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]))


def save(folder: Path, code: Checkout) -> None:
    """Writes packages.txt, argv.txt, git.diff and a copy of requirements.lock."""
    folder.mkdir(parents=True, exist_ok=True)
    listed = "".join(f"{name}=={version}\n" for name, version in packages().items())
    texts = {"packages.txt": listed, "argv.txt": argv() + "\n", "git.diff": hidden(code.diff)}
    for name, text in texts.items():
        damage.write(folder / name, text.encode("utf-8", errors="surrogateescape"))
    if (ROOT / "requirements.lock").exists():
        shutil.copyfile(ROOT / "requirements.lock", folder / "requirements.lock")


class _SilentError(Exception):
    """Git does not answer; the message is why."""


def _branch(root: Path) -> str:
    """Empty when detached."""
    with suppress(_SilentError):
        return _git(root, "symbolic-ref", "--short", "HEAD").strip()
    return ""


def _git(root: Path, *command: str) -> str:
    """Output of a git command. Raises _SilentError where it fails or git is not installed."""
    try:
        # Without optional locks a run cannot disturb a commit that is being made meanwhile.
        done = subprocess.run(
            ["git", "--no-optional-locks", *command],
            cwd=root, env={**os.environ, "LC_ALL": "C"}, capture_output=True, check=True,
        )  # fmt: skip
    except OSError:
        raise _SilentError("git is not installed") from None
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode("utf-8", errors="replace").strip().splitlines() or ["it failed"]
        raise _SilentError(f"git says '{said[0].removeprefix('fatal: ')}'") from None
    return done.stdout.decode("utf-8", errors="replace")
