"""Distances between all pairs of vectors, within and between classes, with honest uncertainty.

Metrics, for vectors x and y of D components; p and q are their softmaxes at temperature 1, so the
last two depend on the scale of the vectors:

    mse     mean squared difference per component
    cosine  1 - cos of the angle, in [0, 2]; a zero vector is at 1 from every other
    ce      cross-entropy H(p, q) = -Σ p log q in nats, not symmetric and not 0 for equal vectors
    js      Jensen-Shannon divergence of p and q in nats, in [0, log 2]

N vectors have N (N - 1) pairs but only N independent samples: intervals resample the vectors. An
interval that took the pairs for independent would be several times too narrow.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf, isnan, log, nan
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from research.errors import ArgumentError
from research.methods import resampling, statistics
from research.records import Number

Metric = Literal["mse", "cosine", "ce", "js"]
Vectors = npt.NDArray[np.floating]
Labels = npt.NDArray[np.integer]
Floats = npt.NDArray[np.float64]

TILE = 1 << 17  # numbers in flight in a Jensen-Shannon divergence, few enough for a core's cache
FINE = 1 << 16  # bins of the histograms before they are cut to where the distances lie


@dataclass(frozen=True)
class ClassDistances:
    """Distances over all ordered pairs i ≠ j of a set of vectors.

    Attributes:
        means: mean distance from class a (row) to class b (column), (C, C); a class's distance to
            itself is over its pairs i ≠ j. Classes are in the order of their labels.
        intra: mean distance over all pairs of one class.
        inter: mean distance over all pairs of two classes.
        ratio: inter / intra; infinite where each class is a single point, nan where it is the same.
        bins: edges of the histograms, (K + 1,), from the least to the greatest distance.
        intra_density, inter_density: share of the pairs per unit of distance, (K,).
        p: share of random labellings with at least this ratio, by `statistics.permutation_p`;
            nan where the ratio is.
    """

    means: Floats
    intra: Number
    inter: Number
    ratio: Number
    bins: Floats
    intra_density: Floats
    inter_density: Floats
    p: float


def pairwise(a: Vectors, b: Vectors, metric: Metric) -> Vectors:
    """Distance from every row of `a`, (N, D), to every row of `b`, (M, D). (N, M)

    The precision is that of `a`, float32 or float64. The absolute error is a few units in the
    last place of 1 (cosine, js), of the distance (ce), or of the mean square of the components
    about the mean of `a` (mse). The diagonal of `pairwise(a, a, metric)` is exactly 0, but for ce.

    Example:
        >>> pairwise(np.array([[0.0, 0.0]]), np.array([[1.0, 1.0], [3.0, 0.0]]), "mse").tolist()
        [[1.0, 4.5]]
    """
    first = torch.tensor(a)
    rows, columns = (_form(x, metric, first.mean(0)) for x in (first, torch.tensor(b).to(first)))
    distances = _block(rows, columns, metric)
    if a is b and metric != "ce":
        distances.fill_diagonal_(0)
    return distances.numpy()


def class_distances(
    vectors: Vectors,
    labels: Labels,
    metric: Metric,
    *,
    resamples: int = 1000,
    permutations: int = 1000,
    bins: int = 100,
    block: int = 512,
    seed: int = 0,
) -> ClassDistances:
    """Distances within and between classes, bootstrap intervals and a label-permutation test.

    Intervals come from resampling the vectors within their classes; a pair counts as often as both
    of its ends were drawn, and a sample is never paired with its own copy. Distances have the
    precision of `vectors`, resampled sums that of float32. The time grows with N² (D + resamples +
    classes · permutations), the memory with N (D + resamples + permutations + block).

    Arguments:
        vectors: (N, D), float32 or float64.
        labels: (N,) whole numbers; at least two classes, of at least two vectors each.
        block: vectors whose distances to all others are held at a time.

    Raises:
        ArgumentError: there are too few classes or vectors.

    Example:
        >>> vectors = np.array([[0.0, 0.0], [0.0, 1.0], [4.0, 0.0], [4.0, 1.0]])
        >>> apart = class_distances(vectors, np.array([0, 0, 1, 1]), "mse", permutations=50)
        >>> apart.intra.value, apart.inter.value, apart.means.shape
        (0.5, 8.25, (2, 2))
    """
    space = _Space.of(vectors, labels, metric, block)
    sums = np.zeros((len(space.sizes),) * 2)
    draws = _Draws.of(space.labels, resamples, permutations, seed)
    histogram = _Histogram(space.form.upper)
    for strip in space.strips():
        _add_means(sums, strip, space.labels)
        draws.add(strip)
        histogram.add(strip)
    return _summary(space, sums, draws, histogram.densities(bins))


def _summary(
    space: "_Space", sums: Floats, draws: "_Draws", histogram: tuple[Floats, Floats]
) -> ClassDistances:
    """What distances were summed up to; `histogram` is its edges and its densities."""
    pairs = np.outer(space.sizes, space.sizes) - np.diag(space.sizes)

    def means(within: Any) -> Any:
        """Within and between classes, given the sum of the distances within."""
        inside = pairs.trace()
        return within / inside, (sums.sum() - within) / (pairs.sum() - inside)

    intra, inter = means(sums.trace())
    null_intra, null_inter = means(draws.null)
    drawn_intra, drawn_inter = draws.means()
    edges, densities = histogram
    n = len(space.labels)
    ratio = float(_ratios(inter, intra))
    # rounding must not break ties with labellings that are the true one with names swapped
    p = statistics.permutation_p(ratio * (1 - 1e-5), _ratios(null_inter, null_intra))
    return ClassDistances(
        sums / pairs,
        resampling.percentile_interval(intra, drawn_intra, n=n),
        resampling.percentile_interval(inter, drawn_inter, n=n),
        resampling.percentile_interval(ratio, _ratios(drawn_inter, drawn_intra), n=n),
        edges,
        densities[0],
        densities[1],
        nan if isnan(ratio) else p,
    )


def _ratios(inter: Any, intra: Any) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.divide(np.float64(inter), np.float64(intra)))


def percentiles(
    vectors: Vectors,
    labels: Labels,
    metric: Metric,
    queries: Sequence[tuple[float, bool]],
    *,
    block: int = 512,
) -> list[float]:
    """Where distances stand among those of all pairs, each in [0, 100].

    Arguments:
        queries: a distance, and whether to compare it with the pairs of one class or of two.

    Returns:
        For each query the percentage of such pairs that are closer; equal ones count half.

    Example:
        >>> vectors = np.array([[0.0, 0.0], [0.0, 1.0], [4.0, 0.0], [4.0, 1.0]])
        >>> percentiles(vectors, np.array([0, 0, 1, 1]), "mse", [(0.2, True), (8.25, False)])
        [0.0, 50.0]
    """
    space = _Space.of(vectors, labels, metric, block)
    below, pairs = np.zeros(len(queries)), np.zeros(len(queries))
    for strip in space.strips():
        for index, (value, same) in enumerate(queries):
            for distances in strip.values(same):
                closer = (distances < value).sum() + (distances == value).sum() / 2
                below[index] += closer.item()
                pairs[index] += distances.numel()
    return [float(share) for share in 100 * below / pairs]


# --- one block of distances ----------------------------------------------------------------------


@dataclass(frozen=True)
class _Form:
    """Vectors made ready for a metric.

    All metrics but js are offset[i] + offset[j] + rows[i] · columns[j]. In js it is both offsets
    less Σ m log m of the mean m of p and q; rows and columns are p and q times D / 2.
    """

    rows: Tensor  # (N, D)
    columns: Tensor  # (N, D)
    offset: Tensor  # (N,), of rows and columns alike
    upper: float  # what no distance within the set exceeds

    def __getitem__(self, index: slice) -> "_Form":
        return _Form(self.rows[index], self.columns[index], self.offset[index], self.upper)


def _form(vectors: Tensor, metric: Metric, shift: Tensor) -> _Form:
    dimensions = vectors.shape[1]
    if metric == "mse":
        centred = vectors - shift  # distances far from the origin would drown in its square
        squares = centred.square().mean(1)
        return _Form(centred, centred * (-2 / dimensions), squares, 4 * squares.max().item())
    if metric == "cosine":
        directions = torch.nn.functional.normalize(vectors, eps=torch.finfo(vectors.dtype).tiny)
        return _Form(directions, -directions, directions.new_full((len(vectors),), 0.5), 2.0)
    logs = vectors.log_softmax(1)
    if metric == "ce":
        return _Form(logs.exp(), -logs, logs.new_zeros(len(vectors)), -logs.min().item())
    # relative to the uniform distribution the sums are small, and so is their rounding error
    relative = (logs.exp() * dimensions).clamp_min(torch.finfo(vectors.dtype).tiny)
    return _Form(relative / 2, relative / 2, _information(relative) / 2, log(2))


def _information(relative: Tensor) -> Tensor:
    """Kullback-Leibler divergence from uniform, of p · D in the last dimension."""
    return relative.log().mul_(relative).mean(-1)


def _block(a: _Form, b: _Form, metric: Metric) -> Tensor:
    offsets = a.offset[:, None] + b.offset
    if metric == "js":
        return offsets.sub_(_mixture_information(a.rows, b.columns)).clamp_(0, log(2))
    distances = torch.addmm(offsets, a.rows, b.columns.T)
    return distances.clamp_(0, 2 if metric == "cosine" else inf)


def _mixture_information(a: Tensor, b: Tensor) -> Tensor:
    """`_information` of the sum of every pair of rows, tile by tile. (N, M)"""
    result = a.new_empty(len(a), len(b))
    height = min(16, len(a))
    width = max(1, TILE // (height * a.shape[1]))
    for i in range(0, len(a), height):
        for j in range(0, len(b), width):
            tile = a[i : i + height, None] + b[None, j : j + width]
            result[i : i + height, j : j + width] = _information(tile)
    return result


# --- all pairs, block by block -------------------------------------------------------------------


@dataclass(frozen=True)
class _Strip:
    """Distances between vectors [start, stop), all of one class that ends at `end`, and all later.

    Over all strips every pair i < j comes once. Vectors are sorted by class.
    """

    start: int
    stop: int
    end: int
    forward: Tensor
    """d(i, j) for i in [start, stop) and j in [start, N), where j > i, else 0"""
    backward: Tensor
    """d(j, i) in the same layout; the same tensor where the metric is symmetric"""

    def values(self, same: bool) -> Iterator[Tensor]:
        """The distances of pairs of one class, or of two; of a symmetric metric only once."""
        own, border = self.stop - self.start, self.end - self.start
        i, j = torch.triu_indices(own, own, 1)
        for distances in {id(x): x for x in (self.forward, self.backward)}.values():
            if same:
                yield distances[i, j]
            yield distances[:, own:border] if same else distances[:, border:]


@dataclass(frozen=True)
class _Space:
    """Vectors sorted by class and made ready for a metric."""

    form: _Form
    labels: Labels  # 0 to C - 1, ascending, (N,)
    sizes: npt.NDArray[np.intp]  # vectors of each class, (C,)
    metric: Metric
    block: int

    @classmethod
    def of(cls, vectors: Vectors, labels: Labels, metric: Metric, block: int) -> "_Space":
        _, compact, sizes = np.unique(labels, return_inverse=True, return_counts=True)
        if len(sizes) < 2 or sizes.min() < 2:
            raise ArgumentError(
                f"at least 2 classes of at least 2 vectors each are needed, got sizes {sizes}; "
                "give more vectors or leave a class out"
            )
        order = np.argsort(compact, kind="stable")
        ordered = torch.tensor(vectors[order])
        form = _form(ordered, metric, ordered.mean(0))
        return cls(form, compact[order], sizes, metric, block)

    def strips(self) -> Iterator[_Strip]:
        ends = np.cumsum(self.sizes)
        for begin, end in zip(ends - self.sizes, ends, strict=True):
            for start in range(begin, end, self.block):
                yield self.strip(start, min(start + self.block, end), end)

    def strip(self, start: int, stop: int, end: int) -> _Strip:
        rows, rest = self.form[start:stop], self.form[start:]
        backward = forward = _block(rows, rest, self.metric).triu_(1)
        if self.metric == "ce":
            backward = _block(rest, rows, self.metric).T.triu(1)
        return _Strip(start, stop, end, forward, backward)


def _add_means(sums: Floats, strip: _Strip, labels: Labels) -> None:
    """Adds the strip's distances to the sums from class (row) to class (column)."""
    own = labels[strip.start]
    for line, distances in ((sums[own], strip.forward), (sums[:, own], strip.backward)):
        columns = distances.sum(0, dtype=torch.float64).numpy()
        line += np.bincount(labels[strip.start :], columns, len(sums))


@dataclass(frozen=True)
class _Draws:
    """Sums of distances under resampled weights and under permuted labels."""

    labels: Labels
    weights: Tensor  # (N, B) float32
    permuted: Tensor  # (N, P) labels
    sums: Floats  # (2, B), of pairs of one class and of two
    null: Floats  # (P,), of pairs of one class

    @classmethod
    def of(cls, labels: Labels, resamples: int, permutations: int, seed: int) -> "_Draws":
        rng = np.random.default_rng(seed)
        permuted = rng.permuted(np.tile(labels.astype(np.int16), (permutations, 1)), axis=1)
        return cls(
            labels,
            torch.tensor(resampling.resamples(labels, resamples, seed)).T.contiguous(),
            torch.tensor(permuted).T.contiguous(),
            np.zeros((2, resamples)),
            np.zeros(permutations),
        )

    def add(self, strip: _Strip) -> None:
        both = (strip.forward + strip.backward).float()
        border = strip.end - strip.start
        rest = self.weights[strip.start :]
        self.sums[0] += _product(both[:, :border], rest[:border], rest)
        self.sums[1] += _product(both[:, border:], rest[border:], rest)
        labels = self.permuted[strip.start :]
        for label in range(int(self.labels[-1]) + 1):
            members = (labels == label).float()
            self.null[:] += _product(both, members, members)

    def means(self) -> tuple[Floats, Floats]:
        """Mean distances within and between classes, of each resample that has pairs within."""
        drawn = (np.bincount(self.labels) ** 2).sum()  # pairs of one class, copies included
        pairs = drawn - self.weights.square().sum(0, dtype=torch.float64).numpy()
        intra, inter = self.sums[:, pairs > 0]
        return intra / pairs[pairs > 0], inter / (len(self.labels) ** 2 - drawn)


def _product(distances: Tensor, columns: Tensor, rows: Tensor) -> Floats:
    """Σ_ij rows[i, b] distances[i, j] columns[j, b] for every b; the first rows are those of i."""
    weighted = (distances @ columns).mul_(rows[: len(distances)])
    sums: Floats = weighted.sum(0, dtype=torch.float64).numpy()
    return sums


class _Histogram:
    """Counts of distances in [0, upper], cut to where they lie once all are known."""

    def __init__(self, upper: float) -> None:
        self.upper = upper or 1.0
        self.counts = np.zeros((2, FINE), np.int64)  # of pairs of one class and of two

    def add(self, strip: _Strip) -> None:
        for counts, same in zip(self.counts, (True, False), strict=True):
            for distances in strip.values(same):
                cells = (distances * (FINE / self.upper)).int().clamp_(max=FINE - 1)
                counts += np.bincount(cells.numpy().ravel(), minlength=FINE)

    def densities(self, bins: int) -> tuple[Floats, Floats]:
        """Edges (bins + 1,) and the densities of both kinds of pairs, (2, bins)."""
        filled = np.flatnonzero(self.counts.sum(0))
        first, width = filled[0], -(-(filled[-1] + 1 - filled[0]) // bins)
        inside = self.counts[:, first : first + bins * width]
        padded = np.pad(inside, ((0, 0), (0, bins * width - inside.shape[1])))
        edges = (first + width * np.arange(bins + 1)) * (self.upper / FINE)
        counts = padded.reshape(2, bins, width).sum(2)
        return edges, counts / counts.sum(1, keepdims=True) / (edges[1] - edges[0])
