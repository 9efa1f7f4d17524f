"""Uncertainty of measured values: every interval is meant to hold the truth in 95 of 100 cases."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import stats

from research.errors import ArgumentError
from research.methods import bounded
from research.methods.bounded import range_of
from research.records import Claim, Number
from research.records.family import holm as holm
from research.records.measured import FEWEST, FISHER, LOGIT, SHARE, SPAN, Range

Direction = Literal["greater", "less"]

Floats = npt.NDArray[np.floating]
Flags = npt.NDArray[np.bool_]


def over_seeds(values: Sequence[float], unit: str = "", range: Range | None = None) -> Number:
    """Mean over seeds and its interval, as in `over_samples`, with the values, one per seed.

    Example:
        >>> over_seeds([1, 2, 3]).values
        (1.0, 2.0, 3.0)
    """
    kept = tuple(map(float, values))
    return replace(over_samples(values, unit, range), values=kept)


def over_samples(values: Sequence[float], unit: str = "", range: Range | None = None) -> Number:
    """Mean and 95 % confidence interval of independent repetitions, by Student's t.

    The interval assumes normally distributed repetitions and is about their mean, not about one
    more of them. That of a bounded quantity is taken on a scale without bounds, see
    `methods.bounded`, so that it stays in its range. Fewer than three repetitions have none, nor
    those of which one is not finite; of two both are kept.

    Arguments:
        range: the values that it can have, (0, 1) for a share; of unit % it is (0, 100).

    Raises:
        ArgumentError: there are no values, or one lies outside of its range.

    Example:
        >>> mean = over_samples([1.0, 2.0, 3.0], "dB")
        >>> mean.value, round(mean.half_width, 3), mean.n
        (2.0, 2.484, 3)
        >>> [round(end, 2) for end in over_samples([0.8, 0.9, 0.99], range=(0, 1)).bounds]
        [0.4, 0.99]
    """
    n = len(values)
    if not n:
        raise ArgumentError("a mean needs at least one value, got none")
    known = range_of(values, unit, range)
    mean = Number(sum(map(float, values)) / n, unit, n=n, range=known)
    if n == 1 or not np.isfinite(values).all():
        return mean
    low, high = float(min(values)), float(max(values))
    if n < FEWEST:
        return replace(mean, low=low, high=high, interval=SPAN)
    if low == high:
        return replace(mean, value=low, half_width=0.0, interval="t")
    return _with_interval(replace(mean, value=float(np.mean(values))), _error(values))


def _error(values: Sequence[float]) -> float:
    """Standard error of a mean."""
    return float(np.std(values, ddof=1) / len(values) ** 0.5)


def _with_interval(mean: Number, error: float) -> Number:
    """A mean of at least three repetitions with the interval that its standard error gives."""
    if mean.range:
        low, high = bounded.interval(mean.value, error, mean.n, mean.range)
        return replace(mean, low=low, high=high, interval=bounded.name_of(mean.range))
    half_width = float(stats.t.ppf(0.975, mean.n - 1)) * error
    return replace(mean, half_width=half_width, interval="t")


def one_more(values: Sequence[float], unit: str = "", range: Range | None = None) -> Number:
    """Mean of independent repetitions, and an interval that holds one more in 95 of 100 cases.

    With fewer than three values there is no interval.

    References:
        Statistical Intervals, section 4.8 (Hahn and Meeker, 1991).

    Example:
        >>> wide, narrow = one_more([1.0, 2.0, 3.0]), over_samples([1.0, 2.0, 3.0])
        >>> round(wide.half_width / narrow.half_width, 6)
        2.0
    """
    mean = over_seeds(values, unit, range)
    if not mean.bounds or mean.equal:
        return mean
    return _with_interval(mean, _error(values) * (len(values) + 1) ** 0.5)


def paired(
    a: Sequence[float], b: Sequence[float], unit: str = "", range: Range | None = None
) -> Number:
    """Mean of b - a over seeds and its t interval; `a[i]` and `b[i]` belong to one seed.

    Arguments:
        range: of the difference, (-100, 100) for one in percentage points, as unit `points` has.

    Raises:
        ArgumentError: there are not as many of one as of the other.

    Example:
        >>> paired([1.0, 5.0, 9.0], [1.5, 6.0, 9.0]).values
        (0.5, 1.0, 0.0)
    """
    if len(a) != len(b):
        raise ArgumentError(f"pairs need as many values of a as of b, got {len(a)} and {len(b)}")
    return over_seeds([after - before for before, after in zip(a, b, strict=True)], unit, range)


# --- shares and tests ----------------------------------------------------------------------------


def wilson(successes: int, trials: int) -> Number:
    """A share in [0, 1] of independent trials and its score interval.

    Raises:
        ArgumentError: there are no trials.

    References:
        Probable Inference, the Law of Succession, and Statistical Inference (Wilson, 1927).

    Example:
        >>> [round(end, 3) for end in wilson(10, 10).bounds]
        [0.722, 1.0]
    """
    if trials < 1:
        raise ArgumentError(f"a share needs at least one trial, got {trials}")
    ends = stats.binomtest(int(successes), int(trials)).proportion_ci(0.95, method="wilson")
    return Number(
        successes / trials, n=int(trials), low=float(ends.low), high=float(ends.high),
        range=SHARE, interval="Wilson",
    )  # fmt: skip


def mcnemar(a: Flags, b: Flags) -> float:
    """Exact two-sided p value that two models are right equally often on the same samples.

    Only samples on which one is right and the other wrong count; without any the value is 1.

    Arguments:
        a, b: which samples each model gets right, (N,) bool.

    References:
        Note on the Sampling Error of the Difference Between Correlated Proportions or Percentages
        (McNemar, 1947), with the binomial distribution in place of its chi-squared limit.

    Example:
        >>> mcnemar(np.array([True] * 6), np.array([True] + [False] * 5))  # 2 / 2⁵
        0.0625
    """
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    return float(stats.binomtest(only_a, only_a + only_b).pvalue) if only_a + only_b else 1.0


def permutation_p(observed: float, null: Floats) -> float:
    """One-sided p value: how often chance reaches `observed` or more, itself counted among chance.

    Arguments:
        null: the statistic after random relabellings, (B,).

    Returns:
        (1 + count) / (1 + B), which is never 0.

    References:
        Permutation P-values Should Never Be Zero (Phipson and Smyth, 2010).

    Example:
        >>> permutation_p(3.0, np.array([1.0, 2.0, 2.5]))
        0.25
    """
    return (1 + int((np.asarray(null) >= observed).sum())) / (1 + len(null))


# --- claims --------------------------------------------------------------------------------------


def claim_of(
    effect: Number, direction: Direction, threshold: float = 0.0, *, test: str = ""
) -> Claim:
    """The claim that a measured value lies above or below a threshold.

    Over seeds it is decided by Student's t test of their mean; otherwise by the value's own
    interval, which `test` describes.

    Example:
        >>> claim_of(Number(0.3, half_width=0.1), "greater").outcome
        'holds'
    """
    effect = _unbounded(effect, threshold)
    n = len(effect.values)
    named = test or ("t test over seeds" if effect.values else "95 % interval")
    return Claim(effect, _p_of(effect, threshold), n or effect.n, named, direction, threshold)


def _unbounded(effect: Number, threshold: float) -> Number:
    """The effect by Student's t where the threshold is an end of its range.

    An interval that never reaches the threshold would always leave it out.
    """
    if not effect.range or effect.range[0] < threshold < effect.range[1]:
        return effect
    free = replace(effect, range=None)
    if len(effect.values) < FEWEST or effect.equal or not np.isfinite(effect.values).all():
        return free
    return _with_interval(replace(free, low=None, high=None), _error(effect.values))


def _p_of(effect: Number, threshold: float) -> float | None:
    """Two-sided p that the effect is the threshold, below 0.05 where its interval leaves it out.

    Read off the interval, on its own scale: by Student's distribution where it is Student's, else
    by the normal one on the side of the threshold. None where there is no spread.
    """
    if effect.equal or not np.isfinite([effect.value, *effect.values]).all():
        return None
    if effect.span:
        return float(stats.ttest_1samp(effect.values or effect.span, threshold).pvalue)
    ends = effect.bounds
    if ends is None or not np.isfinite(ends).all():
        return None
    points = np.array([effect.value, threshold, *ends])
    if effect.range and effect.interval in (LOGIT, FISHER):
        points = np.array([bounded.on_scale(point, effect.range)[0] for point in points])
    value, known, low, high = points
    arm = value - low if known < value else high - value
    if arm <= 0:
        return None
    off = abs(value - known) / arm
    if (effect.half_width is None and effect.interval not in (LOGIT, FISHER)) or effect.n < FEWEST:
        return 2 * float(stats.norm.sf(off * stats.norm.ppf(0.975)))
    return 2 * float(stats.t.sf(off * stats.t.ppf(0.975, effect.n - 1), effect.n - 1))


def claim_pairs(
    a: Sequence[float] | Number, b: Sequence[float] | Number, direction: Direction, unit: str = "",
    range: Range | None = None,
) -> Claim:  # fmt: skip
    """The claim that b - a lies above or below zero, by a t test over pairs of equal seed.

    Arguments:
        a, b: values by seed, or numbers that carry them. One that has none, or another number of
            them, such as a baseline without a seed, counts as a constant.

    Example:
        >>> print(claim_pairs([1.0, 2.0, 3.0], [2.0, 3.1, 4.0], "greater"))
        holds: 1.033 [0.8899, 1.177] greater than 0, p = 0.001, n = 3, paired t test over seeds
    """
    first, second = (x if isinstance(x, Number) else over_seeds(x, unit) for x in (a, b))
    before, after = _by_seed(first, len(second.values)), _by_seed(second, len(first.values))
    effect = paired(before, after, unit or second.unit, range)
    return claim_of(effect, direction, test="paired t test over seeds")


def claim_draws(
    values: Sequence[float], direction: Direction, unit: str = "", *, test: str
) -> Claim:
    """The claim that the mean of repetitions other than seeds lies above or below zero.

    Decided by Student's t test; `test` says what it is taken over.

    Example:
        >>> claim_draws([0.9, 1.0, 1.1], "less", test="t test over folds").outcome
        'fails'
    """
    claim = claim_of(over_seeds(values, unit), direction, test=test)
    return replace(claim, effect=replace(claim.effect, values=()))


def claim_one_more(values: Sequence[float], known: float, direction: Direction) -> Claim:
    """The claim that one more run lies above or below the known value of another.

    Decided by the interval of `one_more`; p is that of the matching t test.

    Example:
        >>> claim_one_more([10.0, 11.0, 12.0], known=20.0, direction="less").outcome
        'holds'
    """
    expected = _unbounded(one_more(values), known)
    test = "t test of one more run over seeds"
    return Claim(expected, _p_of(expected, known), len(values), test, direction, known)


def _by_seed(number: Number, n: int) -> Sequence[float]:
    return number.values or (number.value,) * max(n, 1)


def claim_mcnemar(a: Flags, b: Flags, direction: Direction) -> Claim:
    """The claim that the second of two models is right more, or less, often on the same samples.

    The effect is the difference of shares, b - a. Its interval is that of Clopper and Pearson for
    the share of b among the samples on which only one is right, so that it excludes zero exactly
    where McNemar's exact test rejects at 5 %.

    Example:
        >>> before, after = np.arange(10) < 2, np.arange(10) < 9
        >>> claim_mcnemar(before, after, "greater").outcome
        'holds'
    """
    only_a, only_b, n = int((a & ~b).sum()), int((b & ~a).sum()), len(a)
    differing = only_a + only_b
    ends = (0.0, 0.0)
    if differing:
        share = stats.binomtest(only_b, differing).proportion_ci(0.95, method="exact")
        ends = ((2 * share.low - 1) * differing / n, (2 * share.high - 1) * differing / n)
    effect = Number((only_b - only_a) / n, n=n, low=float(ends[0]), high=float(ends[1]))
    return Claim(effect, mcnemar(a, b), n, "McNemar's exact test over samples", direction)


def claim_permutation(observed: float, null: Floats, direction: Direction, n: int) -> Claim:
    """The claim that a statistic is larger, or smaller, than chance makes it.

    Arguments:
        null: the statistic after random relabellings, (B,).
        n: how many samples were relabelled.

    Returns:
        The effect is the distance from the mean of chance, its interval that of chance around it.

    Example:
        >>> claim_permutation(5.0, np.linspace(-1, 1, 999), "greater", n=50).outcome
        'holds'
    """
    null = np.asarray(null, float)
    low, high = np.quantile(null, [0.025, 0.975])
    effect = Number(
        float(observed - null.mean()), n=n, low=float(observed - high), high=float(observed - low)
    )
    p = min(1.0, 2 * min(permutation_p(observed, null), permutation_p(-observed, -null)))
    return Claim(effect, p, n, "permutation test", direction)
