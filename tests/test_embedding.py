"""Codes and maps against linear algebra, brute force and planted clusters."""

import numpy as np
import pytest

from research.embedding import fit_pca, knn_accuracy, trustworthiness, tsne

RNG = np.random.default_rng(0)
CENTRES = 20 * RNG.standard_normal((3, 6))
LABELS = np.repeat([0, 1, 2], 60)
BLOBS = CENTRES[LABELS] + RNG.standard_normal((180, 6))


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


def test_map_keeps_planted_clusters_and_repeats_its_bits() -> None:
    first, second = (tsne(BLOBS, perplexity=15, seed=1) for _ in range(2))
    assert np.array_equal(first, second)
    assert knn_accuracy(first, LABELS, first, LABELS, 5) > 0.99
    assert trustworthiness(BLOBS, first, 5) > 0.9


def test_trustworthiness_of_a_copy_is_one_and_of_chance_a_half() -> None:
    assert trustworthiness(BLOBS, BLOBS, 5) == 1
    flat = RNG.standard_normal((180, 6))
    assert trustworthiness(flat, RNG.standard_normal((180, 2)), 5) == pytest.approx(0.5, abs=0.05)
