"""A convolution transposed: from its outputs back to its inputs, as fast as a CPU can."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_FEW = 4
"""input channels up to which a convolution is transposed by blocks of pixels"""
_LANES = 12
"""channels for which it pays to see more values; a vector register holds 16"""


def transposed(conv: nn.Conv2d, values: Tensor, whole: tuple[int, int] | None = None) -> Tensor:
    """The filters of a convolution transposed, without biases.

    Arguments:
        values: at neighbouring places of the layer's output, (B, out_channels, h, w).
        whole: the height and width of its input, where `values` are its whole output.

    Returns:
        All places of the input that these values see, those on the padding among them; with
        `whole` the input itself, without padding. (B, in_channels, h', w').

    Example:
        >>> conv = nn.Conv2d(1, 2, 3, padding=1).requires_grad_(False)
        >>> transposed(conv, torch.ones(5, 2, 4, 4)).shape
        torch.Size([5, 1, 6, 6])
        >>> transposed(conv, torch.ones(5, 2, 4, 4), whole=(4, 4)).shape
        torch.Size([5, 1, 4, 4])
    """
    padding = pair(conv.padding) if whole else (0, 0)
    seen = [extent(n, conv, axis) for axis, n in enumerate(values.shape[2:])]
    height, width = whole or seen
    if conv.in_channels <= _FEW and conv.dilation == (1, 1) and conv.groups == 1:
        planes = _by_blocks(conv, values)[:, :, padding[0] : seen[0], padding[1] : seen[1]]
        missing = height - planes.shape[2], width - planes.shape[3]  # negative on the padding
        return F.pad(planes, (0, missing[1], 0, missing[0])) if any(missing) else planes
    spare = height + 2 * padding[0] - seen[0], width + 2 * padding[1] - seen[1]
    return F.conv_transpose2d(
        values, conv.weight, stride=conv.stride, padding=padding, output_padding=spare,
        dilation=conv.dilation, groups=conv.groups,
    )  # fmt: skip


def _by_blocks(conv: nn.Conv2d, values: Tensor) -> Tensor:
    """The transposed convolution as an ordinary one, which is 2 to 5 times as fast on a CPU.

    With stride s, every s-th row of the result is made with every s-th row of the flipped filters.
    A block of neighbouring pixels is made at once, as if they were channels, so that there are
    enough of these to fill a vector register; the blocks are then laid side by side. Some at the
    end may be more than what the values see.
    """
    strides, times = pair(conv.stride), _times(conv)
    down, right = (
        _taps(kernel, stride, times).to(values.device)
        for kernel, stride in zip(pair(conv.kernel_size), strides, strict=True)
    )
    weight = F.pad(conv.weight, (0, 1, 0, 1))[:, :, down[:, :, None, None], right]
    weight = weight.permute(1, 2, 4, 0, 3, 5).flatten(0, 2)
    before = (down.shape[1] - times, right.shape[1] - times)
    after = [
        -(-extent(n, conv, axis) // (strides[axis] * times)) * times - n
        for axis, n in enumerate(values.shape[2:])
    ]
    # the convolution pads both sides alike
    short = [max(needed - added, 0) for needed, added in zip(after, before, strict=True)]
    values = F.pad(values, (0, short[1], 0, short[0])) if any(short) else values
    planes = F.conv2d(values, weight, stride=times, padding=before)
    return _interleaved(planes, (strides[0] * times, strides[1] * times))


def _times(conv: nn.Conv2d) -> int:
    """How many strides of a convolution make a block, along each axis."""
    down, right = pair(conv.stride)
    times = 1
    while conv.in_channels * down * right * times**2 < _LANES:
        times += 1
    return times


def _taps(kernel: int, stride: int, times: int) -> Tensor:
    """Which row of the filters takes which value to which row of a block.

    Returns:
        int64 (rows of a block, values that it sees), `kernel` where none does.
    """
    rows = torch.arange(stride * times)[:, None]
    taps = rows - stride * torch.arange(1 - -(-kernel // stride), times)
    return taps.where((taps >= 0) & (taps < kernel), kernel)


def _interleaved(planes: Tensor, block: tuple[int, int]) -> Tensor:
    """Blocks of pixels that lie in channels, side by side: (B, C · b · b', h, w) to planes."""
    count, channels, h, w = planes.shape
    own = channels // (block[0] * block[1])
    planes = planes.view(count, own, *block, h, w).permute(0, 1, 4, 2, 5, 3)
    return planes.reshape(count, own, h * block[0], w * block[1])


# --- sizes ---------------------------------------------------------------------------------------


def pair(value: int | tuple[int, ...] | str | None) -> tuple[int, int]:
    """A layer's setting for rows and columns.

    Example:
        >>> pair(3), pair((3, 5))
        ((3, 3), (3, 5))
    """
    assert not isinstance(value, str)
    assert value is not None
    return (value, value) if isinstance(value, int) else (value[0], value[1])


def extent(size: int, layer: nn.Conv2d | nn.MaxPool2d, axis: int) -> int:
    """How many places of its input `size` neighbouring outputs of a layer see along an axis.

    Example:
        >>> extent(2, nn.MaxPool2d(3, stride=2), axis=0)
        5
    """
    kernel, dilation = pair(layer.kernel_size)[axis], pair(layer.dilation)[axis]
    return (size - 1) * pair(layer.stride)[axis] + dilation * (kernel - 1) + 1
