"""The strongest activations of every feature map over a whole data set, found in one pass.

Only the best so far are kept, so memory does not depend on the size of the set.

References:
    Visualizing and Understanding Convolutional Networks (Zeiler and Fergus, 2014), figure 2.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from research.data import Split, batches
from research.errors import ArgumentError
from research.methods.chain import Chain
from research.methods.deconvnet import Units, cut, project, strongest_positions


class Strongest(NamedTuple):
    """For each map the images that excite it most, the strongest first, one place in each.

    Attributes:
        values: (M, K).
        images: index in the set, int64 (M, K).
        positions: row and column of the map's largest value in that image, int64 (M, K, 2).
    """

    values: Tensor
    images: Tensor
    positions: Tensor

    def units(self, maps: Tensor) -> Units:
        """These maps' activations, map by map, as units of the whole set."""
        count = self.values.shape[1]
        return Units(
            self.images[maps].flatten(),
            maps.repeat_interleave(count),
            self.positions[maps].flatten(0, 1),
        )


def strongest(
    chain: Chain, split: Split, layers: Sequence[str], k: int = 9, batch: int = 512
) -> dict[str, Strongest]:
    """The k images in which each map of some layers is most active, by its largest value.

    Ties go to the image that comes first in the set, and within an image to the place that comes
    first in reading order. With fewer images there are fewer columns.

    Raises:
        ArgumentError: no such layer, or k is less than 1.

    Example:
        >>> split = Split(torch.arange(12, dtype=torch.uint8).view(12, 1, 1, 1), torch.arange(12))
        >>> chain = Chain(nn.Sequential(nn.ReLU()), torch.rand(1, 1, 1, 1))
        >>> strongest(chain, split, ["0"], k=3)["0"].images.tolist()
        [[11, 10, 9]]
    """
    return _search(chain, (images for images, _ in batches(split, batch)), layers, k)


def _search(
    chain: Chain, batches: Iterable[Tensor], layers: Sequence[str], k: int
) -> dict[str, Strongest]:
    if k < 1:
        raise ArgumentError(f"k must be at least 1 image for each map, got {k}")
    best: dict[str, Strongest] = {}
    start = 0
    for images in batches:
        for layer, maps in chain.some(images, layers):
            new = _of_batch(maps, k, start)
            best[layer] = _merged(best[layer], new, k) if layer in best else new
        start += len(images)
    return {layer: best[layer] for layer in layers}


class Projections(NamedTuple):
    """What excites some feature maps most, and which part of it does.

    Attributes:
        values: of the activations, the strongest first, (M, K).
        images: index of the image that each lies in, int64 (M, K).
        patches: what the unit sees there, (M, K, C, h, w) in [0, 1]; grey outside the image.
        projections: the activation projected back to these pixels, (M, K, C, h, w) of either sign.
    """

    values: Tensor
    images: Tensor
    patches: Tensor
    projections: Tensor


def top_projections(
    model: nn.Module,
    images: Tensor,
    layer: str,
    maps: Sequence[int],
    k: int = 9,
    *,
    batch: int = 512,
) -> Projections:
    """The `k` strongest activations of feature maps, each projected back to the pixels.

    Arguments:
        model: images to anything, a chain of layers (see `chain.Chain`).
        images: (N, C, H, W) in [0, 1], on the model's device.
        layer: by its name in the model, as `named_modules` has it.
        maps: numbers of feature maps, or of units of a linear layer.
        k: images for each map; fewer where there are fewer images.

    Raises:
        ArgumentError: no such layer or map, a layer on the way whose way back is unknown, k less
            than 1, or a map that is not active in k images.

    References:
        Visualizing and Understanding Convolutional Networks (Zeiler and Fergus, 2014), figure 2.

    Example:
        >>> model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2))
        >>> _ = nn.init.constant_(model[0].weight, 0.1)
        >>> top = top_projections(model, torch.rand(20, 1, 8, 8), "2", maps=[0, 3], k=5)
        >>> top.projections.shape  # each unit sees 4 × 4 pixels
        torch.Size([2, 5, 1, 4, 4])
    """
    chain = Chain(model, images[:2])
    best = _search(chain, torch.split(images, batch), [layer], k)[layer]
    chosen = torch.as_tensor(maps, device=images.device)
    wrong = chosen[(chosen < 0) | (chosen >= len(best.values))].tolist()
    if wrong:
        raise ArgumentError(
            f"maps must be 0 to {len(best.values) - 1} in layer '{layer}', got {wrong[0]}"
        )
    units = best.units(chosen)
    window = project(chain, images, layer, units)
    height, width = window.values.shape[2:]
    seen = cut(images[units.image], window.corner, (height, width), 0.5)
    size = (len(chosen), best.values.shape[1])
    return Projections(
        best.values[chosen],
        best.images[chosen],
        seen.reshape(*size, *seen.shape[1:]),
        window.values.reshape(*size, *window.values.shape[1:]),
    )


def _of_batch(maps: Tensor, k: int, start: int) -> Strongest:
    """The strongest of images that are numbered from `start`."""
    values = maps.flatten(2).amax(2) if maps.ndim == 4 else maps
    images = _first(values.T, k)  # (M, K)
    rows = torch.arange(len(images), device=images.device)[:, None]
    # places are looked for in these images only: finding a maximum is faster than finding where
    best, positions = strongest_positions(maps[images, rows])
    return Strongest(best, start + images, positions)


def _merged(best: Strongest, new: Strongest, k: int) -> Strongest:
    """The strongest k of both; of equal ones, those found earlier come first."""
    both = Strongest(*(torch.cat(columns, 1) for columns in zip(best, new, strict=True)))
    order = _first(both.values, k)
    rows = torch.arange(len(order), device=order.device)[:, None]
    return Strongest(*(column[rows, order] for column in both))


def _first(values: Tensor, k: int) -> Tensor:
    """The places of the k largest in each row, (M, K); equal ones keep their order."""
    return values.sort(stable=True, dim=1, descending=True).indices[:, :k]
