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
"""From this correlation on two images count as the same. Of copies that were only scaled, lit
otherwise, mirrored or trimmed by 3 %, nearly all lie above it (`found_copies` measures the share
for any images). Different photographs hardly ever do: among 60,000 of CIFAR-10 and 3,000 crops of
ten others no pair does (0.948). Of the two mistakes the costly one is to miss a copy: an image too
many that is left out costs one training image."""
PLAIN = 2.0
"""Standard deviation, in grey levels of 255, below which a thumbnail shows nothing: it correlates
with no other."""
_LUMA = (0.299, 0.587, 0.114)
_BLOCK, _PART = 1024, 65_536
"""thumbnails of one set and of the other that are compared at once"""


class Nearest(NamedTuple):
    """For each image of one set, (N,), its likest image of another.

    Attributes:
        correlations: in [-1, 1], float32; 0 for plain images.
        images: the places of the likest ones in the other set, int64.
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
    """Looks up each image's likest one among `others`, as it is and mirrored.

    Arguments:
        images, others: uint8, (N, 1 or 3, H, W) and (M, 1 or 3, H', W') on one device, M > 0.

    References:
        Visualizing and Understanding Convolutional Networks (Zeiler and Fergus, 2014), section
        5.2: images of which the other set has near-duplicates leave the training set.
    """
    known = thumbnails(others)
    found = [_likest(block, known) for block in torch.split(thumbnails(images), _BLOCK)]
    correlations, places = (torch.cat(parts) for parts in zip(*found, strict=True))
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


def without(split: Split, found: Nearest, threshold: float) -> Split:
    """The images of a split that have no near-duplicate in the other set, in their order."""
    kept = ~found.above(threshold)
    return split if kept.all() else Split(split.images[kept], split.labels[kept])


# --- is the threshold any good? ------------------------------------------------------------------


def found_copies(images: Tensor, threshold: float) -> dict[str, float]:
    """The shares of images, changed as copies are, that correlate with their original enough.

    Arguments:
        images: uint8, (N, C, H, W), H and W at least 2.

    Returns:
        change -> share in [0, 1]: half the size and back, other light, mirrored, trimmed by 3 %.
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
