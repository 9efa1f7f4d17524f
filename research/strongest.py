"""The strongest activations of every feature map over a whole data set, found in one pass.

Only the best so far are kept, so memory does not depend on the size of the set.

References:
    Visualizing and Understanding Convolutional Networks (Zeiler and Fergus, 2014), figure 2.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from research.chain import Chain
from research.data import Split, batches
from research.deconvnet import Units, strongest_positions


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
        for layer, maps in chain.outputs(images, layers).items():
            best[layer] = _merged(best.get(layer), _of_batch(maps, start), count)
        start += len(images)
    return best


def _of_batch(maps: Tensor, start: int) -> Strongest:
    values, positions = strongest_positions(maps)  # (B, M), (B, M, 2)
    images = torch.arange(start, start + len(maps), device=maps.device)
    return Strongest(values.T, images.expand(values.shape[1], -1), positions.transpose(0, 1))


def _merged(best: Strongest | None, new: Strongest, count: int) -> Strongest:
    """The first `count` of both; the sort is stable, so of equal ones the earlier image stays."""
    if best is not None:
        new = Strongest(*(torch.cat(columns, 1) for columns in zip(best, new, strict=True)))
    order = new.values.sort(stable=True, dim=1, descending=True).indices[:, :count]
    rows = torch.arange(len(order), device=order.device)[:, None]
    return Strongest(*(column[rows, order] for column in new))
