"""Intervals against scipy, and against how often they hold the truth."""

import numpy as np
import pytest
from scipy import stats

from research.stats import over_seeds


def test_interval_equals_scipys() -> None:
    values = [0.31, 0.35, 0.29, 0.40]
    number = over_seeds(values, "dB")
    low, high = stats.t.interval(0.95, 3, loc=np.mean(values), scale=stats.sem(values))
    assert number.half_width
    assert (number.value - number.half_width, number.value + number.half_width) == pytest.approx(
        (low, high)
    )
    assert (number.n, number.unit) == (4, "dB")


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
