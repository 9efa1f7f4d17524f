"""Intervals of bounded quantities: shares, correlations and differences of shares.

A mean m of repetitions that lie between a and b is put on the scale log((m - a) / (b - m)), its
standard error with it by the delta method; the ends of Student's interval there are put back. So
the interval never leaves the range, whatever the spread. Between 0 and 1 that is the logit, between
-1 and 1 twice Fisher's z.

References:
    Categorical Data Analysis, section 3.1 (Agresti, 2002), for the logit of a share.
    On the Probable Error of a Coefficient of Correlation Deduced from a Small Sample
    (Fisher, 1921).
"""

import math
from collections.abc import Sequence

from scipy import stats

from research.errors import ArgumentError
from research.records.measured import FISHER, LOGIT, PERCENT, POINTS, SHARE, Range

UNITS = {"%": PERCENT, "points": POINTS}
"""Units that bound what they measure."""
ROUNDING = 1e-6
"""Share of the range by which arithmetic in single precision may carry a value out of it."""


def range_of(values: Sequence[float], unit: str, wanted: Range | None) -> Range | None:
    """The range of values: the one that is wanted, that of their unit, None where none is known.

    Raises:
        ArgumentError: a value lies outside of the wanted range.

    Example:
        >>> range_of([97.5, 98.1], "%", None)
        (0.0, 100.0)
    """
    known = wanted or UNITS.get(unit)
    if known is None:
        return None
    low, high = known
    slack = ROUNDING * (high - low)
    outside = [value for value in values if not low - slack <= value <= high + slack]
    outside = [value for value in outside if not math.isnan(value)]
    if wanted and outside:
        raise ArgumentError(f"values lie in {low:g} to {high:g}, got {outside[0]:g}")
    return None if outside else known


def on_scale(value: float, known: Range) -> tuple[float, float]:
    """A value on the unbounded scale, and the slope of the scale there.

    Example:
        >>> on_scale(0.5, (0, 1))
        (0.0, 4.0)
    """
    low, high = known
    return math.log((value - low) / (high - value)), (high - low) / (value - low) / (high - value)


def interval(mean: float, error: float, n: int, known: Range) -> tuple[float, float]:
    """The ends of the 95 % interval of a mean of n repetitions whose standard error is `error`.

    Example:
        >>> [round(end, 3) for end in interval(0.9, 0.1, 3, (0, 1))]
        [0.07, 0.999]
    """
    low, high = known
    if not low < mean < high:  # then all repetitions lie at that end
        return mean, mean
    middle, slope = on_scale(mean, known)
    reach = float(stats.t.ppf(0.975, n - 1)) * error * slope
    ends = (_back(middle - reach, known), _back(middle + reach, known))
    # at the very end of the range rounding may put them past the mean
    return min(ends[0], mean), max(ends[1], mean)


def name_of(known: Range) -> str:
    """How the interval is called: logit, or Fisher's z.

    Example:
        >>> name_of((-1, 1)) == FISHER, name_of((0, 1)) == LOGIT
        (True, True)
    """
    return LOGIT if known in (SHARE, PERCENT) or known[0] == 0 else FISHER


def _back(scaled: float, known: Range) -> float:
    low, high = known
    if scaled > 0:
        return high - (high - low) * math.exp(-scaled) / (1 + math.exp(-scaled))
    return low + (high - low) * math.exp(scaled) / (1 + math.exp(scaled))
