"""The package as a user installs it: a wheel in an empty environment, nothing of this repository.

Needs the package index, or its files in uv's cache.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from research.paths import SOURCE
from tests.services.shared import USERS, Server
from tests.tutorial import RUNS, STUDY, blocks, sh

PATIENCE = 900
"""Seconds for everything to be installed from an index."""


def around(venv: Path) -> Mapping[str, str]:
    """The environment of a user who has this virtual environment and no other."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("RESEARCH_")}
    # what a first process compiles the others find, as for a user
    for name in ("PYTHONPATH", "VIRTUAL_ENV", "PYTHONDONTWRITEBYTECODE"):
        kept.pop(name, None)
    roles = ("AUTHOR_NAME", "AUTHOR_EMAIL", "COMMITTER_NAME", "COMMITTER_EMAIL")
    kept |= {f"GIT_{role}": "a@b" for role in roles} | {"COLUMNS": "300"}
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


@pytest.fixture(scope="module")
def mypaper(venv: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project that the tutorial's first commands make, with its paper."""
    folder = tmp_path_factory.mktemp("user")
    environment = around(venv)
    where = said(["python", "-c", "import research; print(research.__file__)"], folder, environment)
    assert where.startswith(str(venv))
    told = sh(blocks(STUDY, "sh")[0], folder, environment)
    assert "width.pdf: 2 pages" in told and "paper/width.pdf: verified" in told
    return folder / "mypaper"


@pytest.mark.service
def test_a_wheel_makes_a_project_and_its_verified_paper(venv: Path, mypaper: Path) -> None:
    commit = said(["git", "rev-parse", "HEAD"], mypaper).strip()
    assert "up to date" in said(["research", "studies"], mypaper, around(venv))
    run = next(mypaper.glob("runs/artifacts/width/*/artifacts/run.json")).read_text()
    assert f'"commit": "{commit}"' in run and '"dirty": false' in run
    assert '"research-report-generator": ' in run
    assert not said(["git", "status", "--porcelain"], mypaper)


@pytest.mark.service
def test_a_project_is_run_again_as_it_was_committed(venv: Path, mypaper: Path) -> None:
    """What was changed since, and would give other numbers, is not what runs."""
    study = mypaper / "studies/width.py"
    committed = study.read_text()
    study.write_text(committed.replace("nn.ReLU()", "nn.Tanh()"))
    assert study.read_text() != committed
    try:
        told = said(["research", "reproduce", "paper/width.pdf"], mypaper, around(venv))
    finally:
        study.write_text(committed)
    assert re.search(r"^width sample: a clone at commit [0-9a-f]{7}$", told, re.MULTILINE)
    counts = re.search(r"^(\d+) numbers: (\d+) identical$", told, re.MULTILINE)
    assert counts and counts[1] == counts[2] and int(counts[1]) >= 10, told


@pytest.mark.service
def test_runs_of_a_plain_script_on_a_server_become_a_paper(
    venv: Path, mypaper: Path, server: Server
) -> None:
    user, password = next(iter(USERS.items()))
    environment = {
        **around(venv), "MLFLOW_TRACKING_URI": server.uri, "MLFLOW_TRACKING_USERNAME": user,
        "MLFLOW_TRACKING_PASSWORD": password,
    }  # fmt: skip
    [script], (log, build) = blocks(RUNS, "python"), blocks(RUNS, "sh")
    (mypaper / "train.py").write_text(script)
    told = sh(log, mypaper, environment)
    assert "adopted. All 6 runs of the experiment are used." in told
    paper = mypaper / "paper/digits.md"
    introduction, discussion = blocks(RUNS, "markdown")
    begun, comments = re.subn(
        r"(?<=## Introduction\n\n)<!--.*?-->\n", introduction, paper.read_text(), flags=re.DOTALL
    )
    assert comments == 1
    paper.write_text(f"{begun}\n{discussion}")
    told = sh(build, mypaper, environment)
    assert "digits.pdf: 2 pages" in told and "paper/digits.pdf: verified" in told
    page = (mypaper / "paper/digits.html").read_text()
    assert "That mlp beats linear holds" in page and "is the better one" in page
    trail = said(["research", "show", "digits"], mypaper, environment)
    assert re.search(r"number +val_acc_mlp .*val_acc at the last step, logged by", trail)
