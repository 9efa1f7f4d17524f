"""What the study `vgg` says to mistakes."""

import dataclasses
from pathlib import Path

import pytest

from research.config import Data
from research.data import Dataset, load
from research.errors import UserError
from research.studies import vgg

from .tiny import run


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--data.size", "48"], "side is a multiple of 32"),
        (["--width", "0"], "--width must be greater than 0"),
        (["--eps", "0", "-0.1"], "--eps must lie in [0, 1]"),
        (["--eps"], "--eps must lie in [0, 1]"),
        (["--noise-eps", "8"], "--noise-eps must lie in [0, 1]"),
        (["--noise-eps", "0"], "--noise-eps must be greater than 0"),
        (["--judged", "100"], "at most the 120 test images"),
        (["--crafted", "5"], "at least two for each of the 3 classes"),
        (["--checked", "0"], "--checked must be at least 1"),
        (["--frozen-epochs", "-1"], "--frozen-epochs must be at least 0"),
        (["--frozen-epochs", "1", "--imagenet", "nowhere.pth"], "--imagenet must name the file"),
    ],
)
def test_a_mistake_costs_one_line_and_exit_code_2(
    flags: list[str], message: str, root: Path, store: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    assert run(tmp_path, root, *flags) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("research:")]
    assert len(lines) == 1
    assert message in lines[0]


def test_grey_pictures_and_a_single_class_are_refused(data: Dataset) -> None:
    config = vgg.PRESETS["sample"]
    with pytest.raises(UserError, match="mnist-sample has 1 × 28 × 28"):
        vgg.check(config, load(Data("mnist-sample")))
    with pytest.raises(UserError, match="needs 2 classes at least"):
        vgg.check(config, dataclasses.replace(data, classes=("only",)))
