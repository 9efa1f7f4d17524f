"""The README's code, run as it stands there."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from research.paths import ROOT

STUDY = "## A new study"
README = (ROOT / "README.md").read_text(encoding="utf-8")


def block(after: str, language: str) -> str:
    """The first block of code behind some words."""
    found = re.search(f"```{language}\n(.*?)```", README[README.index(after) :], re.DOTALL)
    assert found
    return found[1]


def test_it_stays_short() -> None:
    assert len(README.splitlines()) <= 180


def test_the_script_of_a_user_runs_anywhere(tmp_path: Path) -> None:
    script = tmp_path / "mine.py"
    shapes = "print(tuple(adv_inputs.shape), tuple(top.projections.shape))"
    script.write_text(block("## From your own script", "python") + shapes, encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "(20, 1, 28, 28) (2, 9, 1, 5, 5)\n"


def test_its_study_becomes_a_paper(tmp_path: Path) -> None:
    for folder in ("research", "templates"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    (tmp_path / "research/studies/width.py").write_text(block(STUDY, "python"), encoding="utf-8")
    paper = tmp_path / "paper"
    paper.mkdir()
    (paper / "width.md").write_text(block(STUDY, "markdown"), encoding="utf-8")
    shutil.copy(ROOT / "paper/author.toml", paper)
    words = ["report", "width", "--log", "folder:runs"]
    done = subprocess.run(
        [sys.executable, "-m", "research", *words],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (paper / "width.pdf").read_bytes().startswith(b"%PDF")
    assert "the paper fills 1 page" in done.stderr  # so short a text is a draft
