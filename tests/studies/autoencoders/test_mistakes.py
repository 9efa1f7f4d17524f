"""What the study `autoencoders` says to mistakes."""

from pathlib import Path

import pytest

from research import __main__ as command


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--noise", "0"], "--noise must be greater than 0, got 0"),
        (["--picture-epochs", "0"], "--picture-epochs must be at least 1, got 0"),
        (["--picture-batch", "0"], "--picture-batch must be at least 1"),
        (["--digit-maps", "0", "4"], "--digit-maps must be different numbers from 1 on"),
        (["--picture-maps", "2", "2"], "got 2 2"),
        (["--data.size", "32"], "need images of 1 × 28 × 28, digits has 1 × 32 × 32"),
        (["--pictures.size", "20"], "multiples of 8 and at least 16 pixels, they are 20 × 20"),
        (["--pictures.size", "8"], "at least 16 pixels, they are 8 × 8"),
        (["--pictures.name", "faces"], "faces has no pictures to train on"),
        (["--pictures.root", "nowhere"], "nowhere"),
    ],
)
def test_a_mistake_costs_one_line_and_exit_code_2(
    more: list[str], message: str, flags: list[str], tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    run = ["run", "autoencoders", "--log", f"folder:{tmp_path}", *flags, *more]
    assert command.main(run) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("research:")]
    assert len(lines) == 1
    assert message in lines[0]
