"""The study `cnn`, run small: distances, neighbours and ranks by other libraries."""

from collections.abc import Callable
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy.spatial.distance import cdist, jensenshannon
from scipy.special import log_softmax, softmax
from scipy.stats import binomtest
from sklearn.metrics import roc_auc_score
from torch import Tensor

from research.config import Data
from research.data import Dataset, load
from research.paths import DATA
from research.records import Number, Results
from research.studies import cnn
from research.studies.cnn import measures, networks

from .by_hand import Vectors, Weights, by_hand


def test_pairs_are_reordered_where_ranks_differ() -> None:
    line = np.array([[0.0], [1.0], [3.0], [7.0]])  # 1 2 4 | 3 6 7: all distances differ
    assert measures.reordered(line, 5 * line, "mse") == 0
    swapped = np.array([[0.0], [1.0], [5.1], [7.0]])  # 1 1.9 4.1 5.1 6 7 from 1 2 3 4 6 7
    order = [np.argsort([abs(a - b) for a, b in combinations(x[:, 0], 2)]) for x in (line, swapped)]
    ranks = [x.argsort() for x in order]
    assert measures.reordered(line, swapped, "mse") == (ranks[0] != ranks[1]).sum() > 0


def cross_entropy(x: Vectors, y: Vectors) -> Vectors:
    return np.asarray(-softmax(x, 1) @ log_softmax(y, 1).T)


SLOW: dict[str, Callable[[Vectors, Vectors], Vectors]] = {
    "mse": lambda x, y: cdist(x, y, "sqeuclidean") / x.shape[1],
    "cosine": lambda x, y: cdist(x, y, "cosine"),
    "ce": cross_entropy,
    "js": lambda x, y: np.array(
        [jensenshannon(p[None], softmax(y, 1), axis=1) ** 2 for p in softmax(x, 1)]
    ),
}


@pytest.fixture(scope="module")
def matrices(embedding: Vectors) -> dict[str, Vectors]:
    """All pairs of the first seed's embeddings, by every metric."""
    return {metric: slow(embedding, embedding) for metric, slow in SLOW.items()}


@pytest.mark.parametrize("metric", SLOW)
def test_the_four_samples_stand_where_all_pairs_put_them(
    metric: str, record: Results, matrices: dict[str, Vectors], data: Dataset
) -> None:
    labels = data.test.labels.numpy()
    indices = [int(i) for label in (6, 7) for i in np.flatnonzero(labels == label)[:2]]
    table = record.table("pairs")
    assert list(table.column("images")) == [f"{i}, {j}" for i, j in combinations(indices, 2)]
    assert table.column("classes") == ("6, 6", "6, 7", "6, 7", "6, 7", "6, 7", "7, 7")
    everything = matrices[metric]
    same = labels[:, None] == labels
    off = ~np.eye(len(labels), dtype=bool)
    for way in ("", "_back") if metric == "ce" else ("",):
        values = table.column(f"trained_{metric}{way}")
        places = table.column(f"trained_{metric}{way}_place")
        for (i, j), value, place in zip(combinations(indices, 2), values, places, strict=True):
            ends = (j, i) if way else (i, j)
            assert value == pytest.approx(everything[ends], rel=1e-3)
            kind = everything[off & (same == (labels[i] == labels[j]))]
            assert place == pytest.approx(100 * (kind < everything[ends]).mean(), abs=0.02)


@pytest.mark.parametrize("metric", SLOW)
def test_all_pairs_are_those_of_scipy(
    metric: str, record: Results, matrices: dict[str, Vectors], data: Dataset
) -> None:
    labels = data.test.labels.numpy()
    everything = matrices[metric]
    off = ~np.eye(len(labels), dtype=bool)
    same = (labels[:, None] == labels)[off]
    distances = everything[off]
    line = next(r for r in record.table("metrics").rows if r[:2] == ("trained", metric))
    intra, inter, ratio, auroc = line[2:]
    for number, value in ((intra, distances[same]), (inter, distances[~same])):
        assert isinstance(number, Number) and number.value == pytest.approx(value.mean(), rel=1e-4)
    assert isinstance(ratio, Number) and ratio.bounds
    assert ratio.value == pytest.approx(distances[~same].mean() / distances[same].mean(), rel=1e-4)
    assert ratio.bounds[0] < ratio.value < ratio.bounds[1]
    assert auroc == pytest.approx(roc_auc_score(same, -distances), abs=1e-4)
    stored = record.arrays(f"distances_trained_{metric}")
    block = everything[labels == 2][:, labels == 5].mean()
    assert stored["means"][2, 5] == pytest.approx(block, rel=1e-4)


def test_neighbours_are_counted_by_hand(
    record: Results, embedding: Vectors, weights: list[Weights], data: Dataset
) -> None:
    known, truth = data.train.labels.numpy(), data.test.labels.numpy()

    def right(reference: Vectors, vectors: Vectors) -> npt.NDArray[np.bool_]:
        nearest = known[cdist(vectors, reference).argsort(1)[:, :10]]
        votes = np.array([np.bincount(line, minlength=10).argmax() for line in nearest])
        return np.asarray(votes == truth)

    flat = [s.floats().flatten(1).double().numpy() for s in (data.train, data.test)]
    pixels = right(flat[0], flat[1])
    reference = by_hand(weights[0], data.train.floats())["fc2"].double().numpy()
    trained = right(reference, embedding)
    numbers = record.numbers
    assert numbers["knn_pixels"].value == pytest.approx(pixels.mean(), abs=0.0011)
    gain = numbers["knn_gain"]
    assert gain.value == pytest.approx(trained.mean() - pixels.mean(), abs=0.0021)
    assert gain.bounds and gain.bounds[0] < gain.value < gain.bounds[1]
    # a mean of independent differences, so that the bootstrap is close to the normal interval
    error = 1.96 * (trained.astype(float) - pixels).std() / len(truth) ** 0.5
    assert gain.bounds[1] - gain.bounds[0] == pytest.approx(2 * error, rel=0.4)
    features = numbers["knn_gain_features"].value
    assert features == pytest.approx(trained.mean() - numbers["knn_features"].value, abs=0.0021)
    only = [int(numbers[f"only_{name}_right"].value) for name in ("pixels", "trained")]
    assert only[1] - only[0] == round(gain.value * len(truth))
    assert numbers["knn_p"].value == pytest.approx(binomtest(only[0], sum(only)).pvalue)


def test_class_means_are_those_of_the_training_images(
    record: Results, layers: list[dict[str, Tensor]], weights: list[Weights], data: Dataset
) -> None:
    rates = []
    for w, layer in zip(weights, layers, strict=True):
        reference = by_hand(w, data.train.floats())["fc2"]
        means = torch.stack([reference[data.train.labels == label].mean(0) for label in range(10)])
        nearest = torch.cdist(layer["fc2"], means).argmin(1)
        rates.append((nearest == data.test.labels).double().mean().item())
    assert record.numbers["centroid_trained"].value == pytest.approx(np.mean(rates), abs=0.0006)


def test_the_untrained_space_is_that_of_the_seeds_first_weights(
    record: Results, data: Dataset
) -> None:
    ratios = []
    labels = data.test.labels.numpy()
    same = (labels[:, None] == labels)[~np.eye(len(labels), dtype=bool)]
    for seed in (0, 1):
        first = by_hand(dict(networks.fresh(seed).state_dict()), data.test.floats())["fc2"]
        distances = SLOW["mse"](*[first.double().numpy()] * 2)[~np.eye(len(labels), dtype=bool)]
        ratios.append(distances[~same].mean() / distances[same].mean())
    assert record.numbers["ratio_seeds_untrained"].value == pytest.approx(np.mean(ratios), rel=1e-3)
    assert record.numbers["ratio_untrained_mse"].value == pytest.approx(ratios[0], rel=1e-3)


@pytest.mark.skipif(not (DATA / "MNIST").exists(), reason="MNIST is not downloaded")
def test_on_mnist_the_four_samples_are_those_of_the_assignment() -> None:
    assert cnn.four_samples(load(Data("mnist")), cnn.PRESETS["full"]) == [11, 21, 0, 17]


def test_four_images_are_parted_when_no_pair_of_two_classes_is_closer() -> None:
    same = [True, False, False, False, False, True]
    # squared differences: 1 and 1 within, at least 16 between; then 4 within and 1 between
    assert measures.margin(np.array([[0.0], [1.0], [5.0], [6.0]]), same) == pytest.approx(16)
    assert measures.margin(np.array([[0.0], [2.0], [3.0], [3.1]]), same) == pytest.approx(1 / 4)


def test_the_rank_of_a_pair_of_classes_counts_from_the_farthest() -> None:
    means = np.array([[1.0, 5, 9], [5, 1, 7], [9, 7, 1]])
    assert [measures.rank_of(means, 2, 0), measures.rank_of(means, 0, 1)] == [1, 3]
