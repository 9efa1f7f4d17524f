"""What a space of features says about classes, and a map of it for the eye.

Vectors are (N, D) arrays, one row per image. A map is for looking: distances and sizes on it mean
nothing, so no number is ever taken from it but how far its neighbourhoods can be trusted.
"""

import numpy as np
import numpy.typing as npt
from openTSNE import TSNE
from sklearn.decomposition import PCA
from sklearn.manifold import trustworthiness as sklearn_trustworthiness
from sklearn.neighbors import KNeighborsClassifier

Vectors = npt.NDArray[np.floating]
Labels = npt.NDArray[np.integer]


def fit_pca(vectors: Vectors, components: int) -> PCA:
    """The best linear code of a size, by the exact eigendecomposition of the covariance."""
    return PCA(components, svd_solver="covariance_eigh").fit(vectors)


def knn_accuracy(
    reference: Vectors, labels: Labels, vectors: Vectors, truth: Labels, neighbours: int
) -> float:
    """Share of `vectors` with the class of most of their Euclidean nearest in `reference`."""
    model = KNeighborsClassifier(neighbours, algorithm="brute").fit(reference, labels)
    return float(model.score(vectors, truth))


def tsne(vectors: Vectors, *, perplexity: float = 30, seed: int = 0, jobs: int = 2) -> Vectors:
    """A two-dimensional map, started from the first two principal components. (N, 2)

    References:
        Visualizing Data using t-SNE (van der Maaten and Hinton, 2008); openTSNE (Poličar et al.,
        2024), with its defaults but for what is given here.
    """
    return np.asarray(
        TSNE(perplexity=perplexity, initialization="pca", random_state=seed, n_jobs=jobs).fit(
            np.asarray(vectors, dtype=np.float64)
        )
    )


def trustworthiness(vectors: Vectors, flat: Vectors, neighbours: int) -> float:
    """How far neighbours on a map are neighbours in the space, in [0, 1]; a random map has ½.

    References:
        Neighborhood Preservation in Nonlinear Projection Methods (Venna and Kaski, 2001).
    """
    return float(sklearn_trustworthiness(vectors, flat, n_neighbors=neighbours))
