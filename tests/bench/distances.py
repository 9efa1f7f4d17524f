"""Class distances block by block against the whole matrix of scipy's `cdist`.

    python -m tests.bench.distances

Both sides get the same vectors and return the same class-by-class means; equal pairs and equal
means are asserted before anything is timed. They take turns in one process, and each ratio is one
of neighbours in time. Peak memory is what a fresh process gains over its imports and its vectors.
"""

import multiprocessing
import os
import resource
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import numpy.typing as npt
import psutil
import scipy
import torch
from scipy.spatial.distance import cdist
from scipy.special import softmax

from research.methods.distances import Metric, class_distances, pairwise
from tests.bench.turns import ONCE, compare, seconds

Array = npt.NDArray[np.float64]
Labels = npt.NDArray[np.integer]
Means = Callable[[npt.NDArray[np.float32], Labels, Metric], Array]

DIMENSIONS = 1600
VECTORS: dict[Metric, int] = (
    {"mse": 4000, "cosine": 2500, "js": 800} if ONCE else {"mse": 10000, "cosine": 4000, "js": 1500}
)
"""fewer where scipy would need many minutes"""
ROUNDS = 3


def vectors_of(count: int, dimensions: int) -> tuple[npt.NDArray[np.float32], Labels]:
    """Ten classes whose means are apart."""
    rng = np.random.default_rng(0)
    labels = np.arange(count) % 10
    centres = rng.standard_normal((10, dimensions)) / 2
    vectors = centres[labels] + rng.standard_normal((count, dimensions))
    return vectors.astype(np.float32), labels


def scipy_pairs(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32], metric: Metric) -> Array:
    if metric == "mse":
        return np.asarray(cdist(a, b, "sqeuclidean") / a.shape[1])
    if metric == "cosine":
        return np.asarray(cdist(a, b, "cosine"))
    return np.asarray(cdist(softmax(a, 1), softmax(b, 1), "jensenshannon") ** 2)


def scipy_means(vectors: npt.NDArray[np.float32], labels: Labels, metric: Metric) -> Array:
    members = (labels[:, None] == np.arange(10)).astype(float)
    sums = members.T @ scipy_pairs(vectors, vectors, metric) @ members
    sizes = members.sum(0)
    return np.asarray(sums / (np.outer(sizes, sizes) - np.diag(sizes)))


def our_means(vectors: npt.NDArray[np.float32], labels: Labels, metric: Metric) -> Array:
    """With the histograms, but all but without resampling, which the other side does not do."""
    return class_distances(vectors, labels, metric, resamples=2, permutations=2).means


def everything(vectors: npt.NDArray[np.float32], labels: Labels, metric: Metric) -> Array:
    return class_distances(vectors, labels, metric).means


def assert_equal_work(vectors: npt.NDArray[np.float32], labels: Labels, metric: Metric) -> None:
    vectors, labels = vectors[:1500], labels[:1500]
    slices = vectors[:300], vectors[300:700]
    pairs = np.abs(pairwise(*slices, metric) - scipy_pairs(*slices, metric)).max()
    ours, theirs = our_means(vectors, labels, metric), scipy_means(vectors, labels, metric)
    means = np.abs(ours - theirs).max()
    assert pairs < 1e-5, pairs
    assert means < 1e-5, means
    print(f"{metric}: greatest difference of pairs {pairs:.1e}, of class means {means:.1e}")


def peak(means: Means, metric: Metric, count: int) -> float:
    """Memory in MB that the work adds to a process that holds its vectors."""
    vectors, labels = vectors_of(count, DIMENSIONS)
    before = psutil.Process().memory_info().rss
    means(vectors, labels, metric)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before) / 1e6


def peak_apart(means: Means, metric: Metric, count: int) -> float:
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(peak, means, metric, count).result()


def against_scipy(metric: Metric, count: int) -> None:
    vectors, labels = vectors_of(count, DIMENSIONS)
    assert_equal_work(vectors, labels, metric)
    print(f"  {count:,} × {DIMENSIONS:,}")
    works = {
        "scipy": lambda: scipy_means(vectors, labels, metric),
        "here": lambda: our_means(vectors, labels, metric),
    }
    compare(works, ROUNDS, what=f"distances, {metric}, {count:,} vectors")
    if ONCE:
        return
    peaks = [peak_apart(means, metric, count) for means in (scipy_means, our_means)]
    print(f"  peak memory  scipy {peaks[0]:.0f} MB, here {peaks[1]:.0f} MB")


def with_resampling(metric: Metric, dimensions: int) -> None:
    vectors, labels = vectors_of(10000, dimensions)
    wall, cpu = seconds(lambda: everything(vectors, labels, metric))
    print(f"  {metric:6} {len(labels):,} × {dimensions:,}: {wall:.1f} s wall, {cpu:.1f} s CPU")


def main() -> None:
    load_average, threads = os.getloadavg()[0], torch.get_num_threads()
    print(f"torch {torch.__version__}, scipy {scipy.__version__}, numpy {np.__version__}")
    print(f"{threads} threads, load {load_average:.1f}")
    for metric, count in VECTORS.items():
        against_scipy(metric, count)
    if ONCE:
        return
    print("with 1,000 resamples and 1,000 permutations:")
    for metric in ("mse", "cosine", "ce", "js"):
        with_resampling(metric, 64)
    with_resampling("mse", DIMENSIONS)
    print(f"  peak memory of the last {peak_apart(everything, 'mse', 10000):.0f} MB")


if __name__ == "__main__":
    main()
