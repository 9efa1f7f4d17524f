"""Invariance: how far features move when the image is shifted, enlarged or turned.

All changes interpolate bilinearly in the plane of the pixels' centres; what comes in from outside
the image, and what the border pixels are blended with, is `fill`. Places are computed in float64
and rounded to whole pixels within 1e-9 of them, so that an amount of nothing changes nothing, and
shifts by whole pixels and quarter turns blend nothing. An image stays in [0, 1].

References:
    Visualizing and Understanding Convolutional Networks (Zeiler and Fergus, arXiv 1311.2901),
    figure 5, which the printed version of 2014 leaves out.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from research.errors import ArgumentError

Change = Callable[[Tensor, float, Tensor | float], Tensor]
"""(images (N, C, H, W) in [0, 1], amount, fill) -> images of the same shape, range and type"""
Outputs = Callable[[Tensor], tuple[dict[str, Tensor], Tensor]]
"""images (N, C, H, W) -> features by layer, (N, D) each, and logits (N, K)"""

_COLUMNS = 1 << 14
"""features that are held in float64 at once"""


# --- changes -------------------------------------------------------------------------------------


def translated(images: Tensor, fraction: float, fill: Tensor | float) -> Tensor:
    """Shifted down by a fraction of the height; up where it is negative.

    Arguments:
        images: (N, C, H, W) in [0, 1].
        fill: in [0, 1], one grey or (C, 1, 1).

    Raises:
        ArgumentError: images or fill are not as above.

    Example:
        >>> translated(torch.tensor([[[[0.75], [0.25]]]]), 0.5, fill=0.5).flatten().tolist()
        [0.5, 0.75]
    """
    return _resampled(images, ((1, 0), (0, 1)), fraction * images.shape[2], fill)


def scaled(images: Tensor, factor: float, fill: Tensor | float) -> Tensor:
    """Enlarged about the middle by a factor above 0; what leaves the frame is lost.

    Images and fill as in `translated`.

    Raises:
        ArgumentError: as `translated`, or the factor is not above 0.

    Example:
        >>> images = torch.rand(2, 3, 8, 8)
        >>> torch.equal(scaled(images, 1.0, fill=0.5), images)
        True
    """
    if not factor > 0:
        raise ArgumentError(f"a scale must be above 0, got {factor:g}; 1 changes nothing")
    return _resampled(images, ((1 / factor, 0), (0, 1 / factor)), 0, fill)


def rotated(images: Tensor, degrees: float, fill: Tensor | float) -> Tensor:
    """Turned about the middle, counter-clockwise as seen; what leaves the frame is lost.

    Images and fill as in `translated`.

    Raises:
        ArgumentError: as `translated`.

    Example:
        >>> rotated(torch.tensor([[[[1.0, 0.5], [0.0, 0.0]]]]), 90, fill=0.5).tolist()
        [[[[0.5, 0.0], [1.0, 0.0]]]]
    """
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return _resampled(images, ((cos, sin), (-sin, cos)), 0, fill)


CHANGES: dict[str, Change] = {
    "translation": translated, "scale": scaled, "rotation": rotated,
}  # fmt: skip


def _resampled(
    images: Tensor, matrix: Sequence[Sequence[float]], down: float, fill: Tensor | float
) -> Tensor:
    """Images seen through a map of places (row, column) about the middle, output to input.

    The result lies `down` rows further down.
    """
    colour = _colour(images, fill)
    number, channels, height, width = images.shape
    rows, columns = _places(height, width, matrix, down)
    colours = colour.expand(number, channels, 1, 1).flatten(2)
    table = torch.cat([images.flatten(2), colours], 2)  # (N, C, H · W + 1)
    moved = torch.zeros_like(images)
    for y, row_share in _neighbours(rows):
        for x, column_share in _neighbours(columns):
            known = (y >= 0) & (y < height) & (x >= 0) & (x < width)
            index = torch.where(known, y * width + x, height * width).to(images.device)
            share = (row_share * column_share).to(images)
            moved += share * table[:, :, index.flatten()].view_as(images)
    return moved.clamp_(0, 1)


def _places(
    height: int, width: int, matrix: Sequence[Sequence[float]], down: float
) -> tuple[Tensor, Tensor]:
    """The row and column in the input that each pixel of the output shows, float64 (H, W) each."""
    middle = torch.tensor([height - 1, width - 1], dtype=torch.float64) / 2
    axes = torch.arange(height, dtype=torch.float64), torch.arange(width, dtype=torch.float64)
    places = torch.stack(torch.meshgrid(*axes, indexing="ij"), 2) - middle
    places[..., 0] -= down
    places = places @ torch.tensor(matrix, dtype=torch.float64).T + middle
    whole = places.round()
    places = torch.where((places - whole).abs() < 1e-9, whole, places)
    return places[..., 0], places[..., 1]


def _neighbours(places: Tensor) -> list[tuple[Tensor, Tensor]]:
    """The two whole places about each place, int64, and the share that each has in it."""
    below = places.floor()
    share = places - below
    return [(below.long(), 1 - share), (below.long() + 1, share)]


def _colour(images: Tensor, fill: Tensor | float) -> Tensor:
    """The fill as a tensor. Raises ArgumentError for images or a fill out of range or shape."""
    low, high = images.min().item(), images.max().item()
    if images.ndim != 4 or not (low >= 0 and high <= 1):
        raise ArgumentError(
            f"images must be (N, C, H, W) in [0, 1], got the shape {tuple(images.shape)} "
            f"with values {low:g} to {high:g}; let the model's first layer normalise"
        )
    colour = torch.as_tensor(fill, dtype=images.dtype, device=images.device)
    shape = (images.shape[1], 1, 1)
    if colour.shape not in ((), shape) or not (colour.min() >= 0 and colour.max() <= 1):
        raise ArgumentError(
            f"a fill must be one grey or {shape}, in [0, 1], got the shape "
            f"{tuple(colour.shape)} with values {colour.min():g} to {colour.max():g}; the mean of "
            "the data is usual"
        )
    return colour


# --- what they do to features --------------------------------------------------------------------


class Curves(NamedTuple):
    """What a series of changes does, by amount and image.

    Attributes:
        distances: by layer, float64 (amounts, N): Euclidean distance of an image's features before
            and after, in units of the mean distance between features of two different images. At 1
            the changed image is as far away as another image; nan where all images have the same
            features.
        probabilities: of the class that is followed, (amounts, N).
    """

    distances: dict[str, Tensor]
    probabilities: Tensor


@torch.inference_mode()
def curves(
    outputs: Outputs,
    images: Tensor,
    labels: Tensor,
    change: Change,
    amounts: Sequence[float],
    fill: Tensor | float,
    *,
    batch: int = 64,
) -> Curves:
    """Follows images through a change.

    Arguments:
        outputs: of a network in evaluation mode.
        images: (N, C, H, W) in [0, 1], at least two.
        labels: the class to follow in each, int64 (N,).
        amounts: of the change.
        batch: images at a time. The features of all unchanged images are kept.

    Raises:
        ArgumentError: fewer than two images, or as `change`.

    Example:
        >>> def outputs(images):
        ...     return {"pixels": images.flatten(1)}, images.flatten(1)
        >>> images, labels = torch.rand(3, 1, 4, 4), torch.tensor([0, 1, 2])
        >>> curves(outputs, images, labels, rotated, [0, 90], fill=0.5).distances["pixels"].shape
        torch.Size([2, 3])
    """
    if len(images) < 2:
        raise ArgumentError(f"distances need at least two images to compare, got {len(images)}")
    parts = torch.split(torch.arange(len(images)), batch)
    before = _joined([outputs(images[part])[0] for part in parts])
    units = {layer: typical_distance(features) for layer, features in before.items()}
    rows: list[dict[str, Tensor]] = []
    probabilities = []
    for amount in amounts:
        moved, followed = zip(
            *(_moved(outputs, change(images[i], amount, fill), before, labels, i) for i in parts),
            strict=True,
        )
        rows.append(_joined(moved))
        probabilities.append(torch.cat(followed))
    distances = {
        layer: torch.stack([row[layer] for row in rows]) / (unit or math.nan)
        for layer, unit in units.items()
    }
    return Curves(distances, torch.stack(probabilities))


def typical_distance(features: Tensor) -> float:
    """The mean Euclidean distance between the features (N, D) of two different images.

    Example:
        >>> typical_distance(torch.tensor([[0.0, 0.0], [3.0, 4.0]]))
        5.0
    """
    count = len(features)
    products = torch.zeros(count, count, dtype=torch.float64, device=features.device)
    for some in torch.split(features, _COLUMNS, 1):
        relative = some.double() - some[0].double()  # features that are all equal become 0
        products += relative @ relative.T
    squares = products.diagonal()[:, None] + products.diagonal() - 2 * products
    first, second = torch.triu_indices(count, count, 1, device=features.device)
    return squares[first, second].clamp(min=0).sqrt().mean().item()


def _moved(
    outputs: Outputs, changed: Tensor, before: dict[str, Tensor], labels: Tensor, index: Tensor
) -> tuple[dict[str, Tensor], Tensor]:
    """How far the features of some images are from those before, by layer (B,), and p (B,)."""
    after, logits = outputs(changed)
    far = {
        layer: torch.linalg.vector_norm(after[layer] - old[index], dim=1, dtype=torch.float64)
        for layer, old in before.items()
    }
    return far, logits.softmax(1).gather(1, labels[index, None])[:, 0]


def _joined(parts: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    return {layer: torch.cat([part[layer] for part in parts]) for layer in parts[0]}
