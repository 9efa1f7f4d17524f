"""What the study `ae`, and the command line, say to mistakes."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from research import __main__ as command
from research import paths
from research.cli import flags as command_flags
from research.data import Dataset, Split
from research.errors import UserError
from research.studies import ae


def test_more_components_than_training_images_are_refused_before_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (80, 32, 32, 3), np.uint8)
    for index, pixels in enumerate(noise):
        side = "train" if index < 72 else "test"
        folder = tmp_path / "pictures" / side / "ab"[index % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / f"{index}.png")
    flags = ["--data.name", "folder", "--data.root", str(tmp_path / "pictures"), "--sample", "a"]
    flags += ["--data.size", "32", "--neighbours", "2", "--map-perplexity", "2"]
    flags += ["--sample-index", "0"]
    assert command.main(["run", "ae", "--log", f"folder:{tmp_path}/store", *flags]) == 2
    told = capsys.readouterr().err
    assert (
        "the code of 256 values is compared with need as many training images at least, got 72"
        in told
    )
    assert "epoch" not in told


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--train.epoch", "3"], "did you mean --train.epochs?"),
        (["--train.epochs", "three"], "invalid literal for int() with base 10: 'three'"),
        (["--preset", "ful"], "there is no preset 'ful': did you mean 'full'?"),
        (["--data.name", "mnst"], "invalid choice 'mnst'"),
        (["--sample", "rockt"], "no class 'rockt': did you mean 'rocket'?"),
        (["--sample-index", "5000"], "--sample-index must be 0 to 119"),
        (["--data.name", "folder", "--data.root", "nowhere"], "nowhere"),
        (["--train.device", "tpu"], "'tpu' is not one"),
        (["--weights", "no.safetensors"], "no.safetensors cannot be read"),
        (["--weights", "abcdef"], "abcdef"),
        (["--train.epochs", "0"], "--train.epochs must be at least 1"),
        (["--train.lr", "inf"], "--train.lr must be greater than 0 and finite, got inf"),
        (["--seeds", "-1"], "--seeds must be at least 0 and less than 2,147,483,648, got -1"),
        (["--seeds", "0", "9" * 20], "--seeds must be at least 0 and less than"),
        (["--preset", "sample", "--preset", "fulll"], "there is no preset 'fulll'"),
        (["--train.lr", "nan"], "--train.lr must be greater than 0 and finite, got nan"),
        (["--map-perplexity", "nan"], "--map-perplexity must be a finite number, got nan"),
        (["--seeds"], "--seeds"),
        (["--data.size", "30"], "multiples of 4 and at least 12 pixels, got 30 × 30"),
        (["--data.size", "8"], "at least 12 pixels, got 8 × 8"),
        (["--neighbours", "0"], "--neighbours must be at least 1"),
        (["--map-points", "20"], "less than half of the 20 points"),
        (["--map-points", "60"], "--map-perplexity must be"),
    ],
)
def test_a_mistake_costs_one_line_and_exit_code_2(
    flags: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["run", "ae", "--log", f"folder:{tmp_path}", *flags]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("research:")]
    assert len(lines) == 1
    assert message in lines[0]


def test_of_a_flag_given_twice_the_last_counts() -> None:
    for given in ([], ["--preset"], ["--run", "full"]):
        assert command_flags.value_of("--preset", given) is None
    for given in (["--preset", "full"], ["--preset=sample", "--preset", "full", "--run", "a"]):
        assert command_flags.value_of("--preset", given) == "full"


def a_set(classes: int, train: int, test: int, *, flat: bool = False) -> Dataset:
    rng = np.random.default_rng(0)

    def side(count: int) -> Split:
        pixels = rng.integers(0, 256, (1 if flat else count, 3, 16, 16))
        images = torch.from_numpy(np.broadcast_to(pixels, (count, 3, 16, 16)).astype(np.uint8))
        return Split(images, torch.arange(count) % classes)

    names = tuple("abcdefgh"[:classes])
    return Dataset.of("own", side(train), side(test), names, source="here", licence="CC0")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (a_set(1, 80, 24), "needs 2 classes at least, got 1 in own"),
        (a_set(2, 80, 5), "needs 6 test images at least, got 5"),
        (a_set(2, 63, 24), "the code of 64 values is compared with need as many training images"),
        (a_set(2, 80, 24, flat=True), "the 80 training images of own are all the same"),
    ],
)
def test_what_the_study_cannot_bear_is_refused_before_training(data: Dataset, message: str) -> None:
    config = dataclasses.replace(ae.PRESETS["sample"], neighbours=2, map_perplexity=3)
    ae.check(config, a_set(2, 64, 24))
    with pytest.raises(UserError, match=message):
        ae.check(config, data)


@pytest.mark.usefixtures("no_other_fonts")
def test_names_that_no_font_has_are_told_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for place in ("train/cat", "train/日本", "test/cat", "test/日本"):
        (tmp_path / "own" / place).mkdir(parents=True)
        Image.new("RGB", (16, 16), "red").save(tmp_path / "own" / place / "0.png")
    monkeypatch.setattr(paths, "PAPER", tmp_path)
    (tmp_path / "author.toml").write_text('name = "王小明"', encoding="utf-8")
    flags = ["--data.name", "folder", "--data.root", str(tmp_path / "own"), "--sample", "cat"]
    assert command.main(["run", "ae", "--log", f"folder:{tmp_path / 'store'}", *flags]) == 2
    said = capsys.readouterr().err
    assert "a paper cannot be built yet: author.toml: no font here has '小' (U+5C0F)" in said
    assert "research: the names of the classes: no font here has '日' (U+65E5)" in said
    assert "epoch" not in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rn", "ae"], "there is no verb 'rn': did you mean 'run'?"),
        (["run"], "something is missing: research run STUDY"),
        (["run", "ea"], "there is no study 'ea': choose from ae"),
        (["report", "ae", "--run", "ffff"], "ffff"),
        (["report", "ae", "--log", "ftp://x"], "a store is folder:DIR"),
    ],
)
def test_a_wrong_verb_or_study_is_answered_with_the_right_one(
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    assert command.main(arguments) == 2
    assert message in capsys.readouterr().err


def test_help_lists_every_verb_and_every_flag(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main([]) == 0
    text = capsys.readouterr().out
    assert all(f"research {name}" in text for name in command.VERBS)
    with pytest.raises(SystemExit) as leaving:
        command.main(["run", "ae", "--help"])
    assert leaving.value.code == 0
    text = capsys.readouterr().out
    for flag in ("--train.epochs", "--data.root", "--seeds", "--resume", "--weights", "--preset"):
        assert flag in text
