"""What the study `cnn` says to mistakes."""

import dataclasses
from pathlib import Path

import pytest
import torch

from research import __main__ as command
from research.data import Dataset, Split
from research.errors import UserError
from research.studies import cnn

from .tiny import FLAGS


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--data.name", "photos"], "images of 1 × 28 × 28 in at most 10 classes"),
        (["--data.size", "32"], "mnist-sample has 1 × 32 × 32"),
        (["--sample", "seven"], "no class 'seven'"),
        (["--sample-index", "100"], "--sample-index must be 0 to 99"),
        (["--pair", "6", "six"], "no class 'six'"),
        (["--pair", "6", "6"], "--pair must be two classes"),
        (["--neighbours", "0"], "--neighbours must be at least 1"),
        (["--map-points", "20"], "less than half of the 20 points"),
        (["--perplexities", "60"], "--perplexities must be"),
        (["--perplexities", "10", "10"], "--perplexities must be one or more different"),
        (["--perplexities"], "--perplexities must be one or more different"),
        (["--relu-seeds", "0"], "--relu-seeds must be at least 1"),
        (["--resamples", "0"], "--resamples must be at least 1"),
        (["--permutations", "0"], "--permutations must be at least 1"),
    ],
)
def test_a_mistake_costs_one_line_and_exit_code_2(
    flags: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["run", "cnn", "--log", f"folder:{tmp_path}", *FLAGS, *flags]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("research:")]
    assert len(lines) == 1
    assert message in lines[0]


def test_data_with_too_many_classes_or_too_few_images_are_refused(data: Dataset) -> None:
    config = cnn.PRESETS["sample"]
    many = dataclasses.replace(data, classes=tuple("0123456789A"))
    with pytest.raises(UserError, match="at most 10 classes, mnist-sample has 1 × 28 × 28 in 11"):
        cnn.check(config, many)
    kept = torch.cat([torch.nonzero(data.test.labels != 4)[:, 0], torch.tensor([400])])
    few = Split(data.test.images[kept], data.test.labels[kept])
    with pytest.raises(UserError, match="each class needs two test images, '4' has 1"):
        cnn.check(config, dataclasses.replace(data, test=few))
