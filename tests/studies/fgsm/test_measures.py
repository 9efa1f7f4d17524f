"""The study `fgsm`, run small: curves, signs and examples are those of the stored weights."""

import dataclasses

import numpy as np
import pytest
import torch
from scipy.stats import binomtest
from torch import Tensor
from torch.nn import functional as F

from research.data import Dataset
from research.models import SoftmaxRegression
from research.records import Number, Results
from research.studies import fgsm
from research.studies.fgsm import measures

from .by_hand import Hand, Network, cnn, lenet, linear, mean, weights
from .tiny import COUNT, EPS

SURE = 1.5
"""Weights of a class are its mean image times this."""


@pytest.mark.parametrize("arm", ["lenet", "cnn"])
def test_curves_are_those_of_the_stored_weights(
    arm: str, record: Results, hands: dict[str, Hand], noises: dict[str, Tensor], data: Dataset
) -> None:
    images, labels = data.test.floats(), data.test.labels
    stored, table = record.arrays(f"accuracy_{arm}"), record.table("curves")
    assert table.column("eps") == EPS
    for kind in ("clipped", "unclipped"):
        for seed in (0, 1):
            hand, noise = hands[f"{arm}-seed{seed}"], noises[f"{arm}-seed{seed}"]
            held = hand.right(images, labels)
            for i, eps in enumerate(EPS):
                adv_inputs = images + eps * noise
                adv_inputs = adv_inputs.clamp(0, 1) if kind == "clipped" else adv_inputs
                rate = mean(held & hand.right(adv_inputs, labels))
                # ties in max-pooling may fall out otherwise in float32: an image or two
                assert stored[kind][seed, i] == pytest.approx(rate, abs=2.1 / COUNT)
        for cell, column in zip(table.column(f"{arm}_{kind}"), stored[kind].T, strict=True):
            assert isinstance(cell, Number)
            assert cell.value == pytest.approx(column.mean())
    assert stored["unclipped"].mean() < stored["clipped"].mean()
    assert (stored["clipped"][:, 0] > 0.7).all()


def test_what_the_tutorial_prints_stands_at_its_step_sizes_only(record: Results) -> None:
    table = record.table("curves")
    assert table.column("lenet_printed") == (0.9810, 0.8510, 0.6826, None)
    assert table.column("cnn_printed") == (0.9912, 0.8743, 0.7111, None)


def test_signs_are_looked_at_after_each_length_of_training(
    record: Results, hands: dict[str, Hand], noises: dict[str, Tensor], data: Dataset
) -> None:
    table = record.table("signs")
    assert [row[:2] for row in table.rows] == [("lenet", 6), ("lenet", 8), ("cnn", 1)]
    images, labels = data.test.floats(), data.test.labels
    for epoch, suffix in ((6, "-epoch6"), (8, "")):
        curves = record.arrays(f"signs_lenet_epoch{epoch}")
        for seed in (0, 1):
            name = f"lenet-seed{seed}{suffix}"
            held = hands[name].right(images, labels)
            for i, eps in enumerate(EPS):
                adv_inputs = (images + eps * noises[name]).clamp(0, 1)
                flags = held & hands[name].right(adv_inputs, labels)
                for kind in ("plain", "stable"):
                    assert curves[kind][seed, i] == pytest.approx(mean(flags), abs=2.1 / COUNT)
                truth = curves["checked_truth"][seed, i]
                assert truth == pytest.approx(mean(flags[:: COUNT // 20]), abs=0.051)
    assert not np.array_equal(record.arrays("signs_lenet_epoch6")["plain"], curves["plain"])


def test_gaps_are_differences_of_the_stored_curves(record: Results) -> None:
    pairs = {"gap": ("plain", "stable"), "gap_truth": ("checked_plain", "checked_truth"),
             "stable_gap_truth": ("checked_stable", "checked_truth")}  # fmt: skip
    table = record.table("signs")
    for row in table.rows:
        curves, cells = (
            record.arrays(f"signs_{row[0]}_epoch{row[1]}"),
            dict(zip(table.columns, row, strict=True)),
        )
        for name, (attack, truth) in pairs.items():
            cell = cells[name]
            assert isinstance(cell, Number)
            assert cell.value == pytest.approx((curves[attack] - curves[truth])[:, -1].mean())
    for name in ("wrong", "wrong_stable", "tied", "gap", "gap_truth"):
        assert record.numbers[f"{name}_lenet"] == table.column(name)[1]
    assert record.numbers["largest_eps"].value == 0.22


def certain(data: Dataset) -> SoftmaxRegression:
    """A nearest-mean classifier made so sure that float32 loses signs, and float64 does not."""
    images, labels = data.train.floats().flatten(1), data.train.labels
    means = torch.stack([images[labels == y].mean(0) for y in range(10)])
    values = {"fc.weight": SURE * means, "fc.bias": -SURE / 2 * means.square().sum(1)}
    model = SoftmaxRegression()
    model.load_state_dict(values)
    return model


def test_wrong_signs_of_a_linear_model_are_those_of_the_closed_form(data: Dataset) -> None:
    config = dataclasses.replace(fgsm.PRESETS["sample"], eps=EPS, checked=120)
    model, test = certain(data), data.test
    places = [i * COUNT // 120 for i in range(120)]
    found = measures.signs_of(model, test, config)
    w = {name: value.detach().double() for name, value in model.named_parameters()}
    x, y = test.floats(), test.labels
    others = linear(w, x.double()).masked_fill(F.one_hot(y, 10).bool(), -torch.inf).softmax(1)
    exact = (others - F.one_hot(y, 10)) @ w["fc.weight"]  # of the stable loss: no cancellation
    pixels = x.clone().requires_grad_()
    [plain] = torch.autograd.grad(F.cross_entropy(model(pixels), y, reduction="sum"), pixels)
    wrong = plain.flatten(1).sign() != exact.sign()
    assert found.shares["wrong"] == pytest.approx(mean(wrong[places]), abs=1e-3)
    assert found.shares["wrong"] > 0.01 > 10 * found.shares["wrong_stable"]
    losses = F.cross_entropy(model(x).double(), y, reduction="none")
    assert found.shares["saturated"] == mean(losses < 1e-8) > 0
    assert found.shares["tied"] == 0
    held = {}
    for name, noise in {"plain": plain.sign(), "stable": exact.sign().float().view_as(x)}.items():
        held[name] = torch.stack([
            (model(x).argmax(1) == y) & (model((x + e * noise).clamp(0, 1)).argmax(1) == y)
            for e in EPS
        ])  # fmt: skip
        rates = held[name].double().mean(1).tolist()
        assert found.curves[name] == pytest.approx(rates, abs=1.1 / COUNT)
        checked = held[name][:, places].double().mean(1).tolist()
        assert found.curves[f"checked_{name}"] == pytest.approx(checked, abs=1.1 / 120)
    truth = held["stable"][:, places].double().mean(1).tolist()
    assert found.curves["checked_truth"] == pytest.approx(truth, abs=1.1 / 120)
    a, b = held["plain"][-1], held["stable"][-1]
    only = int((a & ~b).sum()), int((b & ~a).sum())
    assert only[0] > only[1]
    assert found.p == pytest.approx(binomtest(only[0], sum(only)).pvalue, rel=0.5)


def test_examples_are_the_first_of_each_class_that_fall(
    record: Results, hands: dict[str, Hand], noises: dict[str, Tensor], data: Dataset
) -> None:
    hand, x, y = hands["cnn-seed0"], data.test.floats(), data.test.labels
    adv_inputs = (x + 0.2 * noises["cnn-seed0"]).clamp(0, 1)
    clean, attacked = hand.logits(x), hand.logits(adv_inputs)
    fallen = (clean.argmax(1) == y) & (attacked.argmax(1) != y)
    chosen = [
        int((fallen & (y == label)).nonzero()[0, 0]) for label in range(10) if label in y[fallen]
    ]
    stored = record.arrays("examples")
    assert stored["label_clean"].tolist() == y[chosen].tolist()
    assert np.array_equal(stored["clean"], x[chosen].numpy())
    step = np.float32(0.2) * stored["noise_cnn"]
    assert np.allclose(stored["adversarial"], (stored["clean"] + step).clip(0, 1))
    right = hand.right(x, y)
    for number, place in enumerate(chosen):
        following = [int(i) for i in (right & (y == y[place])).nonzero()[:, 0] if i > place]
        for arm in ("lenet", "cnn"):
            signs = noises[f"{arm}-seed0"]
            assert (stored[f"noise_{arm}"][number] == signs[place].numpy()).mean() > 0.99
            other, cosine = stored[f"other_{arm}"][number], stored[f"cosine_{arm}"][number]
            if following:
                assert (other == signs[following[0]].numpy()).mean() > 0.99
                pair = signs[[place, following[0]]].flatten(1)
                expected = (pair[0] @ pair[1] / (pair[0].norm() * pair[1].norm())).item()
                assert cosine == pytest.approx(expected, abs=0.02)
            else:
                assert np.isnan(other).all()
    for name, logits in (("clean", clean), ("adversarial", attacked)):
        sure, preds = logits[chosen].softmax(1).max(1)
        assert stored[f"label_{name}"].tolist() == preds.tolist()
        assert np.allclose(stored[f"confidence_{name}"], sure, atol=5e-3)


@pytest.mark.parametrize(("arm", "forward"), [("lenet", lenet), ("cnn", cnn)])
def test_one_noise_is_the_best_on_what_it_was_made_of_and_shown_on_others(
    arm: str, forward: Network, record: Results
) -> None:
    shown, table = record.arrays(f"one_{arm}"), record.table("candidates")
    rates = zip(table.column("noise"), table.column(f"{arm}_crafted"), strict=True)
    known = {name: rate.value for name, rate in rates if isinstance(rate, Number)}
    if max(known, key=lambda name: known[name]) == "gradient":
        assert np.array_equal(shown["noise"], record.arrays(f"battery_{arm}")["noise"])
    assert np.allclose(shown["noisy"], (shown["clean"] + shown["noise"]).clip(0, 1))
    w = weights(record, f"{arm}-seed0")
    for kind in ("clean", "noisy"):
        logits = forward(w, torch.from_numpy(shown[kind]))
        assert shown[f"label_{kind}"].tolist() == logits.argmax(1).tolist()
    assert len(set(shown["label_clean"])) == len(shown["label_clean"])
