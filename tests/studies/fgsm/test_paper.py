"""The study `fgsm`, run small: figures and write-up."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pypdf
import pytest

from research import __main__ as command
from research.records import Results
from research.studies import fgsm
from tests.studies.drawn import drawn
from tests.trails import trail

from .tiny import run


def test_every_figure_is_drawn_from_files_of_the_record(record: Results) -> None:
    assert drawn(record, fgsm.FIGURES)


def built(store: Path, paper: Path) -> None:
    assert command.main(["report", "fgsm", "--log", f"folder:{store}"]) == 0
    assert len(pypdf.PdfReader(paper / "fgsm.pdf").pages) <= 3


@pytest.mark.long
def test_given_weights_of_a_single_seed_have_no_past(
    record: Results, tmp_path: Path, paper: Path
) -> None:
    given = (record.folder / "weights").glob("*-seed0.safetensors")
    again = run(tmp_path, "--seeds", "0", "--weights", *map(str, given))
    assert {model["origin"] for model in again.run.models.values()} == {"given"}
    assert [row[:2] for row in again.table("signs").rows] == [("lenet", 8), ("cnn", 1)]
    table = again.table("transfer")
    assert table.column("own_lenet")[0] is None is table.column("own_cnn")[1]
    assert again.table("paper") == record.table("paper")
    stored = again.arrays("accuracy_lenet")["clipped"]
    assert np.array_equal(stored, record.arrays("accuracy_lenet")["clipped"][:1])
    assert again.numbers["lenet_fooling_own"] == record.numbers["lenet_fooling_own"]
    assert again.numbers["gap_lenet"].bounds is None
    built(tmp_path, paper)
    assert "†" in (paper / "fgsm.html").read_text(), "single values are marked"


@pytest.mark.usefixtures("record")
def test_every_branch_of_every_claim_is_fit_to_print(
    record: Results, spoken: Callable[[Results, str], set[str]]
) -> None:
    assert spoken(record, "fgsm")


@pytest.mark.usefixtures("record")
def test_the_paper_is_built(store: Path, paper: Path) -> None:
    built(store, paper)
    figures = {figure["name"] for figure in trail(paper / "fgsm.pdf")["figures"]}
    assert figures == set(fgsm.FIGURES)
