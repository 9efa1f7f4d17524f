"""Correspondence: does hiding the same part of different images change features alike?

Features x of an image and x̃ of the image with a part hidden differ by ε = x - x̃. Two images agree
on a unit if ε has the same sign in both, 0 being a sign of its own: behind a ReLU most are 0. What
is 0 in exact arithmetic may not be 0 in a fast convolution, and its sign would be chance, so
differences that float32 does not resolve count as 0.

References:
    Visualizing and Understanding Convolutional Networks (Zeiler and Fergus, arXiv 1311.2901),
    section 4.3 and table 1, which the printed version of 2014 leaves out. There Δ is a sum over
    pairs of images, here a mean, and the sign of 0 is left open.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Generator, Tensor

from research.errors import ArgumentError

Box = tuple[float, float, float, float]
"""top, left, bottom, right as shares of the height and width, in [0, 1]"""

_DRAWS = 10_000
"""boxes drawn at once, before those that overlap others are left out"""


def masked(images: Tensor, boxes: Sequence[Box], fill: Tensor | float) -> Tensor:
    """Images with a box filled in each.

    Boxes of one height and width hide equally many pixels wherever they lie.

    Arguments:
        images: (N, C, H, W) in [0, 1].
        boxes: one for all images, or one for each.
        fill: in [0, 1], one grey or (C, 1, 1).

    Raises:
        ArgumentError: a box is empty or not inside the image, or their number is neither 1 nor N.

    Example:
        >>> masked(torch.ones(1, 1, 2, 4), [(0.0, 0.0, 0.5, 0.5)], fill=0.0).tolist()
        [[[[0.0, 0.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0]]]]
    """
    if len(boxes) not in (1, len(images)):
        raise ArgumentError(
            f"there must be 1 box or {len(images)}, one for each image, got {len(boxes)}; "
            "repeat or leave out some"
        )
    hidden = images.clone()
    for number, image in enumerate(hidden):
        top, left, bottom, right = _checked(boxes[number % len(boxes)])
        rows = _pixels(top, bottom, image.shape[1])
        image[:, rows, _pixels(left, right, image.shape[2])] = torch.as_tensor(fill).to(image)
    return hidden


def _pixels(start: float, end: float, length: int) -> slice:
    size = max(1, round((end - start) * length))
    first = min(round(start * length), length - size)
    return slice(first, first + size)


def _checked(box: Box) -> Box:
    top, left, bottom, right = box
    if not (0 <= top < bottom <= 1 and 0 <= left < right <= 1):
        raise ArgumentError(
            "a box must be top, left, bottom, right as shares of the side in [0, 1], got "
            f"{' '.join(f'{edge:g}' for edge in box)}"
        )
    return box


def random_boxes(
    box: Box, count: int, generator: Generator, avoid: Sequence[Box] = ()
) -> list[Box]:
    """`count` boxes as high and wide as `box`, drawn uniformly among all places inside the image.

    Arguments:
        generator: on the CPU; advances by 2 numbers per box where there is nothing to avoid.
        avoid: boxes that none of the drawn ones overlaps.

    Raises:
        ArgumentError: the box is empty or not inside the image, or no place is left for it.

    Example:
        >>> centre = (0.4, 0.4, 0.6, 0.6)
        >>> boxes = random_boxes(centre, 3, torch.Generator().manual_seed(0), avoid=[centre])
        >>> [round(bottom - top, 6) for top, left, bottom, right in boxes]
        [0.2, 0.2, 0.2]
    """
    top, left, bottom, right = _checked(box)
    size = torch.tensor([bottom - top, right - left], dtype=torch.float64)
    corners = _corners(size, _DRAWS if avoid else count, generator)
    for other in avoid:
        start, end = torch.tensor(_checked(other), dtype=torch.float64).view(2, 2)
        corners = corners[~((corners < end) & (corners + size > start)).all(1)]
    if len(corners) < count:
        raise ArgumentError(
            f"{len(corners)} of {_DRAWS} random boxes overlap none of those to avoid, {count} are "
            "needed; choose smaller boxes"
        )
    drawn = torch.cat([corners, (corners + size).clamp(max=1)], 1)[:count]
    return [(top, left, bottom, right) for top, left, bottom, right in drawn.tolist()]


def _corners(size: Tensor, count: int, generator: Generator) -> Tensor:
    return torch.rand(count, 2, generator=generator, dtype=torch.float64) * (1 - size)


# --- signs ---------------------------------------------------------------------------------------


def sign_changes(
    features: Callable[[Tensor], Tensor],
    images: Tensor,
    hidden: Tensor,
    tolerance: float = 1e-6,
) -> Tensor:
    """The signs of ε = x - x̃, int8 (N, D).

    Arguments:
        features: images (N, C, H, W) to a layer's features (N, …), the network in evaluation mode.
        images, hidden: the images (N, C, H, W) in [0, 1], and the same with a part hidden.
        tolerance: |ε| up to this share of the largest |x| of the image counts as 0.

    Example:
        >>> images, hidden = torch.tensor([[0.9, 0.5, 0.0]]), torch.tensor([[0.4, 0.5, 0.3]])
        >>> sign_changes(torch.nn.Flatten(), images, hidden).tolist()
        [[1, 0, -1]]
    """
    whole = features(images).flatten(1)
    change = whole - features(hidden).flatten(1)
    unresolved = change.abs() <= tolerance * whole.abs().amax(1, keepdim=True)
    return change.sign().to(torch.int8).masked_fill_(unresolved, 0)


def disagreement(signs: Tensor) -> float:
    """Δ: the share of units on which two images disagree, mean over all pairs of images.

    Where n₊, n₀ and n₋ of n images have each sign, a share 1 - Σ n_s (n_s - 1) / (n (n - 1)) of
    the pairs disagrees, so no pair has to be looked at.

    Arguments:
        signs: -1, 0 or 1, int8 (N, D).

    Returns:
        In [0, 1]: 0 for equal signs, 1/2 for random ones without zeros.

    Raises:
        ArgumentError: fewer than two images.

    Example:
        >>> disagreement(torch.tensor([[1, 0], [1, -1]], dtype=torch.int8))  # one unit of two
        0.5
    """
    number = len(signs)
    if number < 2:
        raise ArgumentError(f"signs are compared between at least 2 images, got {number}")
    counts = torch.stack([(signs == sign).sum(0) for sign in (-1, 0, 1)]).double()  # (3, D)
    agreeing = (counts * (counts - 1)).sum(0).mean().item()  # ordered pairs per unit
    return 1 - agreeing / (number * (number - 1))


def grouped(signs: Tensor, size: int) -> list[float]:
    """Δ of each group of `size` images in turn; images that fill no group are left out.

    Groups share no image, so they are independent repetitions.

    Raises:
        ArgumentError: a group has fewer than two images, or more than there are.

    Example:
        >>> grouped(torch.tensor([[1, 0], [1, -1], [1, 1], [1, 1]], dtype=torch.int8), size=2)
        [0.5, 0.0]
    """
    if not 2 <= size <= len(signs):
        raise ArgumentError(
            f"a group must be 2 to {len(signs)} images, as many as there are, got {size}"
        )
    return [disagreement(signs[i : i + size]) for i in range(0, len(signs) - size + 1, size)]
