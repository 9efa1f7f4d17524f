"""What the study `mlp` says to mistakes."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from research import __main__ as command
from research.config import Data
from research.data import load
from research.errors import UserError
from research.studies import mlp


@pytest.mark.parametrize(
    "change",
    [
        lambda data: replace(data, classes=(*data.classes[:9], "ten")),
        lambda data: replace(
            data, train=replace(data.train, images=data.train.images[..., 1:].contiguous())
        ),
    ],
)
def test_other_images_or_classes_are_refused(change: Any) -> None:
    data, config = load(Data("mnist-sample")), mlp.PRESETS["sample"]
    mlp.check(config, replace(data, classes=data.classes[::-1]))
    with pytest.raises(UserError, match="needs images of 1 × 28 × 28 of the ten classes 0 to 9"):
        mlp.check(config, change(data))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--ones-left", "0"], "--ones-left must be at least 1 and less than the 400"),
        (["--ones-left", "400"], "got 400"),
        (["--doses", "14"], "without --ones-left (14), got 14"),
        (["--doses", "3", "3"], "--doses must be different numbers from 0 to 399"),
        (["--doses", "400"], "--doses must be different numbers from 0 to 399"),
        (["--dose-seeds", "0"], "--dose-seeds must be at least 1, got 0"),
        (["--noise-images", "0"], "--noise-images must be at least 1"),
        (["--high-lr", "0"], "--high-lr must be greater than 0"),
        (["--noise-sd", "-1"], "--noise-sd must be greater than 0, got -1"),
        (
            ["--data.name", "photos"],
            "needs images of 1 × 28 × 28 of the ten classes 0 to 9, photos",
        ),
    ],
)
def test_a_mistake_costs_one_line_and_exit_code_2(
    flags: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    start = ["run", "mlp", "--preset", "sample", "--log", f"folder:{tmp_path}"]
    assert command.main([*start, *flags]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("research:")]
    assert len(lines) == 1
    assert message in lines[0]
