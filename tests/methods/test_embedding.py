"""Codes, maps, scatter and covariances against linear algebra, brute force and planted clusters."""

import math

import numpy as np
import numpy.typing as npt
import pytest
from scipy import linalg, stats
from scipy.spatial.distance import cdist
from scipy.spatial.distance import mahalanobis as scipy_mahalanobis
from sklearn.covariance import LedoitWolf
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.metrics import silhouette_score
from statsmodels.multivariate.manova import MANOVA

from research.methods.embedding import (
    class_mahalanobis,
    covariance,
    fisher_ratio,
    fit_pca,
    knn_accuracy,
    knn_preservation,
    mahalanobis,
    nearest_centroid_accuracy,
    scatter,
    silhouettes,
    trustworthiness,
    tsne,
    varies,
)
from research.methods.spaces import (
    bures,
    frobenius,
    linear_cka,
    participation_ratio,
    spectral_distance,
)

Array = npt.NDArray[np.float64]
RNG = np.random.default_rng(0)
CENTRES = 20 * RNG.standard_normal((3, 6))
LABELS = np.repeat([0, 1, 2], 60)
BLOBS = CENTRES[LABELS] + RNG.standard_normal((180, 6))
# classes of unequal size and label, close to each other, of unequal spread
GROUPS = np.array([7] * 40 + [2] * 25 + [4] * 15)
NEAR = RNG.standard_normal((80, 5)) @ RNG.standard_normal((5, 5)) + GROUPS[:, None] / 3
MEMBERS = [NEAR[name == GROUPS] for name in (2, 4, 7)]


def test_pca_leaves_the_error_of_the_singular_values() -> None:
    pca = fit_pca(BLOBS, 2)
    rebuilt = pca.inverse_transform(pca.transform(BLOBS))
    singular = np.linalg.svd(BLOBS - BLOBS.mean(0), compute_uv=False)
    assert ((BLOBS - rebuilt) ** 2).sum() == pytest.approx((singular[2:] ** 2).sum())


def test_knn_accuracy_equals_brute_force() -> None:
    reference, queries = RNG.standard_normal((80, 4)), RNG.standard_normal((40, 4))
    labels, truth = RNG.integers(0, 2, 80), RNG.integers(0, 2, 40)
    right = 0
    for query, expected in zip(queries, truth, strict=True):
        near = np.argsort(((reference - query) ** 2).sum(1))[:5]
        right += np.bincount(labels[near], minlength=2).argmax() == expected
    assert knn_accuracy(reference, labels, queries, truth, 5) == right / 40


# --- maps ----------------------------------------------------------------------------------------


def test_map_keeps_planted_clusters_and_repeats_its_bits() -> None:
    first, second = (tsne(BLOBS, perplexity=15, seed=1, jobs=1) for _ in range(2))
    assert np.array_equal(first, second)
    assert knn_accuracy(first, LABELS, first, LABELS, 5) > 0.99
    assert trustworthiness(BLOBS, first, 5) > 0.9
    start = fit_pca(BLOBS, 2).transform(BLOBS)
    for axis in (0, 1):
        assert stats.pearsonr(first[:, axis], start[:, axis]).statistic > 0.9


def test_map_repairs_what_a_random_one_lacks() -> None:
    noise = RNG.standard_normal((180, 2))
    assert knn_accuracy(noise, LABELS, noise[::-1] + 0.3, LABELS, 5) < 0.5
    points = tsne(BLOBS, perplexity=15, jobs=1)
    assert knn_accuracy(points[::2], LABELS[::2], points[1::2], LABELS[1::2], 5) > 0.95


def test_map_is_as_good_as_the_exact_one() -> None:
    rng = np.random.default_rng(3)
    vectors = 4 * rng.standard_normal((4, 10))[np.arange(200) % 4] + rng.standard_normal((200, 10))
    exact = TSNE(perplexity=30, method="exact", init="pca", random_state=0).fit_transform(vectors)
    ours = tsne(vectors, perplexity=30, jobs=1)
    assert divergence(vectors, ours) < 1.05 * divergence(vectors, exact)
    assert trustworthiness(vectors, ours, 10) > 0.95


def divergence(vectors: Array, flat: npt.NDArray[np.floating], perplexity: float = 30) -> float:
    """The objective of t-SNE, from its definition (van der Maaten and Hinton, 2008, section 3)."""
    others = ~np.eye(len(vectors), dtype=bool)
    squares = cdist(vectors, vectors, "sqeuclidean")
    low, high = np.full((2, len(vectors), 1), [[[-20.0]], [[20.0]]])
    for _ in range(60):
        middle = (low + high) / 2
        given = np.exp(-squares * np.exp(middle)) * others
        given /= given.sum(1, keepdims=True)
        wide = stats.entropy(given, axis=1)[:, None] > np.log(perplexity)
        low, high = np.where(wide, middle, low), np.where(wide, high, middle)
    kernel = others / (1 + cdist(flat, flat, "sqeuclidean"))
    return float(stats.entropy((given + given.T)[others], kernel[others]))


def test_trustworthiness_of_a_copy_is_one_and_of_chance_a_half() -> None:
    assert trustworthiness(BLOBS, BLOBS, 5) == 1
    flat = RNG.standard_normal((180, 6))
    assert trustworthiness(flat, RNG.standard_normal((180, 2)), 5) == pytest.approx(0.5, abs=0.05)


def test_kept_neighbours_equal_brute_force() -> None:
    flat = NEAR[:, :2]
    shares = []
    for i in range(len(NEAR)):
        sets = []
        for space in (NEAR, flat):
            far = ((space - space[i]) ** 2).sum(1)
            far[i] = np.inf
            sets.append(set(np.argsort(far)[:7]))
        shares.append(len(sets[0] & sets[1]) / 7)
    assert knn_preservation(NEAR, flat, 7) == pytest.approx(np.mean(shares))
    assert knn_preservation(NEAR, -2 * NEAR, 7) == 1


# --- classes -------------------------------------------------------------------------------------


def test_nearest_centroid_equals_brute_force() -> None:
    names = np.array([2, 4, 7])
    means = np.stack([NEAR[name == GROUPS].mean(0) for name in names])
    queries, truth = RNG.standard_normal((50, 5)) + 1, RNG.choice(names, 50)
    share = (names[cdist(queries, means).argmin(1)] == truth).mean()
    assert nearest_centroid_accuracy(NEAR, GROUPS, queries, truth) == pytest.approx(share)


def test_silhouette_equals_its_definition() -> None:
    distances, widths = cdist(NEAR, NEAR), []
    for i, label in enumerate(GROUPS):
        own = distances[i, label == GROUPS].sum() / ((label == GROUPS).sum() - 1)
        other = min(distances[i, name == GROUPS].mean() for name in {2, 4, 7} - {label})
        widths.append((other - own) / max(own, other))
    assert silhouettes(NEAR, GROUPS) == pytest.approx(np.array(widths))
    assert silhouettes(NEAR, GROUPS).mean() == pytest.approx(silhouette_score(NEAR, GROUPS))


def test_total_scatter_is_that_within_and_between() -> None:
    within, between, total = scatter(NEAR.astype(np.float32), GROUPS)
    assert within.dtype == np.float64
    np.testing.assert_allclose(within + between, total, rtol=1e-12, atol=1e-9)
    np.testing.assert_allclose(total, np.cov(NEAR.T) * 79, rtol=1e-5)
    parts = [np.cov(x.T) * (len(x) - 1) for x in MEMBERS]
    np.testing.assert_allclose(within, np.sum(parts, 0), rtol=1e-5)


def test_fisher_ratio_is_hotellings_trace_and_the_sum_of_discriminant_eigenvalues() -> None:
    dummies = (GROUPS[:, None] == np.array([2, 4, 7])).astype(float)
    contrast = np.array([[1, -1, 0], [0, 1, -1]])
    table = MANOVA(NEAR, dummies).mv_test([("classes", contrast)]).results["classes"]["stat"]
    found = fisher_ratio(NEAR, GROUPS, shrinkage=0)
    assert found == pytest.approx(table.loc["Hotelling-Lawley trace", "Value"])
    within, between, _ = scatter(NEAR, GROUPS)
    assert found == pytest.approx(linalg.eigh(between, within, eigvals_only=True).sum())


def test_fisher_ratio_of_one_dimension_is_that_of_the_f_test() -> None:
    line = NEAR[:, :1]
    f = stats.f_oneway(*(line[name == GROUPS, 0] for name in (2, 4, 7))).statistic
    assert fisher_ratio(line, GROUPS, shrinkage=0) == pytest.approx(f * 2 / 77)
    # one dimension equals its own mean variance: there is nothing to shrink to
    assert fisher_ratio(line, GROUPS) == pytest.approx(f * 2 / 77)


def test_a_constant_dimension_needs_shrinkage() -> None:
    constant = np.hstack([NEAR, np.ones((80, 1))])
    with pytest.raises(np.linalg.LinAlgError):
        fisher_ratio(constant, GROUPS, shrinkage=0)
    assert 0 < fisher_ratio(constant, GROUPS) < fisher_ratio(NEAR, GROUPS, shrinkage=0)


# --- distances that know the spread --------------------------------------------------------------


def test_shrunk_covariance_equals_sklearns() -> None:
    centred = NEAR - NEAR.mean(0)
    np.testing.assert_allclose(covariance(centred), LedoitWolf().fit(NEAR).covariance_)
    plain = np.cov(NEAR.T, ddof=0)
    expected = 0.7 * plain + 0.3 * np.diag(np.full(5, plain.trace() / 5))
    np.testing.assert_allclose(covariance(centred, 0.3), expected)


def test_mahalanobis_equals_scipys() -> None:
    queries = RNG.standard_normal((9, 5))
    inverse, mean = np.linalg.inv(np.cov(NEAR.T, ddof=0)), NEAR.mean(0)
    expected = [scipy_mahalanobis(query, mean, inverse) for query in queries]
    np.testing.assert_allclose(mahalanobis(NEAR, queries, shrinkage=0), expected)
    squares = LedoitWolf().fit(NEAR).mahalanobis(queries)
    np.testing.assert_allclose(mahalanobis(NEAR, queries), np.sqrt(squares))


def test_class_mahalanobis_is_the_least_over_the_classes() -> None:
    queries = RNG.standard_normal((9, 5))
    members = [NEAR[name == GROUPS] for name in (2, 4, 7)]
    pooled = np.sum([np.cov(x.T, ddof=0) * len(x) for x in members], 0) / len(NEAR)
    means = np.stack([x.mean(0) for x in MEMBERS])
    expected = cdist(queries, means, "mahalanobis", VI=np.linalg.inv(pooled)).min(1)
    np.testing.assert_allclose(class_mahalanobis(NEAR, GROUPS, queries, shrinkage=0), expected)
    residuals = np.concatenate([x - x.mean(0) for x in MEMBERS])
    inverse = LedoitWolf(assume_centered=True).fit(residuals).precision_
    expected = cdist(queries, means, "mahalanobis", VI=inverse).min(1)
    np.testing.assert_allclose(class_mahalanobis(NEAR, GROUPS, queries), expected)


# --- two spaces compared -------------------------------------------------------------------------


def spread(size: int, rank: int | None = None) -> Array:
    factor = RNG.standard_normal((size, rank or size))
    return np.asarray(factor @ factor.T)


def test_frobenius_of_diagonals_is_by_hand() -> None:
    a, b = np.diag([3.0, 4]), np.diag([3.0, 0])
    assert frobenius(a, b) == frobenius(b, a) == pytest.approx(4 / np.sqrt(5 * 3))
    assert frobenius(a, a) == 0


def test_bures_of_diagonals_is_between_their_roots() -> None:
    a, b = np.diag([1.0, 9, 0]), np.diag([4.0, 4, 25])
    assert bures(a, b) == pytest.approx(np.sqrt(1 + 1 + 25))


def test_bures_equals_its_trace_formula() -> None:
    a, b = spread(5), spread(5, rank=3)
    root = linalg.sqrtm(a)
    square = np.trace(a) + np.trace(b) - 2 * np.trace(linalg.sqrtm(root @ b @ root)).real
    assert bures(a, b) == pytest.approx(np.sqrt(square), rel=1e-6)
    assert bures(a, b) == pytest.approx(bures(b, a))
    assert bures(a, a) < 1e-12 * np.trace(a)


def test_spectral_distance_is_the_least_over_rotations() -> None:
    a, b = spread(4), spread(4)
    least = spectral_distance(a, b)
    rotations = [np.linalg.qr(RNG.standard_normal((4, 4)))[0] for _ in range(200)]
    distances = [bures(a, q @ b @ q.T) for q in rotations]
    assert min(distances) >= least - 1e-9
    axes_a, axes_b = (np.linalg.eigh(x)[1] for x in (a, b))
    best = axes_a @ axes_b.T
    assert bures(a, best @ b @ best.T) == pytest.approx(least)
    assert spectral_distance(a, rotations[0] @ a @ rotations[0].T) < 1e-9


def test_spectra_of_unequal_length_are_padded_with_zeros() -> None:
    a, b = np.diag([4.0, 16]), np.diag([9.0, 0.25, 1])
    expected = np.sqrt((4 - 3) ** 2 + (2 - 1) ** 2 + 0.5**2)
    assert spectral_distance(a, b) == spectral_distance(b, a) == pytest.approx(expected)


def test_effective_dimension_is_from_line_to_ball() -> None:
    assert participation_ratio(3 * np.eye(7)) == pytest.approx(7)
    assert participation_ratio(np.outer([1.0, 2, 2], [1, 2, 2])) == pytest.approx(1)
    values = np.linalg.eigvalsh(matrix := spread(6))
    assert participation_ratio(matrix) == pytest.approx(values.sum() ** 2 / (values**2).sum())


def test_alignment_equals_that_of_centred_kernels() -> None:
    x, y = RNG.standard_normal((30, 4)) + 2, RNG.standard_normal((30, 9))
    y[:, :2] += 2 * x[:, :2]
    centre = np.eye(30) - 1 / 30

    def hsic(k: Array, m: Array) -> float:
        return float(np.trace(k @ centre @ m @ centre))

    k, m = x @ x.T, y @ y.T
    assert linear_cka(x, y) == pytest.approx(hsic(k, m) / np.sqrt(hsic(k, k) * hsic(m, m)))
    assert 0.1 < linear_cka(x, y) < 0.9


def test_alignment_ignores_rotation_shift_and_scale() -> None:
    x = RNG.standard_normal((30, 4)) * [1, 2, 3, 4]
    rotation = np.linalg.qr(RNG.standard_normal((4, 4)))[0]
    assert linear_cka(x, 5 * x @ rotation - 3) == pytest.approx(1)
    assert linear_cka(x, x @ np.diag([4, 0.1, 0.1, 0.1])) < 0.5


POINT = np.full((60, 4), 0.25)
THIRDS = np.arange(60) % 3


@pytest.mark.filterwarnings("error")
def test_what_a_single_point_has_no_value_of_is_nan() -> None:
    flat, other = np.random.default_rng(0).normal(size=(2, 60, 2))
    zero = np.zeros((4, 4))
    assert not varies(POINT) and varies(np.vstack([POINT, POINT + 1e-12]))
    for value in (
        trustworthiness(POINT, flat, 5),
        knn_preservation(POINT, flat, 5),
        fisher_ratio(POINT, THIRDS),
        fisher_ratio(POINT, THIRDS, 0.5),
        linear_cka(POINT, other),
        linear_cka(other, POINT),
        participation_ratio(zero),
        *silhouettes(POINT, THIRDS),
        *silhouettes(flat, np.zeros(60, int)),
    ):
        assert np.isnan(value)
    with pytest.raises(ValueError, match="vectors that differ"):
        tsne(POINT)


@pytest.mark.filterwarnings("error")
def test_what_a_single_point_has_a_value_of_is_that_value() -> None:
    zero, one = np.zeros((4, 4)), np.eye(4)
    assert frobenius(zero, zero) == 0 and frobenius(zero, one) == frobenius(one, zero) == math.inf
    # each distribution is as far from a point as it is wide: √tr A
    assert bures(zero, one) == spectral_distance(zero, one) == pytest.approx(2)
    elsewhere = np.vstack([POINT[:2], POINT[:1] + np.eye(4)[3]])
    assert mahalanobis(POINT, elsewhere).tolist() == [0, 0, math.inf]
    assert class_mahalanobis(POINT, THIRDS, elsewhere).tolist() == [0, 0, math.inf]
    pca = fit_pca(POINT, 2)
    assert np.allclose(pca.inverse_transform(pca.transform(POINT)), POINT)
    # whoever the neighbours are, they are no better than a guess
    assert knn_accuracy(POINT, THIRDS, POINT, THIRDS, 3) == pytest.approx(1 / 3)


def test_classes_that_are_points_are_infinitely_apart() -> None:
    assert fisher_ratio(np.eye(4)[THIRDS], THIRDS) == math.inf


def test_a_linear_code_of_few_vectors_is_exact() -> None:
    data = np.random.default_rng(0).normal(size=(12, 40))
    ours, theirs = fit_pca(data, 5), PCA(5, svd_solver="covariance_eigh").fit(data)
    np.testing.assert_allclose(ours.explained_variance_, theirs.explained_variance_)
    rebuilt = [pca.inverse_transform(pca.transform(data)) for pca in (ours, theirs)]
    np.testing.assert_allclose(rebuilt[0], rebuilt[1], atol=1e-10)
    with pytest.raises(ValueError, match="components must be 1 to 12"):
        fit_pca(data, 13)
