"""The study `zf-features`, run small: figures and write-up."""

import html
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from research import __main__ as command
from research.records import Results
from research.studies import zf_features as study
from tests.studies.drawn import drawn
from tests.trails import trail

from .tiny import ARMS, parent, run


def test_every_branch_of_every_claim_is_fit_to_print(
    record: Results, spoken: Callable[[Results, str], set[str]]
) -> None:
    assert spoken(record, "zf-features") == set(record.claims)


def report(paper: Path, store: Path) -> str:
    assert command.main(["report", "zf-features", "--log", f"folder:{store}"]) == 0
    body = (paper / "zf-features.html").read_text().split("<body")[1].split("<script")[0]
    return " ".join(html.unescape(re.sub("<[^>]*>", " ", body)).replace("’", "'").split())


def test_every_figure_is_drawn(record: Results) -> None:
    assert sorted(study.FIGURES) == ["ablations", "layers", "pairs"]
    for drawing in drawn(record, study.FIGURES).values():
        assert drawing.width_mm <= 86.01 and drawing.height_mm < 120


def test_the_paper_of_several_seeds(record: Results, store: Path, paper: Path) -> None:
    text = report(paper, store)
    found = trail(paper / "zf-features.pdf")
    assert {figure["name"] for figure in found["figures"]} == set(study.FIGURES)
    assert "without 3, 4, 6, 7" in text and "mixed" in text and "layer 7" in text
    errors = record.numbers["test_ours"].value
    assert f"{100 * errors:.1f}" in text, text


@pytest.mark.long
def test_the_paper_of_one_seed_and_one_draw(
    record: Results, stripes: Path, shapes: Path, tmp_path: Path, paper: Path
) -> None:
    given = record.folder / "weights/ours-seed0.safetensors"
    more = ["--seeds", "0", "--splits", "1", "--train.epochs", "1", "--weights", str(given)]
    assert run(tmp_path / "one", stripes, shapes, *more) == 0
    one = parent(tmp_path / "one")
    origins = {name: model["origin"] for name, model in one.run.models.items()}
    assert origins.pop("ours-seed0") == "given" and {*origins.values()} == {"found"}
    assert "source-seed0" not in origins, "the baseline is trained as long"
    for arm in ARMS:
        both = record.arrays("errors")[f"{arm}_test"]
        assert one.numbers[f"test_{arm}"].value == pytest.approx(both[0])
    text = report(paper, tmp_path / "one")
    assert "†" in text, "single values are marked"
