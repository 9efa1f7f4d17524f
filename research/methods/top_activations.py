"""The strongest activations of every feature map over a whole data set, found in one pass.

Only the best so far are kept, so memory does not depend on the size of the set.

References:
    Visualizing and Understanding Convolutional Networks (Zeiler and Fergus, 2014), figure 2.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from research.data import Split, batches
from research.methods.chain import Chain
from research.methods.deconvnet import Units, strongest_positions


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
    chain: Chain, split: Split, layers: Sequence[str], count: int = 9, batch: int = 512
) -> dict[str, Strongest]:
    """The `count` images in which each map of some layers is most active, by its largest value.

    Of equal values the image that comes first in the set counts as the stronger one, and within an
    image the place that comes first in reading order. With fewer images there are fewer columns.
    """
    best: dict[str, Strongest] = {}
    start = 0
    for images, _ in batches(split, batch):
        for layer, maps in chain.some(images, layers):
            new = _of_batch(maps, count, start)
            best[layer] = _merged(best[layer], new, count) if layer in best else new
        start += len(images)
    return {layer: best[layer] for layer in layers}


def _of_batch(maps: Tensor, count: int, start: int) -> Strongest:
    """The strongest of images that are numbered from `start`."""
    values = maps.flatten(2).amax(2) if maps.ndim == 4 else maps
    images = _first(values.T, count)  # (M, K)
    rows = torch.arange(len(images), device=images.device)[:, None]
    # places are looked for in these images only: an amax takes less time than where it is
    best, positions = strongest_positions(maps[images, rows])
    return Strongest(best, start + images, positions)


def _merged(best: Strongest, new: Strongest, count: int) -> Strongest:
    """The first of both, those found earlier before those found later."""
    both = Strongest(*(torch.cat(columns, 1) for columns in zip(best, new, strict=True)))
    order = _first(both.values, count)
    rows = torch.arange(len(order), device=order.device)[:, None]
    return Strongest(*(column[rows, order] for column in both))


def _first(values: Tensor, count: int) -> Tensor:
    """The places of the largest in each row, (M, K); of equal ones the first stays the first."""
    return values.sort(stable=True, dim=1, descending=True).indices[:, :count]
