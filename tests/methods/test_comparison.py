"""What few values can tell, against scipy and by hand."""

import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from research.methods.comparison import beside, resolution
from research.methods.statistics import over_seeds

OURS = [1.10, 1.20, 1.15]


def test_the_smallest_difference_is_that_of_one_more_run() -> None:
    found = beside(OURS, 1.09)
    reach = stats.t.ppf(0.975, 2) * np.std(OURS, ddof=1) * math.sqrt(1 + 1 / 3)
    assert found.resolvable and found.resolvable.value == pytest.approx(reach)
    assert found.ratio.value == pytest.approx(1.15 / 1.09) and not found.differs
    assert beside(OURS, 1.15 + 1.01 * reach).differs
    assert not beside(OURS, 1.15 + 0.99 * reach).differs


def test_of_a_share_the_reach_is_that_on_the_side_of_the_published_value() -> None:
    ours = [0.95, 0.97, 0.98]
    below, above = beside(ours, 0.5, range=(0, 1)), beside(ours, 0.99, range=(0, 1))
    assert below.resolvable and above.resolvable
    assert above.resolvable.value < 1 - np.mean(ours) < below.resolvable.value


def test_fewer_than_three_runs_tell_nothing() -> None:
    found = beside([1.0, 2.0], 100.0)
    assert found.resolvable is None and not found.differs
    assert math.isnan(beside(OURS, 0.0).ratio.value)


def test_pairs_are_those_that_holms_adjustment_of_paired_tests_leaves() -> None:
    rng = np.random.default_rng(3)
    groups = [list(rng.normal(mean, 0.05, 5)) for mean in (1.0, 1.05, 1.6, 1.62)]
    places = [(a, b) for a in range(4) for b in range(a + 1, 4)]
    p = [stats.ttest_rel(groups[a], groups[b]).pvalue for a, b in places]
    rejected = multipletests(p, 0.05, "holm")[0].sum()
    found = resolution([over_seeds(group) for group in groups])
    assert 0 < rejected < 6
    assert (found.apart, found.pairs) == (rejected, 6) and not found.shows_nothing
    means = [np.mean(group) for group in groups]
    assert found.largest == pytest.approx(max(means) - min(means))


def test_other_seeds_are_compared_by_welchs_test() -> None:
    a, b = [1.0, 1.2, 0.9], [1.5, 1.4, 1.7, 1.6]
    ends = stats.ttest_ind(b, a, equal_var=False).confidence_interval(0.95)
    assert resolution([a, b]).resolvable == pytest.approx((ends.high - ends.low) / 2)


def test_within_resolution_nothing_is_shown() -> None:
    assert resolution([OURS, [1.12, 1.13, 1.19]]).shows_nothing
    assert resolution([OURS[:2], [9.0, 9.1]]).shows_nothing
    assert resolution([OURS]).pairs == 0
    told = resolution([OURS, [1.12, 1.13, 1.19]]).numbers("arms", "dB")
    assert [*told] == ["arms_apart", "arms_pairs", "arms_largest", "arms_resolvable"]
    assert (told["arms_pairs"].value, told["arms_largest"].unit) == (1, "dB")
    assert "arms_resolvable" not in resolution([OURS[:2], [9.0, 9.1]]).numbers("arms")
    assert not resolution([[1.0, 1.0, 1.0], [2.0, 2.0, 2.0]]).shows_nothing
