"""The gate of a final paper: nothing is held back, and nothing is written."""

import dataclasses
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from research import __main__ as command
from research import paths, report, studies
from research.cli import papers
from research.machine import environment
from research.paths import TEMPLATES
from research.records import Results, load, write_manifest, write_run
from research.report import Built, build
from research.tracking import Summary, staleness
from research.tracking.folder import FolderStore
from research.tracking.record import Lineage, write_lineage
from research.verification import readiness
from tests.samples import SAMPLE, without_data, write_record

pytestmark = pytest.mark.usefixtures("subsetting")

GOOD = {"preset": "full", "seeds": (0, 1, 2), "versions": environment.versions()}


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("gate")
    record = write_record(root / "1a2b3c4d5e6f70819203a4b5c6d7e8f9", **GOOD)
    write_lineage(record.folder, Lineage(1, 2))
    return root


@pytest.fixture
def store(kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FolderStore:
    folder = tmp_path / "paper"
    shutil.copytree(SAMPLE, folder)
    monkeypatch.setattr(paths, "PAPER", folder)
    monkeypatch.setattr(environment, "checkout", lambda: environment.Checkout("abc", dirty=False))
    store = FolderStore(Path(shutil.copytree(kept, tmp_path / "runs")))
    change(store, code=staleness.code("ae", "full"))
    return store


def change(store: FolderStore, **facts: object) -> Summary:
    (run,) = store.runs()
    record: Results = load(run.folder)
    write_run(run.folder, dataclasses.replace(record.run, **facts))  # type: ignore[arg-type]
    write_manifest(run.folder)
    return run


def paper() -> Path:
    """The folder of write-ups that the command line takes."""
    return paths.PAPER


def make(run: Summary) -> Callable[[Path], Built]:
    """Builds the write-up as a draft at the place that is asked for."""
    return partial(
        build, load(run.folder), paper() / "ae.md", author=paper() / "author.toml",
        templates=TEMPLATES, draft=True,
    )  # fmt: skip


def final(store: FolderStore, *more: str) -> int:
    return command.main(["report", "ae", "--log", f"folder:{store.root}", "--final", *more])


def test_a_paper_without_fault_is_written(store: FolderStore) -> None:
    assert readiness.reasons({"ae": change(store)}) == []
    assert final(store) == 0
    assert (paper() / "ae.pdf").exists()
    assert readiness.unseen(paper() / "ae.pdf") == []


@pytest.mark.long
def test_a_final_paper_is_the_one_that_was_checked(
    store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[bytes] = []

    def once(*args: Any, **more: Any) -> Built:
        done = build(*args, **more)
        built.append(done.pdf.read_bytes())
        return done

    monkeypatch.setattr(report, "build", once)
    assert final(store, "--anonymous") == 0
    (content,) = built
    assert (paper() / "ae-anonymous.pdf").read_bytes() == content
    source = paper() / "ae.md"
    source.write_text(source.read_text() + "\nWe reach 0.93.\n")
    assert final(store, "--anonymous") == 2
    assert (paper() / "ae-anonymous.pdf").read_bytes() == content
    assert {path.name for path in paper().glob("*ae-anonymous*")} == {
        "ae-anonymous.pdf", "ae-anonymous.html"
    }  # fmt: skip


def test_all_reasons_come_at_once(
    store: FolderStore, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code = staleness.code("ae", "full") | {"research.training.loop": "0", "settings": "0"}
    run = change(
        store, preset="sample", seeds=(0,), dirty=True, code=code, versions={"torch": "0.1"}
    )
    (run.folder / "arrays/maps.npz").unlink()
    (run.folder / "tables/errors.csv").write_text("better")
    monkeypatch.setattr(environment, "checkout", lambda: environment.Checkout("abc", dirty=True))
    source = paper() / "ae.md"
    text = source.read_text()
    text = text.replace(' alt="Five rows of activation maps"', "")
    text = text.replace("@fig:kernels", "@fig:kernel")
    source.write_text(text.replace("{mse_pca:.4f}", "{mse_pac:.4f}"))
    assert final(store) == 2
    told = capsys.readouterr().err.splitlines()
    expected = [
        "is not final, for",
        "the checkout has uncommitted changes",
        "a single seed",
        "preset sample, not full",
        "the code had uncommitted changes",
        "stale code (research/training/loop.py)",
        "stale config (preset sample)",
        "stale environment (torch)",
        "arrays/maps.npz is gone",
        "tables/errors.csv was changed after its end",
        "nothing called 'mse_pac'",
        "no file arrays/maps.npz",
    ]
    for wanted, line in zip(expected, told, strict=False):
        assert wanted in line
    assert not (paper() / "ae.pdf").exists()


def test_gaps_and_overflow_are_reasons(store: FolderStore, tmp_path: Path) -> None:
    run, source = change(store), paper() / "ae.md"
    without_data(load(run.folder), "maps")
    text = source.read_text().replace(' alt="Five rows of activation maps"', "")
    text = text.replace("@fig:kernels", "@fig:kernel", 1)
    row = "| images        | Images          |        |"
    assert row in text
    text = text.replace(row, "| images | Images | .99f |", 1)
    text = text.replace("(spectrum){.wide", "(spectrum){", 1)
    long = f'[{"1" * 70}]{{by="a number that cannot break"}}'
    text = text.replace("A network of {", f"{long} A network of {{", 1)
    more = "Words that fill the page again and again without saying anything at all. " * 160
    source.write_text(text.replace("A network of {", more + "\n\nA network of {", 1))
    out = tmp_path / "x.pdf"
    built, lacks = readiness.final(make(run), out, ["it is old"])
    assert built is None and not out.exists()
    assert lacks.pop(0) == "it is old"
    wanted = [
        "'maps' needs alt=", "refer to as 'fig:kernel'", "refer to as 'fig:spectrum'",
        "'spectrum' is 170 mm wide, 84 mm more than the column",
        "table 'classes' is", "mm out of its column",
        "runs past page 3",
    ]  # fmt: skip
    for part, line in zip(wanted, lacks, strict=True):
        assert part in line


def test_an_old_record_is_not_vouched_for(store: FolderStore) -> None:
    (line,) = readiness.reasons({"ae": change(store, code={})})
    assert line.endswith("whether it is stale")


@pytest.mark.parametrize("status", ["RUNNING", "KILLED"])
def test_only_a_finished_run_is_final(status: str, store: FolderStore) -> None:
    lines = readiness.reasons({"ae": change(store, status=status)})
    assert any(f"it is {status}, not finished" in line for line in lines)


def test_a_draft_says_how_much_it_lacks(
    store: FolderStore, capsys: pytest.CaptureFixture[str]
) -> None:
    source = paper() / "ae.md"
    source.write_text(source.read_text().replace("{trustworthiness:", "{trustworthines:"))
    assert "{trustworthines:" in source.read_text()
    assert command.main(["report", "ae", "--log", f"folder:{store.root}"]) == 0
    told = capsys.readouterr().err
    assert "draft: 1 gap\n" in told and "Did you mean 'trustworthiness'?" in told


def test_the_list_of_studies_names_the_kind(store: FolderStore) -> None:
    code = staleness.code("ae", "full") | {"research.training.loop": "0"}
    run = change(store, code=code)
    assert papers.stale_in_words(run) == ["run stale: code (research/training/loop.py)"]
    run = change(store, config={"data.name": "mnist"})
    assert papers.stale_in_words(run)[1:] == ["data not checked"]
    entry = studies.entry("ae")
    assert papers.pdf_state(entry, run, store) == "not built"


def test_an_error_that_is_no_gap_is_one_reason(store: FolderStore, tmp_path: Path) -> None:
    source = paper() / "ae.md"
    source.write_text(source.read_text() + "\nWe reach 0.93.\n")
    run = change(store)
    built, lacks = readiness.final(make(run), tmp_path / "x.pdf", [])
    assert built is None and "0.93 is typed" in lacks[0]
