"""What the study `zf-features` says to mistakes."""

import dataclasses
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from research.data import Dataset
from research.errors import UserError
from research.studies import zf_features as study
from research.studies.zf_features import settings

from .tiny import SAMPLE, run


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--side", "0"], "--side must be at least 1, got 0"),
        (["--side", "53"], "--side must be at most the 52 pixels"),
        (["--side", "40"], "needs images of at least"),
        (["--splits", "0"], "--splits must be at least 1"),
        (["--judged", "0"], "--judged must be at least 1"),
        (["--scratch-steps", "0"], "--scratch-steps must be at least 1"),
        (["--scratch-batch", "0"], "--scratch-batch must be at least 1"),
        (["--ablation-epochs", "0"], "--ablation-epochs must be at least 1"),
        (["--width", "0"], "--width must be greater than 0"),
        (["--k", "5"], "--k must be two or more different numbers from 2 on, got 5"),
        (["--k", "5", "5"], "--k must be two or more different numbers from 2 on, got 5 5"),
        (["--k", "1", "5"], "--k must be two or more different numbers from 2 on, got 1 5"),
        (["--k", "2", "7"], "'blob' has 6 and 5; give a smaller k, or mix"),
        (["--penalties", "0", "1"], "--penalties must be numbers greater than 0, got 0.0 1"),
        (["--penalties", "inf"], "--penalties must be a finite number, got inf"),
        (["--threshold", "1"], "--threshold must be greater than 0 and less than 1, got 1"),
        (["--threshold", "0"], "--threshold must be greater than 0 and less than 1"),
        (["--threshold", "0.05"], "of the class 'across' of the source all have near-duplicates"),
        (["--target.size", "47"], "--target.size must be at least --side (48), got 47"),
        (["--data.name", "mnist-sample"], "must have the 1 channels of the source, or one"),
        (["--target.name", "faces"], "'face' has 0 and 5; give a smaller k, or mix"),
    ],
)
def test_a_mistake_costs_one_line_before_anything_is_trained(
    flags: list[str], message: str, stripes: Path, shapes: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    assert run(tmp_path, stripes, shapes, *flags) == 2
    said = capsys.readouterr().err.splitlines()
    assert not any("epoch 1/" in line or " found: " in line for line in said), "it was trained"
    [line] = [line for line in said if line.startswith("research:")]
    assert said[-1] == line and message in line


def test_the_same_images_are_no_other_images(
    stripes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, stripes, stripes) == 2
    assert "source and target must be different images" in capsys.readouterr().err.splitlines()[-1]


def test_weights_must_be_of_a_known_model(
    stripes: Path, shapes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "other-seed0.safetensors"
    save_file({"a": torch.zeros(1)}, file)
    assert run(tmp_path / "s", stripes, shapes, "--weights", str(file)) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("research:")


def test_settings_are_refused_by_themselves(zf_data: Dataset) -> None:
    for config in settings.PRESETS.values():
        study.check(config)
    with pytest.raises(UserError, match="two classes or more, one has one"):
        one = dataclasses.replace(zf_data, name="one", classes=("only",))
        study.check_target(SAMPLE, one, zf_data)
    with pytest.raises(UserError, match="got none"):
        study.check(dataclasses.replace(SAMPLE, k=()))
