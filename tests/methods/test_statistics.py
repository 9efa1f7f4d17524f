"""Intervals and tests against scipy, statsmodels and algebra, and how often they hold the truth."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.genmod.families.links import Logit
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from research.errors import ArgumentError
from research.methods.resampling import bootstrap, percentile_interval, resamples
from research.methods.statistics import (
    claim_draws,
    claim_mcnemar,
    claim_of,
    claim_one_more,
    claim_pairs,
    claim_permutation,
    holm,
    mcnemar,
    one_more,
    over_samples,
    over_seeds,
    paired,
    permutation_p,
    wilson,
)
from research.records import Number

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


# --- claims --------------------------------------------------------------------------------------


def test_a_claim_of_pairs_is_scipys_paired_test() -> None:
    before, after = RNG.normal(0, 1, 5), RNG.normal(3, 1, 5)
    claim = claim_pairs(list(before), list(after), "greater", "dB")
    test = stats.ttest_rel(after, before)
    assert claim.p == pytest.approx(test.pvalue)
    assert claim.effect.bounds == pytest.approx(tuple(test.confidence_interval(0.95)))
    assert (claim.n, claim.effect.unit, claim.outcome) == (5, "dB", "holds")
    assert claim_pairs(list(before), list(after), "less").outcome == "fails"


def test_a_baseline_without_a_seed_is_a_constant_of_the_pairs() -> None:
    over = over_seeds([0.31, 0.35, 0.29])
    below, above = over_samples([0.1]), over_samples([0.3])
    claim = claim_pairs(below, over, "greater")
    assert claim.p == pytest.approx(stats.ttest_1samp(over.values, 0.1).pvalue)
    assert claim.outcome == "holds"
    assert claim_pairs(over, below, "greater").outcome == "fails"
    assert claim_pairs(above, over, "greater").outcome == "undecided"


def test_a_single_seed_decides_nothing() -> None:
    claim = claim_pairs([1.0], [9.0], "greater")
    assert (claim.outcome, claim.p, claim.n) == ("undecided", None, 1)
    assert claim_of(over_samples([1.0]), "greater").outcome == "undecided"


def test_a_claim_over_draws_is_scipys_test_and_counts_no_seeds() -> None:
    values = [0.2, 0.5, 0.4, 0.3]
    claim = claim_draws(values, "greater", "dB", test="over")
    assert claim.effect == over_samples(values, "dB") and not claim.effect.values
    assert claim.p == pytest.approx(stats.ttest_1samp(values, 0).pvalue)
    assert (claim.n, claim.test, claim.outcome) == (4, "over", "holds")
    assert claim_draws([0.2], "greater", test="over").outcome == "undecided"


def test_a_claim_of_one_more_run_is_the_t_test_of_two_samples_of_which_one_has_one_value() -> None:
    values = [1.1, 1.3, 1.25]
    for known in (0.6, 0.9, 2.0):
        claim = claim_one_more(values, known, "greater")
        p = stats.ttest_ind(values, [known]).pvalue
        assert claim.p == pytest.approx(p)
        assert claim.effect == one_more(values)
        assert (claim.outcome == "undecided") == (p > 0.05)
    assert claim.outcome == "fails" and claim_one_more(values, 0.1, "greater").outcome == "holds"
    lone = claim_one_more([1.1], 0.1, "greater")
    assert (lone.outcome, lone.p, lone.n) == ("undecided", None, 1)
    assert claim_one_more([1.0, 1.0], 0.1, "greater").p is None


def test_a_claim_of_a_number_looks_at_its_interval_and_the_threshold() -> None:
    share = wilson(60, 100)  # 0.502 to 0.691
    assert claim_of(share, "greater", 0.5).outcome == "holds"
    assert claim_of(share, "less", 0.5).outcome == "fails"
    assert claim_of(share, "greater", 0.55).outcome == "undecided"
    assert claim_of(share, "greater", 0.7).outcome == "fails"


@given(st.integers(0, 25), st.integers(0, 25), st.integers(0, 5))
def test_mcnemars_interval_excludes_zero_where_statsmodels_rejects(a: int, b: int, c: int) -> None:
    first = np.array([True] * a + [False] * b + [True] * (c + 1))
    second = np.array([False] * a + [True] * b + [True] * (c + 1))
    claim = claim_mcnemar(first, second, "greater")
    oracle = statsmodels_mcnemar([[c + 1, a], [b, 0]], exact=True).pvalue
    assert claim.p == pytest.approx(min(1, oracle))
    assert claim.effect.value == pytest.approx(second.mean() - first.mean())
    assert claim.effect.bounds
    assert (claim.outcome == "undecided") == (oracle > 0.05)
    assert (claim.outcome == "holds") == (oracle <= 0.05 and b > a)


def test_a_claim_of_a_permutation_by_hand() -> None:
    null = np.arange(-100.0, 101.0)  # 201 values, their mean 0, 95 % within 95
    claim = claim_permutation(99.0, null, "greater", 30)
    assert (claim.effect.value, claim.effect.bounds) == (99.0, (4.0, 194.0))
    assert claim.p == pytest.approx(2 * 3 / 202)
    assert claim.outcome == "holds"
    assert claim_permutation(-99.0, null, "greater", 30).outcome == "fails"
    assert claim_permutation(10.0, null, "greater", 30).outcome == "undecided"


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("values", [[1.0, np.nan, 2.0], [np.inf, 1.0, 2.0], [np.inf, -np.inf]])
def test_what_is_not_finite_has_a_mean_and_decides_nothing(values: list[float]) -> None:
    number = over_seeds(values)
    assert not np.isfinite(number.value) and number.bounds is None and number.n == len(values)
    claim = claim_pairs([0.0] * len(values), values, "greater")
    assert claim.p is None and claim.outcome == "undecided"
    one = claim_one_more(values, 0.0, "less")
    assert one.p is None and one.outcome == "undecided"


@pytest.mark.filterwarnings("error")
def test_equal_values_are_told_by_themselves_and_have_no_p() -> None:
    claim = claim_pairs([1.0, 1.0, 1.0], [2.0, 2.0, 2.0], "greater")
    assert claim.p is None and claim.outcome == "holds" and claim.effect.bounds == (1, 1)
    assert claim_pairs([1.0, 1.0], [1.0, 1.0], "greater").outcome == "undecided"


# --- bounded quantities --------------------------------------------------------------------------

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
