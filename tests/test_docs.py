"""What the pages in docs/ tell, done as they tell it."""

import importlib.util
import os
import re
import sys
from pathlib import Path

import pytest

from research.paths import SOURCE
from tests.tutorial import STUDY, blocks, sh


@pytest.fixture
def around(tmp_path: Path) -> dict[str, str]:
    """An environment in which `research` is this checkout, and keeps runs in plain folders."""
    program = tmp_path / "bin/research"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m research "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    who = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a"}
    return {
        **os.environ,
        **who,
        "GIT_COMMITTER_EMAIL": "a@b",
        "COLUMNS": "300",
        "MLFLOW_TRACKING_URI": "folder:runs",
        "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(SOURCE),
    }


@pytest.mark.long
def test_the_tutorial_makes_a_paper_and_asks_one_more_thing(
    tmp_path: Path, around: dict[str, str]
) -> None:
    begin, again = blocks(STUDY, "sh")
    told = sh(begin, tmp_path, around)
    assert "width.pdf: 2 pages" in told and "paper/width.pdf: verified" in told
    project = tmp_path / "mypaper"
    [line], [sentence] = blocks(STUDY, "python"), blocks(STUDY, "markdown")
    study, paper = project / "studies/width.py", project / "paper/width.md"
    add(study, '"greater"))\n', line)
    add(paper, "\n## Discussion", f"\n{sentence}\n## Discussion", instead=True)
    told = sh(again, project, around)
    assert "run stale" in told and "width.md" in told  # of `research studies`
    assert "9 of 9 models found" in (project / "paper/width.html").read_text(encoding="utf-8")
    assert re.search(r"claim +last_step_helps .*studies/width\.py:61", told)
    assert "width.pdf: 2 pages" in told and "paper/width.pdf: verified" in told


def add(path: Path, where: str, text: str, *, instead: bool = False) -> None:
    whole = path.read_text(encoding="utf-8")
    assert whole.count(where) == 1
    path.write_text(whole.replace(where, text if instead else where + text), encoding="utf-8")


def test_the_page_of_the_api_is_that_of_the_code() -> None:
    spec = importlib.util.spec_from_file_location("api", SOURCE / "docs/api.py")
    assert spec and spec.loader
    api = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(api)
    assert api.PAGE.read_text(encoding="utf-8") == api.page(), "write it anew: make api"
    for name in ("research.open_run(", "obtain(", "Log", "fgsm(model, images, labels, eps"):
        assert name in api.page()
