"""The study `cnn`, run small: figures and write-up."""

from collections.abc import Callable
from pathlib import Path

import pytest

from research import __main__ as command
from research.records import Results
from research.studies import cnn
from tests.studies.drawn import WIDTHS, drawn
from tests.trails import trail

from .tiny import parent, run


def test_every_figure_is_drawn_from_files_of_the_record(record: Results) -> None:
    assert all(drawing.width_mm in WIDTHS for drawing in drawn(record, cnn.FIGURES).values())


@pytest.mark.long
def test_the_paper_of_found_and_given_weights_and_a_single_seed(
    record: Results, tmp_path: Path, paper: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = str(record.folder / "weights/baseline-seed0.safetensors")
    run(tmp_path, "--seeds", "0", "--weights", given)
    again = parent(tmp_path)
    origins = {name: model["origin"] for name, model in again.run.models.items()}
    assert origins == {"baseline-seed0": "given", "relu-seed0": "found"}
    said = f"relu-seed0  found: trained by run {record.run.id[:8]}"
    assert said in capsys.readouterr().err
    for name in ("ratio_trained_mse", "knn_gain", "knn_p", "relu_gain", "dead_logits"):
        assert again.numbers[name] == record.numbers[name]
    assert command.main(["report", "cnn", "--log", f"folder:{tmp_path}"]) == 0
    text = (paper / "cnn.html").read_text().split("<script")[0]
    assert "of the models were given and not trained here" in text
    over_seeds = [number for number in again.numbers.values() if number.values]
    assert over_seeds and all(number.half_width is None for number in over_seeds)


def test_every_branch_of_every_claim_is_fit_to_print(
    record: Results, outcome: str, spoken: Callable[[Results, str], set[str]]
) -> None:
    assert spoken(record, "cnn")


def test_the_paper_is_built(store: Path, paper: Path) -> None:
    assert command.main(["report", "cnn", "--log", f"folder:{store}"]) == 0
    assert (paper / "cnn.pdf").exists()
    record = trail(paper / "cnn.pdf")
    assert {figure["name"] for figure in record["figures"]} == set(cnn.FIGURES) - {"matrices"}
