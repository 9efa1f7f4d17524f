"""The study `zf`, run small: figures, write-up, and runs that find what there is."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from research.records import Results
from research.studies import zf
from research.studies.zf import drawings
from tests.studies.drawn import drawn
from tests.trails import trail

from .tiny import parents, report, run


def test_every_figure_is_drawn_from_files_of_the_record(zf_record: Results) -> None:
    for name, drawing in drawn(zf_record, zf.FIGURES).items():
        assert drawing.width_mm <= (178.01 if name in ("tops", "occlusion") else 86.01)
        assert drawing.height_mm < 120


def test_a_map_is_drawn_where_the_square_s_middle_is() -> None:
    data = {"edges": np.array([0, 4, 6]), "window": np.array(3), "stride": np.array(4),
            "image": np.zeros((1, 3, 9, 9))}  # fmt: skip
    values = np.arange(9).reshape(3, 3)
    drawn = drawings.framed(values, data)
    # middles at 1, 5 and 7; the last pixel is within half a stride of the last middle
    columns = [0, 0, 0, 0, 1, 1, 1, 2, 2]
    assert np.array_equal(drawn, values[np.ix_(columns, columns)])
    wide = drawings.framed(values, data | {"stride": np.array(1)})
    assert np.isnan(wide[0]).all() and np.isnan(wide[:, 3]).all() and wide[1, 5] == 1


def test_what_is_too_fine_for_print_is_averaged() -> None:
    fine = np.random.default_rng(0).random((2, 3, 131, 131))
    shown = drawings.reduced(fine)
    assert shown.shape == (2, 3, 65, 65)
    assert shown[1, 2, 64, 3] == pytest.approx(fine[1, 2, 128:130, 6:8].mean())
    assert np.array_equal(drawings.reduced(fine[..., :127, :127]), fine[..., :127, :127])


def test_the_paper_of_several_seeds(zf_store: Path, paper: Path) -> None:
    text = report(paper, zf_store)
    found = trail(paper / "zf.pdf")
    assert {figure["name"] for figure in found["figures"]} == set(zf.FIGURES)
    assert "Emergence." in text and "own answer" not in text and "silent in" not in text
    assert "layer 5" in text and "relu5" not in text


def test_every_branch_of_every_claim_is_fit_to_print(
    zf_record: Results, spoken: Callable[[Results, str], set[str]]
) -> None:
    assert spoken(zf_record, "zf")


@pytest.mark.long
def test_a_second_run_trains_nothing_and_finds_the_same(
    zf_record: Results, stripes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zf, "FIGURES", {})
    assert run(tmp_path, stripes) == 0
    [other] = parents(tmp_path)
    assert {model["origin"] for model in other.run.models.values()} == {"found"}
    assert other.numbers == zf_record.numbers
    for name in zf_record.names("arrays"):
        for key, values in zf_record.arrays(name).items():
            assert np.array_equal(
                other.arrays(name)[key], values, equal_nan=values.dtype.kind == "f"
            )


@pytest.mark.long
def test_the_paper_of_one_seed_and_given_weights(
    zf_record: Results, stripes: Path, tmp_path: Path, paper: Path
) -> None:
    files = [
        str(zf_record.folder / f"weights/{arm}-seed0.safetensors") for arm in ("zf", "alexnet")
    ]
    assert run(tmp_path / "all", stripes, "--seeds", "0", "--weights", *files) == 0
    [given] = parents(tmp_path / "all")
    assert {model["origin"] for model in given.run.models.values()} == {"given"}
    assert given.names("figures") == sorted({*zf.FIGURES} - {"evolution", "converging"})
    assert "stages" not in given.numbers, "given weights have no past"
    assert np.array_equal(given.arrays("tops_layer5")["images"],
                          zf_record.arrays("tops_layer5")["images"])  # fmt: skip
    text = report(paper, tmp_path / "all")
    assert "Emergence." not in text and "†" in text, "single values are marked"


@pytest.mark.long
def test_a_run_whose_layer_is_silent_comes_to_its_end(
    zf_record: Results, stripes: Path, tmp_path: Path, paper: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    files = [tmp_path / f"{arm}-seed0.safetensors" for arm in ("zf", "alexnet")]
    for file in files:
        trained = zf_record.folder / "weights" / file.name
        weights = load_file(trained)
        weights["conv4.bias"] = torch.full_like(weights["conv4.bias"], -1e6)
        with safe_open(trained, "pt") as opened:
            save_file(weights, file, opened.metadata())
    flags = ["--seeds", "0", "--weights", *map(str, files)]
    assert run(tmp_path / "dead", stripes, *flags) == 0
    assert "Layer 'relu4' is silent in 1 of 1 networks" in capsys.readouterr().err
    [dead] = parents(tmp_path / "dead")
    assert "tops_layer4" not in dead.names("arrays") and "tops" in dead.names("figures")
    text = report(paper, tmp_path / "dead")
    assert "A layer is silent if" in text and "share one class" not in text


@pytest.mark.long
def test_weights_of_one_arm_leave_the_other_to_be_trained(
    zf_record: Results, stripes: Path, tmp_path: Path, paper: Path
) -> None:
    file = str(zf_record.folder / "weights/alexnet-seed0.safetensors")
    assert run(tmp_path / "some", stripes, "--seeds", "0", "--weights", file) == 0
    [some] = parents(tmp_path / "some")
    origins = {name: model["origin"] for name, model in some.run.models.items()}
    assert origins == {"zf-seed0": "found", "alexnet-seed0": "given"}
    text = report(paper, tmp_path / "some")
    assert "Emergence." in text


@pytest.mark.long
def test_an_interrupted_run_goes_on_and_finds_everything(
    zf_record: Results, stripes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(zf, "measure_invariance", stop)
        assert run(tmp_path, stripes, "--train.again") == 130
    [begun] = parents(tmp_path)
    assert begun.run.status == "KILLED"
    assert {model["origin"] for model in begun.run.models.values()} == {"trained"}
    assert run(tmp_path, stripes, "--resume") == 0
    [done] = parents(tmp_path)
    assert done.run.id == begun.run.id and done.run.status == "FINISHED"
    assert done.numbers == zf_record.numbers and done.names("figures") == sorted(zf.FIGURES)
