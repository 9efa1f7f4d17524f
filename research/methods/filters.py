"""First-layer filters as signals: which frequencies they pass, and what their stride folds back.

Frequencies are in cycles per pixel along each axis, at most 1/2. A grid of stride s carries those
up to 1/(2 s), its Nyquist frequency, and takes what lies beyond, along either axis, for something
lower: aliasing.

References:
    Visualizing and Understanding Convolutional Networks (Zeiler and Fergus, 2014), section 4.1,
    where first layers are judged by their looks.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from research.errors import ArgumentError
from research.records import Array

_POINTS = 64
"""fewest points of the discrete Fourier transform of a filter along each axis"""


def dead(kernels: Tensor, share: float = 0.1) -> float:
    """The share of filters (out, in, h, w) whose RMS is below `share` of the median filter's.

    Example:
        >>> dead(torch.cat([torch.ones(3, 1, 5, 5), torch.zeros(1, 1, 5, 5)]))
        0.25
    """
    rms = kernels.double().square().mean((1, 2, 3)).sqrt()
    return (rms < share * rms.quantile(0.5)).double().mean().item()


def power(kernels: Tensor) -> Array:
    """The power of each filter by frequency, summed over its inputs.

    The mean of a filter is part of it: a filter for brightness passes frequency 0.

    Arguments:
        kernels: (out, in, h, w).

    Returns:
        (out, n, m), the squared magnitudes of the zero-padded transform over n · m, so that they
        sum to the filter's squared weights; n and m are 64, or h and w if those are more.
        Frequency 0 comes first, as in `numpy.fft.fftfreq`.

    Example:
        >>> powers = power(torch.ones(2, 3, 5, 5))
        >>> powers.shape, powers.sum((1, 2)).round(6).tolist()
        ((2, 64, 64), [75.0, 75.0])
    """
    height, width = (max(_POINTS, side) for side in kernels.shape[2:])
    waves = torch.fft.fft2(kernels.double(), (height, width)).abs().square().sum(1)
    powers: Array = (waves / (height * width)).numpy(force=True)
    return powers


def frequency(kernels: Tensor) -> Array:
    """The distance from frequency 0 in cycles per pixel, mean over each filter's power, (out,).

    It is 0 for an endless filter of equal weights and √2/2 for a checkerboard; nan for a filter of
    zeros.

    Example:
        >>> smooth, checked = frequency(torch.tensor([[[[1.0, 1.0]]], [[[1.0, -1.0]]]]))
        >>> bool(smooth < checked)
        True
    """
    powers = power(kernels)
    rows, columns = (np.fft.fftfreq(side) for side in powers.shape[1:])
    mean: Array = _ratio(
        (powers * np.hypot(rows[:, None], columns)).sum((1, 2)), powers.sum((1, 2))
    )
    return mean


def beyond_nyquist(kernels: Tensor, stride: int) -> Array:
    """The share of each filter's power that a grid of this stride cannot carry, (out,) in [0, 1].

    For white noise it is 1 - 1/stride² on average. Computed without a transform: the power of
    weights w_i up to frequency a is Σ_ij w_i w_j ∫ cos(2π f (i - j)) df, from -a to a, along each
    axis. nan for a filter of zeros.

    Raises:
        ArgumentError: the stride is less than 1.

    References:
        Prolate Spheroidal Wave Functions, Fourier Analysis, and Uncertainty - V (Slepian, 1978).

    Example:
        >>> beyond_nyquist(torch.ones(1, 1, 1, 1), stride=2).tolist()  # one pixel passes all alike
        [0.75]
    """
    _check(stride)
    weights = kernels.double().numpy(force=True)
    rows, columns = (_carrying(side, stride) for side in weights.shape[2:])
    carried = (weights * (rows @ weights @ columns)).sum((1, 2, 3))
    return 1 - _ratio(carried, np.square(weights).sum((1, 2, 3)))


def _carrying(side: int, stride: int) -> Array:
    """The integrals of the cosines for all i and j, (side, side)."""
    place = np.arange(side)
    return np.asarray(np.sinc((place[:, None] - place) / stride) / stride)


def aliased(images: Tensor, kernels: Tensor, stride: int, batch: int = 32) -> float:
    """The share of the responses' variance that lies beyond the Nyquist frequency of the stride.

    Responses are computed at every pixel, before the ReLU, without padding, so that only
    the filters and the images shape them; a bias would change nothing. The mean of each map is
    removed and its edges are faded out by a Hann window, so that frequencies are resolved to about
    2/side. Variances are summed over images and maps: maps that vary more weigh more.

    Arguments:
        images: what the layer is given, (N, in, H, W), on the device of the kernels.
        kernels: (out, in, h, w).
        batch: images at a time.

    Returns:
        In [0, 1]; nan if no response varies.

    Raises:
        ArgumentError: the stride is less than 1.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> noise, pixel = torch.rand(8, 1, 32, 32), torch.ones(1, 1, 1, 1)
        >>> 0.7 < aliased(noise, pixel, stride=2) < 0.8  # 3/4 of white noise
        True
    """
    _check(stride)
    total = carried = 0.0
    with torch.inference_mode():
        for some in torch.split(images, batch):
            powers = _response_power(F.conv2d(some.float(), kernels.float()))
            rows, columns = (_carried(side, stride) for side in powers.shape)
            total += float(powers.sum())
            carried += float(rows @ powers @ columns)
    return float(1 - _ratio(carried, total))


def _response_power(maps: Tensor) -> Array:
    """Power by frequency of maps (N, out, H, W), summed over images and maps, (H, W)."""
    windows = [
        torch.hann_window(side, periodic=False, device=maps.device) for side in maps.shape[2:]
    ]
    centred = maps - maps.mean((2, 3), keepdim=True)
    waves = torch.fft.fft2(centred * windows[0][:, None] * windows[1])
    powers: Array = waves.abs().square().sum((0, 1), dtype=torch.float64).numpy(force=True)
    return powers


def _carried(side: int, stride: int) -> Array:
    """The share of each bin of a transform that a grid of the stride carries, (side,) in [0, 1].

    A bin is as wide as the distance to the next; that of frequency 1/2 lies half at each end.
    """
    cycles = np.abs(np.rint(np.fft.fftfreq(side) * side))
    inside = side / (2 * stride) + 1 / 2 - np.stack([cycles, side - cycles])
    return np.asarray(inside.clip(0, 1).sum(0))


def _check(stride: int) -> None:
    if stride < 1:
        raise ArgumentError(f"a stride must be at least 1 pixel, got {stride}; give the layer's")


def _ratio(part: Array | float, whole: Array | float) -> Array:
    with np.errstate(invalid="ignore"):
        return np.asarray(np.divide(part, whole))
