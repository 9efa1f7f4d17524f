"""What a verb needs is looked at before anything is trained: each verb in-process, bare."""

import importlib.util
import shutil
from pathlib import Path
from typing import NoReturn

import pytest

from research import __main__ as command
from research import paths
from research.cli import needs, papers
from research.errors import UserError
from research.machine import environment, libraries
from research.machine.environment import Checkout
from research.paths import ROOT
from research.tracking.folder import FolderStore
from research.tracking.local import LocalStore


def lacking(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name in names else found(name)
    )


@pytest.fixture(autouse=True)
def paper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of write-ups of one's own, an empty store, and no way to train."""
    folder = tmp_path / "paper"
    shutil.copytree(ROOT / "paper", folder, ignore=shutil.ignore_patterns("*.pdf", "*.html"))
    monkeypatch.setattr(paths, "PAPER", folder)

    def train(*_: object) -> NoReturn:
        raise AssertionError("a model was trained")

    monkeypatch.setattr(papers, "run_study", train)
    monkeypatch.setattr(libraries, "subsets", lambda: True)
    return folder


def told(capsys: pytest.CaptureFixture[str], verb: str, *args: str, store: str = "") -> str:
    where = ["--log", store] if store else []
    assert command.main([verb, *args, *where]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    return printed.err


PAPERS = [["report", "ae"], ["report", "ae", "--final"], ["report", "ae", "--anonymous"]]


@pytest.mark.parametrize("args", PAPERS)
def test_a_paper_looks_for_pango_first(
    args: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(libraries, "missing", lambda: "a PDF needs the system's Pango")
    err = told(capsys, *args, store=f"folder:{tmp_path}/none")
    assert err == "research: a PDF needs the system's Pango\n"


@pytest.mark.parametrize("module", ["weasyprint", "jinja2", "pikepdf", "ziamath"])
@pytest.mark.parametrize("verb", ["report", "verify", "audit", "studies", "diff", "reproduce"])
def test_a_verb_on_papers_looks_for_its_packages_first(
    verb: str, module: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lacking(monkeypatch, module)
    err = told(capsys, verb, "ae")
    assert err.count("\n") == 1 and f"needs {module}, which this Python lacks" in err
    assert "pip install '.[report]'" in err


def test_mlflow_is_looked_for_where_a_run_is_kept_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lacking(monkeypatch, "mlflow")
    local = f"sqlite:///{tmp_path}/mlflow.db"
    for args in (["report", "ae"], ["sync", str(tmp_path)]):
        err = told(capsys, *args, store=local)
        assert err.count("\n") == 1 and "--log folder:DIR does without" in err
    assert "an MLflow server needs mlflow" in told(capsys, "report", "ae", store="http://h:1")
    assert "research ui needs mlflow" in told(capsys, "ui")
    needs.tracking(FolderStore(tmp_path / "folder"))
    with pytest.raises(UserError, match="needs mlflow"):
        needs.tracking(LocalStore(tmp_path / "mlflow.db"))


def test_a_run_looks_for_mlflow_before_it_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.undo()
    lacking(monkeypatch, "mlflow")

    def launch(*_: object) -> NoReturn:
        raise AssertionError("a model was trained")

    monkeypatch.setattr("research.launch.launch", launch)
    assert "needs mlflow" in told(capsys, "run", "ae", store=f"sqlite:///{tmp_path}/mlflow.db")


def test_a_folder_that_cannot_be_written_is_told_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)
    err = told(capsys, "report", "ae", store=f"folder:{tmp_path}/none")
    assert err.count("\n") == 1 and "which is not writable" in err


def test_a_folder_that_is_not_there_yet_can_be_made(tmp_path: Path) -> None:
    needs.writable(tmp_path / "not/yet")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="not writable"):
        needs.writable(tmp_path / "file/paper")


def test_who_cuts_the_fonts_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    needs.pdf(tmp_path)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(libraries, "subsets", lambda: False)
    needs.pdf(tmp_path)
    assert capsys.readouterr().err == f"{libraries.CUT_BY_FONTTOOLS}\n"


@pytest.mark.parametrize(
    ("file", "old", "new", "named"),
    [
        ("ae.md", "## Method", "Seen in 12 of them.\n\n## Method", "ae.md:23:9: the number 12 is"),
        ("ae.md", "@zeiler2014", "@zeiler1914", "ae.md:19:214: references.bib has no"),
        ("ae.md", "{parameters_transpose}", "{{ number('x') }}", "ae.md:15:50: '{{ … }}' belongs"),
        ("ae.md", "keywords:", "reads: nosuch\nkeywords:", "ae.md:3: there is no study 'nosuch'"),
        ("ae.md", "title:", "titel:", "ae.md:2:1: front matter has no key 'titel'"),
        ("author.toml", "name", "nmae", "author.toml has no key 'nmae'"),
    ],
)
def test_a_write_up_is_read_before_its_study_is_run(
    file: str, old: str, new: str, named: str, paper: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    path = paper / file
    path.write_text(path.read_text().replace(old, new, 1))
    head, *lines = told(capsys, "report", "ae", store=f"folder:{tmp_path}/none").splitlines()
    assert head == "research: nothing was trained, for 1 mistake would stop the paper:"
    assert len(lines) == 1 and lines[0].strip().startswith(named)


def test_a_sound_write_up_is_trained_for(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="a model was trained"):
        command.main(["report", "ae", "--log", f"folder:{tmp_path}/none"])


def test_what_keeps_a_paper_from_being_final_is_told_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(environment, "checkout", lambda: Checkout(dirty=True))
    monkeypatch.setattr("research.launch.default_preset", lambda: "sample")
    err = told(capsys, "report", "ae", "--final", store=f"folder:{tmp_path}/none")
    assert "2 mistakes" in err and "uncommitted changes" in err and "preset sample" in err
