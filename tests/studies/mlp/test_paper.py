"""The study `mlp`, run small: figures and write-up."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from research import __main__ as command
from research import paths
from research.paths import PAPER
from research.records import Results
from research.studies import mlp
from tests.studies.drawn import WIDTHS, drawn

from .tiny import run


def test_every_figure_is_drawn_from_files_of_the_record(record: Results) -> None:
    assert all(drawing.width_mm in WIDTHS for drawing in drawn(record, mlp.FIGURES).values())


def built(store: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The paper over the newest run of a store, without what is embedded."""
    paper = folder / "paper"
    paper.mkdir()
    for name in ("mlp.md", "author.toml"):
        shutil.copy(PAPER / name, paper)
    monkeypatch.setattr(paths, "PAPER", paper)
    assert command.main(["report", "mlp", "--log", f"folder:{store}"]) == 0
    return (paper / "mlp.html").read_text().split("<script")[0]


def test_every_branch_of_every_claim_is_fit_to_print(
    record: Results, spoken: Callable[[Results, str], set[str]]
) -> None:
    assert spoken(record, "mlp")


@pytest.mark.long
def test_some_given_weights_do_not_hide_the_curves_of_the_others(
    record: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = record.folder / "weights/biased-seed1.safetensors"
    run(tmp_path / "store", "--weights", str(given))
    text = built(tmp_path / "store", tmp_path, monkeypatch)
    assert "were given and not trained here" in text
    assert 'id="i-curves"' in text


@pytest.mark.long
def test_the_paper_of_a_single_seed_from_given_weights_claims_nothing(
    record: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "store"
    weights = [str(path) for path in (record.folder / "weights").glob("*seed0.safetensors")]
    again = run(store, "--seeds", "0", "--weights", *weights)
    assert not [name for name in again.names("arrays") if name.startswith("curve")]
    text = built(store, tmp_path, monkeypatch)
    assert "were given and not trained here" in text
    assert 'id="i-curves"' not in text
    assert "±\u00a0" not in text
