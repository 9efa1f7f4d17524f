"""What a space of features says about classes, how two spaces differ, and a map for the eye.

Vectors are (N, D) arrays, one row per image. A map is for looking: distances and sizes on it mean
nothing, so no number is ever taken from it but how far its neighbourhoods can be trusted.

A network can die and send every image to one point. What then has no value, because it compares
with a spread that is none, is nan.
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

Vectors = npt.NDArray[np.floating]
Labels = npt.NDArray[np.integer]
Floats = npt.NDArray[np.float64]


# --- codes and maps ------------------------------------------------------------------------------


def varies(vectors: Vectors) -> bool:
    """Whether two of the vectors differ."""
    return bool((vectors != vectors[:1]).any())


def fit_pca(vectors: Vectors, components: int) -> PCA:
    """The best linear code of a size, exactly.

    By the eigendecomposition of the covariance or, where there are fewer vectors than dimensions
    and it would not fit into the memory, by the singular values of the vectors.

    Raises:
        ValueError: there are not so many directions: less vectors, or dimensions, than components.
    """
    count, dimensions = vectors.shape
    if not 1 <= components <= min(count, dimensions):
        raise ValueError(
            f"components must be 1 to {min(count, dimensions)} for {count} vectors of {dimensions} "
            f"dimensions, got {components}"
        )
    solver = "covariance_eigh" if dimensions <= count else "full"
    with np.errstate(invalid="ignore"):  # shares of a variance that is 0, which are nan
        return PCA(components, svd_solver=solver).fit(vectors)


def knn_accuracy(
    reference: Vectors, labels: Labels, vectors: Vectors, truth: Labels, neighbours: int
) -> float:
    """Share of `vectors` with the class of most of their Euclidean nearest in `reference`."""
    model = KNeighborsClassifier(neighbours, algorithm="brute").fit(reference, labels)
    return float(model.score(vectors, truth))


def tsne(vectors: Vectors, *, perplexity: float = 30, seed: int = 0, jobs: int = 1) -> Vectors:
    """A two-dimensional map, started from the first two principal components. (N, 2)

    The number of `jobs` changes no bit; beside other work two take ten times as long as one.

    References:
        Visualizing Data using t-SNE (van der Maaten and Hinton, 2008); openTSNE (Poličar et al.,
        2024), with its defaults but for what is given here.

    Raises:
        ValueError: all vectors are equal, and no map can be started.
    """
    if not varies(vectors):
        raise ValueError("a map needs vectors that differ, all are equal")
    return np.asarray(
        TSNE(perplexity=perplexity, initialization="pca", random_state=seed, n_jobs=jobs).fit(
            np.asarray(vectors, dtype=np.float64)
        )
    )


def trustworthiness(vectors: Vectors, flat: Vectors, neighbours: int) -> float:
    """How far neighbours on a map are neighbours in the space, in [0, 1]; a random map has ½.

    nan where all vectors of the space are equal, and none is nearer than another.

    References:
        Neighborhood Preservation in Nonlinear Projection Methods (Venna and Kaski, 2001).
    """
    if not varies(vectors):
        return math.nan
    return float(sklearn_trustworthiness(vectors, flat, n_neighbors=neighbours))


def knn_preservation(vectors: Vectors, flat: Vectors, neighbours: int) -> float:
    """Mean share of the nearest in the space that are among the nearest on the map, in [0, 1].

    A random map has about `neighbours` / (N - 1); nan where all vectors of the space are equal.
    """
    if not varies(vectors):
        return math.nan
    near, near_flat = (
        NearestNeighbors(n_neighbors=neighbours, algorithm="brute").fit(x).kneighbors()[1]
        for x in (vectors, flat)
    )
    shared = (near[:, :, None] == near_flat[:, None]).sum()
    return float(shared / near.size)


# --- how well classes are apart ------------------------------------------------------------------


def nearest_centroid_accuracy(
    reference: Vectors, labels: Labels, vectors: Vectors, truth: Labels
) -> float:
    """Share of `vectors` to which their class's mean in `reference` is the nearest, by Euclid."""
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
    """
    if len(np.unique(labels)) < 2 or not varies(vectors):
        return np.full(len(vectors), math.nan)
    return np.asarray(silhouette_samples(vectors, labels))


def scatter(vectors: Vectors, labels: Labels) -> tuple[Floats, Floats, Floats]:
    """Sums of squares and products within classes, between class means and in total, (D, D) each.

    The total is the sum of the other two.
    """
    data = np.asarray(vectors, np.float64)
    means, own = _class_means(data, labels)
    inside, apart, centred = data - means[own], means[own] - data.mean(0), data - data.mean(0)
    return inside.T @ inside, apart.T @ apart, centred.T @ centred


def fisher_ratio(vectors: Vectors, labels: Labels, shrinkage: float | None = None) -> float:
    """tr(W⁻¹ B) of the scatter within and between classes: large where classes are far apart.

    Infinite where each class is a single point, nan where all of them are the same one.

    Arguments:
        shrinkage: see `covariance`; 0 is the ratio of Fisher, which needs more vectors than
            dimensions and no constant ones.

    References:
        The Use of Multiple Measurements in Taxonomic Problems (Fisher, 1936).
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
        shrinkage: weight of the identity in [0, 1]; None for the one that is least wrong in the
            mean, estimated from the vectors. Anything above 0 makes the result invertible, even
            where a dimension is constant.

    References:
        A Well-Conditioned Estimator for Large-Dimensional Covariance Matrices (Ledoit and Wolf,
        2004).
    """
    if shrinkage is None:
        return np.asarray(ledoit_wolf(centred, assume_centered=True)[0])
    plain = centred.T @ centred / len(centred)
    identity = np.eye(len(plain)) * np.trace(plain) / len(plain)
    return np.asarray((1 - shrinkage) * plain + shrinkage * identity)


def mahalanobis(reference: Vectors, vectors: Vectors, shrinkage: float | None = None) -> Floats:
    """Distance of each of `vectors` (M, D) to the mean of `reference` (N, D), in its spreads. (M,)

    The spread is the `covariance` of the reference; where it has none, a distance is 0 or infinite.

    References:
        On the Generalized Distance in Statistics (Mahalanobis, 1936).
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
    """Rows of the same Mahalanobis as Euclidean length, in no spread at all of length 0 or inf.

    Raises:
        LinAlgError: the spread is singular.
    """
    if not spread.any():
        return np.where(offsets == 0, 0.0, math.inf)
    factor = linalg.cholesky(spread, lower=True)
    return np.asarray(linalg.solve_triangular(factor, offsets.T, lower=True).T)


# --- two spaces compared -------------------------------------------------------------------------


def frobenius(a: Floats, b: Floats) -> float:
    """‖A - B‖ / √(‖A‖ ‖B‖) of two covariances of one space, in Frobenius norms; 0 when equal.

    Infinite where one is 0 and the other is not.
    """
    norm = np.linalg.norm
    apart, size = norm(a - b), np.sqrt(norm(a) * norm(b))
    if not apart:
        return 0.0
    return float(apart / size) if size else math.inf


def bures(a: Floats, b: Floats) -> float:
    """Bures-Wasserstein distance of two covariances of one space, in the vectors' own unit.

    It is the 2-Wasserstein distance of normal distributions with these covariances and one mean:
    d² = tr A + tr B - 2 tr (A^½ B A^½)^½.

    References:
        On the Bures-Wasserstein Distance between Positive Definite Matrices (Bhatia, Jain and
        Lim, 2019), whose theorem 1, d = min over rotations U of ‖A^½ - B^½ U‖, is computed here:
        it does not subtract nearly equal numbers.
    """
    first, second = _root(a), _root(b)
    left, _, right = np.linalg.svd(second @ first)
    return float(np.linalg.norm(first - second @ left @ right))


def spectral_distance(a: Floats, b: Floats) -> float:
    """Bures distance of covariances of any two spaces, each turned to its own principal axes.

    It compares the spectra alone, the shorter one padded with zeros, and is the least `bures`
    distance over all rotations of one space.
    """
    size = max(len(a), len(b))
    first, second = (np.pad(_spectrum(x), (size - len(x), 0)) for x in (a, b))
    return float(np.linalg.norm(np.sqrt(first) - np.sqrt(second)))


def participation_ratio(covariance: Floats) -> float:
    """Effective dimension (tr C)² / tr C², from 1 (a line) to D (a ball); nan of a point.

    References:
        A Theory of Multineuronal Dimensionality, Dynamics and Measurement (Gao et al., 2017).
    """
    size = (covariance**2).sum()
    return float(np.trace(covariance) ** 2 / size) if size else math.nan


def linear_cka(x: Vectors, y: Vectors) -> float:
    """Centred kernel alignment of two representations of the same inputs, in [0, 1].

    1 for representations that are equal but for rotation, shift and scale; widths may differ. nan
    where one of them is the same for all inputs.

    Arguments:
        x, y: (N, D) and (N, E), row by row of the same inputs.

    References:
        Similarity of Neural Network Representations Revisited (Kornblith et al., 2019).
    """
    first, second = (np.asarray(z, np.float64) - z.mean(0, dtype=np.float64) for z in (x, y))
    if not (varies(x) and varies(y)):
        return math.nan
    norm = np.linalg.norm
    if len(x) < max(x.shape[1], y.shape[1]):  # the same value from products of inputs
        one, other = first @ first.T, second @ second.T
        return float((one * other).sum() / (norm(one) * norm(other)))
    shared = norm(second.T @ first) ** 2
    return float(shared / (norm(first.T @ first) * norm(second.T @ second)))


def _spectrum(covariance: Floats) -> Floats:
    """Eigenvalues in ascending order; rounding may have made those of 0 negative."""
    return np.asarray(np.linalg.eigvalsh(covariance).clip(0))


def _root(covariance: Floats) -> Floats:
    values, axes = np.linalg.eigh(covariance)
    return np.asarray(axes * np.sqrt(values.clip(0)) @ axes.T)
