"""Near-duplicates between two sets of images: what one of them may know of the other.

Images are compared as grey thumbnails by their normalised correlation, which a change of size, of
brightness or of contrast hardly moves. Mirrored copies count, since networks are trained on
mirrored images too.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from research.data import Split

SIDE = 16
"""pixels of a thumbnail"""
THRESHOLD = 0.95
"""Two images that correlate at least this much count as the same. Nearly all copies that were only
rescaled, relit, mirrored or trimmed by 3 % lie above it (`found_copies` measures the share for any
images). Different photographs hardly ever do: among 60,000 of CIFAR-10 and 3,000 crops of ten
others no pair does (0.948). Missing a copy is the costlier mistake: leaving out one image too many
costs one training image."""
PLAIN = 2.0
"""Standard deviation, in grey levels up to 255, below which a thumbnail shows nothing and matches
nothing."""
_LUMA = (0.299, 0.587, 0.114)
_BLOCK, _PART = 1024, 65_536
"""thumbnails of one set and of the other compared at once"""


class Nearest(NamedTuple):
    """For each image of one set, (N,), the image of another set most like it.

    Attributes:
        correlations: in [-1, 1], float32; 0 for plain images.
        images: places of these images in the other set, int64.
    """

    correlations: Tensor
    images: Tensor

    def above(self, threshold: float) -> Tensor:
        """Which images have a near-duplicate, bool (N,)."""
        return self.correlations >= threshold


def thumbnails(images: Tensor) -> Tensor:
    """Grey thumbnails without their mean and of length 1, or 0 where they are plain.

    Arguments:
        images: uint8 or float in [0, 255], (N, 1 or 3, H, W).

    Returns:
        float32, (N, 256): 16 × 16 pixels, each the mean of its part of the image.

    Example:
        >>> thumbnails(torch.randint(256, (2, 3, 32, 32), dtype=torch.uint8)).shape
        torch.Size([2, 256])
    """
    return torch.cat([_thumbnails(block) for block in torch.split(images, _BLOCK)])


def _thumbnails(images: Tensor) -> Tensor:
    grey = images.float()
    if grey.shape[1] == 3:
        grey = torch.einsum("nchw,c->nhw", grey, grey.new_tensor(_LUMA))[:, None]
    small = F.adaptive_avg_pool2d(grey, SIDE).flatten(1)
    centred = small - small.mean(1, keepdim=True)
    plain = centred.std(1, correction=0, keepdim=True) < PLAIN
    return F.normalize(centred, dim=1).masked_fill(plain, 0)


def nearest(images: Tensor, others: Tensor) -> Nearest:
    """Finds the image of `others` most like each image, as it is or mirrored.

    Arguments:
        images, others: uint8, (N, 1 or 3, H, W) and (M, 1 or 3, H', W') on one device, M > 0.

    References:
        Visualizing and Understanding Convolutional Networks (Zeiler and Fergus, 2014), section
        5.2: training images with near-duplicates in the other set are left out.

    Example:
        >>> images = torch.randint(256, (4, 3, 32, 32), dtype=torch.uint8)
        >>> nearest(images[2:], images.flip(3)).images.tolist()
        [2, 3]
    """
    known = thumbnails(others)
    blocks = [_likest(block, known) for block in torch.split(thumbnails(images), _BLOCK)]
    correlations, places = (torch.cat(parts) for parts in zip(*blocks, strict=True))
    return Nearest(correlations.clamp(-1, 1), places)


def _likest(block: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """(B, 256) against (M, 256), M in blocks: the largest correlations and their places."""
    mirrored = block.view(-1, SIDE, SIDE).flip(2).flatten(1)
    best = block.new_full((len(block),), -torch.inf)
    place = torch.zeros(len(block), dtype=torch.int64, device=block.device)
    for start in range(0, len(known), _PART):
        part = known[start : start + _PART]
        values, places = torch.maximum(block @ part.T, mirrored @ part.T).max(1)
        better = values > best
        best, place = torch.where(better, values, best), torch.where(better, places + start, place)
    return best, place


def without(split: Split, matches: Nearest, threshold: float) -> Split:
    """The images of a split that have no near-duplicate in the other set, in their order.

    Arguments:
        matches: of the split's images, by `nearest`.
        threshold: correlation at and above which images count as the same.

    Example:
        >>> images = torch.randint(256, (4, 3, 32, 32), dtype=torch.uint8)
        >>> split = Split(images, torch.arange(4))
        >>> without(split, nearest(images, images[:1]), THRESHOLD).labels.tolist()
        [1, 2, 3]
    """
    kept = ~matches.above(threshold)
    return split if kept.all() else Split(split.images[kept], split.labels[kept])


# --- is the threshold any good? ------------------------------------------------------------------


def found_copies(images: Tensor, threshold: float) -> dict[str, float]:
    """The shares of images that still match their original once they are changed as copies are.

    Arguments:
        images: uint8, (N, C, H, W), H and W at least 2.

    Returns:
        change -> share in [0, 1]: half the size and back, other light, mirrored, trimmed by 3 %.

    Example:
        >>> images = torch.randint(256, (4, 3, 32, 32), dtype=torch.uint8)
        >>> found_copies(images, THRESHOLD)["mirrored"]
        1.0
    """
    originals = thumbnails(images)
    return {
        name: _agreement(originals, thumbnails(copy)).ge(threshold).double().mean().item()
        for name, copy in _copies(images.float())
    }


def _agreement(originals: Tensor, copies: Tensor) -> Tensor:
    mirrored = copies.view(-1, SIDE, SIDE).flip(2).flatten(1)
    return torch.maximum((originals * copies).sum(1), (originals * mirrored).sum(1))


def _copies(images: Tensor) -> Iterator[tuple[str, Tensor]]:
    size = images.shape[2:]
    yield "scaled", _resized(F.adaptive_avg_pool2d(images, (size[0] // 2, size[1] // 2)), size)
    yield "lit", 255 * (images / 255).sqrt()
    yield "mirrored", images.flip(3)
    top, left = (round(0.015 * side) for side in size)
    yield "trimmed", _resized(images[..., top : size[0] - top, left : size[1] - left], size)


def _resized(images: Tensor, size: torch.Size) -> Tensor:
    return F.interpolate(images, size=[*size], mode="bilinear", align_corners=False)
