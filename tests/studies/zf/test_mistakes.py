"""What the study `zf` says to mistakes: one line, before anything is trained."""

import dataclasses
import sys
from pathlib import Path

import pytest
from PIL import Image

from research import __main__ as command
from research.data import Dataset
from research.errors import UserError
from research.records import load as read
from research.studies import zf
from research.studies.zf import networks

from .own import flags as network
from .tiny import SIDE, run


def refused(store: Path, root: Path, flags: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that tells of a mistake, before anything is trained."""
    assert run(store, root, *flags) == 2
    said = capsys.readouterr().err.splitlines()
    assert not any("epoch 1/" in line or " found: " in line for line in said), "it was trained"
    [line] = [line for line in said if line.startswith("research:")]
    assert said[-1] == line, "one line, the last"
    return line


BOX = ["0.1", "0.1", "0.3", "0.3"]
SOME = ["--boxes", "a", *BOX, "b"]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--data.size", "47", "--side", "48"], "--side must be at least 1 pixel and at most"),
        (["--side", "0"], "--side must be at least 1 pixel"),
        (["--side", "46"], "first layers 'zf' needs images of at least 47 pixels"),
        (["--side", "34", "--window", "9"], "needs images of at least"),
        (["--window", "49"], "--window must be 1 to 48 pixels"),
        (["--window", "0"], "--window must be 1 to 48 pixels"),
        (["--stride", "0"], "--stride at least 1"),
        (["--group", "51"], "--group must be 2 to 50"),
        (["--group", "1"], "--group must be 2 to 50"),
        (["--random", "9"], "--random must be at least 10 boxes"),
        ([*SOME, "0.1", "0.1", "0.3", "0.4"], "got a, b of 2 sizes"),
        ([*SOME, "0.9", "0.1", "1.1", "0.3"], "as shares of the side in"),
        (["--boxes", "a", "-0.1", "0.1", "0.1", "0.3"], "as shares of the side in"),
        (["--boxes"], "got none of 0 sizes"),
        (["--boxes", "a", *BOX, "a", *BOX], "each once"),
        (["--boxes", "a", "0.1"], "--boxes"),
        (["--boxes", "random", *BOX], "none of them random or same place"),
        (["--width", "0"], "--width must be greater than 0"),
        (["--lengths", "0", "1"], "--lengths must be at least 1 epoch"),
        (["--shown", "0"], "--shown must be at least 1"),
        (["--occluded", "0"], "--occluded must be at least 1"),
        (["--moved", "1"], "--moved must be at least 2"),
        (["--data.name", "mnist-sample"], "mnist-sample has 1 × 52 × 52; give another --data.name"),
        (["--data.name", "faces"], "a training image and 9 test images at least, faces has 2, 0"),
        (["--parts.name", "mnist-sample"], "mnist-sample has 1 × 48 × 48; give another --parts"),
        (["--parts.size", "40"], "faces has 3 × 40 × 40; give another --parts.name, --parts.size"),
        (["--model", "zfnets"], "--model must be zfnet, torchvision:NAME or FILE.py:NAME"),
        (["--model", "nowhere.py:Net"], "there is no file nowhere.py"),
        (["--model", "torchvision:resnet18"], "can be alexnet or vgg16, got 'resnet18'"),
        (["--model", "torchvision:alexnet", "--imagenet", "no.pth"], "--imagenet must name the"),
        (["--weights", "torchvision:alexnet", "torchvision:vgg16"], "names one network"),
        (["--weights", "nowhere.safetensors"], "nowhere.safetensors"),
    ],
)  # fmt: skip
def test_a_mistake_costs_one_line_before_anything_is_trained(
    flags: list[str], message: str, stripes: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    assert message in refused(tmp_path, stripes, flags, capsys)


@pytest.mark.parametrize(
    ("name", "weights", "message"),
    [
        ("Missing", "three", "cannot be made (AttributeError: "),
        ("NeedsMore", "three", "must be a class or function of that file that needs no arguments"),
        ("failing", "three", "cannot be made (ValueError: first line second line)"),
        ("number", "three", "must make a torch.nn.Module, got a int"),
        ("Functional", "three", "--weights"),
        ("Branching", "", "a chain of layers does not branch"),
        ("unsupported", "", "layer '2' (3 of 5) is a Tanh"),
        ("no_relu", "", "must have a ReLU behind a convolution"),
        ("plane", "", "with logits (images, classes), it returned (2, 4, 44, 44)"),
        ("rows", "", "with a row of logits for each, got 4 rows for 2: a view() in its forward()"),
        ("too_large", "", "must answer images of 3 × 48 × 48 (RuntimeError: "),
    ],
)  # fmt: skip
def test_a_network_that_cannot_be_looked_at_is_told_in_one_line(
    name: str, weights: str, message: str, zf_own: Path, stripes: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    assert message in refused(tmp_path, stripes, network(zf_own, name, weights), capsys)


def test_a_network_needs_its_own_weights_and_no_others(
    zf_own: Path, stripes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    three = f"{zf_own}:three"
    text, two = tmp_path / "text.safetensors", str(zf_own.with_name("three.safetensors"))
    text.write_text("no weights")
    for flags, message in {
        ("--model", three): "needs its weights: add --weights FILE.safetensors",
        ("--model", three, "--weights", two, two): "must be the one safetensors file",
        ("--model", three, "--weights", str(tmp_path / "no")): "must be the one safetensors file",
        ("--model", three, "--weights", str(text)): "must be a safetensors file of the model's",
        ("--model", "torchvision:alexnet", "--weights", two): "comes with ImageNet's weights",
    }.items():
        assert message in refused(tmp_path / "s", stripes, list(flags), capsys)


SCRIPTS = {
    "exits": ("import sys\nsys.exit(0)", "the file ends the process when it is imported"),
    "hard": ("import os\nos._exit(0)", "the file ends the process when it is imported"),
    "main": ("def main(): return 0\nraise SystemExit(main())", "the file ends the process"),
    "constructor": ("def Net(): exit()", "the file ends the process"),
    "flags": ("import argparse\nargparse.ArgumentParser().parse_args()", "reads the command line"),
    "length": ("import sys\nn = len(sys.argv)", "reads the command line"),
    "fails": ("raise KeyError('x')", "cannot be made (KeyError: 'x')"),
    "syntax": ("def Net(:", "cannot be made (SyntaxError: "),
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_is_no_network_and_its_run_has_failed(
    name: str, stripes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, message = SCRIPTS[name]
    (tmp_path / f"{name}.py").write_text(code)
    (tmp_path / f"{name}.safetensors").write_bytes(b"")
    before, argv = [*sys.path], sys.argv
    own = [f"{tmp_path / name}.py:Net", "--weights", f"{tmp_path / name}.safetensors"]
    assert message in refused(tmp_path / "s", stripes, ["--model", *own], capsys)
    assert sys.path == before and sys.argv is argv
    records = [read(path.parent).run for path in (tmp_path / "s").glob("*/run.json")]
    assert {run.status for run in records} == {"FAILED"} and len(records) == 2


def test_a_study_that_exits_has_failed(
    stripes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(zf, "study", lambda config, log: sys.exit(0))
    assert "ended the process with exit code 0" in refused(tmp_path, stripes, [], capsys)
    [path] = tmp_path.glob("*/run.json")
    assert read(path.parent).run.status == "FAILED"


def test_few_images_or_classes_are_told(
    stripes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for split, count in (("train", 2), ("test", 3)):
        for name in ("a", "b"):
            folder = tmp_path / "few" / split / name
            folder.mkdir(parents=True)
            for i in range(count):
                Image.new("RGB", (52, 52)).save(folder / f"{i}.png")
    few = str(tmp_path / "few")
    line = refused(tmp_path / "s", stripes, ["--data.root", few], capsys)
    assert "a training image and 9 test images at least, few has 2, 4 and 6" in line
    line = refused(tmp_path / "s", stripes, ["--parts.name", "folder", "--parts.root", few], capsys)
    assert "at least 4 test images in its first class" in line and "got 3" in line
    (tmp_path / "none/train").mkdir(parents=True)
    line = refused(tmp_path / "s", stripes, ["--data.root", str(tmp_path / "none")], capsys)
    assert "holds no folder" in line or "neither" in line


def test_a_single_class_is_refused_and_both_arms_are_asked(zf_data: Dataset) -> None:
    config = dataclasses.replace(zf.PRESETS["sample"], side=SIDE)
    zf.check(config, zf_data)
    with pytest.raises(UserError, match="the study needs 2 classes"):
        zf.check(config, dataclasses.replace(zf_data, classes=("only",)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(networks, "ARMS", ("alexnet",))
        with pytest.raises(UserError, match="'alexnet' needs images of at least 35 pixels"):
            networks.check_networks(zf_data, dataclasses.replace(config, side=34))


def test_another_study_takes_no_network_of_torchvision_s(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--log", f"folder:{tmp_path}", "--preset", "sample"]
    assert command.main(["run", "cnn", *where, "--weights", "torchvision:alexnet"]) == 2
    said = capsys.readouterr().err.splitlines()
    assert said[-1].startswith("research: --weights torchvision:NAME names one network for a study")
