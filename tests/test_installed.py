"""The package as a user installs it: a wheel in an empty environment, nothing of this repository.

Needs the package index, or its files in uv's cache.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from research.paths import SOURCE

PATIENCE = 900
"""Seconds for everything to be installed from an index."""


def around(venv: Path) -> Mapping[str, str]:
    """The environment of a user who has this virtual environment and no other."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("RESEARCH_")}
    for name in ("PYTHONPATH", "VIRTUAL_ENV"):
        kept.pop(name, None)
    return kept | {"PATH": f"{venv / 'bin'}{os.pathsep}{os.environ['PATH']}"}


def said(words: list[str], folder: Path, environment: Mapping[str, str] | None = None) -> str:
    done = subprocess.run(
        words, cwd=folder, env=environment, capture_output=True, text=True, check=False,
        timeout=PATIENCE,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, as setuptools leaves files beside what it builds."""
    copy, out = tmp_path_factory.mktemp("copy"), tmp_path_factory.mktemp("wheel")
    for name in ("research", "templates"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(SOURCE / name, copy / name, ignore=ignored)
    for name in ("pyproject.toml", "setup.py", "README.md"):
        shutil.copy(SOURCE / name, copy)
    uv = [sys.executable, "-m", "uv"]
    python = ["--python", sys.executable]
    said([*uv, "build", "--wheel", "--no-build-isolation", *python, "-o", str(out)], copy)
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def venv(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The lock's packages and the wheel, or a skip where there is no index to have them from."""
    folder = tmp_path_factory.mktemp("empty") / "venv"
    uv = [sys.executable, "-m", "uv"]
    said([*uv, "venv", "--quiet", "--python", sys.executable, str(folder)], folder.parent)
    install = [*uv, "pip", "install", "--quiet", "--python", str(folder / "bin/python")]
    lock = ["--require-hashes", "-r", str(SOURCE / "requirements.lock")]
    done = subprocess.run([*install, *lock], capture_output=True, text=True, timeout=PATIENCE)
    if done.returncode:
        pytest.skip(f"needs a package index: {' '.join(done.stderr.split())[-200:]}")
    said([*install, "--no-deps", str(wheel)], folder.parent)
    return folder


def test_the_wheel_brings_templates_requirements_and_a_project(wheel: Path, tmp_path: Path) -> None:
    shutil.unpack_archive(wheel, tmp_path, "zip")
    package = tmp_path / "research"

    def files(folder: Path) -> set[str]:
        found = (path for path in folder.rglob("*") if path.is_file())
        return {path.relative_to(folder).as_posix() for path in found if path.suffix != ".pyc"}

    assert files(package / "templates") == files(SOURCE / "templates")
    inside = {name for name in files(package) if not name.startswith("templates/")}
    assert inside == files(SOURCE / "research")
    assert {"tests", "paper", "templates"}.isdisjoint(path.name for path in tmp_path.iterdir())


@pytest.mark.service
def test_a_wheel_makes_a_project_and_its_verified_paper(venv: Path, tmp_path: Path) -> None:
    environment = around(venv)
    where = said(
        ["python", "-c", "import research; print(research.__file__)"], tmp_path, environment
    )
    assert where.startswith(str(venv))
    said(["research", "new", "mypaper"], tmp_path, environment)
    folder = tmp_path / "mypaper"
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org"]
    for words in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "-m", "Begin"]):
        said([*git, *words], folder)
    commit = said([*git, "rev-parse", "HEAD"], folder).strip()
    built = said(["make", "report-width"], folder, environment)
    assert "width.pdf: 2 pages" in built
    verdict = said(["research", "verify", "paper/width.pdf"], folder, environment)
    assert "paper/width.pdf: verified" in verdict
    assert "up to date" in said(["research", "studies"], folder, environment)
    run = next(folder.glob("runs/artifacts/width/*/artifacts/run.json")).read_text()
    assert f'"commit": "{commit}"' in run and '"dirty": false' in run
    assert '"research-report-generator": ' in run
    assert not said([*git, "status", "--porcelain"], folder)
