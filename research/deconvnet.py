"""The deconvolutional network: one activation of a network, projected back to the pixels.

All other activations are set to zero; then, layer by layer, maxima go back to the places they came
from (unpooling by switches), what is negative is cut off (ReLU), and filters are transposed. Biases
take no part, contrast normalisation is passed over, and batch norm counts as part of its filter.

A projection is computed in the window of the image that its activation can see, not in the whole
image: for the first layers that is a small part of the work.

References:
    Visualizing and Understanding Convolutional Networks (Zeiler and Fergus, 2014), section 2.1.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from research.chain import MIXED, PASSED, SCALES, Chain, Passage, Scale
from research.errors import UserError
from research.models.layers import CentredPixels, Normalise
from research.train import evaluation


class Units(NamedTuple):
    """Activations, one per row.

    Attributes:
        image: index of the image, int64 (B,).
        feature_map: index of the feature map, or of the unit of a linear layer, int64 (B,).
        position: row and column in the map, int64 (B, 2); zeros for a linear layer.
    """

    image: Tensor
    feature_map: Tensor
    position: Tensor


class Window(NamedTuple):
    """Equal windows of planes, one per row; places outside the plane hold zeros.

    Attributes:
        values: (B, C, h, w).
        corner: row and column of the upper left place in the plane, int64 (B, 2), maybe negative.
    """

    values: Tensor
    corner: Tensor


def project(chain: Chain, images: Tensor, layer: str, units: Units, batch: int = 64) -> Window:
    """Projects activations of a layer back to the pixels, each seeded with its own value.

    Arguments:
        images: (N, C, H, W) in [0, 1].
        units: what to project; `units.image` indexes `images`.
        batch: projections at a time.

    Returns:
        Window of the pixels that the unit can see, (B, C, h, w) of either sign. Where it would be
        larger than the image it is the image.

    Raises:
        UserError: no such layer, unit or position, or an activation that is not positive.
    """
    parts = []
    for start in range(0, len(units.image), batch):
        some = Units(*(column[start : start + batch] for column in units))
        shown, image = torch.unique(some.image, return_inverse=True)
        passage = chain.passage(images[shown], layer)
        with evaluation(chain.model):
            parts.append(_descended(passage, some._replace(image=image), layer))
    # all windows of a layer are of one size
    return Window(*(torch.cat(columns) for columns in zip(*parts, strict=True)))


def strongest_positions(maps: Tensor) -> tuple[Tensor, Tensor]:
    """The largest value of each map and its place: (N, M) and int64 (N, M, 2).

    Of equal values the first in reading order. Units of a linear layer (N, M) are maps of one.
    """
    flat = maps.flatten(2) if maps.ndim == 4 else maps[..., None]
    values, places = flat.max(2)
    width = maps.shape[3] if maps.ndim == 4 else 1
    return values, torch.stack([places // width, places % width], -1)


def pasted(window: Window, shape: Sequence[int]) -> Tensor:
    """Windows put back into planes of zeros, (B, C, H, W)."""
    return _moved(window, torch.zeros_like(window.corner), (shape[-2], shape[-1])).values


def cut(images: Tensor, corner: Tensor, size: tuple[int, int], fill: float) -> Tensor:
    """The windows of images (B, C, H, W) at these corners, (B, C, *size); outside is `fill`."""
    return _moved(_in_full(images - fill), corner, size).values + fill


# --- the way back --------------------------------------------------------------------------------


def _descended(passage: Passage, units: Units, layer: str) -> Window:
    window = _seeded(passage.output, units, layer)
    for place in reversed(range(len(passage.links))):
        module, shape = passage.links[place].module, passage.shapes[place]
        if isinstance(module, nn.ReLU):
            window = window._replace(values=F.relu(window.values))
        elif isinstance(module, nn.MaxPool2d):
            window = _unpooled(module, window, passage.switches[place], units.image, shape)
        elif isinstance(module, nn.Conv2d):
            window = _transposed(module, window, shape)
        elif isinstance(module, SCALES):
            window = _scaled(module, window, shape)
        elif isinstance(module, MIXED):
            window = _whole(module, window, shape)
        else:
            assert isinstance(module, PASSED)
    return window


def _seeded(output: Tensor, units: Units, layer: str) -> Window:
    """One place per unit, all channels zero but the unit's own."""
    planes = output if output.ndim == 4 else output[..., None, None]
    _check_units(units, planes.shape, layer)
    row, column = units.position.T
    activations = planes[units.image, units.feature_map, row, column]
    if not (activations > 0).all():
        least = int(activations.argmin())
        raise UserError(
            f"only an active unit can be projected: unit {int(units.feature_map[least])} of layer "
            f"'{layer}' is {float(activations[least]):.3g} at the place asked for; choose another"
        )
    seeds = planes.new_zeros(len(activations), planes.shape[1], 1, 1)
    seeds[torch.arange(len(activations)), units.feature_map, 0, 0] = activations
    return Window(seeds, units.position)


def _check_units(units: Units, shape: Sequence[int], layer: str) -> None:
    asked = torch.stack([units.feature_map, *units.position.T], 1)
    outside = (asked < 0) | (asked >= torch.tensor(shape[1:], device=asked.device))
    if outside.any():
        wrong = asked[outside.any(1)][0].tolist()
        raise UserError(
            f"layer '{layer}' has {shape[1]} maps of {shape[2]} × {shape[3]}, asked for was map "
            f"{wrong[0]} at row {wrong[1]}, column {wrong[2]}"
        )


def _transposed(conv: nn.Conv2d, window: Window, shape: Sequence[int]) -> Window:
    """The filters transposed, without biases; what falls onto the padding is dropped."""
    values = F.conv_transpose2d(
        window.values, conv.weight, stride=conv.stride, dilation=conv.dilation, groups=conv.groups
    )
    return _fitted(Window(values, _below(window.corner, conv)), shape)


def _unpooled(
    pool: nn.MaxPool2d, window: Window, switches: Tensor, image: Tensor, shape: Sequence[int]
) -> Window:
    """Each value at the place of its maximum; where windows overlap, values add up."""
    count, channels, height, width = window.values.shape
    chosen = _windows_of(switches, image, window)  # (B, C, h, w), -1 outside the plane
    inside = chosen >= 0
    corner = _below(window.corner, pool)
    rows = chosen // shape[2] - corner[:, 0, None, None, None]
    columns = chosen % shape[2] - corner[:, 1, None, None, None]
    size = [_extent(n, pool, axis) for axis, n in enumerate((height, width))]
    flat = torch.where(inside, rows * size[1] + columns, 0).flatten(2)
    values = torch.where(inside, window.values, 0).flatten(2)
    planes = values.new_zeros(count, channels, size[0] * size[1]).scatter_add_(2, flat, values)
    return _fitted(Window(planes.view(count, channels, *size), corner), shape)


def _windows_of(switches: Tensor, image: Tensor, window: Window) -> Tensor:
    """The switches below each window, (B, C, h, w); -1 outside the plane."""
    height, width = switches.shape[2:]
    rows, columns = _places(window)
    channels = torch.arange(switches.shape[1], device=switches.device)
    found = switches[
        image[:, None, None, None], channels[:, None, None],
        rows.clamp(0, height - 1)[:, None, :, None], columns.clamp(0, width - 1)[:, None, None],
    ]  # fmt: skip
    return torch.where(_inside(window, switches.shape), found, -1)


def _scaled(module: nn.Module, window: Window, shape: Sequence[int]) -> Window:
    """Times the layer's factor at each place."""
    factor = factor_of(module).to(window.values)
    if factor.ndim == 3 and factor.shape[1:] != (1, 1):  # another one at each place
        planes = factor.expand(len(window.values), *shape)
        size = (window.values.shape[2], window.values.shape[3])
        factor = _moved(_in_full(planes), window.corner, size).values
    return window._replace(values=window.values * factor)


def factor_of(module: nn.Module) -> Tensor:
    """What a layer multiplies by when evaluating, to be broadcast over (C, H, W)."""
    if isinstance(module, Normalise):
        return 1 / module.std
    if isinstance(module, CentredPixels):
        return torch.tensor(255.0)
    if isinstance(module, Scale):
        return module.factor
    assert isinstance(module, nn.BatchNorm2d | nn.BatchNorm1d)
    assert module.running_var is not None
    factor = (module.running_var + module.eps).rsqrt()
    return (factor if module.weight is None else factor * module.weight).view(-1, 1, 1)


def _whole(module: nn.Module, window: Window, shape: Sequence[int]) -> Window:
    """The transpose of a layer that mixes all places of a plane."""
    if isinstance(module, nn.Linear):
        values = (window.values.flatten(1) @ module.weight)[..., None, None]
    elif isinstance(module, nn.Flatten):
        values = window.values.reshape(-1, *shape)
    else:  # an average is linear, so its gradient anywhere is its transpose
        with torch.inference_mode(False), torch.enable_grad():
            inputs = window.values.new_zeros(len(window.values), *shape).requires_grad_()
            planes = module(inputs)
            [values] = torch.autograd.grad(planes, inputs, pasted(window, planes.shape).clone())
    return _in_full(values)


# --- windows -------------------------------------------------------------------------------------


def pair(value: int | tuple[int, ...] | str | None) -> tuple[int, int]:
    """A layer's setting for rows and columns."""
    assert not isinstance(value, str)
    assert value is not None
    return (value, value) if isinstance(value, int) else (value[0], value[1])


def _extent(size: int, layer: nn.Conv2d | nn.MaxPool2d, axis: int) -> int:
    """How many places of its input `size` neighbouring outputs of a layer see."""
    kernel, dilation = pair(layer.kernel_size)[axis], pair(layer.dilation)[axis]
    return (size - 1) * pair(layer.stride)[axis] + dilation * (kernel - 1) + 1


def _below(corner: Tensor, layer: nn.Conv2d | nn.MaxPool2d) -> Tensor:
    """The corners in a layer's input of what is seen from these corners in its output."""
    stride, padding = (torch.tensor(pair(n)).to(corner) for n in (layer.stride, layer.padding))
    return corner * stride - padding


def _fitted(window: Window, shape: Sequence[int]) -> Window:
    """Zeros outside the plane; along an axis where a window is larger, it becomes the plane."""
    ours, whole = torch.tensor(window.values.shape[2:]), torch.tensor(shape[1:])
    corner = torch.where((ours >= whole).to(window.corner.device), 0, window.corner)
    rows, columns = torch.minimum(ours, whole).tolist()
    moved = _moved(window, corner, (rows, columns))
    return moved._replace(values=moved.values * _inside(moved, shape))


def _in_full(planes: Tensor) -> Window:
    """Whole planes as windows."""
    return Window(planes, torch.zeros(len(planes), 2, dtype=torch.int64, device=planes.device))


def _places(window: Window) -> tuple[Tensor, Tensor]:
    """The rows (B, h) and columns (B, w) of the plane that windows show."""
    rows, columns = (
        window.corner[:, axis, None] + torch.arange(size, device=window.corner.device)
        for axis, size in enumerate(window.values.shape[2:])
    )
    return rows, columns


def _inside(window: Window, shape: Sequence[int]) -> Tensor:
    """Which places of a window lie in the plane, (B, 1, h, w)."""
    rows, columns = (
        (at >= 0) & (at < size) for at, size in zip(_places(window), shape[-2:], strict=True)
    )
    return (rows[:, :, None] & columns[:, None, :])[:, None]


def _moved(window: Window, corner: Tensor, size: tuple[int, int]) -> Window:
    """The same planes seen through other windows; what was not seen before is zero."""
    values = window.values
    if values.shape[2:] == size and torch.equal(window.corner, corner):
        return window
    for axis in (0, 1):
        places = torch.arange(size[axis], device=corner.device)
        at = (corner - window.corner)[:, axis, None] + places  # (B, size)
        seen = (at >= 0) & (at < values.shape[2 + axis])
        index = at.clamp(0, values.shape[2 + axis] - 1)
        around = (slice(None), None, slice(None), None) if axis == 0 else (slice(None), None, None)
        target = [*values.shape]
        target[2 + axis] = size[axis]
        values = values.gather(2 + axis, index[around].expand(target)) * seen[around]
    return Window(values, corner)
