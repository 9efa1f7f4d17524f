"""The deconvolutional network: one activation of a network, projected back to the pixels.

All other activations are set to zero; then, layer by layer, maxima go back to the places they came
from (unpooling by switches), negative values are cut off (ReLU), and filters are transposed. Biases
take no part, contrast normalisation is skipped, and batch norm counts as part of its filter.

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

from research.errors import ArgumentError
from research.methods.chain import Chain, Passage
from research.methods.reversible import MIXED, PASSED, SCALES, Scale
from research.methods.transposed import extent, pair, transposed
from research.models.layers import CentredPixels, Normalise


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
    """Windows of equal size onto planes, one per row; places outside the plane hold zeros.

    Attributes:
        values: (B, C, h, w).
        corner: row and column of the upper left place in the plane, int64 (B, 2); may be negative.
    """

    values: Tensor
    corner: Tensor


def project(chain: Chain, images: Tensor, layer: str, units: Units, batch: int = 0) -> Window:
    """Projects activations of a layer back to the pixels, each seeded with its own value.

    Arguments:
        images: (N, C, H, W) in [0, 1].
        units: what to project; `units.image` indexes `images`.
        batch: projections at a time; 0 for as many as their images make eight megabytes.

    Returns:
        The window of pixels that each unit can see, (B, C, h, w) of either sign, at most the whole
        image.

    Raises:
        ArgumentError: no such layer, image, unit or position, or an activation that is not
            positive.

    Example:
        >>> model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU()).requires_grad_(False)
        >>> _ = nn.init.ones_(model[0].weight)
        >>> images = torch.ones(2, 1, 8, 8)
        >>> unit = Units(torch.tensor([1]), torch.tensor([3]), torch.tensor([[2, 5]]))
        >>> window = project(Chain(model, images), images, "1", unit)
        >>> window.values.shape, window.corner.tolist()
        (torch.Size([1, 1, 3, 3]), [[2, 5]])
    """
    _check_images(units, images)
    batch = batch or max(_AT_ONCE // max(images.shape[1:].numel(), 1), 16)
    order = units.image.argsort(stable=True)  # so that each image passes through once, or nearly so
    parts = []
    for rows in torch.split(order, batch):
        shown, image = torch.unique(units.image[rows], return_inverse=True)
        passage = chain.passage(images[shown], layer)
        some = Units(image, units.feature_map[rows], units.position[rows])
        with torch.inference_mode():
            parts.append(_descended(passage, some, layer))
    back = order.argsort()
    # all windows of a layer are of one size
    return Window(*(torch.cat(columns)[back] for columns in zip(*parts, strict=True)))


def strongest_positions(maps: Tensor) -> tuple[Tensor, Tensor]:
    """The largest value of each map and its place: (N, M) and int64 (N, M, 2).

    Ties go to the first in reading order. Units of a linear layer, (N, M), are maps of one place.

    Example:
        >>> strongest_positions(torch.tensor([[[[0.0, 1.0], [3.0, 2.0]]]]))
        (tensor([[3.]]), tensor([[[1, 0]]]))
    """
    flat = maps.flatten(2) if maps.ndim == 4 else maps[..., None]
    values, places = flat.max(2)
    width = maps.shape[3] if maps.ndim == 4 else 1
    return values, torch.stack([places // width, places % width], -1)


def pasted(window: Window, shape: Sequence[int]) -> Tensor:
    """Windows put back into planes of zeros, (B, C, H, W).

    Example:
        >>> pasted(Window(torch.ones(1, 1, 1, 2), torch.tensor([[1, 0]])), (2, 3)).tolist()
        [[[[0.0, 0.0, 0.0], [1.0, 1.0, 0.0]]]]
    """
    return _moved(window, torch.zeros_like(window.corner), (shape[-2], shape[-1])).values


def cut(images: Tensor, corner: Tensor, size: tuple[int, int], fill: float) -> Tensor:
    """The windows of images (B, C, H, W) at these corners, (B, C, *size); `fill` outside.

    Example:
        >>> cut(torch.ones(1, 1, 4, 4), torch.tensor([[3, 3]]), (2, 2), fill=0.5).tolist()
        [[[[1.0, 0.5], [0.5, 0.5]]]]
    """
    window = _moved(_in_full(images), corner, size)
    return window.values.where(_inside(corner, size, images.shape), fill)


_AT_ONCE = 2**21
"""values of the images that are projected to at a time"""

# --- the way back --------------------------------------------------------------------------------


def _descended(passage: Passage, units: Units, layer: str) -> Window:
    window = _seeded(passage.output, units, layer)
    above = passage.output.shape[1:]
    for place in reversed(range(len(passage.links))):
        module, shape = passage.links[place].module, passage.shapes[place]
        if isinstance(module, nn.ReLU):
            window = window._replace(values=F.relu(window.values))
        elif isinstance(module, nn.MaxPool2d):
            window = _unpooled(module, window, passage.switches[place], units.image, shape)
        elif isinstance(module, nn.Conv2d):
            window = _transposed(module, window, above, shape)
        elif isinstance(module, SCALES):
            window = _scaled(module, window, shape)
        elif isinstance(module, MIXED):
            window = _whole(module, window, shape)
        else:
            assert isinstance(module, PASSED)
        above = shape
    return window


def _seeded(output: Tensor, units: Units, layer: str) -> Window:
    """One place per unit, all channels zero but the unit's own."""
    planes = output if output.ndim == 4 else output[..., None, None]
    _check_units(units, planes.shape, layer)
    row, column = units.position.T
    activations = planes[units.image, units.feature_map, row, column]
    if not (activations > 0).all():
        least = int(activations.argmin())
        raise ArgumentError(
            f"only an active unit can be projected: unit {int(units.feature_map[least])} of layer "
            f"'{layer}' is {float(activations[least]):.3g} at the place asked for; choose another"
        )
    seeds = planes.new_zeros(len(activations), planes.shape[1], 1, 1)
    seeds[torch.arange(len(activations)), units.feature_map, 0, 0] = activations
    return Window(seeds, units.position)


def _check_images(units: Units, images: Tensor) -> None:
    wrong = units.image[(units.image < 0) | (units.image >= len(images))]
    if len(wrong):
        raise ArgumentError(
            f"units must lie in one of the {len(images)} images, got image {int(wrong[0])}; "
            "number them from 0"
        )


def _check_units(units: Units, shape: Sequence[int], layer: str) -> None:
    asked = torch.stack([units.feature_map, *units.position.T], 1)
    outside = (asked < 0) | (asked >= torch.tensor(shape[1:], device=asked.device))
    if outside.any():
        wrong = asked[outside.any(1)][0].tolist()
        raise ArgumentError(
            f"layer '{layer}' has {shape[1]} maps of {shape[2]} × {shape[3]}, got map "
            f"{wrong[0]} at row {wrong[1]}, column {wrong[2]}"
        )


def _transposed(
    conv: nn.Conv2d, window: Window, above: Sequence[int], shape: Sequence[int]
) -> Window:
    """The filters transposed, without biases; what falls onto the padding is dropped.

    Arguments:
        above: the shape of the layer's output, (C, H, W).
        shape: that of its input.
    """
    if _size(window) == tuple(above[-2:]):
        return _in_full(transposed(conv, window.values, (shape[1], shape[2])))
    return _fitted(Window(transposed(conv, window.values), _below(window.corner, conv)), shape)


def _unpooled(
    pool: nn.MaxPool2d,
    window: Window,
    switches: Tensor,
    image: Tensor,
    shape: Sequence[int],
) -> Window:
    """Each value at the place of its maximum; where windows overlap, values add up."""
    seen = [extent(n, pool, axis) for axis, n in enumerate(window.values.shape[2:])]
    corner, (height, width) = _framed(_below(window.corner, pool), seen, shape)
    places = _under(window, switches, image)
    if (height, width) != tuple(shape[-2:]):
        row, column = (start[:, None, None, None] for start in corner.unbind(1))
        places = (places // shape[2] - row) * width + (places % shape[2] - column)
        # what lies outside the plane, zeros, may fall anywhere
        places = places.clamp_(0, height * width - 1)
    planes = window.values.new_zeros(*window.values.shape[:2], height * width)
    planes.scatter_add_(2, places.flatten(2), window.values.flatten(2))
    return Window(planes.view(*planes.shape[:2], height, width), corner)


def _under(window: Window, switches: Tensor, image: Tensor) -> Tensor:
    """The switches below each window, (B, C, h, w); outside the plane those of its border."""
    if _size(window) == switches.shape[2:] and not window.corner.any():
        return switches.index_select(0, image)
    rows, columns = (
        at.clamp(0, whole - 1)
        for at, whole in zip(_places(window.corner, _size(window)), switches.shape[2:], strict=True)
    )
    channels = torch.arange(switches.shape[1], device=switches.device)[:, None, None]
    places = (
        image[:, None, None, None],
        channels,
        rows[:, None, :, None],
        columns[:, None, None],
    )
    return switches[places]


def _scaled(module: nn.Module, window: Window, shape: Sequence[int]) -> Window:
    """Times the layer's factor at each place."""
    factor = _factor_of(module).to(window.values)
    if len(shape) == 1:
        factor = factor.expand(1, *shape)[..., None, None]
    elif factor.shape[-2:].numel() > 1:  # one of its own at each place
        planes = factor.expand(len(window.values), *shape)
        factor = _moved(_in_full(planes), window.corner, _size(window)).values
    return window._replace(values=window.values * factor)


def _factor_of(module: nn.Module) -> Tensor:
    """What a layer multiplies by in evaluation, to be broadcast over (C, H, W)."""
    if isinstance(module, Normalise):
        return 1 / module.std
    if isinstance(module, CentredPixels):
        return torch.tensor(255.0)
    if isinstance(module, Scale):
        return module.factor
    assert isinstance(module, nn.BatchNorm2d | nn.BatchNorm1d)
    assert module.running_var is not None
    factor = (module.running_var + module.eps).rsqrt()
    factor = factor if module.weight is None else factor * module.weight
    return factor if isinstance(module, nn.BatchNorm1d) else factor.view(-1, 1, 1)


def _whole(module: nn.Module, window: Window, shape: Sequence[int]) -> Window:
    """The transpose of a layer that mixes all places of a plane."""
    if isinstance(module, nn.Linear):
        values = (window.values.flatten(1) @ module.weight)[..., None, None]
    elif isinstance(module, nn.Flatten):
        values = window.values.reshape(-1, *[*shape, 1, 1][:3])
    else:  # an average is linear, so its gradient anywhere is its transpose
        with torch.inference_mode(False), torch.enable_grad():
            inputs = window.values.new_zeros(len(window.values), *shape).requires_grad_()
            planes = module(inputs)
            [values] = torch.autograd.grad(planes, inputs, pasted(window, planes.shape).clone())
    return _in_full(values)


# --- windows -------------------------------------------------------------------------------------


def _below(corner: Tensor, layer: nn.Conv2d | nn.MaxPool2d) -> Tensor:
    """The corners in a layer's input of what is seen from these corners in its output."""
    stride, padding = (torch.tensor(pair(n)).to(corner) for n in (layer.stride, layer.padding))
    return corner * stride - padding


def _framed(
    corner: Tensor, size: Sequence[int], shape: Sequence[int]
) -> tuple[Tensor, tuple[int, int]]:
    """Windows of a plane; along an axis where they are at least as large, they become the plane."""
    smaller = [mine < whole for mine, whole in zip(size, shape[-2:], strict=True)]
    rows, columns = (min(pair) for pair in zip(size, shape[-2:], strict=True))
    return corner * torch.tensor(smaller).to(corner.device), (rows, columns)


def _fitted(window: Window, shape: Sequence[int]) -> Window:
    """The windows framed, with zeros outside the plane."""
    corner, size = _framed(window.corner, _size(window), shape)
    values, inside = _moved(window, corner, size).values, _inside(corner, size, shape)
    return Window(values if inside.all() else values * inside, corner)


def _size(window: Window) -> tuple[int, int]:
    return window.values.shape[2], window.values.shape[3]


def _in_full(planes: Tensor) -> Window:
    """Whole planes as windows."""
    return Window(planes, torch.zeros(len(planes), 2, dtype=torch.int64, device=planes.device))


def _places(corner: Tensor, size: Sequence[int]) -> tuple[Tensor, Tensor]:
    """The rows (B, h) and columns (B, w) that windows show."""
    rows, columns = (
        corner[:, axis, None] + torch.arange(length, device=corner.device)
        for axis, length in enumerate(size)
    )
    return rows, columns


def _inside(corner: Tensor, size: Sequence[int], shape: Sequence[int]) -> Tensor:
    """Which places of windows lie in planes (…, H, W), (B, 1, h, w)."""
    rows, columns = (
        (at >= 0) & (at < whole)
        for at, whole in zip(_places(corner, size), shape[-2:], strict=True)
    )
    return (rows[:, :, None] & columns[:, None, :])[:, None]


def _moved(window: Window, corner: Tensor, size: tuple[int, int]) -> Window:
    """The same planes seen through other windows; what was not seen before is zero."""
    values, steps = window.values, corner - window.corner
    if len(steps) and (steps == steps[0]).all():
        return Window(_shifted(values, steps[0].tolist(), size), corner)
    rows, columns = (
        at.clamp(0, known - 1)
        for at, known in zip(_places(steps, size), values.shape[2:], strict=True)
    )
    flat = (rows[:, :, None] * values.shape[3] + columns[:, None]).flatten(1)
    index = flat[:, None].expand(-1, values.shape[1], -1)
    seen = values.flatten(2).gather(2, index).view(*values.shape[:2], *size)
    return Window(seen * _inside(steps, size, values.shape), corner)


def _shifted(values: Tensor, steps: Sequence[int], size: Sequence[int]) -> Tensor:
    """What all windows show once they have moved by the same steps, as `_moved`."""
    pads: list[int] = []
    for step, length, known in zip(steps, size, values.shape[2:], strict=True):
        step = min(max(step, -length), known)  # further away, nothing of it is seen either
        pads = [-step, step + length - known, *pads]
    if max(pads) <= 0:  # to cut off needs no copy
        left, right, top, bottom = pads
        rows, columns = values.shape[2:]
        return values[:, :, -top : rows + bottom, -left : columns + right]
    return F.pad(values, pads)
