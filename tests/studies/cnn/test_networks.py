"""The study `cnn`, run small: its networks, as they are trained and stored."""

import dataclasses
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional as F
from torch.optim import SGD

from research import __main__ as command
from research.data import Dataset
from research.models import CnnA, save_weights
from research.records import Number, Results
from research.studies import cnn
from research.studies.cnn import measures, networks
from research.training.loop import Training, resolve

from .by_hand import Weights, by_hand
from .tiny import parent, run


def test_the_run_tells_which_models_it_trained(record: Results) -> None:
    assert set(record.run.models) == {"baseline-seed0", "baseline-seed1", "relu-seed0"}
    assert {model["origin"] for model in record.run.models.values()} == {"trained"}
    assert set(record.run.seconds) == {"data", "training", "analysis", "figures"}
    assert record.numbers["parameters"].value == 232_650


def test_every_layer_is_stored_in_forward_order_with_its_shape(
    record: Results, weights: list[Weights], data: Dataset
) -> None:
    seven = data.test.images[data.test.labels == 7][3:4].float() / 255
    expected = by_hand(weights[0], seven)
    table = record.table("layers")
    assert list(table.column("layer")) == list(expected)
    for name, shape, low, high, zeros in table.rows:
        values = np.load(record.folder / f"activations/{name}.npy")
        assert np.allclose(values, expected[str(name)][0].numpy(), atol=1e-5)
        assert (low, high, zeros) == (values.min(), values.max(), (values == 0).mean())
        assert shape == " × ".join(map(str, values.shape))
    assert [row[1] for row in table.rows[1:7]] == [
        "32 × 26 × 26", "32 × 13 × 13", "32 × 13 × 13",
        "64 × 11 × 11", "64 × 5 × 5", "64 × 5 × 5",
    ]  # fmt: skip
    for name in ("conv1", "conv2"):
        kernel = np.load(record.folder / f"kernels/{name}.npy")
        assert np.array_equal(kernel, weights[0][f"features.{name}.weight"].numpy())
        assert (record.folder / f"kernels/{name}.png").stat().st_size > 50


def test_scores_are_those_of_the_stored_weights(
    record: Results, layers: list[dict[str, Tensor]], data: Dataset
) -> None:
    logits = [layer["fc3"] for layer in layers]
    rates = [(x.argmax(1) == data.test.labels).double().mean().item() for x in logits]
    number = record.numbers["accuracy_baseline"]
    assert number.value == pytest.approx(np.mean(rates))
    assert number.bounds is None and number.span == pytest.approx(sorted(rates))
    loss = record.table("arms").rows[0][3]
    losses = [F.cross_entropy(x, data.test.labels).item() for x in logits]
    assert isinstance(loss, Number) and loss.value == pytest.approx(np.mean(losses), rel=1e-4)
    assert record.numbers["dropout_on_baseline"].value < number.value
    assert record.arrays("curve_baseline-seed1")["accuracy_test"][-1] == pytest.approx(rates[1])


def test_the_relu_on_the_logits_is_judged_by_its_own_network(
    record: Results, layers: list[dict[str, Tensor]], data: Dataset
) -> None:
    w = load_file(record.folder / "weights/relu-seed0.safetensors")
    logits = by_hand(w, data.test.floats())["fc3"].clamp(min=0)
    rate = (logits.argmax(1) == data.test.labels).double().mean().item()
    other = (layers[0]["fc3"].argmax(1) == data.test.labels).double().mean().item()
    assert record.numbers["relu_gain"].value == pytest.approx(rate - other)
    assert record.numbers["dead_logits"].value == (logits.amax(0) == 0).sum()
    silent = (logits.amax(1) == 0).double().mean()
    assert record.numbers["silent_images"].value == pytest.approx(silent)


@pytest.mark.long
def test_a_network_that_died_is_a_finding(tmp_path: Path, paper: Path) -> None:
    dead, files = CnnA(), [tmp_path / "dead.safetensors", tmp_path / "relu.safetensors"]
    torch.nn.init.zeros_(dict(dead.named_parameters())["neck.fc2.weight"])
    save_weights(files[0], dead, "baseline-seed0")
    save_weights(files[1], CnnA(relu_on_logits=True), "relu-seed0")
    run(tmp_path / "store", "--seeds", "0", "--weights", *map(str, files))
    record = parent(tmp_path / "store")
    assert record.numbers["dead"].value == 1
    assert any("send every test image to one point" in one for one in record.run.findings)
    (row,) = (row for row in record.table("spaces").rows if row[0] == "trained")
    cells = dict(zip(record.table("spaces").columns, row, strict=True))
    values = {name: cell.value for name, cell in cells.items() if isinstance(cell, Number)}
    assert all(np.isnan(values[name]) for name in ("ratio", "ratio_seeds", "fisher", "silhouette"))
    # every pair is as far as every other, and one class in ten is right
    assert values["auroc"] == pytest.approx(0.5)
    assert values["knn"] == values["centroid"] == pytest.approx(0.1)
    assert "maps" not in record.names("figures")
    assert command.main(["report", "cnn", "--log", f"folder:{tmp_path}/store"]) == 0
    text = (paper / "cnn.html").read_text()
    assert "Dead networks." in text and "undefined" in text


def test_networks_are_trained_as_in_the_course(
    data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def obtain(training: Training[CnnA], **_: object) -> CnnA:
        model, optimiser = training.model, training.optimiser
        group = optimiser.param_groups[0]
        assert (type(optimiser), group["lr"], group["momentum"]) == (SGD, 0.003, 0.9)
        assert not (group["nesterov"] or group["weight_decay"] or group["dampening"])
        images, labels = data.test.floats()[:5], data.test.labels[:5]
        loss = F.cross_entropy(model.eval()(images), labels)
        assert torch.equal(training.objective(model, images, labels), loss)
        return model

    monkeypatch.setattr(networks, "obtain", obtain)
    config = cnn.PRESETS["full"]
    config = dataclasses.replace(config, train=resolve(config.train))
    assert (config.train.epochs, config.train.batch) == (2, 64)
    for arm, relu in (("baseline", False), ("relu", True)):
        model = networks.train(arm, 3, data, config, Mock())
        assert model.config == {"relu_on_logits": relu}
        same = zip(model.parameters(), networks.fresh(3).parameters(), strict=True)
        assert all(torch.equal(a, b) for a, b in same)


def test_dead_logits_and_silent_images_are_counted() -> None:
    logits = torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 0.0], [0.0, 3.0, 0.0], [0.0, 0.0, 0.0]])
    assert measures.silence(logits) == (2, 0.5)


def test_the_helper_without_relus_is_as_far_off_as_by_hand(
    record: Results, weights: list[Weights], layers: list[dict[str, Tensor]], data: Dataset
) -> None:
    numbers = record.numbers
    found: dict[str, list[float]] = {"distance": [], "cosine": [], "changed": [], "accuracy": []}
    for w, own in zip(weights, layers, strict=True):
        helper = by_hand(w, data.test.floats(), relus=False)
        e, other = own["fc2"].double(), helper["fc2"].double()
        found["distance"].append(((other - e).norm(dim=1) / e.norm(dim=1)).median().item())
        unit = (x / x.norm(dim=1, keepdim=True) for x in (e, other))
        found["cosine"].append(torch.stack(list(unit)).prod(0).sum(1).mean().item())
        classes = helper["fc3"].argmax(1)
        found["changed"].append((classes != own["fc3"].argmax(1)).double().mean().item())
        found["accuracy"].append((classes == data.test.labels).double().mean().item())
    for name, values in found.items():
        assert numbers[f"helper_{name}"].value == pytest.approx(np.mean(values), rel=1e-4)
