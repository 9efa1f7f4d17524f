"""Intervals and tests against scipy, statsmodels and algebra, and how often they hold the truth."""

import dataclasses

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from research.errors import ArgumentError
from research.methods.resampling import bootstrap, percentile_interval, resamples
from research.methods.statistics import (
    holm,
    mcnemar,
    one_more,
    over_samples,
    over_seeds,
    paired,
    permutation_p,
    wilson,
)

RNG = np.random.default_rng(0)


def test_interval_equals_scipys() -> None:
    values = [0.31, 0.35, 0.29, 0.40]
    number = over_seeds(values, "dB")
    low, high = stats.t.interval(0.95, 3, loc=np.mean(values), scale=stats.sem(values))
    assert number.half_width
    assert (number.value - number.half_width, number.value + number.half_width) == pytest.approx(
        (low, high)
    )
    assert (number.n, number.unit) == (4, "dB")


def test_values_over_seeds_are_kept_and_those_over_samples_are_not() -> None:
    assert over_seeds([1, 2.5]).values == (1.0, 2.5)
    assert over_samples([1, 2.5]) == dataclasses.replace(over_seeds([1, 2.5]), values=())
    assert over_seeds([1.0]).lone
    assert not over_samples([1.0]).lone


def test_one_seed_has_no_interval() -> None:
    number = over_seeds([0.5])
    assert (number.value, number.half_width, number.n) == (0.5, None, 1)


def test_intervals_of_three_hold_the_mean_in_95_of_100_cases() -> None:
    draws = np.random.default_rng(0).normal(2, 3, (2000, 3))
    held = 0
    for values in draws:
        number = over_seeds(list(values))
        assert number.half_width is not None
        held += abs(number.value - 2) < number.half_width
    # 2,000 trials: the standard deviation of the share is 0.005
    assert held / 2000 == pytest.approx(0.95, abs=0.02)


def test_one_more_run_lies_in_its_interval_in_95_of_100_cases() -> None:
    held = 0
    for _ in range(2000):
        *values, further = RNG.normal(3, 2, 6)
        low, high = one_more(values).bounds or (0, 0)
        held += low <= further <= high
    assert held / 2000 == pytest.approx(0.95, abs=0.02)
    assert one_more([0.5]).bounds is None
    # t(0.975; 2) = 4.30265 times sd 1 times the root of 1 + 1/3
    assert one_more([1, 2, 3]).half_width == pytest.approx(4.30265 * (4 / 3) ** 0.5, rel=1e-5)
    assert one_more([1, 2]).bounds is None


def test_a_paired_difference_equals_scipys() -> None:
    before, after = RNG.normal(0, 5, 6), RNG.normal(1, 5, 6)
    number = paired(list(before), list(after), "dB")
    test = stats.ttest_rel(after, before)
    assert number.value == pytest.approx(np.mean(after) - np.mean(before))
    assert number.bounds == pytest.approx(tuple(test.confidence_interval(0.95)))
    assert (number.n, number.unit) == (6, "dB")


def test_a_mean_needs_a_value() -> None:
    with pytest.raises(ArgumentError, match="at least one value, got none"):
        over_seeds([])


def test_pairs_need_a_partner_each() -> None:
    with pytest.raises(ArgumentError, match="as many values of a as of b, got 1 and 2"):
        paired([1.0], [1.0, 2.0])


# --- shares and tests ----------------------------------------------------------------------------


@pytest.mark.parametrize(("successes", "trials"), [(0, 9), (9, 9), (1, 3), (274, 468), (1, 1)])
def test_score_interval_equals_statsmodels_and_solves_its_equation(
    successes: int, trials: int
) -> None:
    number = wilson(successes, trials)
    assert number.value == successes / trials
    assert (number.n, number.half_width) == (trials, None)
    expected = proportion_confint(successes, trials, method="wilson")
    assert number.bounds == pytest.approx(expected, abs=1e-12)
    # (p̂ - p)² = z² p (1 - p) / n at both ends
    z2 = stats.norm.ppf(0.975) ** 2 / trials
    roots = np.roots([1 + z2, -2 * number.value - z2, number.value**2])
    assert number.bounds == pytest.approx(sorted(roots), abs=1e-7)


def test_no_trials_have_no_share() -> None:
    with pytest.raises(ValueError, match="at least one trial, got 0"):
        wilson(0, 0)


@pytest.mark.parametrize("rates", [(0.9, 0.8), (0.7, 0.7), (0.99, 0.6)])
def test_paired_rates_compare_as_in_statsmodels(rates: tuple[float, float]) -> None:
    a, b = (RNG.random(60) < rate for rate in rates)
    table = [[(a & b).sum(), (a & ~b).sum()], [(~a & b).sum(), (~a & ~b).sum()]]
    expected = statsmodels_mcnemar(table, exact=True).pvalue
    assert mcnemar(a, b) == mcnemar(b, a) == pytest.approx(expected, rel=1e-12)


def test_five_against_none_is_two_in_32() -> None:
    a = np.array([True] * 8)
    b = np.array([True] * 3 + [False] * 5)
    assert mcnemar(a, b) == pytest.approx(2 / 32)
    assert mcnemar(a, a) == 1


@pytest.mark.parametrize("p", [[0.01, 0.04, 0.03, 0.005], [0.5, 0.9, 0.6], [0.03], [0.02, 0.02]])
def test_adjusted_p_values_equal_statsmodels(p: list[float]) -> None:
    assert holm(p) == pytest.approx(multipletests(p, method="holm")[1])


def test_no_p_values_stay_none() -> None:
    assert holm([]) == []


def test_permutation_p_counts_the_observation_itself() -> None:
    null = np.array([0.1, 0.2, 0.3, 0.4])
    assert [permutation_p(x, null) for x in (0.5, 0.3, 0.0)] == [1 / 5, 3 / 5, 1]


# --- bootstrap -----------------------------------------------------------------------------------


def test_resamples_keep_the_size_of_every_class() -> None:
    labels = np.array([5, 2, 2, 5, 2, 9])
    counts = resamples(labels, 500, seed=1)
    assert counts.shape == (500, 6)
    for label, size in ((5, 2), (2, 3), (9, 1)):
        assert (counts[:, labels == label].sum(1) == size).all()


def test_a_resampled_count_is_binomial() -> None:
    counts = resamples(np.zeros(4, int), 40000, seed=0)
    for column in counts.T:
        shares = np.bincount(column.astype(int), minlength=5) / 40000
        # 40,000 draws: the standard deviation of a share is at most 0.0025
        assert shares == pytest.approx(stats.binom.pmf(range(5), 4, 1 / 4), abs=0.01)
    assert np.asarray(np.corrcoef(counts.T))[0, 1] == pytest.approx(-1 / 3, abs=0.02)


def test_resamples_repeat_and_differ_by_seed() -> None:
    labels = np.repeat([0, 1], 20)
    first, again, other = (resamples(labels, 10, seed) for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_percentiles_leave_a_fortieth_on_either_side() -> None:
    number = percentile_interval(30.0, np.arange(201.0), "nat", n=7)
    assert (number.value, number.unit, number.n) == (30, "nat", 7)
    assert number.bounds == (5, 195)


def test_bootstrap_of_a_mean_is_near_its_normal_limit() -> None:
    values = RNG.normal(3, 2, 400)
    number = bootstrap(lambda chosen: float(values[chosen].mean()), 400, times=4000, unit="mm")
    error = values.std() / 400**0.5
    assert number.bounds is not None
    assert number.value == pytest.approx(values.mean())
    assert (number.unit, number.n) == ("mm", 400)
    ends = values.mean() - 1.96 * error, values.mean() + 1.96 * error
    assert number.bounds == pytest.approx(ends, abs=0.15 * error)


def test_bootstrap_intervals_hold_a_skewed_mean_in_95_of_100_cases() -> None:
    held = 0
    for seed in range(400):
        values = np.random.default_rng(1000 + seed).exponential(2, 100)

        def mean(chosen: np.ndarray, values: np.ndarray = values) -> float:
            return float(values[chosen].mean())

        low, high = bootstrap(mean, 100, times=300, seed=seed).bounds or (0, 0)
        held += low < 2 < high
    # 400 trials: the standard deviation of the share is 0.011; skewness costs about a point
    assert held / 400 == pytest.approx(0.94, abs=0.03)


def test_bootstrap_repeats_its_bits() -> None:
    values = RNG.standard_normal(30)
    first, again, other = (
        bootstrap(lambda chosen: float(np.median(values[chosen])), 30, times=50, seed=seed)
        for seed in (3, 3, 4)
    )
    assert first == again != other
