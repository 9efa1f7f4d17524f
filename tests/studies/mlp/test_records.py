"""The study `mlp`, run small: what it logs is re-derived from the weights it stored."""

from typing import Any

import numpy as np
import pytest
import torch
from scipy import linalg, special, stats
from sklearn.metrics import f1_score, log_loss, recall_score

from research.records import Array, Number, Results

from .by_hand import preds, space
from .tiny import ARMS


def test_scores_are_those_of_the_stored_weights(
    record: Results, images: torch.Tensor, labels: Array
) -> None:
    table = record.table("arms")
    base = [preds(record, f"baseline-seed{seed}", images) == labels for seed in (0, 1)]
    p = []
    for arm in ARMS:
        made = [preds(record, f"{arm}-seed{seed}", images) for seed in (0, 1)]
        number = record.numbers[f"accuracy_{arm}"]
        accuracies = [(one == labels).mean() for one in made]
        assert number.value == pytest.approx(np.mean(accuracies))
        assert number.bounds is None and number.span == pytest.approx(sorted(accuracies))
        f1 = np.mean([f1_score(labels, one, average="macro") for one in made])
        defined = all(set(one) == set(range(10)) for one in made)
        assert record.numbers[f"f1_{arm}"].value == pytest.approx(f1) or not defined
        gains = [100 * (x - y.mean()) for x, y in zip(accuracies, base, strict=True)]
        if arm != "baseline":
            assert record.numbers[f"change_{arm}"].value == pytest.approx(np.mean(gains))
            costs = [
                log_loss(labels, special.softmax(space(record, f"{a}-seed{s}", images)[1], 1))
                for a in ("baseline", arm)
                for s in (0, 1)
            ]
            dearer = [costs[2] - costs[0], costs[3] - costs[1]]
            number = record.numbers[f"loss_change_{arm}"]
            assert number.value == pytest.approx(np.mean(dearer), abs=1e-5)
            assert number.span == pytest.approx(sorted(dearer), abs=1e-5)
            only = [(base[0] & (made[0] != labels)).sum(), (~base[0] & (made[0] == labels)).sum()]
            p.append(stats.binomtest(only[0], sum(only)).pvalue if sum(only) else 1.0)
        recall = recall_score(labels, made[1], average=None)
        counts = record.arrays(f"confusion_{arm}")["counts"][1]
        assert np.diag(counts) / counts.sum(1) == pytest.approx(recall)
    order, least = np.argsort(p), 0.0
    for rank, index in enumerate(order):
        least = max(least, min(1.0, p[index] * (4 - rank)))
        assert record.numbers[f"p_{ARMS[1 + index]}"].value == pytest.approx(least)
    assert table.column("p")[0] is None and table.column("change")[0] is None
    assert "accuracy_next" not in record.numbers  # which takes three seeds


def test_the_report_has_the_scores_of_each_class(
    record: Results, images: torch.Tensor, labels: Array
) -> None:
    table = record.table("report")
    assert table.column("class") == (*"0123456789", "mean")
    assert table.column("support")[:10] == (100,) * 10
    made = [preds(record, f"lr-seed{seed}", images) for seed in (0, 1)]
    recalls = np.mean([recall_score(labels, one, average=None) for one in made], 0)
    found = [cell.value for cell in table.column("recall_lr") if isinstance(cell, Number)]
    assert found == pytest.approx([*recalls, recalls.mean()])


def test_spaces_are_those_of_the_stored_weights(record: Results, images: torch.Tensor) -> None:
    spaces = {
        (arm, seed): space(record, f"{arm}-seed{seed}", images)[0]
        for arm in ARMS
        for seed in (0, 1)
    }
    stored = record.arrays("embedding_biased")
    one = spaces["biased", 1]
    assert stored["mean"][1] == pytest.approx(one.mean(0), abs=1e-4)
    assert stored["sd"][1] == pytest.approx(one.std(0, ddof=1), rel=1e-4)
    assert stored["covariance"][1] == pytest.approx(np.cov(one.T), rel=1e-3, abs=1e-4)
    numbers = record.numbers

    def over_pairs(arm: str, distance: Any) -> float:
        return float(np.mean([distance(spaces["baseline", s], spaces[arm, s]) for s in (0, 1)]))

    def bures(x: Array, y: Array) -> float:
        a, b = (np.cov(z.T) / z.var(0, ddof=1).sum() for z in (x, y))
        root = linalg.sqrtm(a)
        return float(np.sqrt(2 - 2 * np.trace(linalg.sqrtm(root @ b @ root)).real))

    def cka(x: Array, y: Array) -> float:
        grams = [z - z.mean(0) for z in (x, y)]
        a, b = (z @ z.T for z in grams)
        return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()))

    def frobenius(x: Array, y: Array) -> float:
        a, b = (np.cov(z.T) / z.var(0, ddof=1).sum() for z in (x, y))
        return float(np.sqrt(((a - b) ** 2).sum() / np.sqrt((a**2).sum() * (b**2).sum())))

    assert numbers["bures_lr"].value == pytest.approx(over_pairs("lr", bures), rel=1e-3)
    assert numbers["frobenius_lr"].value == pytest.approx(over_pairs("lr", frobenius), rel=1e-3)

    def sd(x: Array, y: Array) -> float:
        a, b = x.std(0, ddof=1), y.std(0, ddof=1)
        norm = np.linalg.norm
        return float(norm(a - b) / np.sqrt(norm(a) * norm(b)))

    assert numbers["sd_lr"].value == pytest.approx(over_pairs("lr", sd), rel=1e-3)
    assert numbers["cka_deep"].value == pytest.approx(over_pairs("deep", cka), rel=1e-4)
    assert "bures_deep" not in numbers and "frobenius_deep" not in numbers
    seeds = bures(spaces["baseline", 0], spaces["baseline", 1])
    assert numbers["bures_seeds_least"].value == pytest.approx(seeds, rel=1e-3)
    assert numbers["bures_seeds_greatest"].value == pytest.approx(seeds, rel=1e-3)
    for arm in ARMS[1:]:
        assert numbers[f"spectral_{arm}"].value > 0
    assert numbers["spectral_lr"].value <= numbers["bures_lr"].value
    totals = [np.sqrt(spaces["lr", s].var(0, ddof=1).sum()) for s in (0, 1)]
    assert numbers["spread_lr"].value == pytest.approx(np.mean(totals), rel=1e-4)


def test_recall_by_dose_is_that_of_the_stored_weights(
    record: Results, images: torch.Tensor, labels: Array
) -> None:
    ones = labels == 1

    def recall(name: str) -> float:
        return float((preds(record, name, images)[ones] == 1).mean())

    plain, weighted = (record.arrays(f"doses_{loss}") for loss in ("plain", "weighted"))
    assert plain["ones"].tolist() == [0, 14, 60, 400]
    assert weighted["ones"].tolist() == [14, 60, 400]
    names = ["ones0", "biased", "ones60", "baseline"]
    wanted = [100 * recall(f"{name}-seed0") for name in names]
    assert plain["recall"][:, 0] == pytest.approx(wanted)
    gains = [100 * recall(f"{name}-weighted-seed0") for name in names[1:]]
    assert weighted["recall"][:, 0] == pytest.approx(gains)
    for hits, (low, high) in zip(weighted["recall"][:, 0], weighted["wilson"], strict=True):
        ends = stats.binomtest(round(hits), 100).proportion_ci(method="wilson")
        assert (low, high) == pytest.approx((100 * ends.low, 100 * ends.high))
    numbers = record.numbers
    assert numbers["recall_none"].value == wanted[0] / 100
    # of 3600 others and 14 ones, in ten classes; the least dose with ones
    assert (numbers["ones_fewest"].value, numbers["weight_fewest"].value) == (14, 3614 / 140)
    accuracies = [
        100 * (preds(record, f"biased{kind}-seed0", images) == labels).mean()
        for kind in ("", "-weighted")
    ]
    moved = accuracies[1] - accuracies[0]
    assert numbers["accuracy_fewest"].value == pytest.approx(moved)
    assert numbers["recall_gain"].value == pytest.approx(gains[0] - wanted[1])
    lost = [100 * (recall(f"biased-seed{s}") - recall(f"baseline-seed{s}")) for s in (0, 1)]
    assert numbers["recall_change"].value == pytest.approx(np.mean(lost))
    p = []
    for name in names[1:]:
        a, b = (preds(record, f"{n}-seed0", images)[ones] == 1 for n in (name, f"{name}-weighted"))
        only = (a & ~b).sum(), (b & ~a).sum()
        p.append(stats.binomtest(only[0], sum(only)).pvalue if sum(only) else 1.0)
    smallest = min(1, 3 * min(p))
    table = [cell for cell in record.table("doses").column("p") if isinstance(cell, float)]
    assert min(table) == pytest.approx(smallest)
    taken = np.mean(
        [np.bincount(preds(record, f"biased-seed{s}", images)[ones], minlength=10) for s in (0, 1)],
        axis=0,
    )
    taken[1] = -1
    assert int(numbers["lost_class_1"].value) == taken.argmax()
    assert numbers["lost_share_1"].value == pytest.approx(taken.max() / 100)
    if "recovered" in numbers:
        share = (gains[0] - wanted[1]) / (wanted[3] - wanted[1])
        assert numbers["recovered"].value == pytest.approx(share)


def test_noise_is_what_it_is_said_to_be(record: Results, images: torch.Tensor) -> None:
    drawn = np.random.default_rng(0).normal(0, 0.2, (40, 1, 28, 28)).astype(np.float32)
    noise = {
        "normalised": torch.from_numpy(drawn * 0.3081 + 0.1307),
        "pixels": torch.from_numpy(drawn.clip(0, 1)),
    }
    for name, inputs in noise.items():
        made = [preds(record, f"baseline-seed{s}", inputs) for s in (0, 1)]
        shares = [(one == 3).mean() for one in made]
        modes = {int(stats.mode(one).mode) for one in made}
        assert record.numbers[f"answers_{name}"].value == len(modes)
        assert record.numbers[f"three_{name}"].value == pytest.approx(np.mean(shares))
        pairs = []
        for seed in (0, 1):
            odd, clean = (
                1 - torch.from_numpy(space(record, f"baseline-seed{seed}", x)[1]).softmax(1).amax(1)
                for x in (inputs, images)
            )
            pairs.append((odd[:, None] > clean).double().mean().item())
        assert record.numbers[f"softmax_{name}"].value == pytest.approx(np.mean(pairs), abs=1e-4)
        lead = record.numbers[f"softmax_lead_{name}"]
        areas = [
            record.numbers[f"{score}_{name}"].value for score in ("softmax", "class_mahalanobis")
        ]
        assert lead.value == pytest.approx(areas[0] - areas[1]) and lead.n == 2
        for score in ("mahalanobis", "class_mahalanobis"):
            assert 0 <= record.numbers[f"{score}_{name}"].value <= 1
