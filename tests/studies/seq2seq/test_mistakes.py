"""What the study `seq2seq` says to mistakes."""

from pathlib import Path

import pytest

from research import __main__ as command

from .tiny import FLAGS


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--data.source", "de.txt"], "got only --data.source; give --data.target too"),
        (["--data.source", "no.txt", "--data.target", "no.txt"], "no.txt cannot be read"),
        (["--data.test", "0"], "--data.test must be at least 1"),
        (["--beam", "0"], "--beam must be at least 1"),
        (["--copy-epochs", "0"], "--copy-epochs must be at least 1"),
        (["--dropout", "1"], "--dropout must be 0 or more and below 1"),
        (["--data.name", "mnist"], "--data.name"),
    ],
)
def test_a_mistake_costs_one_line_and_exit_code_2(
    flags: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    start = ["run", "seq2seq", "--preset", "sample", "--log", f"folder:{tmp_path}", *flags]
    assert command.main(start) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("research:")]
    assert len(lines) == 1
    assert message in lines[0]


@pytest.mark.usefixtures("no_other_fonts")
def test_letters_that_no_font_has_are_told_before_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [f"ein wort {number}" for number in range(90)]
    (tmp_path / "de").write_text("\n".join(lines), encoding="utf-8")
    (tmp_path / "hi").write_text("\n".join(f"मैं {line}" for line in lines), encoding="utf-8")
    corpus = ["--data.source", str(tmp_path / "de"), "--data.target", str(tmp_path / "hi")]
    start = ["run", "seq2seq", "--preset", "sample", "--log", f"folder:{tmp_path}", *FLAGS, "0"]
    assert command.main([*start, *corpus]) == 2
    said = capsys.readouterr().err
    assert "research: the sentences of the figure of attention: no font here has" in said
    assert "epoch" not in said
