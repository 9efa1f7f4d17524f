"""Receptive fields: which pixels an activation can depend on.

A layer's kernel, stride, padding and dilation decide which rows of its input each row of its output
sees, and likewise for columns; both are followed step by step back to the image. Padding belongs
to no plane, so a field near a border holds no pixel that is reached only through padding.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from research.methods.chain import Chain
from research.methods.tracing import Link
from research.methods.transposed import pair

_WINDOWED = (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)
_WHOLE = (nn.Linear, nn.Flatten)


def plane_sizes(chain: Chain, shape: Sequence[int]) -> list[torch.Size]:
    """The shape of each layer's input, and of the last one's output, for images (C, H, W).

    Example:
        >>> model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2))
        >>> [tuple(size) for size in plane_sizes(Chain(model, torch.rand(1, 1, 8, 8)), (1, 8, 8))]
        [(1, 8, 8), (4, 6, 6), (4, 6, 6), (4, 3, 3)]
    """
    weight = next(chain.model.parameters(), torch.empty(0))
    images = torch.zeros(1, *shape, device=weight.device, dtype=weight.dtype)
    return [
        images.shape[1:],
        *(output.shape[1:] for _, output in chain.forward(images)),
    ]


def fields(chain: Chain, layer: str, positions: Tensor, shape: Sequence[int]) -> Tensor:
    """The pixels that the places of a layer see: first row, first column, last row, last column.

    It is the smallest box that holds them all: pixels that strides or dilation leave out at its
    border are not in it.

    Arguments:
        positions: row and column in the layer's maps, int64 (B, 2); zeros for a linear layer.
        shape: of an image, (C, H, W).

    Returns:
        int64 (B, 4), both ends inside the field and inside the image. Where only padding is seen,
        the last lies before the first.

    Raises:
        ArgumentError: no such layer.

    Example:
        >>> chain = Chain(nn.Sequential(nn.Conv2d(1, 4, 3, padding=1)), torch.rand(1, 1, 8, 8))
        >>> fields(chain, "0", torch.tensor([[0, 0], [4, 4]]), (1, 8, 8)).tolist()
        [[0, 0, 1, 1], [3, 3, 5, 5]]
    """
    links, sizes = chain.links[: chain.index(layer) + 1], plane_sizes(chain, shape)
    (top, bottom), (left, right) = (
        _ends(_seen(links, sizes, positions[:, axis], axis)) for axis in (0, 1)
    )
    return torch.stack([top, left, bottom, right], 1)


def extent(chain: Chain, layer: str, shape: Sequence[int]) -> tuple[int, int]:
    """Rows and columns that one activation far from all borders sees; at most the image's.

    Example:
        >>> model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2))
        >>> extent(Chain(model, torch.rand(1, 1, 8, 8)), "2", (1, 8, 8))
        (4, 4)
    """
    modules = [link.module for link in chain.links[: chain.index(layer) + 1]]
    rows, columns = (min(_unbounded(modules, axis), shape[1 + axis]) for axis in (0, 1))
    return int(rows), int(columns)


def _unbounded(modules: Sequence[nn.Module], axis: int) -> float:
    """The rows or columns that are seen where there are no borders."""
    size = 1.0
    for module in reversed(modules):
        if isinstance(module, nn.AdaptiveAvgPool2d | nn.Linear | nn.Flatten):
            size = math.inf
        elif isinstance(module, _WINDOWED):
            kernel, stride, _, dilation = _geometry(module, axis)
            size = (size - 1) * stride + dilation * (kernel - 1) + 1
    return size


def _seen(links: Sequence[Link], sizes: Sequence[torch.Size], places: Tensor, axis: int) -> Tensor:
    """Which rows (axis 0) or columns (axis 1) of the image the places see, bool (B, side)."""
    sides = [size[1 + axis] if len(size) == 3 else 1 for size in sizes]
    seen = F.one_hot(places, sides[len(links)]).bool()
    for place, link in reversed(list(enumerate(links))):
        before = _connected(link.module, sides[place], sides[place + 1], axis).to(seen.device)
        seen = seen.float() @ before.float() > 0
    return seen


def _connected(module: nn.Module, inputs: int, outputs: int, axis: int) -> Tensor:
    """Whether a row of a layer's output depends on a row of its input, bool (outputs, inputs)."""
    before, after = torch.arange(inputs), torch.arange(outputs)[:, None]
    if isinstance(module, _WINDOWED):
        kernel, stride, padding, dilation = _geometry(module, axis)
        steps = before - (after * stride - padding)
        return (steps >= 0) & (steps <= dilation * (kernel - 1)) & (steps % dilation == 0)
    if isinstance(module, nn.AdaptiveAvgPool2d):
        return (before >= after * inputs // outputs) & (before * outputs < (after + 1) * inputs)
    return torch.ones(outputs, inputs) > 0 if isinstance(module, _WHOLE) else before == after


def _ends(seen: Tensor) -> tuple[Tensor, Tensor]:
    """The first and last true column of each row, (B,) each."""
    columns = torch.arange(seen.shape[1], device=seen.device).expand(seen.shape)
    first, last = columns.where(seen, seen.shape[1]), columns.where(seen, -1)
    return first.amin(1), last.amax(1)


def _geometry(module: nn.Module, axis: int) -> tuple[int, int, int, int]:
    """Kernel, stride, padding and dilation along the rows (0) or columns (1)."""
    assert isinstance(module, _WINDOWED)
    dilation = getattr(module, "dilation", 1)  # an average has none
    settings = (module.kernel_size, module.stride, module.padding, dilation)
    kernel, stride, padding, dilation = (pair(setting)[axis] for setting in settings)
    return kernel, stride, padding, dilation
