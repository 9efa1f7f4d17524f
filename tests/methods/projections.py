"""Networks whose projections are looked at, and the units that are active in them."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from research.methods.chain import Chain
from research.methods.deconvnet import Units
from research.methods.reversible import Scale
from research.models.layers import CentredPixels, Normalise

TOLERANCE = 1e-12


def pixels(*shape: int, seed: int = 0) -> Tensor:
    order = torch.Generator().manual_seed(seed)
    return torch.rand(*shape, dtype=torch.float64, generator=order)


def networks() -> Iterator[tuple[str, tuple[int, int, int], list[nn.Module]]]:
    """Name, shape of an image, layers; all of them without weights of their own yet."""
    yield "overlapping pools", (3, 33, 30), [
        nn.Conv2d(3, 6, 7, 2, 1), nn.ReLU(), nn.MaxPool2d(3, 2), nn.Conv2d(6, 8, 3, padding=1),
        nn.ReLU(), nn.MaxPool2d(3, 2), nn.Flatten(), nn.LazyLinear(5),
    ]  # fmt: skip
    yield "ceil_mode", (1, 26, 29), [
        nn.Conv2d(1, 4, 5, 2), nn.ReLU(), nn.MaxPool2d(3, 2, ceil_mode=True),
        nn.Conv2d(4, 6, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2, 2, ceil_mode=True),
        nn.Conv2d(6, 3, 2),
    ]  # fmt: skip
    yield "dilation and groups", (2, 23, 25), [
        nn.Conv2d(2, 6, 3, dilation=(2, 3), padding=(2, 1)), nn.ReLU(),
        nn.MaxPool2d(2, 2, dilation=2), nn.Conv2d(6, 8, 3, 2, 2, dilation=2, groups=2),
        nn.ReLU(), nn.Conv2d(8, 4, 3, 2, groups=4),
    ]  # fmt: skip
    yield "in place", (3, 21, 21), [
        nn.Conv2d(3, 5, 3, padding=2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 3, padding=1),
        nn.Conv2d(5, 7, 3), nn.ReLU(inplace=True), nn.Dropout(inplace=True), nn.Flatten(),
        nn.LazyLinear(6), nn.ReLU(inplace=True), nn.Linear(6, 4),
    ]  # fmt: skip
    yield "batch norm", (3, 18, 24), [
        Normalise((0.5, 0.4, 0.3), (0.2, 0.3, 0.25)), nn.Conv2d(3, 6, 3, padding=1, bias=False),
        nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 6, 3, padding=1),
        nn.BatchNorm2d(6, affine=False), nn.ReLU(), nn.MaxPool2d((3, 2), (2, 1), (1, 0)),
        nn.Flatten(), nn.LazyLinear(8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3),
    ]  # fmt: skip
    yield "centred", (3, 20, 17), [
        CentredPixels(pixels(3, 20, 17, seed=1)), nn.Conv2d(3, 4, (5, 3), (2, 3), (1, 2)),
        nn.ReLU(), nn.MaxPool2d((2, 3), (1, 2)), nn.Identity(), nn.Conv2d(4, 5, (1, 2), (1, 2)),
        nn.ReLU(),
    ]  # fmt: skip
    yield "averages", (2, 27, 22), [
        nn.Conv2d(2, 6, 5, 3), nn.ReLU(), nn.AvgPool2d(3, 1, 1, count_include_pad=False),
        nn.Conv2d(6, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d((2, 3)), nn.Flatten(),
        nn.Dropout(), nn.Flatten(), nn.LazyLinear(4),
    ]  # fmt: skip
    yield "pool before the filters", (4, 19, 19), [
        nn.MaxPool2d(3, 2), nn.Conv2d(4, 6, 3, stride=2), nn.MaxPool2d(2), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LazyLinear(3),
    ]  # fmt: skip
    yield "stride beyond the kernel", (5, 22, 31), [
        nn.Conv2d(5, 6, 2, 3), nn.ReLU(), nn.MaxPool2d(1, 2), nn.Conv2d(6, 6, 3, padding=2),
        nn.ReLU(), nn.MaxPool2d(5, 1, 2),
    ]  # fmt: skip
    factors = [pixels(*shape).float() + 0.1 for shape in ((4, 14, 10), (1, 4, 7, 5), (3,), (5,))]
    yield "factors by place", (3, 16, 12), [
        nn.Conv2d(3, 4, 3), nn.ReLU(), Scale(factors[0]), nn.MaxPool2d(2),
        Scale(factors[1] - 0.5, 0.3), nn.Conv2d(4, 4, 3), nn.ReLU(), Scale(factors[2]),
        nn.Flatten(), nn.LazyLinear(5), Scale(factors[3]),
    ]  # fmt: skip
    yield "no filters that see borders", (1, 12, 15), [
        nn.Conv2d(1, 3, 1, padding=1), nn.ReLU(), nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(),
        nn.MaxPool2d(2), nn.Conv2d(4, 2, 1, 2, 1),
    ]  # fmt: skip


CASES = [name for name, *_ in networks()]


def ready(name: str) -> tuple[nn.Sequential, Tensor]:
    """A network in float64, with an active unit in every layer, and images."""
    for seed in range(30):
        model, images = drawn(name, seed)
        if all((output > 0).any() for _, output in Chain(model, images).forward(images)):
            return model, images
    raise AssertionError("all are dead")


def drawn(name: str, seed: int) -> tuple[nn.Sequential, Tensor]:
    """A network with random weights and statistics."""
    torch.manual_seed(seed)
    shape, layers = next(case[1:] for case in networks() if case[0] == name)
    model = nn.Sequential(*layers)
    model(torch.rand(2, *shape))
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            assert module.running_mean is not None and module.running_var is not None
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
            if module.affine:
                nn.init.normal_(module.weight)
                nn.init.normal_(module.bias)
    return model.double().eval(), pixels(5, *shape)


def at(output: Tensor, units: Units) -> Tensor:
    """The activations of units, (B,)."""
    maps = output if output.ndim == 4 else output[..., None, None]
    return maps[units.image, units.feature_map, units.position[:, 0], units.position[:, 1]]


def active(output: Tensor, count: int = 12) -> Units:
    """Active units of all images, drawn at random, among them those nearest to two corners."""
    maps = output if output.ndim == 4 else output[..., None, None]
    found = torch.nonzero(maps > 0)
    some = found[torch.randperm(len(found), generator=torch.Generator().manual_seed(0))[:count]]
    sums = found[:, 2:].sum(1)
    some = torch.cat([some, found[sums.argmin()][None], found[sums.argmax()][None]])
    return Units(some[:, 0], some[:, 1], some[:, 2:])


def assert_close(found: Tensor, wanted: Tensor) -> None:
    """Relative to the largest value of each projection."""
    assert found.shape == wanted.shape
    largest = wanted.abs().flatten(1).amax(1)
    difference = (found - wanted).abs().flatten(1).amax(1)
    assert (difference <= TOLERANCE * largest).all(), (difference / largest).max()


class Rectify(torch.autograd.Function):
    """A ReLU whose gradient is the ReLU of what comes from above."""

    @staticmethod
    def forward(ctx: Any, maps: Tensor) -> Tensor:
        return maps.clamp(min=0)

    @staticmethod
    def backward(ctx: Any, *above: Tensor) -> Tensor:
        return above[0].clamp(min=0)


class PassOver(torch.autograd.Function):
    """Any function of which the gradient is that of the identity."""

    @staticmethod
    def forward(ctx: Any, maps: Tensor, compute: Callable[[Tensor], Tensor]) -> Tensor:
        return compute(maps)

    @staticmethod
    def backward(ctx: Any, *above: Tensor) -> tuple[Tensor, None]:
        return above[0], None


def by_gradient(layers: list[nn.Module], images: Tensor, units: Units) -> Tensor:
    """The projection as a gradient in which ReLUs and contrast norms are replaced."""
    inputs = images[units.image].clone().requires_grad_()
    maps = inputs
    for layer in layers:
        if isinstance(layer, nn.ReLU):
            maps = Rectify.apply(maps)
        elif isinstance(layer, nn.LocalResponseNorm):
            maps = PassOver.apply(maps, layer)
        else:
            maps = layer(maps)
    activations = at(maps, units._replace(image=torch.arange(len(maps))))
    [gradient] = torch.autograd.grad(activations.sum(), inputs)
    return gradient * activations.detach()[:, None, None, None]


def unit(image: int, feature_map: int, row: int, column: int) -> Units:
    where = torch.tensor([[row, column]])
    return Units(torch.tensor([image]), torch.tensor([feature_map]), where)
