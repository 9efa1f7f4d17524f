"""The study `zf` looks at networks of the user's."""

import dataclasses
from pathlib import Path
from unittest.mock import MagicMock

import pytest
import torch
from torch import Tensor, nn
from torchvision import models as torchvision_models
from torchvision.models import AlexNet_Weights

from research.data import Dataset
from research.methods.crops import cropped
from research.models.given import built
from research.models.weights import fill
from research.studies import zf
from research.studies.zf import features, measures, networks, occlusion, transformations

from .own import flags
from .tiny import SIDE, parents, report, run


class Standin(nn.Module):
    """In the layout of torchvision's AlexNet, for small images."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 6, 5, 2), nn.ReLU(True), nn.MaxPool2d(2))
        self.avgpool = nn.AdaptiveAvgPool2d(3)
        self.classifier = nn.Sequential(nn.Dropout(), nn.Linear(54, 9), nn.ReLU(True),
                                        nn.Linear(9, 1000))  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        x = torch.flatten(self.avgpool(self.features(x)), 1)
        logits: Tensor = self.classifier(x)
        return logits


@pytest.mark.long
def test_a_network_of_the_user_s_with_other_classes(
    zf_own: Path, stripes: Path, tmp_path: Path, paper: Path
) -> None:
    file = zf_own.with_name("Functional.safetensors")
    before = file.read_bytes()
    assert run(tmp_path / "s", stripes, *flags(zf_own, "Functional")) == 0
    [record] = parents(tmp_path / "s")
    assert file.read_bytes() == before
    [model] = record.run.models.values()
    assert model["origin"] == "given" and len(model["sha256"]) == 64
    assert record.table("layers").column("layer") == ("relu", "relu:2")
    assert record.numbers["labelled"].value == 0
    shown = record.arrays("occlusion")
    assert (shown["true"] == shown["whole_label"]).all(), "the network's own answer is followed"
    assert list(shown["classes"]) == ["0", "1", "2", "3"]
    row = dict(zip(record.table("first_layers").columns, *record.table("first_layers").rows,
                   strict=True))  # fmt: skip
    assert (row["kernel"], row["stride"]) == (5, 2), "not the first in the order of attributes"
    assert record.names("figures") == sorted({*zf.FIGURES} - {"evolution", "converging"})
    text = report(paper, tmp_path / "s")
    assert "nets.py:Functional" in text and str(zf_own.parent) not in text
    assert "is the network's own answer" in text
    assert "AlexNet" not in text and "Emergence." not in text


def test_what_lies_behind_the_last_relu_may_be_anything(
    zf_own: Path, stripes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    zf_images: Tensor, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """A tanh, a branch and a softmax: the probabilities are those that the network gives."""
    monkeypatch.setattr(zf, "FIGURES", {})
    assert run(tmp_path, stripes, *flags(zf_own, "Ending")) == 0
    assert "answers with probabilities: their logarithms are the logits" in capsys.readouterr().err
    [record] = parents(tmp_path)
    assert record.table("layers").column("layer") == ("relu", "relu:2")
    model = built(f"{zf_own}:Ending").eval()
    fill(model, zf_own.with_name("Ending.safetensors"))
    with torch.no_grad():
        chances = model(zf_images[[i * 60 // 8 for i in range(8)]].float())
    expected = chances.amax(1).mean().item()
    assert record.numbers["unmoved_probability"].value == pytest.approx(expected, 1e-4)


def test_with_as_many_classes_as_the_data_the_true_one_is_followed(
    zf_own: Path, stripes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zf, "FIGURES", {})
    assert run(tmp_path, stripes, *flags(zf_own, "three")) == 0
    [record] = parents(tmp_path)
    assert record.numbers["labelled"].value == 1
    assert list(record.arrays("occlusion")["classes"]) == ["across", "down", "sloping"]


@pytest.fixture(scope="module")
def alexnet() -> Standin:
    torch.manual_seed(7)
    return Standin().eval()


@pytest.mark.long
def test_torchvision_s_alexnet_sees_what_it_was_trained_for(
    alexnet: Standin, stripes: Path, tmp_path: Path, paper: Path, zf_images: Tensor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    file = tmp_path / "alexnet.pth"
    torch.save(alexnet.state_dict(), file)
    asked: list[object] = []

    def found(given: Path | None, url: str) -> Path:
        asked.append((given, url.rpartition("/")[2]))
        return file

    monkeypatch.setattr(networks, "imagenet_file", found)
    monkeypatch.setattr(torchvision_models, "alexnet", Standin)
    assert run(tmp_path / "s", stripes, "--weights", "torchvision:alexnet") == 0
    assert asked == [(None, "alexnet-owt-7be5be79.pth")]
    [record] = parents(tmp_path / "s")
    assert record.run.config["model"] == "torchvision:alexnet"

    mean, std = (torch.tensor(v)[:, None, None] for v in ((0.485, 0.456, 0.406),
                                                         (0.229, 0.224, 0.225)))  # fmt: skip
    images = zf_images[[i * 60 // 8 for i in range(8)]].float()
    with torch.no_grad():
        chances = alexnet((images - mean) / std).softmax(1)
    sure = chances.amax(1)
    assert record.numbers["unmoved_probability"].value == pytest.approx(sure.mean().item(), 1e-4)
    shown = record.arrays("occlusion")
    names = AlexNet_Weights.IMAGENET1K_V1.meta["categories"]
    assert list(shown["classes"]) == names
    assert set(shown["true"]) <= set(range(1000)) and record.numbers["labelled"].value == 0
    with torch.no_grad():
        own = alexnet((torch.from_numpy(shown["image"]) - mean) / std).argmax(1)
    assert shown["true"].tolist() == own.tolist()
    text = report(paper, tmp_path / "s")
    assert "torchvision:alexnet" in text and "is the network's own answer" in text


def test_outputs_have_imagenet_s_names_only_where_there_are_as_many() -> None:
    config = dataclasses.replace(zf.PRESETS["sample"], model="torchvision:vgg16")
    assert networks.class_names(1000, config)[:2] == ("tench", "goldfish")
    assert networks.class_names(3, config) == ("0", "1", "2")
    assert networks.class_names(2, zf.PRESETS["sample"]) == ("0", "1")


def test_the_network_is_left_as_it_was(zf_own: Path, zf_data: Dataset) -> None:
    model = built(f"{zf_own}:Functional")
    fill(model, zf_own.with_name("Functional.safetensors"))
    model.train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    config = dataclasses.replace(
        zf.PRESETS["sample"], side=SIDE, window=12, stride=9, occluded=3, moved=4, shown=1
    )
    torch.manual_seed(4)
    state = torch.get_rng_state()
    log, test = MagicMock(), cropped(zf_data.test, SIDE)
    view = features.viewed(model, test, zf_data.classes, config)
    features.measure_tops([view], config, log)
    measures.measure_first_layers({"given": [view]}, config, log)
    occlusion.measure_occlusion([view], 0.5, config, log)
    transformations.measure_invariance([view], 0.5, config, log)
    transformations.deltas_of(view, {"last": view.last}, test.floats(), 0.5, config)
    networks.with_logits(model, zf_data, config)
    assert all(module.training for module in model.modules())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(module._forward_hooks or module._backward_hooks for module in model.modules())
    assert torch.equal(torch.get_rng_state(), state)
    assert all(weight.grad is None for weight in model.parameters())
