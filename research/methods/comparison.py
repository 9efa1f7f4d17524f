"""What few values can tell: beside one that somebody published, and beside each other."""

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
from scipy import stats

from research.methods.statistics import one_more, over_seeds
from research.records import Number
from research.records.family import holm
from research.records.measured import FEWEST, Range


class Beside(NamedTuple):
    """Our runs beside the one run of a source.

    Attributes:
        ratio: of ours to the source's, its mean over seeds with interval.
        resolvable: the smallest difference from the source's value that our runs could have told
            from chance, by the interval of one more run on the side of that value; None below
            three runs, which tell nothing.
        differs: whether the source's value lies out of that interval.
    """

    ratio: Number
    resolvable: Number | None
    differs: bool


def beside(
    values: Sequence[float], published: float, unit: str = "", range: Range | None = None
) -> Beside:
    """Our runs beside one published value, which is one run too.

    A value that lies within what one more of our runs could come to is no confirmation where
    `resolvable` is large: then nearly any value would.

    Arguments:
        values: ours, one per seed.
        range: the values that both can have, as in `statistics.over_samples`.

    Example:
        >>> found = beside([0.8, 1.0, 1.2], published=2.0)
        >>> found.ratio.value, round(found.resolvable.value, 3), found.differs
        (0.5, 0.994, True)
    """
    ratio = over_seeds([value / published if published else np.nan for value in values])
    expected = one_more(values, unit, range)
    if len(values) < FEWEST or expected.bounds is None:
        return Beside(ratio, None, False)
    low, high = expected.bounds
    reach = expected.value - low if published < expected.value else high - expected.value
    return Beside(ratio, Number(reach, unit, n=len(values)), not low <= published <= high)


class Resolution(NamedTuple):
    """Whether values can be told apart at all.

    Attributes:
        apart: how many pairs of them can be, by Holm's adjustment over all pairs.
        pairs: how many pairs there are.
        largest: the largest difference between two means.
        resolvable: the smallest difference that this pair could have shown, the half-width of its
            95 % interval; nan below three repetitions.
    """

    apart: int
    pairs: int
    largest: float
    resolvable: float

    @property
    def shows_nothing(self) -> bool:
        """Whether all values are within resolution: a sentence says as much as a figure of them."""
        return self.apart == 0

    def numbers(self, name: str, unit: str = "") -> dict[str, Number]:
        """For a record: `NAME_apart`, `NAME_pairs`, `NAME_largest` and, where there is one,
        `NAME_resolvable`."""
        told = {"apart": Number(self.apart), "pairs": Number(self.pairs)}
        sizes = {"largest": self.largest, "resolvable": self.resolvable}
        told |= {key: Number(size, unit) for key, size in sizes.items() if not np.isnan(size)}
        return {f"{name}_{key}": number for key, number in told.items()}


def resolution(groups: Sequence[Number | Sequence[float]], *, pairs: bool = True) -> Resolution:
    """Whether any two of several means over seeds can be told apart.

    Arguments:
        groups: values by seed, or numbers that carry them.
        pairs: whether the seeds of all groups are the same, so that they are compared in pairs.

    Example:
        >>> resolution([[1.0, 1.1, 0.9], [1.05, 0.95, 1.0]]).shows_nothing
        True
        >>> resolution([[1.0, 1.1, 0.9], [2.0, 2.1, 1.9], [2.0, 2.0, 2.1]]).apart
        2
    """
    runs = [one.values if isinstance(one, Number) else tuple(map(float, one)) for one in groups]
    found = [_compared(a, b, pairs and len(a) == len(b)) for a, b in combinations(runs, 2)]
    if not found:
        return Resolution(0, 0, 0.0, np.nan)
    told = sum(p < 0.05 for p in holm([p for p, _, _ in found]))
    _, largest, reach = max(found, key=lambda one: one[1])
    return Resolution(told, len(found), largest, reach)


def _compared(a: Sequence[float], b: Sequence[float], paired: bool) -> tuple[float, float, float]:
    """p of the difference of two means, its size, and the half-width of its interval."""
    size = abs(float(np.mean(b)) - float(np.mean(a)))
    if min(len(a), len(b)) < FEWEST or not np.isfinite([*a, *b]).all():
        return 1.0, size, np.nan
    if paired:
        gaps = np.subtract(b, a)
        if np.ptp(gaps) == 0:  # equal differences have no spread to compare with
            return (1.0 if size == 0 else 0.0), size, 0.0
        tested = stats.ttest_1samp(gaps, 0)
    elif np.ptp(a) == 0 and np.ptp(b) == 0:
        return (1.0 if size == 0 else 0.0), size, 0.0
    else:
        tested = stats.ttest_ind(b, a, equal_var=False)
    ends = tested.confidence_interval(0.95)
    return float(tested.pvalue), size, float(ends.high - ends.low) / 2
