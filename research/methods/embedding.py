"""What a space of features says about classes, and a map for the eye.

Vectors are (N, D) arrays, one row per image. A map is for the eye: distances and sizes on it mean
nothing, so the only number taken from it is how far its neighbourhoods can be trusted.

A network can die and send every image to one point. A value that compares with the spread of such
images does not exist; it is nan.
"""

import math

import numpy as np
import numpy.typing as npt
from openTSNE import TSNE
from scipy import linalg
from scipy.spatial.distance import cdist
from sklearn.covariance import ledoit_wolf
from sklearn.decomposition import PCA
from sklearn.manifold import trustworthiness as sklearn_trustworthiness
from sklearn.metrics import silhouette_samples
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

from research.errors import ArgumentError

Vectors = npt.NDArray[np.floating]
Labels = npt.NDArray[np.integer]
Floats = npt.NDArray[np.float64]


# --- codes and maps ------------------------------------------------------------------------------


def varies(vectors: Vectors) -> bool:
    """Whether two of the vectors differ.

    Example:
        >>> varies(np.ones((3, 2))), varies(np.eye(2))
        (False, True)
    """
    return bool((vectors != vectors[:1]).any())


def fit_pca(vectors: Vectors, components: int) -> PCA:
    """The best linear code of a given size, exactly.

    By the eigendecomposition of the covariance or, where there are fewer vectors than dimensions
    and it would not fit into memory, by the singular values of the vectors.

    Raises:
        ArgumentError: there are fewer vectors, or dimensions, than components.

    Example:
        >>> vectors = np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]])
        >>> fit_pca(vectors, 1).explained_variance_ratio_.round(6).tolist()
        [1.0]
    """
    count, dimensions = vectors.shape
    if not 1 <= components <= min(count, dimensions):
        raise ArgumentError(
            f"components must be 1 to {min(count, dimensions)} for {count} vectors of {dimensions} "
            f"dimensions, got {components}"
        )
    solver = "covariance_eigh" if dimensions <= count else "full"
    with np.errstate(invalid="ignore"):  # shares of a variance that is 0, which are nan
        return PCA(components, svd_solver=solver).fit(vectors)


def knn_accuracy(
    reference: Vectors, labels: Labels, vectors: Vectors, truth: Labels, k: int
) -> float:
    """Share of `vectors` classified rightly by a vote of their k nearest in `reference`.

    Arguments:
        reference, labels: vectors (N, D) and their classes (N,).
        vectors, truth: vectors (M, D) to classify and their classes (M,).
        k: Euclidean neighbours that vote.

    Example:
        >>> vectors = np.array([[0.0, 0.0], [0.0, 1.0], [5.0, 5.0], [5.0, 6.0]])
        >>> knn_accuracy(vectors, np.array([0, 0, 1, 1]), vectors + 1, np.array([0, 0, 1, 0]), k=1)
        0.75
    """
    model = KNeighborsClassifier(k, algorithm="brute").fit(reference, labels)
    return float(model.score(vectors, truth))


def tsne(vectors: Vectors, *, perplexity: float = 30, seed: int = 0, jobs: int = 1) -> Vectors:
    """A two-dimensional map, started from the first two principal components. (N, 2)

    The number of `jobs` changes no bit; beside other work two take ten times as long as one.

    References:
        Visualizing Data using t-SNE (van der Maaten and Hinton, 2008); openTSNE (Poličar et al.,
        2024), with its defaults except for the arguments here.

    Raises:
        ArgumentError: all vectors are equal, and no map can be started.

    Example:
        >>> tsne(np.random.default_rng(0).normal(size=(20, 5)), perplexity=3, jobs=1).shape
        (20, 2)
    """
    if not varies(vectors):
        raise ArgumentError("a map needs vectors that differ, got equal ones")
    return np.asarray(
        TSNE(perplexity=perplexity, initialization="pca", random_state=seed, n_jobs=jobs).fit(
            np.asarray(vectors, dtype=np.float64)
        )
    )


def trustworthiness(vectors: Vectors, points: Vectors, k: int) -> float:
    """How far the k nearest on a map are neighbours in the space, in [0, 1]; a random map has ½.

    nan where all vectors of the space are equal, and none is nearer than another.

    Arguments:
        vectors, points: row by row of the same inputs, (N, D) in the space and (N, 2) on the map.

    References:
        Neighborhood Preservation in Nonlinear Projection Methods (Venna and Kaski, 2001).

    Example:
        >>> vectors = np.random.default_rng(0).normal(size=(20, 2))
        >>> trustworthiness(vectors, 3 * vectors, k=5)
        1.0
    """
    if not varies(vectors):
        return math.nan
    return float(sklearn_trustworthiness(vectors, points, n_neighbors=k))


def knn_preservation(vectors: Vectors, points: Vectors, k: int) -> float:
    """Mean share of the k nearest in the space that are among the k nearest on the map, in [0, 1].

    A random map has about k / (N - 1); nan where all vectors of the space are equal. Arguments as
    in `trustworthiness`.

    Example:
        >>> vectors = np.random.default_rng(0).normal(size=(20, 2))
        >>> knn_preservation(vectors, 3 * vectors, k=5)
        1.0
    """
    if not varies(vectors):
        return math.nan
    near, near_on_map = (
        NearestNeighbors(n_neighbors=k, algorithm="brute").fit(x).kneighbors()[1]
        for x in (vectors, points)
    )
    shared = (near[:, :, None] == near_on_map[:, None]).sum()
    return float(shared / near.size)


# --- how far classes are apart -------------------------------------------------------------------


def nearest_centroid_accuracy(
    reference: Vectors, labels: Labels, vectors: Vectors, truth: Labels
) -> float:
    """Share of `vectors` whose Euclidean nearest class mean in `reference` is their own class's.

    Arguments as in `knn_accuracy`.

    Example:
        >>> vectors, labels = np.array([[0.0], [2.0], [9.0]]), np.array([0, 0, 1])
        >>> nearest_centroid_accuracy(vectors, labels, np.array([[4.0], [6.0]]), np.array([0, 0]))
        0.5
    """
    classes = np.unique(labels)
    means = np.stack([reference[labels == label].mean(0) for label in classes])
    return knn_accuracy(means, classes, vectors, truth, 1)


def silhouettes(vectors: Vectors, labels: Labels) -> Vectors:
    """(b - a) / max(a, b) of every vector, (N,) in [-1, 1].

    a is the mean Euclidean distance to the vector's own class, b that to the nearest other class.
    nan where there is one class, or all vectors are equal.

    References:
        Silhouettes: A Graphical Aid to the Interpretation and Validation of Cluster Analysis
        (Rousseeuw, 1987).

    Example:
        >>> silhouettes(np.array([[0.0], [1.0], [8.0], [9.0]]), np.array([0, 0, 1, 1])).round(2)
        array([0.88, 0.87, 0.87, 0.88])
    """
    if len(np.unique(labels)) < 2 or not varies(vectors):
        return np.full(len(vectors), math.nan)
    return np.asarray(silhouette_samples(vectors, labels))


def scatter(vectors: Vectors, labels: Labels) -> tuple[Floats, Floats, Floats]:
    """Sums of squares and products within classes, between class means and in total, (D, D) each.

    The total is the sum of the other two.

    Example:
        >>> sums = scatter(np.array([[0.0], [2.0], [9.0], [9.0]]), np.array([0, 0, 1, 1]))
        >>> [part.tolist() for part in sums]
        [[[2.0]], [[64.0]], [[66.0]]]
    """
    data = np.asarray(vectors, np.float64)
    means, own = _class_means(data, labels)
    inside, apart, centred = data - means[own], means[own] - data.mean(0), data - data.mean(0)
    return inside.T @ inside, apart.T @ apart, centred.T @ centred


def fisher_ratio(vectors: Vectors, labels: Labels, shrinkage: float | None = None) -> float:
    """tr(W⁻¹ B) of the scatter within and between classes: large where classes are far apart.

    Infinite where each class is a single point, nan where all of them are the same one.

    Arguments:
        shrinkage: see `covariance`; 0 gives Fisher's ratio, which needs more vectors than
            dimensions and no constant dimension.

    References:
        The Use of Multiple Measurements in Taxonomic Problems (Fisher, 1936).

    Example:
        >>> vectors = np.array([[0.0], [2.0], [8.0], [10.0]])
        >>> fisher_ratio(vectors, np.array([0, 0, 1, 1]), shrinkage=0)  # 16 between, 1 within
        16.0
    """
    data = np.asarray(vectors, np.float64)
    means, own = _class_means(data, labels)
    if not varies(data):
        return math.nan
    if not (data != means[own]).any():
        return math.inf
    within = covariance(data - means[own], shrinkage)
    squares = (_whitened(means - data.mean(0), within) ** 2).sum(1)
    return float(squares @ np.bincount(own) / len(own))


# --- distances that know the spread --------------------------------------------------------------


def covariance(centred: Vectors, shrinkage: float | None = None) -> Floats:
    """Covariance (÷ N) of vectors of mean 0, drawn towards the identity times its mean variance.

    Arguments:
        shrinkage: weight of the identity in [0, 1]; None for the one with the least expected
            error, estimated from the vectors. Anything above 0 makes the result invertible, even
            where a dimension is constant.

    References:
        A Well-Conditioned Estimator for Large-Dimensional Covariance Matrices (Ledoit and Wolf,
        2004).

    Example:
        >>> covariance(np.array([[1.0, 0.0], [-1.0, 0.0]]), shrinkage=0.5).tolist()
        [[0.75, 0.0], [0.0, 0.25]]
    """
    if shrinkage is None:
        return np.asarray(ledoit_wolf(centred, assume_centered=True)[0])
    plain = centred.T @ centred / len(centred)
    identity = np.eye(len(plain)) * np.trace(plain) / len(plain)
    return np.asarray((1 - shrinkage) * plain + shrinkage * identity)


def mahalanobis(reference: Vectors, vectors: Vectors, shrinkage: float | None = None) -> Floats:
    """Distance of each of `vectors` (M, D) to the mean of `reference` (N, D), in its spread. (M,)

    The spread is the `covariance` of the reference; where it has none, a distance is 0 or infinite.

    References:
        On the Generalized Distance in Statistics (Mahalanobis, 1936).

    Example:
        >>> reference = np.array([[2.0], [-2.0]])
        >>> mahalanobis(reference, np.array([[0.0], [6.0]]), shrinkage=0).tolist()
        [0.0, 3.0]
    """
    data = np.asarray(reference, np.float64)
    mean = data.mean(0)
    white = _whitened(vectors - mean, covariance(data - mean, shrinkage))
    return np.asarray(np.linalg.norm(white, axis=1))


def class_mahalanobis(
    reference: Vectors, labels: Labels, vectors: Vectors, shrinkage: float | None = None
) -> Floats:
    """Least distance of each of `vectors` to a class mean of `reference`, (M,).

    Distances are in the spread of the vectors about their class means, shared by all classes; where
    there is none, a distance is 0 or infinite.

    References:
        A Simple Unified Framework for Detecting Out-of-Distribution Samples and Adversarial
        Attacks, section 2.1 (Lee et al., 2018), whose confidence is minus the square of this.

    Example:
        >>> reference, labels = np.array([[0.0], [2.0], [8.0], [10.0]]), np.array([0, 0, 1, 1])
        >>> class_mahalanobis(reference, labels, np.array([[1.0], [11.0]]), shrinkage=0).tolist()
        [0.0, 2.0]
    """
    data = np.asarray(reference, np.float64)
    means, own = _class_means(data, labels)
    within = covariance(data - means[own], shrinkage)
    shift = data.mean(0)
    white = (_whitened(x - shift, within) for x in (np.asarray(vectors, np.float64), means))
    return np.asarray(cdist(*white).min(1))


def _class_means(data: Floats, labels: Labels) -> tuple[Floats, npt.NDArray[np.intp]]:
    """Means of the classes, (C, D), and which of them is each vector's, (N,)."""
    names, own = np.unique(labels, return_inverse=True)
    return np.stack([data[own == index].mean(0) for index in range(len(names))]), own


def _whitened(offsets: Floats, spread: Floats) -> Floats:
    """Rows as long, by Euclid, as `offsets` by Mahalanobis; 0 or inf where there is no spread.

    Raises:
        LinAlgError: the spread is singular.
    """
    if not spread.any():
        return np.where(offsets == 0, 0.0, math.inf)
    factor = linalg.cholesky(spread, lower=True)
    return np.asarray(linalg.solve_triangular(factor, offsets.T, lower=True).T)
