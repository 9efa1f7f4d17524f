"""How a network's answer depends on each part of an image: a grey square is moved over it.

The square takes every position of a grid, and a measure of the answer (the probability of a class,
the activity of a feature map) is noted for each, as in the paper; squares that overlap are not
averaged.

A window changes only a part of the first layers' maps. Given these layers, `occlusion_map` computes
only that part, a patch of the map for each window, and takes the rest from the image as it is.
The result is that of occluding whole images, up to rounding.

References:
    Visualizing and Understanding Convolutional Networks (Zeiler and Fergus, 2014), section 4.2,
    figure 6.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from research.errors import ArgumentError
from research.methods.chain import apply
from research.methods.reversible import PASSED, Scale
from research.methods.transposed import pair
from research.models.inference import evaluation
from research.models.layers import CentredPixels, Normalise

Measure = Callable[[Tensor], Tensor]
"""images, or the outputs of layers, (N, …) -> one value or several for each, (N,) or (N, …)"""


def positions(side: int, window: int, stride: int) -> list[int]:
    """The first pixels of windows that lie wholly inside a side of an image.

    The last window ends with the side, even if the stride does not lead there, so that every pixel
    is covered.

    Arguments:
        side, window, stride: in pixels.

    Raises:
        ArgumentError: the window is larger than the side or less than 1, or the stride is less than
            1.

    Example:
        >>> positions(8, window=3, stride=2)
        [0, 2, 4, 5]
    """
    if not 1 <= window <= side:
        raise ArgumentError(
            f"a window must be 1 to {side} pixels, the side of the image, got {window}; "
            "choose another"
        )
    if stride < 1:
        raise ArgumentError(f"the stride must be at least 1 pixel, got {stride}; raise it")
    last = side - window
    return [*range(0, last, stride), last]


def occlude(
    image: Tensor, window: int, stride: int, fill: Tensor | float, batch: int = 256
) -> Iterator[Tensor]:
    """Yields the image with a square filled, for each position of the square, in blocks.

    Arguments:
        image: (C, H, W) in [0, 1].
        window, stride: side of the square, and from one position to the next, in pixels; see
            `positions`.
        fill: what the square shows, in [0, 1]: one grey, (C, 1, 1), or an image (C, H, W) such as
            the data's mean.
        batch: images in a block at most.

    Yields:
        (B, C, H, W), channels last in memory; the squares in reading order, rows slowest.

    Raises:
        ArgumentError: the image or the fill is not as above, or the square does not fit.

    Example:
        >>> [block.shape for block in occlude(torch.rand(3, 8, 8), window=4, stride=2, fill=0.5)]
        [torch.Size([9, 3, 8, 8])]
    """
    filled = _filled(image, fill)
    for tops, lefts in _places(image, window, stride, batch):
        yield _cut(filled, tops, lefts, window).pasted(image)


def occlusion_map(
    measure: Measure,
    image: Tensor,
    window: int,
    stride: int,
    fill: Tensor | float,
    *,
    layers: Iterable[nn.Module] = (),
    batch: int = 256,
) -> Tensor:
    """The measure of the occluded image for each position of the square.

    Arguments:
        measure: of the occluded images, or of the outputs of the last of `layers`. A module
            runs in evaluation mode and is left as it was; inside a function that is up to the
            caller.
        image, window, stride, fill: as in `occlude`; the image on the model's device.
        layers: the first layers of a network, or all of them, in order. As long as they are
            convolutions, max-poolings, ReLUs, dropouts, and normalisations by constants or across
            maps, only what the square changes is computed, several times faster.
        batch: positions at a time; bounds the memory.

    Returns:
        (rows, columns, …): what the measure returns for an image, by position of the square.

    Raises:
        ArgumentError: as `occlude`, or the measure does not have one entry per image.

    Example:
        >>> image = torch.tensor([[[0.5, 1.0], [1.0, 1.0]]])
        >>> occlusion_map(lambda images: images.sum((1, 2, 3)), image, window=1, stride=1, fill=0.0)
        tensor([[3.0000, 2.5000],
                [2.5000, 2.5000]])
    """
    filled, layers = _filled(image, fill), list(layers)
    rows = len(positions(image.shape[1], window, stride))
    with ExitStack() as stack:
        for module in (*layers, measure):
            if isinstance(module, nn.Module):
                stack.enter_context(evaluation(module))
        stack.enter_context(torch.inference_mode())
        stem = _Stem(layers, image, filled)
        values = [
            _measured(measure, stem.outputs(tops, lefts, window))
            for tops, lefts in _places(image, window, stride, batch)
        ]
        table = torch.cat(values)
    return table.view(rows, -1, *table.shape[1:])


def _measured(measure: Measure, maps: Tensor) -> Tensor:
    values = measure(maps)
    if values.shape[:1] != maps.shape[:1]:
        raise ArgumentError(
            f"the measure must return one entry for each of {len(maps)} images, got the "
            f"shape {tuple(values.shape)}; keep the first dimension"
        )
    return values


def _places(image: Tensor, window: int, stride: int, batch: int) -> Iterator[tuple[Tensor, Tensor]]:
    """First rows and columns of the windows, (B,) each, in blocks."""
    rows, columns = (
        torch.tensor(positions(side, window, stride), dtype=torch.int32, device=image.device)
        for side in image.shape[1:]
    )
    for block in torch.split(torch.cartesian_prod(rows, columns), batch):
        yield block[:, 0], block[:, 1]


def _filled(image: Tensor, fill: Tensor | float) -> Tensor:
    """The image as it is where everything is occluded, (C, H, W). Checks both."""
    if image.ndim != 3 or not (image.min() >= 0 and image.max() <= 1):
        raise ArgumentError(
            "occlusion needs one image (C, H, W) in [0, 1], got the shape "
            f"{tuple(image.shape)} with values {image.min():g} to {image.max():g}; take one image "
            "and let the model's first layer normalise"
        )
    colour = torch.as_tensor(fill, dtype=image.dtype, device=image.device)
    if colour.ndim and colour.shape not in (image.shape, (len(image), 1, 1)):
        raise ArgumentError(
            f"a fill must be one grey, ({len(image)}, 1, 1) or {tuple(image.shape)}, got the "
            f"shape {tuple(colour.shape)}; give it the image's channels"
        )
    if not (colour.min() >= 0 and colour.max() <= 1):
        raise ArgumentError(
            f"a fill must lie in [0, 1], got {colour.min():g} to {colour.max():g}; the mean "
            "of the data is usual"
        )
    return colour.expand(image.shape)


# --- only what a window changes ------------------------------------------------------------------

_POINTWISE = (nn.ReLU, nn.BatchNorm2d, Normalise, *PASSED)
"""Layers that treat all places of a map alike and look at no neighbours."""
_BY_PIXEL = (CentredPixels, Scale)
"""Layers that have constants of their own for each place."""


@dataclass(frozen=True)
class _Window:
    """The windows of a convolution or max-pooling along one side of its input."""

    kernel: int
    stride: int
    padding: int
    dilation: int

    @property
    def reach(self) -> int:
        """From its first place to its last."""
        return self.dilation * (self.kernel - 1)


@dataclass(frozen=True)
class _Span:
    """Where patches lie along one side of a map: `size` places from each of `starts`, (B,)."""

    starts: Tensor
    size: int

    @property
    def places(self) -> Tensor:
        """(B, size)"""
        return self.starts[:, None] + torch.arange(
            self.size, dtype=torch.int32, device=self.starts.device
        )

    def behind(self, window: _Window, length: int) -> "_Span":
        """All that depends on the span in a layer's output of some length, equally long for all."""
        first = -((window.reach - window.padding - self.starts) // window.stride)  # rounded up
        last = (self.starts + (self.size - 1 + window.padding)) // window.stride
        first, last = first.clamp(min=0), last.clamp(max=length - 1)
        size = max(1, int((last - first).max()) + 1)
        return _Span(first.clamp(max=length - size), size)

    def before(self, window: _Window) -> "_Span":
        """All that the span depends on in a layer's input; its padding counts as places."""
        size = (self.size - 1) * window.stride + window.reach + 1
        return _Span(self.starts * window.stride - window.padding, size)


@dataclass(frozen=True)
class _Patches:
    """The parts of a map that change, a part for each window: (B, C, h, w) and where it lies."""

    values: Tensor
    rows: _Span
    columns: _Span

    def pasted(self, maps: Tensor) -> Tensor:
        """Copies of a map (C, H, W) with the changes made, (B, C, H, W)."""
        copies = maps.permute(1, 2, 0).expand(len(self.values), -1, -1, -1).contiguous()
        image = torch.arange(len(copies), device=copies.device)[:, None, None]
        places = image, self.rows.places[:, :, None], self.columns.places[:, None]
        copies[places] = self.values.permute(0, 2, 3, 1)
        return copies.permute(0, 3, 1, 2)

    def seen(self, maps: Tensor, rows: _Span, columns: _Span, outside: float) -> Tensor:
        """What some spans show of the map (C, H, W) with the changes made, (B, C, m, n).

        Arguments:
            outside: what they show where they reach over the map's border.
        """
        (channels, height, width), (count, _, h, w) = maps.shape, self.values.shape
        y, x = rows.places[:, :, None], columns.places[:, None]  # (B, m, 1), (B, 1, n)
        down, right = y - self.rows.starts[:, None, None], x - self.columns.starts[:, None, None]
        patch = height * width + h * w * torch.arange(count, dtype=torch.int32, device=y.device)
        changed = (down >= 0) & (down < h) & ((right >= 0) & (right < w))
        index = torch.where(changed, (patch[:, None, None] + down * w) + right, y * width + x)
        known = (y >= 0) & (y < height) & ((x >= 0) & (x < width))
        index = torch.where(known, index, height * width + count * h * w)
        table = torch.cat(
            [_table(maps[None]), _table(self.values), maps.new_full((1, channels), outside)]
        )
        return table.index_select(0, index.flatten()).view(*index.shape, -1).permute(0, 3, 1, 2)

    def behind(self, layer: nn.Module, before: Tensor, after: Tensor) -> "_Patches":
        """What changes in the output of a layer whose input and output for the image are given."""
        if isinstance(layer, nn.Conv2d | nn.MaxPool2d):
            windows = [_window(layer, side) for side in (0, 1)]
            sides = zip((self.rows, self.columns), windows, after.shape[1:], strict=True)
            rows, columns = (span.behind(window, length) for span, window, length in sides)
            outside = 0.0 if isinstance(layer, nn.Conv2d) else -torch.inf
            inputs = self.seen(before, rows.before(windows[0]), columns.before(windows[1]), outside)
            return _Patches(_unpadded(layer, inputs), rows, columns)
        return _Patches(apply(layer, self.values), self.rows, self.columns)


def _table(maps: Tensor) -> Tensor:
    """A row of C values for each place of (B, C, h, w), (B · h · w, C)."""
    return maps.permute(0, 2, 3, 1).reshape(-1, maps.shape[1])


def _cut(filled: Tensor, tops: Tensor, lefts: Tensor, window: int) -> _Patches:
    """The windows' parts of an image (C, H, W)."""
    rows, columns = _Span(tops, window), _Span(lefts, window)
    values = filled.permute(1, 2, 0)[rows.places[:, :, None], columns.places[:, None]]
    return _Patches(values.permute(0, 3, 1, 2), rows, columns)


def _window(layer: nn.Conv2d | nn.MaxPool2d, side: int) -> _Window:
    settings = (layer.kernel_size, layer.stride, layer.padding, layer.dilation)
    return _Window(*(pair(setting)[side] for setting in settings))


def _unpadded(layer: nn.Conv2d | nn.MaxPool2d, maps: Tensor) -> Tensor:
    """The layer's output for maps that have their padding already."""
    if isinstance(layer, nn.MaxPool2d):
        return F.max_pool2d(maps, layer.kernel_size, layer.stride, 0, layer.dilation)
    return F.conv2d(maps, layer.weight, layer.bias, layer.stride, 0, layer.dilation, layer.groups)


def _is_local(layer: nn.Module) -> bool:
    """Whether a place of the output depends on its neighbourhood only, in a way known here.

    A subclass may compute something else, so it does not count.
    """
    if type(layer) is nn.Conv2d:
        return layer.padding_mode == "zeros" and not isinstance(layer.padding, str)
    if type(layer) is nn.BatchNorm2d:
        return layer.running_var is not None
    return type(layer) is nn.MaxPool2d or type(layer) in _POINTWISE


class _Stem:
    """Layers, and what they compute for the image as it is.

    Constants that differ from pixel to pixel may be subtracted first: image and filling go through
    layers of that kind as a whole, before windows are cut.
    """

    def __init__(self, layers: Sequence[nn.Module], image: Tensor, filled: Tensor) -> None:
        self.dense = list(layers)
        while self.dense and type(self.dense[0]) in _BY_PIXEL:
            scale = self.dense.pop(0)
            image, filled = (apply(scale, x[None])[0] for x in (image, filled))
        self.filled, self.image = filled, image
        self.local: list[tuple[nn.Module, Tensor, Tensor]] = []
        while self.dense and _is_local(self.dense[0]):
            layer = self.dense.pop(0)
            output = apply(layer, image[None])[0]
            self.local.append((layer, image, output))
            image = output

    def outputs(self, tops: Tensor, lefts: Tensor, window: int) -> Tensor:
        """Of the last layer for the image with windows filled, (B, …)."""
        patches, maps = _cut(self.filled, tops, lefts, window), self.image
        for layer, before, maps in self.local:
            patches = patches.behind(layer, before, maps)
        outputs = patches.pasted(maps)
        for layer in self.dense:
            outputs = apply(layer, outputs)
        return outputs
