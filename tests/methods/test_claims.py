"""What decides a claim: paired tests, intervals and permutations against scipy and statsmodels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar

from research.methods.statistics import (
    claim_draws,
    claim_mcnemar,
    claim_of,
    claim_one_more,
    claim_pairs,
    claim_permutation,
    one_more,
    over_samples,
    over_seeds,
    wilson,
)

RNG = np.random.default_rng(0)


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


@settings(deadline=None)  # a busy machine is no failure
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
