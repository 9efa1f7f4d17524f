"""How two spaces of features differ, by their covariances or input by input.

A covariance is float64 (D, D); vectors are (N, D) arrays, one row per image. As in `embedding`,
a value that compares with the spread of equal vectors is nan.
"""

import math

import numpy as np
import numpy.typing as npt

from research.methods.embedding import varies

Vectors = npt.NDArray[np.floating]
Floats = npt.NDArray[np.float64]


def frobenius(a: Floats, b: Floats) -> float:
    """‖A - B‖ / √(‖A‖ ‖B‖) of two covariances of one space, in Frobenius norms; 0 when equal.

    Infinite where one is 0 and the other is not.

    Example:
        >>> round(frobenius(np.eye(2), 4 * np.eye(2)), 6)
        1.5
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

    Example:
        >>> round(bures(np.diag([1.0, 0.0]), np.diag([9.0, 0.0])), 6)  # standard deviations 1 and 3
        2.0
    """
    first, second = _root(a), _root(b)
    left, _, right = np.linalg.svd(second @ first)
    return float(np.linalg.norm(first - second @ left @ right))


def spectral_distance(a: Floats, b: Floats) -> float:
    """Bures distance of covariances of any two spaces, each turned to its own principal axes.

    It compares only the spectra, the shorter one padded with zeros, and is the least `bures`
    distance over all rotations of one space.

    Example:
        >>> round(spectral_distance(np.diag([1.0, 4.0]), np.diag([4.0, 1.0, 0.0])), 6)
        0.0
    """
    size = max(len(a), len(b))
    first, second = (np.pad(_spectrum(x), (size - len(x), 0)) for x in (a, b))
    return float(np.linalg.norm(np.sqrt(first) - np.sqrt(second)))


def participation_ratio(covariance: Floats) -> float:
    """Effective dimension (tr C)² / tr C², from 1 (a line) to D (a ball); nan of a point.

    References:
        A Theory of Multineuronal Dimensionality, Dynamics and Measurement (Gao et al., 2017).

    Example:
        >>> participation_ratio(np.eye(3)), participation_ratio(np.diag([5.0, 0.0, 0.0]))
        (3.0, 1.0)
    """
    size = (covariance**2).sum()
    return float(np.trace(covariance) ** 2 / size) if size else math.nan


def linear_cka(x: Vectors, y: Vectors) -> float:
    """Centred kernel alignment of two representations of the same inputs, in [0, 1].

    1 for representations that are equal up to rotation, shift and scale; widths may differ. nan
    where one of them is the same for all inputs.

    Arguments:
        x, y: (N, D) and (N, E), row by row of the same inputs.

    References:
        Similarity of Neural Network Representations Revisited (Kornblith et al., 2019).

    Example:
        >>> x = np.random.default_rng(0).normal(size=(20, 2))
        >>> round(linear_cka(x, 3 * x[:, ::-1] + 1), 6)
        1.0
    """
    first, second = (np.asarray(z, np.float64) - z.mean(0, dtype=np.float64) for z in (x, y))
    if not (varies(x) and varies(y)):
        return math.nan
    norm = np.linalg.norm
    if len(x) < max(x.shape[1], y.shape[1]):  # the same value from products of inputs
        kernel_x, kernel_y = first @ first.T, second @ second.T
        return float((kernel_x * kernel_y).sum() / (norm(kernel_x) * norm(kernel_y)))
    shared = norm(second.T @ first) ** 2
    return float(shared / (norm(first.T @ first) * norm(second.T @ second)))


def _spectrum(covariance: Floats) -> Floats:
    """Eigenvalues in ascending order; rounding may have made those of 0 negative."""
    return np.asarray(np.linalg.eigvalsh(covariance).clip(0))


def _root(covariance: Floats) -> Floats:
    values, axes = np.linalg.eigh(covariance)
    return np.asarray(axes * np.sqrt(values.clip(0)) @ axes.T)
