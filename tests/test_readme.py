"""The README's code, run as it stands there."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from research.paths import ROOT, SKELETON

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


@pytest.mark.parametrize(
    ("language", "file"), [("python", "studies/width.py"), ("markdown", "paper/width.md")]
)
def test_its_excerpts_are_those_of_a_new_project(language: str, file: str) -> None:
    whole = (SKELETON / file).read_text(encoding="utf-8")
    for part in block(STUDY, language).strip().split("\n\n\n"):
        assert part in whole
