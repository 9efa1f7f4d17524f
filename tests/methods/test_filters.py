"""Filters and responses of known frequency, naive transforms, and white noise."""

import cmath
import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from research.errors import UserError
from research.methods.filters import aliased, beyond_nyquist, dead, frequency, power


def wave(height: int, width: int, rows: float, columns: float) -> Tensor:
    """A sinusoid of some cycles per pixel down and across, (1, 1, height, width)."""
    y, x = torch.arange(height).double()[:, None], torch.arange(width).double()
    return torch.cos(2 * math.pi * (rows * y + columns * x) + 0.3)[None, None]


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def naive_power(plane: Tensor, row: float, column: float) -> float:
    """|Σ w exp(-2πi f·x)|² at one frequency in cycles per pixel, term by term."""
    return float(abs(sum(
        weight * cmath.exp(-2j * math.pi * (row * y + column * x))
        for y, weights in enumerate(plane.tolist()) for x, weight in enumerate(weights)
    )) ** 2)  # fmt: skip


# --- filters -------------------------------------------------------------------------------------


def test_filters_far_weaker_than_the_median_are_dead() -> None:
    kernels = (
        torch.ones(10, 3, 5, 5) * torch.tensor([1.0] * 6 + [100, 0, 0.05, 0.2])[:, None, None, None]
    )
    assert dead(kernels) == pytest.approx(0.2)
    assert dead(kernels, 0.3) == pytest.approx(0.3)
    assert dead(-1000 * kernels) == pytest.approx(0.2)


def test_power_is_that_of_a_naive_transform_and_keeps_the_energy() -> None:
    kernels = noise(2, 3, 4, 3)
    found = power(kernels)
    assert found.shape == (2, 64, 64)
    assert np.allclose(found.sum((1, 2)), kernels.square().sum((1, 2, 3)))
    for row, column in ((0, 0), (5, 0), (9, 60), (32, 32)):
        expected = [
            sum(naive_power(plane, row / 64, column / 64) for plane in kernel) / 64**2
            for kernel in kernels
        ]
        assert np.allclose(found[:, row, column], expected, rtol=1e-9)
    assert power(noise(1, 1, 70, 3)).shape == (1, 70, 64)


@pytest.mark.parametrize(("rows", "columns"), [(0.25, 0), (0, 0.4), (0.3, 0.4), (0.5, 0.5)])
def test_frequency_of_a_sinusoid_is_its_own(rows: float, columns: float) -> None:
    filters = wave(48, 48, rows, columns) * torch.hann_window(48).double()[:, None]
    filters = (filters * torch.hann_window(48).double()).expand(1, 3, -1, -1)
    assert frequency(filters)[0] == pytest.approx(math.hypot(rows, columns), abs=0.02)


def test_frequencies_of_a_point_are_spread_evenly() -> None:
    point = torch.zeros(1, 1, 7, 7)
    point[0, 0, 2, 5] = -3
    axis = (np.arange(400) + 0.5) / 800
    mean = np.hypot(axis[:, None], axis).mean()  # all frequencies alike
    assert frequency(point)[0] == pytest.approx(mean, rel=2e-3)
    for stride in (1, 2, 4):
        assert beyond_nyquist(point, stride)[0] == pytest.approx(1 - 1 / stride**2, abs=1e-12)


@pytest.mark.parametrize("stride", [2, 3, 4])
def test_share_beyond_is_that_of_a_fine_naive_transform(stride: int) -> None:
    kernels, points = noise(2, 2, 3, 4), 48
    # middles of cells, none of which a limit divides
    axis = [(i + 0.5) / points - 0.5 for i in range(points)]
    for kernel, share in zip(kernels, beyond_nyquist(kernels, stride), strict=True):
        inside = total = 0.0
        for row in axis:
            for column in axis:
                density = sum(naive_power(plane, row, column) for plane in kernel)
                total += density
                inside += density * (max(abs(row), abs(column)) < 1 / (2 * stride))
        assert total / points**2 == pytest.approx(kernel.square().sum().item(), rel=1e-9)
        assert share == pytest.approx(1 - inside / total, abs=2e-3)


@pytest.mark.parametrize("stride", [2, 4])
def test_white_noise_has_the_share_of_the_frequencies(stride: int) -> None:
    found = beyond_nyquist(noise(4000, 3, 7, 7), stride)
    error = found.std() / 4000**0.5
    assert abs(found.mean() - (1 - 1 / stride**2)) < 4 * error + 1e-3
    assert found.min() >= 0 and found.max() <= 1


def test_sinusoids_lie_beyond_or_within() -> None:
    for rows, columns, stride, share in (
        (0.1, 0.0, 2, 0), (0.35, 0.0, 2, 1), (0.0, 0.35, 2, 1), (0.2, 0.2, 4, 1), (0.2, 0.1, 2, 0),
    ):  # fmt: skip
        assert beyond_nyquist(wave(60, 60, rows, columns), stride)[0] == pytest.approx(
            share, abs=0.05
        )
    assert abs(beyond_nyquist(noise(3, 2, 5, 5), 1)).max() < 1e-12


def test_a_filter_of_zeros_has_no_frequency() -> None:
    kernels = torch.cat([torch.zeros(1, 1, 3, 3), torch.ones(1, 1, 3, 3)])
    for values in (frequency(kernels), beyond_nyquist(kernels, 2)):
        assert np.isnan(values).tolist() == [True, False]
    assert math.isnan(aliased(torch.ones(1, 1, 8, 8), kernels, 2))


# --- responses -----------------------------------------------------------------------------------

POINT = torch.zeros(1, 1, 3, 3)
POINT[0, 0, 1, 1] = 1


@pytest.mark.parametrize(
    ("rows", "columns", "stride", "share"),
    [
        (0.2, 0.0, 2, 0), (0.3, 0.0, 2, 1), (0.0, 0.3, 2, 1), (0.2, 0.2, 2, 0), (0.2, 0.3, 2, 1),
        (0.1, 0.1, 4, 0), (0.16, 0.0, 4, 1), (0.5, 0.5, 1, 0),
    ],
)  # fmt: skip
def test_sinusoids_fold_back_beyond_the_limit(
    rows: float, columns: float, stride: int, share: float
) -> None:
    images = 0.5 + 0.4 * wave(82, 102, rows, columns).float()
    assert aliased(images, POINT, stride) == pytest.approx(share, abs=2e-3)
    both = torch.cat([images, 0.5 + 0.4 * wave(82, 102, 0.02, 0.03).float()])
    assert aliased(both, POINT, stride, batch=1) == pytest.approx(share / 2, abs=0.02)


def test_what_folds_back_is_what_decimation_cannot_tell_apart() -> None:
    """A wave beyond the limit and its alias are one wave on the grid."""
    fine = wave(80, 1, 0.3, 0), wave(80, 1, 0.5 - 0.3, 0)
    grids = [w[0, 0, ::2, 0] for w in fine]
    shifted = wave(80, 1, -(0.5 - 0.3), 0)[0, 0, ::2, 0]
    assert torch.allclose(grids[0], shifted, atol=1e-9)


def carried(bin_: int, side: int, stride: int) -> float:
    """How much of a transform's bin lies within the limit, by many frequencies in it."""
    cycles = (bin_ + (np.arange(1000) + 0.5) / 1000 - 0.5) / side
    return float((np.abs(cycles - np.rint(cycles)) < 1 / (2 * stride)).mean())


@pytest.mark.parametrize("stride", [1, 2, 3, 4])
def test_naive_transforms_find_the_same_share(stride: int) -> None:
    images, kernels = noise(2, 2, 10, 12, seed=1), noise(2, 2, 3, 4, seed=2)
    height, width = 8, 9
    bells = [
        torch.tensor([0.5 - 0.5 * math.cos(2 * math.pi * i / (n - 1)) for i in range(n)]).double()
        for n in (height, width)
    ]
    total = inside = 0.0
    for plane in F.conv2d(images, kernels).flatten(0, 1):
        faded = (plane - plane.mean()) * bells[0][:, None] * bells[1]
        for row in range(height):
            for column in range(width):
                found = naive_power(faded, row / height, column / width)
                share = carried(row, height, stride) * carried(column, width, stride)
                total, inside = total + found, inside + share * found
    for batch in (1, 32):
        expected = pytest.approx(1 - inside / total, abs=2e-3)
        assert aliased(images, kernels, stride, batch) == expected


def test_white_images_fold_back_what_the_filters_pass() -> None:
    kernels = noise(4, 1, 5, 5, seed=3)
    kernels -= kernels.mean((2, 3), keepdim=True)  # the responses' mean is left out
    weights = kernels.square().sum((1, 2, 3)).numpy()
    for stride in (2, 4):
        expected = np.average(beyond_nyquist(kernels, stride), weights=weights)
        found = aliased(noise(60, 1, 68, 68), kernels, stride)
        assert found == pytest.approx(expected, abs=0.01)


def test_shifting_and_scaling_pixels_changes_nothing() -> None:
    images, kernels = noise(2, 3, 30, 30), noise(4, 3, 5, 5)
    share = aliased(images, kernels, 2)
    assert 0.1 < share < 0.95
    assert aliased(7 * images + 3, -2 * kernels, 2) == pytest.approx(share, abs=1e-5)
    assert aliased(images, kernels, 1) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    "call", [beyond_nyquist, lambda k, s: aliased(torch.rand(1, 1, 9, 9), k, s)]
)
def test_a_stride_of_zero_is_refused(call) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(UserError, match="stride must be at least 1 pixel, got 0; "):
        call(POINT, 0)
