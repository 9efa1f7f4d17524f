"""The study `vgg`, run small: what it logs is re-derived from the weights it stored."""

import math
from functools import partial
from itertools import pairwise, permutations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy.stats import binomtest
from torch import Tensor
from torch.nn import functional as F

from research.data import Dataset
from research.methods.perturbations import random_signs
from research.methods.samples import Samples
from research.models import Vgg16
from research.records import Number, Results
from research.studies import vgg
from research.studies.vgg import measures

from .by_hand import Weights, by_hand, labels_of, noise_of
from .tiny import EPS


def test_the_run_tells_which_models_it_trained(record: Results) -> None:
    names = {"scratch-seed0", "scratch-seed1", "frozen-replaced", "frozen-notebook"}
    assert set(record.run.models) == names
    assert set(record.run.seconds) == {"data", "training", "analysis", "figures"}
    seeds = ["scratch-seed0", "scratch-seed1", "scratch-seed2"]
    assert vgg.children(vgg.PRESETS["sample"]) == seeds
    assert set(vgg.children(vgg.PRESETS["full"])) == names | {"scratch-seed2"}


def test_the_whole_network_has_the_parameters_of_vgg16() -> None:
    # without the two wide layers and with one of 512 × 10, batch norm in the place of biases
    widths = [3, 64, 64, 128, 128, 256, 256, 256, *[512] * 6]
    convolutions = sum(9 * a * b + 2 * b for a, b in pairwise(widths))
    assert sum(p.numel() for p in Vgg16().parameters()) == convolutions + 512 * 10 + 10


def test_scores_are_those_of_the_stored_weights(
    record: Results, weights: list[Weights], data: Dataset
) -> None:
    images, labels = data.test.floats(), data.test.labels
    rates = [(labels_of(w, images) == labels).double().mean().item() for w in weights]
    number = record.numbers["accuracy"]
    assert number.value == pytest.approx(np.mean(rates))
    assert number.bounds is None and number.span == pytest.approx(sorted(rates))
    losses = [F.cross_entropy(by_hand(w, images), labels).item() for w in weights]
    assert record.numbers["loss"].value == pytest.approx(np.mean(losses), rel=1e-4)
    assert min(rates) > 0.8, "the stripes are not learned: the tests below would show nothing"


def test_eps_is_set_against_the_spread_of_all_training_pixels(
    record: Results, data: Dataset
) -> None:
    std = np.std(data.train.images.numpy() / 255.0)
    assert record.numbers["pixel_std"].value == pytest.approx(std)
    assert record.numbers["relative_eps"].value == pytest.approx(EPS / std)
    assert record.numbers["noise_steps"].value == pytest.approx(15.3)


def test_curves_are_those_of_plain_autograd(
    record: Results, weights: list[Weights], data: Dataset
) -> None:
    curves = record.arrays("curves")
    assert curves["eps"].tolist() == [0, 0.03, EPS, 0.1]
    images, labels = data.test.floats(), data.test.labels
    chance = random_signs(len(images), images.shape[1:], 1.0, seed=0)
    for seed, w in enumerate(weights):
        right = labels_of(w, images) == labels
        for name, noise in {"fgsm": noise_of(w, images, labels), "random": chance}.items():
            for i, eps in enumerate(curves["eps"]):
                attacked = (images + eps * noise).clamp(0, 1)
                held = right & (labels_of(w, attacked) == labels)
                # an image at a boundary may fall on either side in float32
                share = held.double().mean().item()
                assert curves[name][seed, i] == pytest.approx(share, abs=1.5 / 120)
    assert (curves["fgsm"][:, 2] < curves["random"][:, 2]).all()
    table = record.table("curves")
    assert table.columns == ("eps", "steps", "fgsm", "random")
    cell = table.rows[2][2]
    assert isinstance(cell, Number) and cell == record.numbers["accuracy_fgsm"]
    assert cell.value == pytest.approx(curves["fgsm"][:, 2].mean())


def test_signs_are_compared_with_float64(record: Results) -> None:
    numbers = record.numbers
    for name in ("wrong_stable", "wrong_cross_entropy"):
        assert 0 <= numbers[name].value < 0.01
    assert 0 <= numbers["tied"].value < 0.5


def test_cosines_and_spectrum_are_those_of_numpy(
    record: Results, weights: list[Weights], sets: tuple[Samples, Samples]
) -> None:
    crafted, _ = sets
    signs = noise_of(weights[0], *crafted).flatten(1).numpy()
    cosines = signs @ signs.T / signs.shape[1]
    same = np.equal.outer(*[crafted.labels.numpy()] * 2)
    off = ~np.eye(len(signs), dtype=bool)
    numbers = record.numbers
    assert numbers["vgg_null_sd"].value == pytest.approx(3072**-0.5)
    within, between = cosines[same & off].mean(), cosines[~same].mean()
    assert numbers["vgg_cosine_within"].value == pytest.approx(within, abs=1e-3)
    assert numbers["vgg_cosine_between"].value == pytest.approx(between, abs=1e-3)
    singular = np.linalg.svd(signs, compute_uv=False)
    shares = singular / singular.sum()
    rank = math.exp(-(shares * np.log(shares)).sum())
    assert numbers["vgg_effective_rank"].value == pytest.approx(rank, rel=1e-3)
    energy = (singular**2).cumsum() / (singular**2).sum()
    assert np.allclose(record.arrays("noises")["energy"], energy, atol=1e-3)


def test_fooling_rates_p_and_verdict_are_counted_by_hand(
    record: Results, weights: list[Weights], sets: tuple[Samples, Samples]
) -> None:
    crafted, judged = sets
    w, numbers = weights[0], record.numbers

    def fooled(samples: Samples, noise: Tensor) -> npt.NDArray[np.bool_]:
        attacked = (samples.images + noise).clamp(0, 1)
        return (labels_of(w, attacked) != labels_of(w, samples.images)).numpy()

    near = partial(pytest.approx, abs=1.5 / 30)
    own = fooled(judged, EPS * noise_of(w, *judged)).mean()
    assert numbers["vgg_fooling_own"].value == near(own)
    noises = {k: torch.from_numpy(v) for k, v in record.arrays("candidates").items()}
    table = record.table("candidates")
    rows = {row[0]: dict(zip(table.columns, row, strict=True)) for row in table.rows}
    held = {name: fooled(judged, noise) for name, noise in noises.items()}
    seen = {name: fooled(crafted, noise).mean() for name, noise in noises.items()}
    floor = [fooled(judged, n) for n in random_signs(6, judged.images.shape[1:], EPS, 1)]
    most = max(floor, key=np.mean)
    p = {}
    for name, flags in held.items():
        assert noises[name].abs().max() <= EPS + 1e-6
        for cell, rate in ((rows[name]["held_out"], flags.mean()), (rows[name]["crafted"],
                                                                    seen[name])):  # fmt: skip
            assert isinstance(cell, Number) and cell.value == near(rate) and cell.bounds
        a, b = int((flags & ~most).sum()), int((most & ~flags).sum())
        p[name] = binomtest(a, a + b).pvalue if a + b else 1.0
    largest = 0.0  # Holm's adjustment
    for rank, name in enumerate(sorted(p, key=lambda name: p[name])):
        largest = max(largest, min(1.0, (len(p) - rank) * p[name]))
        assert rows[name]["p"] == pytest.approx(largest, rel=0.3)
    best = numbers["vgg_fooling_best"].value
    assert any(best == near(held[n].mean()) for n in seen if seen[n] >= max(seen.values()) - 0.05)
    p95 = float(np.percentile([flags.mean() for flags in floor], 95))
    assert numbers["vgg_fooling_random_p95"].value == near(p95)
    shares = [numbers[f"vgg_{name}"].value for name in ("universal", "class_universal")]
    assert shares[0] <= shares[1] and set(shares) <= {0, 0.5, 1}
    own_rate = numbers["vgg_fooling_own"].value
    passes = best >= 0.5 * own_rate and best > numbers["vgg_fooling_random_p95"].value
    assert shares[0] in ((0.5, 1) if passes else (0, 0.5))


def test_transfer_is_counted_on_samples_that_both_get_right(
    record: Results, weights: list[Weights], data: Dataset
) -> None:
    images, labels = measures.some(data.test, 30)
    noises = [EPS * noise_of(w, images, labels) for w in weights]
    right = [labels_of(w, images) == labels for w in weights]
    rates = []
    for i, j in permutations((0, 1)):
        broken = labels_of(weights[j], (images + noises[i]).clamp(0, 1)) != labels
        both = right[0] & right[1]
        rates.append(((broken & both).sum() / both.sum()).item())
    numbers = record.numbers
    assert numbers["transfer_own"].value == pytest.approx(np.mean(rates), abs=0.05)
    assert numbers["transfer_own_least"].value == pytest.approx(min(rates), abs=0.05)
    assert numbers["transfer_own_most"].value == pytest.approx(max(rates), abs=0.05)
    itself, shared = (numbers[f"transfer_{name}"].value for name in ("own_itself", "shared"))
    assert 0 <= shared <= 1 and itself > 0


def test_examples_are_of_different_classes_and_carry_their_own_noise(
    record: Results, weights: list[Weights]
) -> None:
    data = record.arrays("examples")
    clean, attacked = (torch.from_numpy(data[name]) for name in ("clean", "attacked"))
    assert sorted(data["clean_class"]) == [0, 1, 2]
    noise = EPS * noise_of(weights[0], clean, torch.from_numpy(data["clean_class"]))
    assert (np.isclose(data["noise"], noise, atol=1e-6)).mean() > 0.999
    assert np.allclose(attacked, (clean + torch.from_numpy(data["noise"])).clamp(0, 1))
    for name, images in (("clean", clean), ("attacked", attacked)):
        sure, label = by_hand(weights[0], images).softmax(1).max(1)
        assert label.tolist() == data[f"{name}_class"].tolist()
        assert np.allclose(sure, data[f"{name}_confidence"], atol=1e-4)


def test_the_one_noise_that_is_shown_is_the_best_on_the_samples_it_was_made_of(
    record: Results, weights: list[Weights]
) -> None:
    data, table = record.arrays("one"), record.table("candidates")
    rates = dict(zip(table.column("noise"), table.column("crafted"), strict=True))
    known = {name: rate.value for name, rate in rates.items() if isinstance(rate, Number)}
    best = str(max(known, key=lambda name: known[name]))
    assert np.array_equal(data["noise"], record.arrays("candidates")[best])
    assert len(set(data["clean_class"])) == len(data["clean_class"]) == 3
    label = by_hand(weights[0], torch.from_numpy(data["noisy"])).argmax(1)
    assert label.tolist() == data["noisy_class"].tolist()
