"""Uncertainty of measured values."""

from collections.abc import Sequence

import numpy as np
from scipy import stats

from research.results import Number


def over_seeds(values: Sequence[float], unit: str = "") -> Number:
    """Mean and 95 % confidence interval of independent repetitions, by Student's t.

    The interval assumes normally distributed repetitions and speaks of the mean over seeds, not of
    one more run; with a single value there is none.
    """
    n = len(values)
    if n == 1:
        return Number(float(values[0]), unit)
    error = float(np.std(values, ddof=1)) / n**0.5
    half_width = float(stats.t.ppf(0.975, n - 1)) * error
    return Number(float(np.mean(values)), unit, half_width, n)
