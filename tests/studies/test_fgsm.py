"""The study `fgsm`, run small: what it logs is re-derived from the weights it stored."""

import dataclasses
import shutil
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pypdf
import pytest
import torch
from safetensors.torch import load_file
from scipy.stats import binomtest
from torch import Tensor
from torch.nn import functional as F
from torch.optim import SGD, Adadelta
from torch.optim.lr_scheduler import StepLR

from research import __main__ as command
from research import paths
from research.config import Data
from research.data import Dataset, Split, load
from research.methods.samples import halves, judged_alike
from research.models import LeNet, Maxout, SoftmaxRegression, TutorialCnn, load_weights
from research.paths import PAPER
from research.records import Number, Results
from research.records import load as read
from research.studies import fgsm
from research.studies.fgsm import measures, networks
from research.studies.fgsm.settings import Recipe
from research.training.loop import Training, resolve
from tests.trails import trail

COUNT = 200
"""Test images, of 1,000."""
EPS = (0, 0.1, 0.15, 0.22)
FLAGS = ["--preset", "sample", "--train.epochs", "1", "--lenet-epochs", "8", "--paper-epochs", "2"]
FLAGS += ["--lengths", "6", "--checked", "20", "--crafted", "30", "--judged", "30", "--cells", "20"]
FLAGS += ["--random", "5", "--deepfool", "3", "--rubbish", "100", "--eps", *map(str, EPS)]

Weights = dict[str, Tensor]
SURE = 1.5
"""Weights of a class are its mean image times this."""
Network = Callable[[Weights, Tensor], Tensor]


def thinned(config: Data) -> Dataset:
    """A part of the test images, in mixed order as MNIST has them."""
    data = load(config)
    kept = torch.randperm(len(data.test), generator=torch.Generator().manual_seed(0))[:COUNT]
    return dataclasses.replace(data, test=Split(data.test.images[kept], data.test.labels[kept]))


def run(store: Path, *more: str) -> Results:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fgsm, "load", thinned)
        assert command.main(["run", "fgsm", "--log", f"folder:{store}", *FLAGS, *more]) == 0
    found = [read(path.parent) for path in store.glob("*/run.json")]
    return next(r for r in found if (r.folder / "tables/signs.json").exists())


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def record(store: Path) -> Results:
    return run(store, "--seeds", "0", "1")


@pytest.fixture(scope="module")
def data() -> Dataset:
    return thinned(Data("mnist-sample"))


# --- the networks by hand ------------------------------------------------------------------------


def lenet(w: Weights, x: Tensor) -> Tensor:
    for i in (1, 2):
        x = F.max_pool2d(F.conv2d(x, w[f"conv{i}.weight"], w[f"conv{i}.bias"]), 2).relu()
    x = F.linear(x.flatten(1), w["fc1.weight"], w["fc1.bias"]).relu()
    return F.linear(x, w["fc2.weight"], w["fc2.bias"])


def cnn(w: Weights, x: Tensor) -> Tensor:
    x = (x - 0.1307) / 0.3081
    for i in (1, 2):
        x = F.conv2d(x, w[f"conv{i}.weight"], w[f"conv{i}.bias"]).relu()
    x = F.linear(F.max_pool2d(x, 2).flatten(1), w["fc1.weight"], w["fc1.bias"]).relu()
    return F.linear(x, w["fc2.weight"], w["fc2.bias"])


def linear(w: Weights, x: Tensor) -> Tensor:
    return x.flatten(1) @ w["fc.weight"].T + w["fc.bias"]


def maxout(w: Weights, x: Tensor) -> Tensor:
    x = x.flatten(1)
    for name in ("fc1", "fc2"):
        pieces = (x @ w[f"{name}.weight"].T + w[f"{name}.bias"]).view(len(x), 240, 5)
        x = pieces.max(2).values
    return x @ w["head.weight"].T + w["head.bias"]


FORWARD: dict[str, Network] = {"lenet": lenet, "cnn": cnn, "softmax": linear, "logistic": linear}


def weights(record: Results, name: str, dtype: torch.dtype = torch.float32) -> Weights:
    stored = load_file(record.folder / f"weights/{name}.safetensors")
    return {key: value.to(dtype) for key, value in stored.items()}


class Hand:
    """A stored network, and the plain attack on it: in float64, the largest one in float32."""

    def __init__(self, record: Results, name: str) -> None:
        self.forward = FORWARD.get(name.split("-")[0], maxout)
        self.dtype = torch.float32 if self.forward is cnn else torch.float64
        self.weights = weights(record, name, self.dtype)

    def logits(self, x: Tensor) -> Tensor:
        parts = torch.split(x.to(self.dtype), 100)
        return torch.cat([self.forward(self.weights, part) for part in parts])

    def noise(self, x: Tensor, labels: Tensor) -> Tensor:
        parts = []
        for image, label in zip(
            *(torch.split(v, 100) for v in (x.to(self.dtype), labels)), strict=True
        ):
            pixels = image.requires_grad_()
            loss = F.cross_entropy(self.forward(self.weights, pixels), label, reduction="sum")
            parts += torch.autograd.grad(loss, pixels)
        return torch.cat(parts).sign()

    def right(self, x: Tensor, labels: Tensor) -> Tensor:
        return self.logits(x).argmax(1) == labels


def mean(flags: Tensor) -> float:
    return flags.double().mean().item()


@pytest.fixture(scope="module")
def hands(record: Results) -> dict[str, Hand]:
    names = [path.stem for path in (record.folder / "weights").glob("*.safetensors")]
    return {name: Hand(record, name) for name in names}


@pytest.fixture(scope="module")
def noises(hands: dict[str, Hand], data: Dataset) -> dict[str, Tensor]:
    """Signs of the whole test set's gradients, for all networks but the logistic regression."""
    test = data.test
    return {
        name: hand.noise(test.floats(), test.labels)
        for name, hand in hands.items()
        if "logistic" not in name
    }


# --- the tutorial's networks ---------------------------------------------------------------------


def test_the_run_tells_which_models_it_trained(record: Results) -> None:
    names = {f"{arm}-seed{seed}" for arm, seed in product(("lenet", "cnn"), (0, 1))}
    names |= {f"{a}-seed0" for a in ("softmax", "logistic", "maxout", "adversarial", "signs")}
    assert set(record.run.models) == {*names, "uniform-seed0"}
    assert {model["origin"] for model in record.run.models.values()} == {"trained"}
    assert set(record.run.seconds) == {"data", "training", "analysis", "figures"}
    assert record.numbers["parameters_lenet"].value == 21_840
    assert record.numbers["parameters_cnn"].value == 1_199_882


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


# --- is it universal? ----------------------------------------------------------------------------


def test_candidates_are_those_of_the_batteries(
    record: Results, hands: dict[str, Hand], data: Dataset
) -> None:
    table, pixels = record.table("candidates"), data.train.floats().double()
    assert table.column("noise") == (
        "own", "class", "mean", "first", "first-", "gradient", "deepfool", "random_p95"
    )  # fmt: skip
    hand, model = hands["lenet-seed0"], LeNet()
    load_weights(record.folder / "weights/lenet-seed0.safetensors", model)
    judged = halves(model, data.test, 30, 30)[1]
    own = (judged.images + 0.2 * hand.noise(*judged)).clamp(0, 1)
    cell = table.column("lenet_held_out")[0]
    assert isinstance(cell, Number)
    assert cell.value == pytest.approx(1 - mean(hand.right(own, judged.labels)), abs=0.034)
    shared = torch.from_numpy(record.arrays("battery_lenet")["noise"])
    fooled = ~hand.right((judged.images + shared).clamp(0, 1), judged.labels)
    cell = table.column("lenet_held_out")[5]
    assert isinstance(cell, Number) and cell.value == pytest.approx(mean(fooled))
    assert record.numbers["pixel_std"].value == pytest.approx(pixels.std(correction=0).item())
    for arm, finding in zip(("lenet", "cnn"), record.run.findings, strict=True):
        verdicts = finding.split(": ")[1].split(", ")
        assert finding.startswith(f"One noise against {arm}, ") and len(verdicts) == 2
        share = verdicts.count("universal") / 2
        assert record.numbers[f"{arm}_universal"].value == share
        share = 1 - verdicts.count("not universal") / 2
        assert record.numbers[f"{arm}_class_universal"].value == share


def test_transfer_is_a_mean_over_pairs_of_different_networks(
    record: Results, hands: dict[str, Hand], data: Dataset
) -> None:
    x, y = judged_alike(data.test, 30, 30)
    rates = []
    for source, target in ((0, 1), (1, 0)):
        ours, theirs = (hands[f"lenet-seed{seed}"] for seed in (source, target))
        adv_inputs = (x + 0.2 * ours.noise(x, y)).clamp(0, 1)
        both = [int(i) for i in range(30) if ours.right(x, y)[i] and theirs.right(x, y)[i]]
        fooled = [i for i in both if not theirs.right(adv_inputs[i : i + 1], y[i : i + 1])]
        rates.append(len(fooled) / len(both))
        stored = record.arrays("transfer")["own"][source, target]
        assert stored == pytest.approx(rates[-1], abs=1.1 / len(both))
    table = record.table("transfer")
    assert table.column("source") == ("lenet", "cnn")
    assert table.column("own_lenet")[0] == pytest.approx(np.mean(rates), abs=0.05)
    for kind, matrix in record.arrays("transfer").items():
        assert table.column(f"{kind}_lenet") == pytest.approx(
            (np.mean([matrix[0, 1], matrix[1, 0]]), matrix[2:, :2].mean())
        )
        assert record.numbers[f"transfer_{kind}_lenet_cnn"].value == matrix[:2, 2:].mean()


# --- the paper's rows ----------------------------------------------------------------------------

Line = tuple[float, float | None]


def line_of(logits: Tensor, labels: Tensor) -> Line:
    sure, preds = logits.softmax(1).max(1)
    wrong = preds != labels
    return mean(wrong), sure[wrong].mean().item() if wrong.any() else None


@pytest.fixture(scope="module")
def paper_rows(
    hands: dict[str, Hand], noises: dict[str, Tensor], data: Dataset
) -> Iterator[dict[str, Line]]:
    """What the attack, not clipped, does to each model of the paper, and to another."""
    test, rows = data.test, {}
    x, y = test.floats().double(), test.labels
    adv = {arm: x + 0.25 * noises[f"{arm}-seed0"] for arm in
           ("softmax", "maxout", "adversarial", "signs", "uniform")}  # fmt: skip
    at = {arm: hands[f"{arm}-seed0"].logits for arm in adv}
    for arm in adv:
        rows[arm] = line_of(at[arm](adv[arm]), y)
    for arm in ("softmax", "maxout", "adversarial"):
        rows[f"{arm} clean"] = line_of(at[arm](x), y)
    rows["maxout on adversarial"] = line_of(at["adversarial"](adv["maxout"]), y)
    rows["adversarial on maxout"] = line_of(at["maxout"](adv["adversarial"]), y)
    own, other = (at[arm](adv["maxout"]).argmax(1) for arm in ("maxout", "softmax"))
    mistaken = own != y
    rows["same wrong class"] = mean((other == own)[mistaken]), None
    rows["same class, both wrong"] = mean((other == own)[mistaken & (other != y)]), None
    yield rows


def test_rows_of_the_paper_are_those_of_the_stored_weights(
    record: Results, paper_rows: dict[str, Line]
) -> None:
    table = record.table("paper")
    found = {row[0]: row for row in table.rows}
    rest = {"logistic clean", "logistic", "rubbish maxout", "rubbish softmax"}
    assert set(found) == set(paper_rows) | rest
    for name, (error, confidence) in paper_rows.items():
        _, ours, _, sure, *_ = found[name]
        assert isinstance(ours, Number) and ours.low is not None
        assert ours.value == pytest.approx(error, abs=1.1 / COUNT), name
        assert record.numbers["error_" + "_".join(name.replace(",", "").split())] == ours
        if confidence is None:
            assert sure is None
        else:
            assert isinstance(sure, Number)
            assert sure.value == pytest.approx(confidence, abs=2e-3)
    assert (found["softmax"][2], found["softmax"][4]) == (0.999, 0.793)
    assert (found["adversarial on maxout"][2], found["same class, both wrong"][2]) == (0.409, 0.846)


def test_changes_by_adversarial_training_are_paired_by_image(
    record: Results, hands: dict[str, Hand], noises: dict[str, Tensor], data: Dataset
) -> None:
    x, y, wrong = data.test.floats().double(), data.test.labels, {}
    for arm in ("maxout", "adversarial", "signs"):
        hand, noise = hands[f"{arm}-seed0"], noises[f"{arm}-seed0"]
        wrong[arm, "clean"], wrong[arm, "attacked"] = (
            (~hand.right(inputs, y)).double().numpy() for inputs in (x, x + 0.25 * noise)
        )
    for name, other, kind in (("clean_change", "maxout", "clean"),
                              ("change_over_signs", "signs", "attacked")):  # fmt: skip
        change = 100 * (wrong["adversarial", kind] - wrong[other, kind])
        number = record.numbers[f"adversarial_{name}"]
        assert number.value == pytest.approx(change.mean(), abs=0.6)
        assert number.bounds is not None and number.range == (-100, 100)
        # the interval of a mean of many independent differences
        error = 1.96 * change.std() / len(change) ** 0.5
        assert (number.bounds[1] - number.bounds[0]) / 2 == pytest.approx(error, rel=0.1)


def test_the_attack_on_linear_models_is_the_closed_form(record: Results, data: Dataset) -> None:
    rows = {row[0]: row for row in record.table("paper").rows}
    pair = (data.test.labels == 3) | (data.test.labels == 7)
    x3, y3 = data.test.floats()[pair], (data.test.labels[pair] == 7).long()
    for arm, x, y in (("softmax", data.test.floats(), data.test.labels), ("logistic", x3, y3)):
        w = weights(record, f"{arm}-seed0", torch.float64)
        x = x.double()
        gradient = (linear(w, x).softmax(1) - F.one_hot(y)) @ w["fc.weight"]
        for name, inputs in ((f"{arm} clean", x),
                             (arm, x + 0.25 * gradient.sign().view_as(x))):  # fmt: skip
            error, confidence = line_of(linear(w, inputs), y)
            number, sure = rows[name][1], rows[name][3]
            assert isinstance(number, Number) and isinstance(sure, Number)
            assert number.value == pytest.approx(error, abs=1.1 / len(y))
            assert sure.value == pytest.approx(confidence, abs=1e-3)
            assert number.n == len(y)


@pytest.mark.parametrize("arm", ["maxout", "softmax"])
def test_rubbish_is_counted_by_class(arm: str, record: Results, hands: dict[str, Hand]) -> None:
    inputs = torch.randn(100, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    sure, preds = hands[f"{arm}-seed0"].logits(inputs).softmax(1).max(1)
    taken = [int(p) for p, s in zip(preds, sure, strict=True) if s > 0.5]
    row = next(r for r in record.table("paper").rows if r[0] == f"rubbish {arm}")
    assert isinstance(row[1], Number) and isinstance(row[3], Number)
    assert row[1].value == pytest.approx(len(taken) / 100)
    assert row[3].value == pytest.approx(sure[sure > 0.5].mean().item(), rel=1e-4)
    top = max(set(taken), key=taken.count)
    numbers = record.numbers
    assert numbers[f"rubbish_top_{arm}"].value == taken.count(top) / len(taken)
    assert taken.count(int(numbers[f"rubbish_top_class_{arm}"].value)) == taken.count(top)
    assert numbers[f"rubbish_never_{arm}"].value == 10 - len(set(taken))


def test_a_step_towards_a_class_is_the_gradient_of_its_probability(
    record: Results, hands: dict[str, Hand]
) -> None:
    hand, shares = hands["maxout-seed0"], []
    inputs = torch.randn(100, 1, 28, 28, generator=torch.Generator().manual_seed(0)).double()
    for label in range(10):
        pixels = inputs.clone().requires_grad_()
        probability = hand.logits(pixels).softmax(1)[:, label]
        [gradient] = torch.autograd.grad(probability.sum(), pixels)
        moved = hand.logits(inputs + 10 * gradient).softmax(1)[:, label]
        shares.append(mean(moved > 0.5))
    found = [record.numbers[f"step_{name}"].value for name in ("mean", "low", "high")]
    assert found == pytest.approx([np.mean(shares), min(shares), max(shares)], abs=0.011)


# --- how the networks are trained ----------------------------------------------------------------


def batch(data: Dataset) -> tuple[Tensor, Tensor]:
    return data.test.floats()[:40], data.test.labels[:40]


def test_the_adversarial_objective_of_a_linear_model_is_its_closed_form(data: Dataset) -> None:
    torch.manual_seed(0)
    model, (x, y) = SoftmaxRegression().double(), batch(data)
    x = x.double()
    loss = networks.adversarial_loss(model, x, y, 0.25)
    w = {name: value.detach() for name, value in model.named_parameters()}
    clean = linear(w, x).softmax(1) - F.one_hot(y, 10)
    adv_inputs = x + 0.25 * (clean @ w["fc.weight"]).sign().view_as(x)
    attacked = linear(w, adv_inputs).softmax(1) - F.one_hot(y, 10)
    halves = [-linear(w, inputs).log_softmax(1)[range(40), y].mean() for inputs in (x, adv_inputs)]
    # objectives are computed in float32
    assert loss.item() == pytest.approx((halves[0] + halves[1]).item() / 2, rel=1e-6)
    [gradient] = torch.autograd.grad(loss, [dict(model.named_parameters())["fc.weight"]])
    # that of constant inputs: nothing comes through the sign
    constant = (clean.T @ x.flatten(1) + attacked.T @ adv_inputs.flatten(1)) / 80
    assert torch.allclose(gradient, constant, atol=1e-6)
    assert adv_inputs.min() < 0 and adv_inputs.max() > 1


def test_the_attack_in_training_is_made_without_dropout(data: Dataset) -> None:
    torch.manual_seed(0)
    model, (x, y) = Maxout().train(), batch(data)
    torch.manual_seed(5)
    loss = networks.adversarial_loss(model, x, y, 0.25)
    assert model.training and all(p.grad is None for p in model.parameters())
    pixels = x.clone().requires_grad_()
    w = {name: value.detach() for name, value in model.named_parameters()}
    [gradient] = torch.autograd.grad(F.cross_entropy(maxout(w, pixels), y), pixels)
    torch.manual_seed(5)  # the dropout of the clean half comes first
    expected = (F.cross_entropy(model(x), y)
                + F.cross_entropy(model(x + 0.25 * gradient.sign()), y)) / 2  # fmt: skip
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("arm", ["signs", "uniform"])
def test_controls_see_half_clean_and_half_noisy_images(arm: str, data: Dataset) -> None:
    torch.manual_seed(0)
    model, (x, y) = SoftmaxRegression(), batch(data)
    seen: list[Tensor] = []
    model.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    loss = networks.objective_of(arm, 0.25)(model, x, y)
    clean, noisy = seen
    assert torch.equal(clean, x)
    noise = (noisy - x).flatten()
    assert noise.abs().max() <= 0.25 + 1e-6
    assert abs(noise.mean().item()) < 4 * 0.25 / len(noise) ** 0.5
    # the variance of ±eps is eps², of a uniform noise a third of it
    assert noise.var().item() == pytest.approx(0.0625 / (1 if arm == "signs" else 3), rel=0.02)
    assert (torch.allclose(noise.abs(), torch.tensor(0.25))) == (arm == "signs")
    both = [F.cross_entropy(model(inputs), y) for inputs in (x, noisy)]
    assert loss.item() == pytest.approx((both[0] + both[1]).item() / 2)


PAPER_ARMS = ("softmax", "logistic", "maxout", "adversarial", "signs", "uniform")
KINDS = dict.fromkeys(PAPER_ARMS[2:], Maxout) | dict.fromkeys(PAPER_ARMS[:2], SoftmaxRegression)


@pytest.mark.parametrize("arm", ["lenet", "cnn", *PAPER_ARMS])
def test_networks_are_trained_as_said(
    arm: str, data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = fgsm.PRESETS["full"]
    config = dataclasses.replace(config, train=resolve(config.train))
    asked: dict[str, Any] = {}

    def obtain(training: Training[Any], **more: object) -> object:
        asked.update(vars(training), **more)
        return training.model

    monkeypatch.setattr(networks, "obtain", obtain)
    model = networks.train(Recipe(arm, 3), data, config, Mock())
    kinds = {"lenet": LeNet, "cnn": TutorialCnn, **KINDS}
    assert type(model) is kinds[arm] and (asked["name"], asked["seed"]) == (f"{arm}-seed3", 3)
    [group], optimiser, settings = (
        asked["optimiser"].param_groups,
        asked["optimiser"],
        asked["settings"],
    )
    if arm == "cnn":
        assert (type(optimiser), group["lr"], group["weight_decay"]) == (Adadelta, 1.0, 0)
        scheduler = asked["scheduler"]
        assert isinstance(scheduler, StepLR) and scheduler.optimizer is optimiser
        assert (scheduler.step_size, scheduler.gamma) == (1, 0.7)
    else:
        rate = 0.01 if arm == "lenet" else 0.1
        assert (type(optimiser), group["lr"], group["momentum"]) == (SGD, rate, 0.5)
        assert not (group["nesterov"] or group["weight_decay"] or group["dampening"])
        assert asked["scheduler"] is None
    tutorial = {"lenet": 10, "cnn": 14}
    assert (settings.epochs, settings.batch, settings.lr) == (
        tutorial.get(arm, 20), 64 if arm in tutorial else 100, group["lr"]
    )  # fmt: skip
    assert list(asked["snapshots"]) == ([2, 5] if arm in tutorial else [])
    torch.manual_seed(3)
    same = zip(model.parameters(), networks.fresh(arm).parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in same)
    labels = data.train.labels
    expected = (labels[(labels == 3) | (labels == 7)] == 7).long() if arm == "logistic" else labels
    assert torch.equal(asked["samples"].labels, expected)
    assert asked["evaluate"](model).keys() == {"loss/test", "accuracy/test"}
    if arm in ("lenet", "cnn", "softmax", "maxout"):
        images, labels = batch(data)
        loss = F.cross_entropy(model.eval()(images), labels)
        assert torch.equal(asked["objective"](model, images, labels), loss)


# --- the run as a whole --------------------------------------------------------------------------


def test_every_figure_is_drawn_from_files_of_the_record(record: Results) -> None:
    assert record.names("figures") == sorted(fgsm.FIGURES)
    for name in fgsm.FIGURES:
        drawing = record.figure(name)
        assert drawing.data
        for path in (drawing.svg, drawing.png, *drawing.data):
            assert (record.folder / path).exists()


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


@pytest.fixture
def paper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for write-ups that is not the user's."""
    folder = tmp_path / "paper"
    folder.mkdir()
    for name in ("fgsm.md", "author.toml"):
        shutil.copy(PAPER / name, folder)
    monkeypatch.setattr(paths, "PAPER", folder)
    return folder


def built(store: Path, paper: Path) -> None:
    assert command.main(["report", "fgsm", "--log", f"folder:{store}"]) == 0
    assert len(pypdf.PdfReader(paper / "fgsm.pdf").pages) <= 3


@pytest.mark.long
def test_given_weights_of_a_single_seed_have_no_past(
    record: Results, tmp_path: Path, paper: Path
) -> None:
    given = (record.folder / "weights").glob("*-seed0.safetensors")
    again = run(tmp_path, "--seeds", "0", "--weights", *map(str, given))
    assert {model["origin"] for model in again.run.models.values()} == {"given"}
    assert [row[:2] for row in again.table("signs").rows] == [("lenet", 8), ("cnn", 1)]
    table = again.table("transfer")
    assert table.column("own_lenet")[0] is None is table.column("own_cnn")[1]
    assert again.table("paper") == record.table("paper")
    stored = again.arrays("accuracy_lenet")["clipped"]
    assert np.array_equal(stored, record.arrays("accuracy_lenet")["clipped"][:1])
    assert again.numbers["lenet_fooling_own"] == record.numbers["lenet_fooling_own"]
    assert again.numbers["gap_lenet"].bounds is None
    built(tmp_path, paper)
    assert "†" in (paper / "fgsm.html").read_text(), "single values are marked"


@pytest.mark.usefixtures("record")
def test_every_branch_of_every_claim_is_fit_to_print(
    record: Results, spoken: Callable[[Results, str], set[str]]
) -> None:
    assert spoken(record, "fgsm")


@pytest.mark.usefixtures("record")
def test_the_paper_is_built(store: Path, paper: Path) -> None:
    built(store, paper)
    figures = {figure["name"] for figure in trail(paper / "fgsm.pdf")["figures"]}
    assert figures == set(fgsm.FIGURES)
