"""The study `zf-features`, run small: differences, claims, and what the paper printed."""

import dataclasses

import numpy as np
import pytest
from scipy.stats import rankdata, ttest_1samp

from research.records import Number, Results
from research.studies.zf_features import comparisons
from tests.studies.zf.by_hand import is_mean

from .tiny import ARMS, LAYERS, K, cells


def test_differences_are_in_pairs_of_one_draw(record: Results) -> None:
    logged, numbers = record.arrays("accuracies"), record.numbers
    for few, k in (("few", K[0]), ("many", K[1])):
        last = 100 * logged[f"trained_softmax_k{k}"][:, -1]
        controls = {"scratch": logged[f"scratch_k{k}"],
                    "pixels": logged[f"pixels_softmax_k{k}"][:, 0],
                    "untrained": logged[f"untrained_softmax_k{k}"][:, -1]}  # fmt: skip
        row = cells(record, "transfer", k)  # type: ignore[arg-type]
        is_mean(row["pretrained"], (last / 100).tolist())
        is_mean(numbers[f"pretrained_{few}"], (last / 100).tolist())
        for name, values in controls.items():
            is_mean(numbers[f"gain_{name}_{few}"], (last - 100 * values).tolist())
            is_mean(row[name], values.tolist())
        gained = lost = 0
        svm = {space: 100 * logged[f"{space}_svm_k{k}"] for space in ("trained", "untrained")}
        for place in range(7):
            gains = svm["trained"][:, place] - svm["untrained"][:, place]
            reach = 12.706204736 * gains.std(ddof=1) / 2**0.5
            gained, lost = gained + (gains.mean() > reach), lost + (gains.mean() < -reach)
        assert (numbers[f"layers_gained_{few}"].value, numbers[f"layers_lost_{few}"].value) == (
            gained, lost,
        )  # fmt: skip
        for space, values in svm.items():
            is_mean(numbers[f"rise_{space}_{few}"], (values[:, -1] - values[:, 0]).tolist())
            ranks = [np.corrcoef(range(7), rankdata(one.round(6)))[0, 1] if np.ptp(one) else 0
                     for one in values]  # fmt: skip
            is_mean(numbers[f"depth_{space}_{few}"], [float(one) for one in ranks])
        best = svm["trained"].mean(0).round(6)
        assert numbers[f"best_layer_{few}"].value == 1 + int(best.argmax())
        assert numbers[f"best_{few}"].value == pytest.approx(best.max() / 100)
    assert numbers["chance"].value == pytest.approx(1 / 3)
    assert numbers["edge"].value == 1, "of two there is nothing between"


def test_claims_are_tests_over_draws_and_over_seeds(record: Results) -> None:
    numbers, claims, logged = record.numbers, record.claims, record.arrays("accuracies")
    effects = {
        **{f"pretrained_beats_{control}": f"gain_{control}_many"
           for control in ("scratch", "untrained", "pixels")},
        "deeper_better": "depth_trained_many", "last_beats_first": "rise_trained_many",
        "training_helps": "gain_training_many", "removal_costs": "change_test_without3467",
        "wider_maps_help": "change_test_maps",
    }  # fmt: skip
    for name, number in effects.items():
        logged_with_its_range = dataclasses.replace(numbers[number], range=None)
        assert dataclasses.replace(claims[name].effect, range=None) == logged_with_its_range
    assert set(claims) == set(effects)
    svm = {space: 100 * logged[f"{space}_svm_k{K[1]}"] for space in ("trained", "untrained")}
    added = (svm["trained"] - svm["untrained"]).mean(1)
    is_mean(numbers["gain_training_many"], added.tolist())
    assert claims["training_helps"].p == pytest.approx(ttest_1samp(added, 0).pvalue)
    errors = record.arrays("errors")
    for name, arm in (("removal_costs", "without3467"), ("wider_maps_help", "maps")):
        change = 100 * (errors[f"{arm}_test"] - errors["ours_test"])
        is_mean(claims[name].effect, change.tolist())
        assert len(claims[name].effect.values) == 2
    assert [name for name, claim in claims.items() if claim.direction == "less"] == [
        "wider_maps_help"
    ]
    assert {claim.n for claim in claims.values()} == {2}
    assert not any(claim.threshold for claim in claims.values())


def test_equal_accuracies_differ_by_nothing() -> None:
    thirds = [(a / 5 + b / 5 + c / 5) / 3 for a, b, c in ((1, 2, 3), (2, 2, 2))]
    found = comparisons.gain([round(one, 12) for one in thirds], [0.4, 0.4])
    assert (found.value, found.low, found.high) == (0, 0, 0)
    assert comparisons.rank([0.4] * 3) == 0 and comparisons.rank([1, 2, 3]) == pytest.approx(1)


def test_draws_are_not_called_seeds(record: Results) -> None:
    """What carries the values of its repetitions is counted in seeds, and marked if it has one."""
    for name in ("layers", "transfer"):
        rows = record.table(name).rows
        numbers = [cell for row in rows for cell in row if isinstance(cell, Number)]
        assert len(numbers) > 5 and not any(one.values for one in numbers)
    ablations = [cells(record, "ablations", arm)["train"] for arm in ARMS]
    assert all(isinstance(one, Number) and len(one.values) == 2 for one in ablations)


def test_the_paper_s_accuracies_stand_beside_ours(record: Results) -> None:
    table = {"layer1": (44.8, 24.6), "layer2": (66.2, 39.6), "layer3": (72.3, 46.0),
             "layer4": (76.6, 51.3), "layer5": (86.2, 65.6), "layer7": (85.5, 71.7)}  # fmt: skip
    assert record.table("layers").column("layer") == ("pixels", *LAYERS)
    for layer in ("pixels", *LAYERS):
        row = cells(record, "layers", layer)
        svm, softmax = table.get(layer), {"layer5": (82.9, 65.7), "layer7": (85.4, 72.6)}.get(layer)
        for kind, pair in (("svm", svm), ("softmax", softmax)):
            assert row[f"printed_{kind}"] == (pair and pytest.approx(pair[0] / 100))
            assert row[f"printed_{kind}_256"] == (pair and pytest.approx(pair[1] / 100))
    assert record.numbers["rise_printed"].value == pytest.approx(85.5 - 44.8)
    theirs = {15: (22.8, 83.8, 9.0, 65.7), 30: (46.5, 86.5, 22.5, 70.6),
              45: (None, None, 31.2, 72.7), 60: (None, None, 38.8, 74.2)}  # fmt: skip
    assert record.table("transfer").column("k") == (*K, 15, 30, 45, 60)
    for k in (*K, 15, 30, 45, 60):
        row = cells(record, "transfer", k)  # type: ignore[arg-type]
        assert (row["scratch"] is None) == (k not in K)
        names = [
            f"{a}_{b}" for b in ("caltech101", "caltech256") for a in ("scratch", "pretrained")
        ]
        for name, value in zip(names, theirs.get(k, (None,) * 4), strict=True):
            assert row[name] == (value and pytest.approx(value / 100))
