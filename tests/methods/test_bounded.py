"""Intervals of bounded quantities against statsmodels' logit, Fisher's scale and the truth."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.genmod.families.links import Logit

from research.errors import ArgumentError
from research.methods.statistics import (
    claim_of,
    over_samples,
    over_seeds,
)
from research.records import Number

RANGES = st.sampled_from([(0.0, 1.0), (-1.0, 1.0), (0.0, 100.0), (-100.0, 100.0)])


@given(RANGES, st.lists(st.floats(0, 1), min_size=3, max_size=6))
def test_no_interval_leaves_the_range(known: tuple[float, float], shares: list[float]) -> None:
    low, high = known
    number = over_seeds([low + (high - low) * share for share in shares], range=known)
    ends = number.bounds
    assert ends is not None
    assert low <= ends[0] <= number.value + 1e-9 and number.value - 1e-9 <= ends[1] <= high


def test_a_bounded_interval_is_students_on_the_scale_of_statsmodels_logit() -> None:
    values = [0.91, 0.95, 0.97]
    logit = Logit()
    mean, error = np.mean(values), stats.sem(values)
    reach = stats.t.ppf(0.975, 2) * error * logit.deriv(mean)
    ends = logit.inverse(logit(mean) + np.array([-reach, reach]))
    number = over_seeds(values, range=(0, 1))
    assert number.bounds == pytest.approx(ends) and number.interval == "logit"
    per_cent = over_seeds([100 * value for value in values], "%")
    assert per_cent.bounds == pytest.approx(100 * ends) and per_cent.range == (0, 100)


def test_the_interval_of_correlations_is_students_on_fishers_scale() -> None:
    values = [0.5, 0.7, 0.8]
    mean, error = np.mean(values), stats.sem(values)
    reach = stats.t.ppf(0.975, 2) * error / (1 - mean**2)  # atanh' = 1 / (1 - r²)
    number = over_seeds(values, range=(-1, 1))
    assert number.bounds == pytest.approx(np.tanh(np.arctanh(mean) + np.array([-reach, reach])))
    assert number.interval == "Fisher's z"


def test_bounded_intervals_of_three_hold_the_mean_more_often_than_those_cut_off() -> None:
    rng, held, cut = np.random.default_rng(0), 0, 0
    for values in rng.beta(18, 2, (2000, 3)):
        low, high = over_seeds(list(values), range=(0, 1)).bounds or (0, 0)
        held += low <= 0.9 <= high
        plain = over_seeds(list(values)).bounds or (0, 0)
        cut += max(plain[0], 0) <= 0.9 <= min(plain[1], 1)
    # 2,000 trials: the standard deviation of the share is 0.005
    assert held / 2000 == pytest.approx(0.95, abs=0.02) and held > cut


def test_two_repetitions_have_no_interval_and_decide_nothing() -> None:
    pair = over_seeds([0.2, 0.4])
    assert pair.bounds is None and pair.half_width is None and pair.span == (0.2, 0.4)
    claim = claim_of(over_seeds([5.0, 5.1]), "greater")
    assert claim.outcome == "undecided"
    assert claim.p == pytest.approx(stats.ttest_1samp([5.0, 5.1], 0).pvalue)


def test_a_value_out_of_its_range_is_refused_and_one_without_a_given_range_has_none() -> None:
    with pytest.raises(ArgumentError, match=r"values lie in 0 to 1, got 1\.2"):
        over_seeds([0.5, 1.2, 0.6], range=(0, 1))
    assert over_seeds([120.0, 110.0, 90.0], "%").range is None


@given(st.lists(st.floats(0.05, 0.95), min_size=3, max_size=6), st.floats(0.1, 0.9))
def test_p_of_a_bounded_effect_agrees_with_its_interval(values: list[float], known: float) -> None:
    if np.ptp(values) < 1e-3:
        return
    claim = claim_of(over_seeds(values, range=(0, 1)), "greater", known)
    assert claim.p is not None
    if abs(claim.p - 0.05) > 1e-6:
        assert (claim.p < 0.05) == (claim.outcome != "undecided")


def test_a_claim_at_the_end_of_a_range_can_fail() -> None:
    """The bounded interval never reaches 0, so it would let every claim of this kind hold."""
    claim = claim_of(over_seeds([0.0, 0.0, 0.3], range=(0, 1)), "greater", 0.0)
    assert claim.outcome == "undecided"
    assert claim.p == pytest.approx(stats.ttest_1samp([0.0, 0.0, 0.3], 0).pvalue)


def test_p_of_an_effect_without_seeds_is_read_off_its_interval() -> None:
    values = [0.2, 0.5, 0.4, 0.3]
    plain = claim_of(over_samples(values), "greater", 0.1, test="over")
    assert plain.p == pytest.approx(stats.ttest_1samp(values, 0.1).pvalue)
    lopsided = claim_of(Number(0.5, low=0.1, high=0.6), "greater", test="bootstrap")
    assert lopsided.p == pytest.approx(2 * stats.norm.sf(0.5 / 0.4 * stats.norm.ppf(0.975)))
    assert claim_of(Number(0.5), "greater").p is None


def test_a_cosine_in_single_precision_may_be_a_little_over_one() -> None:
    over = over_seeds([float(np.nextafter(np.float32(1), 2)), 0.9, 0.95], range=(-1, 1))
    assert over.bounds is not None and over.bounds[1] <= 1
    with pytest.raises(ArgumentError, match=r"values lie in -1 to 1, got 1\.0001"):
        over_seeds([1.0001, 0.9, 0.95], range=(-1, 1))
