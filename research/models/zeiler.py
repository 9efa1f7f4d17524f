"""The network of Zeiler & Fergus (2014), and the optimiser that holds its filters."""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import count
from typing import Any, Literal

import torch
from torch import Tensor, nn

from research.errors import UserError
from research.models.layers import CentredPixels

First = Literal["zf", "alexnet"]

_GEOMETRY = {"zf": ((7, 2, 1), (5, 2, 0)), "alexnet": ((11, 4, 2), (5, 1, 2))}
"""kernel, stride and padding of the layers 1 and 2"""
_REMOVABLE = (3, 4, 6, 7)
_SIDE, _SD = 224, 0.01


class ZFNet(nn.Sequential):
    r"""Creates the network of Zeiler & Fergus: five convolutional layers, three linear ones.

    Layer 1 is conv 7×7 with stride 2, ReLU, max-pool 3×3 with stride 2, contrast norm across maps;
    layer 2 the same with conv 5×5; layers 3 to 5 are conv 3×3 and ReLU, with a max-pool behind the
    last; layers 6 and 7 are linear with ReLU and dropout 1/2. From 224 pixels the maps have sides
    110, 55, 26, 13, 13, 13, 13, 6, for which the first layer is padded by one pixel and a pooling
    window may reach over the edge; the paper prints the sides and no padding. With `width` 1 and
    1,000 classes there are 62,357,608 parameters.

    Biases start at 0 and weights normal with standard deviation 0.01, as in the paper. A layer
    made smaller by `width` or `side` would sum fewer inputs and pass on less, the more so the
    deeper it lies; its standard deviation is therefore 0.01 · √(fan-in at width 1 and side 224 /
    fan-in), which is 0.01/√width except in the first layer, whose inputs are always the channels.

    Arguments:
        width: factor on the numbers of maps and of hidden units.
        classes: outputs, without softmax.
        side: of the images, in pixels.
        channels: of the images.
        first: layers 1 and 2 of the paper, or those of AlexNet, which it replaces: 11×11 with
            stride 4 and 5×5 with stride 1.
        maps: of layers 3 to 5 at width 1.
        hidden: units of layers 6 and 7 at width 1.
        without: layers that are left out, of 3, 4, 6 and 7.
        mean: image of the mean of each pixel, (channels, side, side) in [0, 1]; grey, 0.5, when
            absent. It is subtracted first and stored with the weights.

    Raises:
        UserError: the images are too small, a layer cannot be left out, the mean has another shape.

    References:
        Visualizing and Understanding Convolutional Networks (Zeiler and Fergus, 2014), figure 3,
        section 3 (training), section 4.1 (first layers), table 2 (`maps`, `hidden`, `without`).
        ImageNet Classification with Deep Convolutional Neural Networks (Krizhevsky et al., 2012),
        section 3.3, for the constants of the contrast norm, which Zeiler and Fergus do not print.

    Example:
        >>> ZFNet(width=0.25, classes=10, side=64)(torch.rand(8, 3, 64, 64)).shape
        torch.Size([8, 10])
    """

    def __init__(
        self,
        width: float = 1.0,
        classes: int = 1000,
        *,
        side: int = _SIDE,
        channels: int = 3,
        first: First = "zf",
        maps: tuple[int, int, int] = (384, 384, 256),
        hidden: int = 4096,
        without: tuple[int, ...] = (),
        mean: Tensor | None = None,
    ) -> None:
        shape = (channels, side, side)
        mean = torch.full(shape, 0.5) if mean is None else mean
        _check(side, first, without)
        _check_mean(mean, shape)
        layers = partial(_layers, classes, channels, first, maps, hidden, without)
        super().__init__(OrderedDict(pixels=CentredPixels(mean), **dict(layers(width, side))))
        with torch.device("meta"):  # only for its shapes
            printed = dict(layers(1.0, _SIDE))
        _initialise(self, printed)
        self.config = {
            "width": width, "classes": classes, "side": side, "channels": channels, "first": first,
            "maps": list(maps), "hidden": hidden, "without": sorted(set(without)),
        }  # fmt: skip


def _layers(
    classes: int,
    channels: int,
    first: First,
    maps: tuple[int, int, int],
    hidden: int,
    without: tuple[int, ...],
    width: float,
    side: int,
) -> Iterator[tuple[str, nn.Module]]:
    outputs = [max(1, round(width * full)) for full in (96, 256, *maps, hidden, hidden)]
    inputs = channels
    for number in sorted({1, 2, 3, 4, 5}.difference(without)):
        yield from _convolutional(number, inputs, outputs[number - 1], first)
        inputs = outputs[number - 1]
    yield "flatten", nn.Flatten()
    inputs *= _last_side(side, first) ** 2
    for number in sorted({6, 7}.difference(without)):
        yield f"fc{number}", nn.Linear(inputs, outputs[number - 1])
        yield f"relu{number}", nn.ReLU()
        yield f"dropout{number}", nn.Dropout(0.5)
        inputs = outputs[number - 1]
    yield "fc8", nn.Linear(inputs, classes)


def _convolutional(
    number: int, inputs: int, outputs: int, first: First
) -> Iterator[tuple[str, nn.Module]]:
    kernel, stride, padding = (*_GEOMETRY[first], *[(3, 1, 1)] * 3)[number - 1]
    yield f"conv{number}", nn.Conv2d(inputs, outputs, kernel, stride, padding)
    yield f"relu{number}", nn.ReLU()
    if number in (1, 2, 5):
        yield f"pool{number}", nn.MaxPool2d(3, 2, ceil_mode=True)
    if number in (1, 2):
        # torch divides alpha by the number of maps, the paper's 1e-4 is not divided
        yield f"norm{number}", nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0)


def _last_side(side: int, first: First) -> int:
    """Of the maps behind layer 5, in pixels; at most 0 where a layer on the way has no input."""
    for kernel, stride, padding in _GEOMETRY[first]:
        side = (side + 2 * padding - kernel) // stride + 1
        side //= 2  # windows of 3 at stride 2, the last may reach over the edge
    return side // 2


def _check(side: int, first: First, without: tuple[int, ...]) -> None:
    if not set(without) <= set(_REMOVABLE):
        raise UserError(
            "a ZFNet can do without the layers 3, 4, 6 and 7, got "
            f"{', '.join(map(str, without))}; name none but those"
        )
    if _last_side(side, first) < 1:
        smallest = next(side for side in count(1) if _last_side(side, first) > 0)
        raise UserError(
            f"a ZFNet with the first layers '{first}' needs images of at least {smallest} pixels, "
            f"got a side of {side}; take larger images or crops"
        )


def _check_mean(mean: Tensor, shape: tuple[int, int, int]) -> None:
    if mean.shape != shape:
        raise UserError(
            f"the mean image must have the shape of the images, {shape}, got "
            f"{tuple(mean.shape)}; compute it from images cropped alike"
        )


def _initialise(model: nn.Module, printed: Mapping[str, nn.Module]) -> None:
    """Draws the weights, with the spread that gives each layer the outputs of the printed one."""
    for name, layer in model.named_children():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            ratio = _fan_in(printed[name]) / _fan_in(layer)
            nn.init.normal_(layer.weight, std=_SD * ratio**0.5)
            nn.init.constant_(layer.get_parameter("bias"), 0)


def _fan_in(layer: nn.Module) -> int:
    return layer.get_parameter("weight")[0].numel()


# --- training ------------------------------------------------------------------------------------


class FilterSgd(torch.optim.SGD):
    r"""Stochastic gradient descent that scales filters back whose weights have grown too large.

    After each step, every filter of a group of parameters with a key `rms` whose root mean square,
    over its input maps and kernel, exceeds that value is divided by the excess:

    .. math:: w_k \leftarrow w_k \cdot \min\Bigl(1, \frac{\text{rms}}{\sqrt{\overline{w_k^2}}}\Bigr)

    The momentum stays as it is. `parameter_groups` makes the groups; the arguments are those of
    `torch.optim.SGD`.

    References:
        Visualizing and Understanding Convolutional Networks (Zeiler and Fergus, 2014), section 3:
        the radius is 0.1, which matters most in the first layer, whose inputs span [-128, 128].
    """

    recordable = True
    """A step does nothing on the CPU: see `training.graphs`."""

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step; returns what `closure` does, if there is one."""
        loss: float | None = super().step(closure)
        for group in self.param_groups:
            if "rms" in group:
                for filters in group["params"]:
                    _scale_back(filters, group["rms"])
        return loss


def parameter_groups(model: nn.Module, rms: float) -> list[dict[str, Any]]:
    """For `FilterSgd`: the weights of 2-D convolutions, bounded by `rms`, and all the rest.

    Raises:
        UserError: `rms` is not above 0.

    Example:
        >>> model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(4, 2))
        >>> [len(group["params"]) for group in parameter_groups(model, rms=0.1)]
        [1, 3]
    """
    if not rms > 0:
        raise UserError(f"a filter's largest RMS must be above 0, got {rms:g}; 0.1 is usual")
    filters = [layer.weight for layer in model.modules() if isinstance(layer, nn.Conv2d)]
    held = {id(weight) for weight in filters}
    rest = [parameter for parameter in model.parameters() if id(parameter) not in held]
    return [{"params": filters, "rms": rms}, {"params": rest}]


def milestones(epochs: int) -> list[int]:
    """The epochs after which the learning rate falls to a tenth.

    The paper lowers it by hand where the validation error stalls, and prints no schedule.

    Example:
        >>> milestones(70)
        [42, 60]
    """
    return [round(0.6 * epochs), round(0.85 * epochs)]


def _scale_back(filters: Tensor, rms: float) -> None:
    """Scales those of (outputs, inputs, height, width) with a larger RMS, in place."""
    sizes = filters.square().mean((1, 2, 3), keepdim=True).sqrt()
    filters.mul_((rms / sizes).clamp(max=1))
