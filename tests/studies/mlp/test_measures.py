"""What the study `mlp` makes of reports and spaces whose answer is known."""

import numpy as np
import pytest

from research.methods.classification import report
from research.records import Number
from research.studies.mlp import measures

from .planted import notebook, planted
from .tiny import ARMS


def test_doses_are_tested_on_the_ones_and_adjusted_over_doses() -> None:
    # seed 0: 1, 6 and 8 ones more are right with weights, seed 1: 10, 7 and 8
    counts = {9: (1, 10), 5: (6, 7), 1: (8, 8)}
    plain = {dose: [planted([10, 0])] * 2 for dose in counts}
    balanced = {dose: [planted([0, n]) for n in seeds] for dose, seeds in counts.items()}
    ones = np.repeat([False, True], 10)
    p = measures.dose_tests(plain, balanced, ones, 1)
    # exact p of n discordant pairs on one side is 2 / 2^n; times 3, 2, 1 from the smallest on
    assert p[9] == pytest.approx(1.0)
    assert p[5] == pytest.approx(max(2 * 2 / 2**6, 1 * 2 / 2**7))
    assert p[1] == pytest.approx(max(3 * 2 / 2**8, 2 * 2 / 2**8))


def test_what_weighting_recovers_is_a_share_of_what_was_lost() -> None:
    logged, log = notebook()
    groups = {"baseline": ([9, 10], [8, 10]), "biased": ([8, 2], [9, 6])}
    reports = {arm: [planted(one) for one in pair] for arm, pair in groups.items()}
    measures.log_costs(reports | {"biased-weighted": [planted([5, 6])]}, 1, log)
    assert logged["recovered"].value == pytest.approx(4 / 8)
    assert logged["recall_change"].value == pytest.approx(-60)
    assert logged["recall_gain"].value == pytest.approx(40)
    assert logged["others_change"].value == pytest.approx((-10 + 10) / 2)
    assert logged["accuracy_gain"].value == pytest.approx(100 * (11 - 10) / 20)
    logged, log = notebook()
    swapped = {"biased": reports["baseline"], "biased-weighted": reports["biased"]}
    measures.log_costs(reports | swapped, 1, log)
    assert "recovered" not in logged


def test_pairs_of_seeds_span_from_the_least_to_the_greatest_distance() -> None:
    rng = np.random.default_rng(0)
    axes = np.linalg.qr(rng.normal(size=(50, 3)) - rng.normal(size=3))[0]
    axes = np.linalg.qr(axes - axes.mean(0))[0]  # uncorrelated, of one variance
    spread = np.sqrt([[0.5, 0.3, 0.2], [0.6, 0.3, 0.1], [0.9, 0.1, 0.0]])
    # the scale must not count, the directions must
    spaces = {arm: [k * axes * s for k, s in zip((1, 7, 3), spread, strict=True)] for arm in ARMS}
    logged, log = notebook()
    measures.measure_spaces(spaces, log)
    assert logged["seed_pairs"] == 3
    apart = [np.linalg.norm(spread[a] - spread[b]) for a, b in ((0, 1), (1, 2), (0, 2))]
    for measure in ("spectral", "bures"):
        assert logged[f"{measure}_seeds_least"].value == pytest.approx(min(apart))
        assert logged[f"{measure}_seeds_greatest"].value == pytest.approx(max(apart))
    assert logged["spread_baseline"].value == pytest.approx(11 / 3 / 7, rel=1e-6)


def test_an_arm_is_judged_against_another_order_in_pairs_of_seeds() -> None:
    space = np.random.default_rng(1).normal(size=(40, 2))
    wide, wider = space * [1, 3], space * [1, 9]
    same = [space, space]
    spaces = {"baseline": same, "reordered": [wide, space], "lr": [5 * space, wide]}
    spaces |= {"deep": [wider, wider], "biased": [wide, wide]}
    logged, log = notebook()
    measures.measure_spaces(spaces, log)
    far = logged["spectral_reordered"].value * 2
    assert far > 0
    found = logged["spectral_excess_lr"]
    assert found.value == pytest.approx(0)
    assert found.span == pytest.approx((-far, far), rel=1e-3)
    assert logged["spectral_excess_biased"].value == pytest.approx(far / 2)
    assert logged["frobenius_excess_biased"].value == pytest.approx(
        logged["frobenius_reordered"].value
    )
    assert logged["spectral_excess_deep"].value > far / 2


def test_a_digit_is_named_by_its_class_not_its_index() -> None:
    classes = [*"9876543210"]  # the ones have the label 8
    logits = np.eye(10)[[8, 8, 8, 8, 2, 2, 2, 5, 5, 0]]
    one = report(np.full(10, 8), logits)
    logged, log = notebook()
    arms = {arm: [one] for arm in ("baseline", "biased", "biased-weighted")}
    measures.log_lost(arms, 8, classes, log)
    assert (logged["lost_class_1"], logged["lost_class_2"]) == (7, 4)
    assert logged["lost_share_1"].value == pytest.approx(0.3)


@pytest.mark.filterwarnings("error")
def test_a_space_that_is_one_point_has_no_shape() -> None:
    point, space = np.ones((20, 3)), np.random.default_rng(0).normal(size=(20, 3))
    for pair in ((point, space), (space, point), (point, point)):
        found = measures.apart(*pair)
        assert found.keys() == set(measures.DISTANCES)
        assert all(np.isnan(value) for value in found.values())
    assert measures.apart(point, space[:, :2]).keys() == {"spectral", "cka"}
    shape = measures.shape_of([point, point])
    assert isinstance(shape["spread"], Number) and shape["spread"].value == 0
    assert isinstance(shape["dimension"], Number) and np.isnan(shape["dimension"].value)
