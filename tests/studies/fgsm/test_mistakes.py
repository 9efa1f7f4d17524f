"""What the study `fgsm` says to mistakes."""

from pathlib import Path

import pytest

from research import __main__ as command

from .tiny import FLAGS


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--data.name", "photos"], "images of 1 × 28 × 28 in 10 classes"),
        (["--data.size", "32"], "mnist-sample has 1 × 32 × 32"),
        (["--eps", "0.1", "0.2"], "--eps must begin with 0 and rise, got 0.1 0.2"),
        (["--eps", "0", "0.2", "0.1"], "--eps must begin with 0 and rise"),
        (["--eps", "0", "0.1", "0.1"], "--eps must begin with 0 and rise"),
        (["--eps", "0"], "--eps must begin with 0 and rise"),
        (["--eps", "0", "1.1"], "--eps must be in [0, 1]"),
        (["--eps", "-0.1", "0"], "--eps must be in [0, 1]"),
        (["--paper-eps", "0"], "--paper-eps and --noise-eps above 0"),
        (["--noise-eps", "2"], "--paper-eps and --noise-eps above 0"),
        (["--crafted", "980"], "need 101 test images of each class, the smallest has 100"),
        (["--crafted", "19"], "--crafted must be at least two for each of the 10 classes"),
        (["--cells", "31"], "--cells must be 20 to 30"),
        (["--deepfool", "31"], "--deepfool must be 1 to 30"),
        (["--step", "0"], "--step must be greater than 0 and --lengths at least 1"),
        (["--lengths", "0"], "--step must be greater than 0 and --lengths at least 1"),
        (["--checked", "1001"], "--checked must be at most 1000"),
        *[([f"--{name}", "0"], f"--{name} must be at least 1, got 0")
          for name in ("lenet-epochs", "paper-epochs", "checked", "crafted", "judged", "cells",
                       "random", "deepfool", "rubbish")],
    ],
)  # fmt: skip
def test_a_mistake_costs_one_line_and_exit_code_2(
    flags: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["run", "fgsm", "--log", f"folder:{tmp_path}", *FLAGS, *flags]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("research:")]
    assert len(lines) == 1
    assert message in lines[0]
