"""All pairs against scipy and brute force, and how often intervals hold the truth."""

import math
from itertools import permutations

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats as scipy_stats
from scipy.spatial.distance import cdist
from scipy.special import log_softmax, softmax

from research.methods import resampling
from research.methods.distances import Metric, class_distances, pairwise, percentiles

Array = npt.NDArray[np.float64]
METRICS: tuple[Metric, ...] = ("mse", "cosine", "ce", "js")
RNG = np.random.default_rng(0)
LABELS = np.sort(np.array([3, 7, 9] * 14 + [3] * 5))
VECTORS = 2 * RNG.standard_normal((3, 6))[LABELS // 3 - 1] + RNG.standard_normal((47, 6))


def oracle(a: Array, b: Array, metric: Metric) -> Array:
    if metric == "mse":
        return np.asarray(cdist(a, b, "sqeuclidean") / a.shape[1])
    if metric == "cosine":
        return np.asarray(cdist(a, b, "cosine"))
    p, q = softmax(a, 1), softmax(b, 1)
    if metric == "js":
        return np.asarray(cdist(p, q, "jensenshannon") ** 2)
    divergence = scipy_stats.entropy(p[:, None], q[None], axis=2)
    return np.asarray(scipy_stats.entropy(p, axis=1)[:, None] + divergence)


def off_diagonal(metric: Metric) -> tuple[Array, npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Distances of VECTORS, and which of them are of pairs of one class, and of two."""
    same = LABELS[:, None] == LABELS
    return oracle(VECTORS, VECTORS, metric), same & ~np.eye(len(LABELS), dtype=bool), ~same


# --- pairwise ------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-13), (np.float32, 1e-5)])
@pytest.mark.parametrize("dimensions", [2, 300])
def test_pairs_equal_scipys(
    metric: Metric, dtype: type[np.floating], tolerance: float, dimensions: int
) -> None:
    a, b = RNG.standard_normal((35, dimensions)), 3 * RNG.standard_normal((600, dimensions)) + 1
    found = pairwise(a.astype(dtype), b.astype(dtype), metric)
    assert found.dtype == dtype
    assert found.shape == (35, 600)
    np.testing.assert_allclose(found, oracle(a, b, metric), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("metric", ["mse", "cosine", "js"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_distances_of_a_set_are_symmetric_and_zero_to_itself(
    metric: Metric, dtype: type[np.floating]
) -> None:
    vectors = RNG.standard_normal((40, 50)).astype(dtype)
    found = pairwise(vectors, vectors, metric)
    assert (found.diagonal() == 0).all()
    np.testing.assert_allclose(found, found.T, atol=4 * float(np.finfo(dtype).eps))


def test_cross_entropy_knows_its_direction() -> None:
    found = pairwise(VECTORS, VECTORS, "ce")
    assert abs(found - found.T).max() > 0.1
    np.testing.assert_allclose(found.diagonal(), scipy_stats.entropy(softmax(VECTORS, 1), axis=1))


def test_a_set_far_from_the_origin_keeps_its_distances() -> None:
    far = VECTORS + 1e6
    np.testing.assert_allclose(pairwise(far, far, "mse"), oracle(far, far, "mse"), atol=1e-9)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_nearly_equal_vectors_are_never_at_a_negative_distance(dtype: type[np.floating]) -> None:
    once = RNG.standard_normal((50, 33)).astype(dtype)
    again = once + np.finfo(dtype).eps * RNG.standard_normal((50, 33)).astype(dtype)
    for metric in ("mse", "cosine", "js"):
        between = pairwise(once, again, metric).diagonal()
        assert (between >= 0).all()
        assert between.max() < 20 * np.finfo(dtype).eps


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_certain_softmaxes_stay_finite(dtype: type[np.floating]) -> None:
    certain = 1000 * np.eye(33, dtype=dtype)
    js, ce = pairwise(certain, certain, "js"), pairwise(certain, certain, "ce")
    np.testing.assert_allclose(js, np.log(2) * (1 - np.eye(33)), atol=1e-6)
    assert js.max() <= dtype(np.log(2))
    np.testing.assert_allclose(ce, 1000 * (1 - np.eye(33)))


def test_opposite_and_zero_vectors_have_a_cosine() -> None:
    found = pairwise(np.array([[2.0, 0], [-1, 0], [0, 0]]), np.array([[3.0, 0], [0, 0]]), "cosine")
    assert found.tolist() == [[0, 1], [2, 1], [1, 1]]
    vectors = RNG.standard_normal((90, 33)).astype(np.float32)
    assert pairwise(vectors, -vectors, "cosine").max() == 2


# --- classes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("block", [5, 512])
def test_means_equal_those_over_explicit_pairs(metric: Metric, block: int) -> None:
    distances, intra, inter = off_diagonal(metric)
    found = class_distances(VECTORS, LABELS, metric, resamples=2, permutations=2, block=block)
    for row, a in enumerate([3, 7, 9]):
        for column, b in enumerate([3, 7, 9]):
            pairs = np.outer(a == LABELS, b == LABELS) & (intra | inter)
            assert found.means[row, column] == pytest.approx(distances[pairs].mean())
    values = distances[intra].mean(), distances[inter].mean()
    assert (found.intra.value, found.inter.value) == pytest.approx(values)
    assert found.ratio.value == pytest.approx(values[1] / values[0])
    assert found.ratio.n == len(LABELS)


def test_squared_distance_within_a_class_is_twice_its_variance() -> None:
    found = class_distances(VECTORS, LABELS, "mse", resamples=2, permutations=2)
    for index, label in enumerate([3, 7, 9]):
        variance = np.cov(VECTORS[label == LABELS].T, ddof=1).trace()
        assert found.means[index, index] == pytest.approx(2 * variance / 6, rel=1e-12)


@pytest.mark.parametrize("metric", METRICS)
def test_replicates_are_the_means_of_the_resampled_sets(metric: Metric) -> None:
    distances, _, _ = off_diagonal(metric)
    found = class_distances(VECTORS, LABELS, metric, resamples=40, permutations=2, block=8, seed=5)
    means = []
    for counts in resampling.resamples(LABELS, 40, seed=5):
        drawn = np.repeat(np.arange(len(LABELS)), counts.astype(int))
        copies = drawn[:, None] == drawn
        same = LABELS[drawn][:, None] == LABELS[drawn]
        chosen = distances[np.ix_(drawn, drawn)]
        means.append((chosen[same & ~copies].mean(), chosen[~same].mean()))
    intra, inter = np.array(means).T
    numbers = found.intra, found.inter, found.ratio
    for number, replicates in zip(numbers, (intra, inter, inter / intra), strict=True):
        expected = np.quantile(replicates, [0.025, 0.975])
        assert number.bounds == pytest.approx(tuple(expected), rel=1e-5)


@pytest.mark.parametrize("metric", ["mse", "ce"])
def test_p_value_is_the_share_of_all_labellings(metric: Metric) -> None:
    labels = np.array([0, 0, 0, 1, 1, 2, 2])
    vectors = np.random.default_rng(0).standard_normal((7, 3))
    vectors[:, 0] += labels
    distances = oracle(vectors, vectors, metric)

    def ratio(order: tuple[int, ...]) -> float:
        given = labels[list(order)]
        same = given[:, None] == given
        intra = same & ~np.eye(7, dtype=bool)
        return float(distances[~same].mean() / distances[intra].mean())

    every = np.array([ratio(order) for order in permutations(range(7))])
    expected = (every >= every[0] - 1e-9).mean()
    found = class_distances(vectors, labels, metric, resamples=2, permutations=20000).p
    assert 0.02 < expected < 0.5
    # 20,000 draws: the standard deviation of the share is at most 0.0035
    assert found == pytest.approx(expected, abs=0.012)


def test_labellings_that_differ_in_names_alone_are_ties() -> None:
    line = np.array([[0.0], [0.1], [5], [5.3]])
    found = class_distances(line, np.array([0, 0, 1, 1]), "mse", permutations=4000)
    # 4,000 draws: the standard deviation of the share is 0.0075
    assert found.p == pytest.approx(1 / 3, abs=0.03)


def test_resamples_without_a_pair_within_classes_are_left_out() -> None:
    line = np.array([[0.0], [1], [5], [7]])  # a class is drawn whole, or one of its vectors twice
    found = class_distances(line, np.array([0, 0, 1, 1]), "mse", permutations=2)
    assert found.intra.bounds == pytest.approx((1, 4))


def test_no_labelling_is_rarer_than_the_draws_can_tell() -> None:
    assert class_distances(VECTORS, LABELS, "mse", resamples=2, permutations=99).p == 0.01


@pytest.mark.parametrize("metric", METRICS)
def test_densities_equal_numpys_and_fill_their_range(metric: Metric) -> None:
    distances, intra, inter = off_diagonal(metric)
    found = class_distances(VECTORS, LABELS, metric, resamples=2, permutations=2, bins=7, block=9)
    assert len(found.bins) == 8
    for density, pairs in ((found.intra_density, intra), (found.inter_density, inter)):
        expected, _ = np.histogram(distances[pairs], found.bins, density=True)
        np.testing.assert_allclose(density, expected)
    counted = distances[intra | inter]
    width = found.bins[1] - found.bins[0]
    assert 0 <= counted.min() - found.bins[0] < width / 100
    assert 0 <= found.bins[-1] - counted.max() < width / 10


@pytest.mark.parametrize("metric", METRICS)
def test_order_of_the_vectors_and_size_of_blocks_change_nothing(metric: Metric) -> None:
    order = RNG.permutation(len(LABELS))
    first = class_distances(VECTORS, LABELS, metric, resamples=2, permutations=2)
    second = class_distances(
        VECTORS[order], LABELS[order], metric, resamples=2, permutations=2, block=3
    )
    np.testing.assert_allclose(first.means, second.means)
    np.testing.assert_allclose(first.intra_density, second.intra_density)
    np.testing.assert_allclose(first.inter_density, second.inter_density)


@pytest.mark.parametrize("metric", METRICS)
def test_percentiles_equal_scipys(metric: Metric) -> None:
    distances, intra, inter = off_diagonal(metric)
    values = np.quantile(distances[inter], [0.1, 0.5])
    queries = [(float(value), same) for value in values for same in (True, False)]
    expected = [
        scipy_stats.percentileofscore(distances[intra if same else inter], value, "mean")
        for value, same in queries
    ]
    order = RNG.permutation(len(LABELS))
    found = percentiles(VECTORS[order], LABELS[order], metric, queries, block=4)
    assert found == pytest.approx(expected, abs=1e-9)


def test_ties_count_by_half() -> None:
    line, labels = np.array([[0.0], [1], [0], [1]]), np.array([0, 0, 1, 1])
    assert percentiles(line, labels, "mse", [(1, True), (1, False), (0, False)]) == [50, 75, 25]


def test_intervals_hold_the_truth_where_those_over_pairs_do_not() -> None:
    rng, labels, trials = np.random.default_rng(1), np.repeat([0, 1, 2], 12), 300
    centres = rng.standard_normal((3, 4))
    apart = np.mean([((centres[i] - centres[j]) ** 2).mean() for i, j in [(0, 1), (0, 2), (1, 2)]])
    truth = 1 + apart / 2  # each component has variance 1, so a pair of one class is at 2
    held, naive_held, widths = 0, 0, []
    for seed in range(trials):
        vectors = centres[labels] + rng.standard_normal((36, 4))
        found = class_distances(vectors, labels, "mse", resamples=300, permutations=1, seed=seed)
        assert found.ratio.low is not None
        assert found.ratio.high is not None
        held += found.ratio.low < truth < found.ratio.high
        low, high = over_pairs(pairwise(vectors, vectors, "mse"), labels, rng)
        naive_held += low < truth < high
        widths.append((found.ratio.high - found.ratio.low) / (high - low))
    # 300 trials: the standard deviation of the share is 0.013; the percentile bootstrap of 12
    # vectors a class is a little short of 95 %
    assert 0.88 < held / trials < 0.99
    assert naive_held / trials < 0.75
    assert np.median(widths) > 1.7


def over_pairs(
    distances: npt.NDArray[np.floating], labels: npt.NDArray[np.integer], rng: np.random.Generator
) -> tuple[float, float]:
    """The interval of the ratio that takes pairs for independent."""
    i, j = np.triu_indices(len(labels), 1)
    values, same = distances[i, j], labels[i] == labels[j]
    intra, inter = (rng.choice(x, (300, len(x))).mean(1) for x in (values[same], values[~same]))
    low, high = np.quantile(inter / intra, [0.025, 0.975])
    return float(low), float(high)


@pytest.mark.parametrize("labels", [[0, 0, 0, 0], [0, 0, 0, 1]])
def test_too_few_classes_or_vectors_are_named(labels: list[int]) -> None:
    with pytest.raises(ValueError, match="at least 2 classes of at least 2"):
        class_distances(np.ones((4, 2)), np.array(labels), "mse")


@pytest.mark.filterwarnings("error")
def test_classes_without_extent_are_infinitely_apart() -> None:
    found = class_distances(np.eye(2)[[0, 1, 0, 1]], np.array([0, 1, 0, 1]), "mse", permutations=99)
    assert (found.intra.value, found.inter.value, found.ratio.value) == (0, 1, math.inf)
    # two of the six labellings are the true one but for its names
    assert found.p == pytest.approx(1 / 3, abs=0.15)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("metric", ["mse", "cosine", "js"])
def test_a_single_point_has_no_ratio(metric: Metric) -> None:
    found = class_distances(np.ones((6, 3)), np.arange(6) % 2, metric)
    assert found.intra.value == found.inter.value == pytest.approx(0, abs=1e-12)
    assert math.isnan(found.ratio.value) and math.isnan(found.p)
    assert found.intra_density.argmax() == found.inter_density.argmax() == 0


def test_log_probabilities_of_certain_classes_are_kept() -> None:
    vectors = np.array([[0.0, 800], [0, -800]])
    expected = -(softmax(vectors, 1) @ log_softmax(vectors, 1).T)
    np.testing.assert_allclose(pairwise(vectors, vectors, "ce"), expected)
