"""Uncertainty of measured values: every interval is meant to hold the truth in 95 of 100 cases."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import stats

from research.errors import ArgumentError
from research.records import Claim, Number

Direction = Literal["greater", "less"]

Floats = npt.NDArray[np.floating]
Labels = npt.NDArray[np.integer]
Flags = npt.NDArray[np.bool_]


def over_seeds(values: Sequence[float], unit: str = "") -> Number:
    """Mean over seeds and its interval, as in `over_samples`, with the values, one per seed.

    Example:
        >>> over_seeds([1, 2, 3]).values
        (1.0, 2.0, 3.0)
    """
    kept = tuple(map(float, values))
    return dataclasses.replace(over_samples(values, unit), values=kept)


def over_samples(values: Sequence[float], unit: str = "") -> Number:
    """Mean and 95 % confidence interval of independent repetitions, by Student's t.

    The interval assumes normally distributed repetitions and is about their mean, not about one
    more of them; with a single value there is none, nor where one of them is not finite.

    Raises:
        ArgumentError: there are no values.

    Example:
        >>> mean = over_samples([1.0, 2.0, 3.0], "dB")
        >>> mean.value, round(mean.half_width, 3), mean.n
        (2.0, 2.484, 3)
    """
    n = len(values)
    if not n:
        raise ArgumentError("a mean needs at least one value, got none")
    if n == 1:
        return Number(float(values[0]), unit)
    if not np.isfinite(values).all():
        return Number(sum(map(float, values)) / n, unit, n=n)
    error = float(np.std(values, ddof=1)) / n**0.5
    half_width = float(stats.t.ppf(0.975, n - 1)) * error
    return Number(float(np.mean(values)), unit, half_width, n)


def one_more(values: Sequence[float], unit: str = "") -> Number:
    """Mean of independent repetitions, and an interval that holds one more in 95 of 100 cases.

    With one value there is no interval.

    References:
        Statistical Intervals, section 4.8 (Hahn and Meeker, 1991).

    Example:
        >>> wide, narrow = one_more([1.0, 2.0, 3.0]), over_samples([1.0, 2.0, 3.0])
        >>> round(wide.half_width / narrow.half_width, 6)
        2.0
    """
    mean = over_seeds(values, unit)
    if mean.half_width is None:
        return mean
    return replace(mean, half_width=mean.half_width * (len(values) + 1) ** 0.5)


def paired(a: Sequence[float], b: Sequence[float], unit: str = "") -> Number:
    """Mean of b - a over seeds and its t interval; `a[i]` and `b[i]` belong to one seed.

    Raises:
        ArgumentError: there are not as many of one as of the other.

    Example:
        >>> paired([1.0, 5.0, 9.0], [1.5, 6.0, 9.0]).values
        (0.5, 1.0, 0.0)
    """
    if len(a) != len(b):
        raise ArgumentError(f"pairs need as many values of a as of b, got {len(a)} and {len(b)}")
    return over_seeds([after - before for before, after in zip(a, b, strict=True)], unit)


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
    return Number(successes / trials, n=int(trials), low=float(ends.low), high=float(ends.high))


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


def holm(p: Sequence[float]) -> list[float]:
    """p values adjusted for their number, in the same order; one below 0.05 may be believed.

    The chance of even one false rejection among all is then at most 0.05, however they depend on
    each other.

    References:
        A Simple Sequentially Rejective Multiple Test Procedure (Holm, 1979).

    Example:
        >>> holm([0.04, 0.01])
        [0.04, 0.02]
    """
    order = np.argsort(p)
    scaled = np.asarray(p, float)[order] * np.arange(len(p), 0, -1)
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(1, np.maximum.accumulate(scaled))
    return [float(value) for value in adjusted]


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
    n = len(effect.values)
    p = None
    if len(set(effect.values)) > 1 and np.isfinite(effect.values).all():
        # equal values have no spread to compare with
        p = float(stats.ttest_1samp(effect.values, threshold).pvalue)
    named = test or ("t test over seeds" if effect.values else "95 % interval")
    return Claim(effect, p, n or effect.n, named, direction, threshold)


def claim_pairs(
    a: Sequence[float] | Number, b: Sequence[float] | Number, direction: Direction, unit: str = ""
) -> Claim:
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
    effect = paired(before, after, unit or second.unit)
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
    return replace(claim, effect=over_samples(values, unit))


def claim_one_more(values: Sequence[float], known: float, direction: Direction) -> Claim:
    """The claim that one more run lies above or below the known value of another.

    Decided by the interval of `one_more`; p is that of the matching t test.

    Example:
        >>> claim_one_more([10.0, 11.0, 12.0], known=20.0, direction="less").outcome
        'holds'
    """
    expected = one_more(values)
    finite = bool(np.isfinite(values).all())
    spread = float(np.std(values, ddof=1)) if finite and len(values) > 1 else 0.0
    p = None
    if spread:
        off = abs(expected.value - known) / (spread * (1 + 1 / len(values)) ** 0.5)
        p = 2 * float(stats.t.sf(off, len(values) - 1))
    return Claim(expected, p, len(values), "t test of one more run over seeds", direction, known)


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


# --- bootstrap -----------------------------------------------------------------------------------


def resamples(labels: Labels, times: int, seed: int) -> npt.NDArray[np.float32]:
    """How often each sample is drawn in each bootstrap resample, (times, N) whole numbers.

    Samples are drawn with replacement within their class, so that each class keeps its size.

    Example:
        >>> resamples(np.array([0, 0, 1]), times=4, seed=0).sum(1).tolist()
        [3.0, 3.0, 3.0, 3.0]
    """
    rng = np.random.default_rng(seed)
    counts = np.empty((times, len(labels)), np.float32)
    rows = np.arange(times)[:, None]
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        drawn = rng.integers(len(members), size=(times, len(members)))
        cells = (drawn + rows * len(members)).ravel()
        counts[:, members] = np.bincount(cells, minlength=drawn.size).reshape(drawn.shape)
    return counts


def percentile_interval(value: float, replicates: Floats, unit: str = "", n: int = 1) -> Number:
    """A value between the 2.5th and the 97.5th percentile of its bootstrap replicates, (B,).

    Without an interval where some of them are not finite.

    References:
        An Introduction to the Bootstrap, section 13.3 (Efron and Tibshirani, 1993).

    Example:
        >>> percentile_interval(0.5, np.linspace(0, 1, 201)).bounds
        (0.025, 0.975)
    """
    if not np.isfinite(replicates).all():
        return Number(float(value), unit, n=n)
    low, high = np.quantile(replicates, [0.025, 0.975])
    return Number(float(value), unit, n=n, low=float(low), high=float(high))


def bootstrap(
    statistic: Callable[[npt.NDArray[np.intp]], float],
    n: int,
    *,
    times: int = 1000,
    seed: int = 0,
    unit: str = "",
) -> Number:
    """A statistic of n independent samples and its percentile interval.

    Arguments:
        statistic: of the samples with these indices, (n,) in [0, n), some of them repeated.
        times: resamples.

    Example:
        >>> data = np.array([1.0, 2.0, 3.0, 4.0])
        >>> bootstrap(lambda index: float(data[index].mean()), n=4).value
        2.5
    """
    rng = np.random.default_rng(seed)
    replicates = np.array([statistic(rng.integers(n, size=n)) for _ in range(times)])
    return percentile_interval(statistic(np.arange(n)), replicates, unit, n)
