"""A network as a chain: the layers that an image passes through one after another, by name.

Projecting an activation back to the pixels takes every layer on the way, including those that
`forward` calls as functions. The network is traced with `torch.fx`; one that branches, or has a
layer whose way back is unknown, is refused, and the error says which layer it is.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from research.errors import ArgumentError
from research.methods.tracing import Link, links
from research.models.inference import evaluation


@dataclass(frozen=True)
class Passage:
    """What is kept of images on their way through a chain up to some layer.

    Attributes:
        links: the layers passed, in order.
        shapes: of the input of each of them, (C, H, W) or (D,).
        switches: by position of a max-pooling layer, the place of each maximum in its input plane,
            flat, int64 (N, C, H', W').
        output: of the last layer, (N, …).
    """

    links: Sequence[Link]
    shapes: Sequence[torch.Size]
    switches: dict[int, Tensor]
    output: Tensor


class Chain:
    """A network's layers in the order in which an image passes through them.

    Raises:
        ArgumentError: the network branches, has a layer whose way back is unknown, or computes
            something other than its layers one after another.

    Example:
        >>> model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2))
        >>> chain = Chain(model, torch.rand(2, 1, 8, 8))
        >>> chain.names, chain.outputs(torch.rand(5, 1, 8, 8), ["2"])["2"].shape
        (['0', '1', '2'], torch.Size([5, 4, 3, 3]))
    """

    def __init__(self, model: nn.Module, example: Tensor, *, open_end: bool = False) -> None:
        """Reads a network and checks the chain on `example`, images (N, C, H, W) in [0, 1].

        Arguments:
            open_end: takes what lies behind the last convolution and ReLU, whatever it is, for one
                layer named `the rest`, through which nothing can be projected.
        """
        self.model = model
        with evaluation(model):
            self.links = links(model, example, open_end=open_end)
        self._check_outputs(example)

    @property
    def names(self) -> list[str]:
        return [link.name for link in self.links]

    def index(self, layer: str) -> int:
        """The position of a layer. Raises ArgumentError for an unknown one."""
        if layer in self.names:
            return self.names.index(layer)
        nearest = get_close_matches(layer, self.names, 1)
        hint = (
            f"did you mean '{nearest[0]}'?" if nearest else f"choose from {', '.join(self.names)}"
        )
        raise ArgumentError(f"the network has no layer '{layer}': {hint}")

    def forward(self, images: Tensor) -> Iterator[tuple[str, Tensor]]:
        """Yields each layer's output (N, …) under its name as soon as it is computed."""
        for link in self.links:
            # not around the loop: what the caller does between two layers is its own affair
            with evaluation(link.module):
                images = apply(link.module, images)
            yield link.name, images

    def outputs(self, images: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        """The outputs (N, …) of some layers; layers behind the last of them are not computed."""
        outputs = dict(self.some(images, layers))
        return {layer: outputs[layer] for layer in layers}

    def some(self, images: Tensor, layers: Sequence[str]) -> Iterator[tuple[str, Tensor]]:
        """As `forward`, but only these layers, in the network's order, and none behind them."""
        count = 1 + max((self.index(layer) for layer in layers), default=-1)
        for _, (name, output) in zip(range(count), self.forward(images), strict=False):
            if name in layers:
                yield name, output

    def passage(self, images: Tensor, layer: str) -> Passage:
        """Passes images up to a layer and remembers the way back."""
        links = self.links[: self.index(layer) + 1]
        shapes: list[torch.Size] = []
        switches: dict[int, Tensor] = {}
        for place, link in enumerate(links):
            shapes.append(images.shape[1:])
            with evaluation(link.module):
                if isinstance(link.module, nn.MaxPool2d):
                    images, switches[place] = _pooled(link.module, images)
                else:
                    images = apply(link.module, images)
        return Passage(links, shapes, switches, images)

    def _check_outputs(self, example: Tensor) -> None:
        with evaluation(self.model):
            wanted = self.model(example)
        if not _equal(self._output(example), wanted):
            raise ArgumentError(
                f"the layers of {type(self.model).__name__} one after another do not give what "
                "the network gives: let forward() pass its input through layers only"
            )

    def _output(self, images: Tensor) -> Tensor | None:
        """Of the last layer, or None where the layers do not fit together."""
        for link in self.links:
            if isinstance(link.module, nn.Linear) and images.ndim != 2:
                raise ArgumentError(
                    f"layer '{link.name}' is linear along one side of the maps; flatten them first"
                )
            try:
                with evaluation(link.module):
                    images = apply(link.module, images)
            except RuntimeError:
                return None
        return images


def _equal(output: Tensor | None, wanted: Any) -> bool:
    """Up to rounding, relative to the largest value; NaN counts as no difference."""
    if output is None or not isinstance(wanted, Tensor) or output.shape != wanted.shape:
        return False
    return not bool((output - wanted).abs().max() > 1e-4 * wanted.abs().max())


def apply(module: nn.Module, images: Tensor) -> Tensor:
    """A layer's output without the effect of hooks; the input is left as it is.

    Example:
        >>> apply(nn.ReLU(inplace=True), torch.tensor([-1.0, 2.0])).tolist()
        [0.0, 2.0]
    """
    output: Tensor = F.relu(images) if isinstance(module, nn.ReLU) else module.forward(images)
    return output


def _pooled(pool: nn.MaxPool2d, images: Tensor) -> tuple[Tensor, Tensor]:
    """Maxima and their places in each plane of the input, flat."""
    maxima, places = F.max_pool2d(
        _side_by_side(images), pool.kernel_size, pool.stride, pool.padding, pool.dilation,
        pool.ceil_mode, return_indices=True,
    )  # fmt: skip
    channels = images.shape[1]
    return maxima[:, :channels].contiguous(), places[:, :channels].contiguous()


def _side_by_side(images: Tensor) -> Tensor:
    """On a CPU with the channels of a pixel side by side, where pooling is 3 to 6 times as fast.

    That takes as many channels as a vector register holds; those that are missing are added.
    """
    if images.device.type != "cpu":
        return images
    images = images.contiguous(memory_format=torch.channels_last)  # copied faster before padding
    missing = max(16 - images.shape[1], 0)
    images = F.pad(images, (0, 0, 0, 0, 0, missing)) if missing else images
    return images.contiguous(memory_format=torch.channels_last)
