"""Receptive fields: which pixels an activation can depend on.

Computed from the layers' kernels, strides and paddings, step by step back to the image. A window is
cut off at the border of every plane that it passes, so a field near a border holds no pixel that is
only reached through padding.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from research.chain import Chain
from research.deconvnet import pair

_WINDOWED = (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)
_WHOLE = (nn.Linear, nn.AdaptiveAvgPool2d, nn.Flatten)


def plane_sizes(chain: Chain, shape: Sequence[int]) -> list[torch.Size]:
    """The shape of each layer's input, and of the last one's output, for images (C, H, W)."""
    weight = next(chain.model.parameters())
    images = torch.zeros(1, *shape, device=weight.device, dtype=weight.dtype)
    return [images.shape[1:], *(output.shape[1:] for _, output in chain.forward(images))]


def fields(chain: Chain, layer: str, positions: Tensor, shape: Sequence[int]) -> Tensor:
    """The pixels that the places of a layer see: first row, first column, last row, last column.

    Arguments:
        positions: row and column in the layer's maps, int64 (B, 2); zeros for a linear layer.
        shape: of an image, (C, H, W).

    Returns:
        int64 (B, 4), both ends inside the field and inside the image.
    """
    sizes = plane_sizes(chain, shape)
    first, last = positions.clone(), positions.clone()
    for place in reversed(range(chain.index(layer) + 1)):
        module, size = chain.links[place].module, sizes[place]
        if isinstance(module, _WHOLE):
            first, last = torch.zeros_like(first), torch.zeros_like(last)
            if len(size) == 3:
                last += torch.tensor(size[1:]) - 1
        elif isinstance(module, _WINDOWED):
            end = torch.tensor(size[1:], device=first.device) - 1
            stride, padding, reach = _geometry(module)
            first = (first * stride - padding).clamp(min=0)
            last = torch.minimum(last * stride - padding + reach, end)
    return torch.cat([first, last], 1)


def extent(chain: Chain, layer: str, shape: Sequence[int]) -> tuple[int, int]:
    """Rows and columns that one activation far from all borders sees; at most the image's."""
    size, whole = torch.ones(2, dtype=torch.int64), torch.tensor(shape[1:])
    for link in reversed(chain.links[: chain.index(layer) + 1]):
        if isinstance(link.module, _WHOLE):
            return shape[1], shape[2]
        if isinstance(link.module, _WINDOWED):
            stride, _, reach = _geometry(link.module)
            size = (size - 1) * stride + reach + 1
    rows, columns = torch.minimum(size, whole).tolist()
    return rows, columns


def _geometry(module: nn.Module) -> tuple[Tensor, Tensor, Tensor]:
    """Stride, padding, and the distance from the first to the last place of a kernel."""
    assert isinstance(module, _WINDOWED)
    kernel, stride, padding = (
        torch.tensor(pair(value)) for value in (module.kernel_size, module.stride, module.padding)
    )
    dilation = torch.tensor(pair(getattr(module, "dilation", 1)))
    return stride, padding, dilation * (kernel - 1)
