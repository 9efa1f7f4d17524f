"""Intervals by resampling: of statistics whose distribution nobody knows."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from research.records import Number

Floats = npt.NDArray[np.floating]
Labels = npt.NDArray[np.integer]


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
    ends = (float(low), float(high))
    return Number(float(value), unit, None, n, *ends, interval="bootstrap")


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
