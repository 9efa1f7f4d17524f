"""The study `vgg` on features that are not trained."""

import dataclasses
from functools import partial
from pathlib import Path
from unittest.mock import Mock

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional as F

from research.data import Dataset
from research.models.pretrained import FrozenVgg16, MissingWeightsError
from research.records import Results
from research.studies import vgg
from research.studies.vgg import frozen, measures

from .by_hand import Weights
from .tiny import EPS, Standin


def logits_of_standin(imagenet: Weights, head: Weights, images: Tensor) -> Tensor:
    """The stand-in behind the enlargement, by functions; the head's own weights."""
    x = F.interpolate(images, size=(40, 40), mode="bilinear", align_corners=False)
    x = F.conv2d((x - 0.5) / 0.5, imagenet["features.0.weight"], imagenet["features.0.bias"], 3)
    x = F.adaptive_avg_pool2d(F.max_pool2d(x.clamp(min=0), 2), 3).flatten(1)
    x = F.linear(x, head["0.weight"], head["0.bias"]).clamp(min=0)
    return F.linear(x, head["3.weight"], head["3.bias"])


@pytest.mark.parametrize(("arm", "outputs"), [("replaced", 3), ("notebook", 1000)])
def test_labels_outside_the_classes_are_counted(
    arm: str, outputs: int, record: Results, imagenet: Weights, data: Dataset
) -> None:
    head = load_file(record.folder / f"weights/frozen-{arm}.safetensors")
    images, labels = measures.some(data.test, 30)
    inputs = images.clone().requires_grad_()
    logits = logits_of_standin(imagenet, head, inputs)
    assert logits.shape == (30, outputs)
    assert set(head) == {"0.weight", "0.bias", "3.weight", "3.bias"}, "frozen layers are not stored"
    F.cross_entropy(logits, labels, reduction="sum").backward()  # type: ignore[no-untyped-call]
    assert inputs.grad is not None
    attacked = (images + EPS * inputs.grad.sign()).clamp(0, 1)
    for state, x in (("clean", images), ("attacked", attacked)):
        found = logits_of_standin(imagenet, head, x).argmax(1)
        near = partial(pytest.approx, abs=1.5 / 30)
        numbers = {n: record.numbers[f"frozen_{arm}_{n}_{state}"] for n in ("right", "outside")}
        assert numbers["outside"].value == near((found >= 3).double().mean().item())
        assert numbers["right"].value == near((found == labels).double().mean().item())
    rows = [row for row in record.table("frozen").rows if row[0] == arm]
    assert [row[1] for row in rows] == [0, EPS, 0.1]
    if arm == "replaced":
        assert record.numbers["frozen_replaced_outside_attacked"].value == 0


def test_the_head_learns_from_features_as_they_are(
    record: Results, imagenet: Weights, data: Dataset
) -> None:
    head = load_file(record.folder / "weights/frozen-notebook.safetensors")
    logits = logits_of_standin(imagenet, head, data.test.floats())
    curve = record.arrays("curve_frozen-notebook")
    assert curve["loss_test"][-1] == pytest.approx(
        F.cross_entropy(logits, data.test.labels).item(), rel=2e-3
    )
    assert curve["loss_test"][-1] < curve["loss_test"][0]
    assert not torch.equal(head["0.weight"], imagenet["classifier.0.weight"])
    moved = (head["3.weight"] - imagenet["classifier.3.weight"]).abs().sum(1)
    assert moved[:3].min() > moved[3:].max() > 0


def test_features_reach_the_head_undivided(imagenet: Weights, data: Dataset) -> None:
    model = FrozenVgg16(imagenet, 3, build=Standin, side=40)
    features = frozen.encode(model.encoder, data.test)
    plain = model.encoder(data.test.floats())
    assert torch.allclose(features.images.flatten(1).float(), plain, rtol=1e-3, atol=1e-6)
    batch, labels = features.images.float() / 255, features.labels  # as `batches` would
    expected = F.cross_entropy(model.head(plain), labels).item()
    assert frozen.feature_loss(model.head, batch, labels).item() == pytest.approx(expected, 1e-3)
    assert torch.allclose(frozen.Features()(batch), plain, rtol=1e-3, atol=1e-6)


def test_without_weights_the_study_goes_on_and_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(given: Path | None) -> Path:
        raise MissingWeightsError("no network")

    monkeypatch.setattr(frozen, "imagenet_file", missing)
    log, config = Mock(), dataclasses.replace(vgg.PRESETS["sample"], frozen_epochs=1)
    assert frozen.weights_file(config, log) is None
    log.finding.assert_called_once()
    said = capsys.readouterr().err
    assert said == "vgg  The arm on ImageNet's features is left out: no network.\n"
    assert frozen.weights_file(vgg.PRESETS["sample"], Mock()) is None
