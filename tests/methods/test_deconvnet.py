"""Projections against captum, another gradient, loops by hand, and what linear networks do."""

import copy
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from captum.attr import NeuronDeconvolution
from torch import Tensor, nn
from torch.nn import functional as F

from research.errors import UserError
from research.methods.chain import Chain, Passage
from research.methods.deconvnet import Units, Window, cut, pasted, project, strongest_positions
from research.methods.receptive_fields import fields
from research.methods.reversible import Scale
from research.models.layers import CentredPixels, Normalise

TOLERANCE = 1e-12
pytestmark = pytest.mark.filterwarnings("ignore:Setting backward hooks on ReLU")


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


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


def by_captum(model: nn.Module, layer: nn.Module, images: Tensor, units: Units) -> Tensor:
    """Times the activations, because captum seeds with one."""

    def selected(output: Tensor) -> Tensor:
        return at(output, units._replace(image=torch.arange(len(output))))

    inputs = images[units.image].clone().requires_grad_()
    found: Tensor = NeuronDeconvolution(model, layer).attribute(inputs, selected)
    name = next(name for name, module in model.named_modules() if module is layer)
    output = Chain(model, images).outputs(images, [name])[name]
    return found.detach() * at(output, units)[:, None, None, None]


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


# --- against other implementations ---------------------------------------------------------------


@pytest.mark.parametrize("name", CASES)
def test_every_layer_equals_captum_times_the_activation(name: str) -> None:
    model, images = ready(name)
    chain = Chain(model, images)
    for place, (layer, output) in enumerate(chain.forward(images)):
        units = active(output)
        found = pasted(project(chain, images, layer, units), images.shape)
        assert_close(found, by_captum(model, model[place], images, units))


@pytest.mark.parametrize("name", CASES)
def test_every_layer_equals_a_gradient_with_other_relus(name: str) -> None:
    model, images = ready(name)
    chain = Chain(model, images)
    for place, (layer, output) in enumerate(chain.forward(images)):
        units = active(output, 6)
        found = pasted(project(chain, images, layer, units), images.shape)
        assert_close(found, by_gradient(list(model)[: place + 1], images, units))


def test_one_relu_module_may_be_used_again() -> None:
    torch.manual_seed(0)
    relu = nn.ReLU(inplace=True)
    layers = [nn.Conv2d(3, 4, 3), relu, nn.MaxPool2d(2), nn.Conv2d(4, 4, 3), relu, nn.MaxPool2d(2)]
    model = nn.Sequential(*layers).double()
    images = pixels(4, 3, 19, 19)
    chain = Chain(model, images)
    for place, (layer, output) in enumerate(chain.forward(images)):
        units = active(output)
        found = pasted(project(chain, images, layer, units), images.shape)
        assert_close(found, by_gradient(layers[: place + 1], images, units))
        if layers[place] is not relu:  # of which captum sees one use only
            assert_close(found, by_captum(model, layers[place], images, units))


class Functions(nn.Module):
    """Layers written as functions, for which captum returns a plain gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 5, 5, 2, 1), nn.Conv2d(5, 6, 3)
        self.fc = nn.Linear(54, 4)
        self.register_buffer("mean", pixels(3, 1, 1))

    mean: Tensor

    def forward(self, x: Tensor) -> Tensor:
        x = (x - self.mean) / 0.25
        x = F.max_pool2d(F.relu(self.conv1(x), inplace=True), 3, 2, ceil_mode=True)
        x = F.adaptive_avg_pool2d(self.conv2(x).relu_(), 3)
        x = F.dropout(x, training=self.training)
        out: Tensor = self.fc(x.view(x.size(0), -1))
        return out

    def modules_alike(self) -> nn.Sequential:
        pool = nn.MaxPool2d(3, 2, ceil_mode=True)
        return nn.Sequential(
            Scale(torch.tensor(4.0), -4 * self.mean), self.conv1, nn.ReLU(), pool, self.conv2,
            nn.ReLU(), nn.AdaptiveAvgPool2d(3), nn.Flatten(), self.fc,
        )  # fmt: skip


def test_functions_are_projected_as_modules() -> None:
    torch.manual_seed(0)
    model, images = Functions().double().eval(), pixels(4, 3, 24, 25)
    alike = model.modules_alike()
    chain = Chain(model, images)
    names = {"sub": None, "truediv": 0, "conv1": 1, "relu": 2, "max_pool2d": 3, "conv2": 4,
             "relu_": 5, "adaptive_avg_pool2d": 6, "dropout": None, "view": 7, "fc": 8}  # fmt: skip
    assert chain.names == list(names)
    for layer, output in chain.forward(images):
        place, units = names[layer], active(output)
        if place is not None:
            found = pasted(project(chain, images, layer, units), images.shape)
            assert_close(found, by_captum(alike, alike[place], images, units))


def test_float32_equals_captum_to_its_precision() -> None:
    model, images = ready("overlapping pools")
    model, images = model.float(), images.float()
    chain = Chain(model, images)
    for place, (layer, output) in enumerate(chain.forward(images)):
        units = active(output, 30)
        found = pasted(project(chain, images, layer, units), images.shape)
        wanted = by_captum(model, model[place], images, units)
        assert found.dtype == torch.float32
        assert (found - wanted).abs().max() < 2e-6 * wanted.abs().max()


# --- contrast normalisation ----------------------------------------------------------------------


def by_hand(layers: list[nn.Module], image: Tensor, unit: tuple[int, int, int]) -> list[list[Any]]:
    """One activation of one image, in loops over all places; lists [channel][row][column]."""
    maps: Any = image.tolist()
    way: list[Any] = []
    for layer in layers:
        way.append(maps)
        maps = forward_by_hand(layer, maps)
    back = zeros(maps)
    c, y, x = unit
    back[c][y][x] = maps[c][y][x]
    for layer, before in zip(reversed(layers), reversed(way), strict=True):
        back = back_by_hand(layer, before, back)
    found: list[list[Any]] = back
    return found


def places(maps: Any) -> list[tuple[int, int, int]]:
    c, h, w = len(maps), len(maps[0]), len(maps[0][0])
    return [(i, y, x) for i in range(c) for y in range(h) for x in range(w)]


def zeros(maps: Any) -> Any:
    return [[[0.0] * len(row) for row in plane] for plane in maps]


def blank(c: int, h: int, w: int) -> Any:
    return [[[0.0] * w for _ in range(h)] for _ in range(c)]


def taps(layer: Any, maps: Any) -> Iterator[tuple[int, int, int, int, int, int]]:
    """Output row and column, kernel row and column, input row and column inside the plane."""
    k, s, p = layer.kernel_size, layer.stride, layer.padding
    k, s, p = (value if isinstance(value, int) else value[0] for value in (k, s, p))
    h, w = len(maps[0]), len(maps[0][0])
    for y in range((h + 2 * p - k) // s + 1):
        for x in range((w + 2 * p - k) // s + 1):
            for i in range(k):
                for j in range(k):
                    if 0 <= y * s + i - p < h and 0 <= x * s + j - p < w:
                        yield y, x, i, j, y * s + i - p, x * s + j - p


def winners(layer: Any, maps: Any) -> dict[tuple[int, int, int], tuple[int, int]]:
    """Where the maximum of each window lies."""
    found: dict[tuple[int, int, int], tuple[int, int]] = {}
    for c in range(len(maps)):
        for y, x, _, _, row, column in taps(layer, maps):
            best = found.get((c, y, x))
            if best is None or maps[c][row][column] > maps[c][best[0]][best[1]]:
                found[c, y, x] = row, column
    return found


def forward_by_hand(layer: Any, maps: Any) -> Any:
    if isinstance(layer, nn.ReLU):
        return [[[max(0.0, v) for v in row] for row in plane] for plane in maps]
    if isinstance(layer, nn.LocalResponseNorm):
        out = zeros(maps)
        for c, y, x in places(maps):
            near = range(max(0, c - layer.size // 2),
                         min(len(maps), c + (layer.size - 1) // 2 + 1))  # fmt: skip
            total = sum(maps[i][y][x] ** 2 for i in near)
            out[c][y][x] = (
                maps[c][y][x] / (layer.k + layer.alpha * total / layer.size) ** layer.beta
            )
        return out
    if isinstance(layer, nn.MaxPool2d):
        won = winners(layer, maps)
        out = blank(*(1 + max(key[axis] for key in won) for axis in range(3)))
        for (c, y, x), (row, column) in won.items():
            out[c][y][x] = maps[c][row][column]
        return out
    weight, bias = layer.weight.tolist(), layer.bias.tolist()
    ends = [max(tap[axis] for tap in taps(layer, maps)) + 1 for axis in (0, 1)]
    out = blank(len(weight), *ends)
    for o in range(len(weight)):
        for y in range(ends[0]):
            out[o][y] = [bias[o]] * ends[1]
        for y, x, i, j, row, column in taps(layer, maps):
            out[o][y][x] += sum(weight[o][c][i][j] * maps[c][row][column] for c in range(len(maps)))
    return out


def back_by_hand(layer: Any, before: Any, back: Any) -> Any:
    if isinstance(layer, nn.ReLU):
        return [[[max(0.0, v) for v in row] for row in plane] for plane in back]
    if isinstance(layer, nn.LocalResponseNorm):
        return back
    out = zeros(before)
    if isinstance(layer, nn.MaxPool2d):
        for (c, y, x), (row, column) in winners(layer, before).items():
            out[c][row][column] += back[c][y][x]
        return out
    weight = layer.weight.tolist()
    for y, x, i, j, row, column in taps(layer, before):
        for c in range(len(before)):
            out[c][row][column] += sum(
                weight[o][c][i][j] * back[o][y][x] for o in range(len(weight))
            )
    return out


def test_contrast_norm_counts_forward_and_is_passed_over_backward() -> None:
    torch.manual_seed(0)
    layers = [
        nn.Conv2d(2, 6, 3, 2, 1), nn.ReLU(), nn.MaxPool2d(3, 2, 1),
        nn.LocalResponseNorm(3, alpha=2.0, beta=0.75, k=0.5), nn.Conv2d(6, 4, 3, padding=1),
        nn.LocalResponseNorm(4, alpha=3.0, beta=0.5, k=1.0), nn.ReLU(),
    ]  # fmt: skip
    model, images = nn.Sequential(*layers).double(), pixels(3, 2, 15, 13)
    chain = Chain(model, images)
    for layer, output in list(chain.forward(images))[3:]:
        units = active(output, 3)
        found = pasted(project(chain, images, layer, units), images.shape)
        prefix = layers[: int(layer) + 1]
        assert_close(found, by_gradient(prefix, images, units))
        wanted = [
            by_hand(prefix, images[image], (feature_map, *position))
            for image, feature_map, position in zip(*(c.tolist() for c in units), strict=True)
        ]
        assert_close(found, torch.tensor(wanted, dtype=torch.float64))


# --- what must hold ------------------------------------------------------------------------------


def every(output: Tensor) -> Units:
    """All active units."""
    maps = output if output.ndim == 4 else output[..., None, None]
    found = torch.nonzero(maps > 0)
    return Units(found[:, 0], found[:, 1], found[:, 2:])


FILTERS: list[dict[str, Any]] = [
    {"kernel_size": 3},
    {"kernel_size": 7, "stride": 2, "padding": 1},
    {"kernel_size": 5, "stride": 5},
    {"kernel_size": (2, 5), "stride": (3, 1), "padding": (1, 0)},
    {"kernel_size": (4, 3), "stride": (2, 4), "padding": (3, 2)},
    {"kernel_size": 3, "dilation": 2, "padding": 2},
    {"kernel_size": (3, 2), "dilation": (1, 4), "stride": 2, "padding": (0, 3)},
    {"kernel_size": 3, "stride": 2, "groups": 2},
    {"kernel_size": 1, "stride": 2, "padding": 1},
]


@pytest.mark.parametrize("maps", [2, 6])  # few are transposed in another way than many
@pytest.mark.parametrize("settings", FILTERS, ids=str)
def test_a_filter_and_its_projection_are_adjoint(settings: dict[str, Any], maps: int) -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(maps, 4, bias=False, **settings).double()
    images, other = pixels(1, maps, 13, 16), pixels(1, maps, 13, 16, seed=1) - 0.5
    chain = Chain(nn.Sequential(conv), images)
    units = every(conv(images))
    found = pasted(project(chain, images, "0", units), images.shape)
    # <K other, e> = <other, Kᵀ e> for the seed e of each unit
    left = at(conv(other), units) * at(conv(images), units)
    right = (found * other).flatten(1).sum(1)
    assert len(units.image) > 5
    torch.testing.assert_close(left, right, rtol=0, atol=1e-13)


@pytest.mark.parametrize("name", ["strides", "dilated", "grouped", "averaged"])
def test_without_relus_and_pools_it_is_a_row_of_the_jacobian(name: str) -> None:
    torch.manual_seed(0)
    networks: dict[str, list[nn.Module]] = {
        "strides": [nn.Conv2d(3, 6, 5, 2, 2), nn.Conv2d(6, 5, 3, 2), nn.Conv2d(5, 4, 2)],
        "dilated": [nn.Conv2d(3, 6, 3, dilation=2), nn.Conv2d(6, 5, 3, 2, 3, dilation=3)],
        "grouped": [nn.Conv2d(3, 6, 4, 3, 1, groups=3), nn.Conv2d(6, 4, 3, padding=1, groups=2)],
        "averaged": [nn.Conv2d(3, 6, 4), nn.AvgPool2d(3, 2, ceil_mode=True), nn.Flatten(),
                     nn.LazyLinear(4)],
    }  # fmt: skip
    layers = networks[name]
    model, images = nn.Sequential(*layers), pixels(1, 3, 15, 18)
    model(images.float())
    model.double()
    jacobian = torch.autograd.functional.jacobian(model, images)  # type: ignore[no-untyped-call]
    jacobian = jacobian[0, ..., 0, :, :, :]
    output = model(images).detach()
    units = every(output)
    found = pasted(project(Chain(model, images), images, str(len(layers) - 1), units), images.shape)
    rows = jacobian if output.ndim == 4 else jacobian[:, None, None]
    wanted = rows[units.feature_map, units.position[:, 0], units.position[:, 1]]
    assert_close(found, wanted * at(output, units)[:, None, None, None])


POOLS = [
    nn.MaxPool2d(2),
    nn.MaxPool2d(3, 2),
    nn.MaxPool2d(3, 2, 1, ceil_mode=True),
    nn.MaxPool2d((2, 3), (3, 1)),
    nn.MaxPool2d(2, 1, dilation=3),
    nn.MaxPool2d(4, 4, 2),
]


@pytest.mark.parametrize("pool", POOLS, ids=str)
def test_unpooling_gives_each_maximum_its_place(pool: nn.MaxPool2d) -> None:
    images = pixels(2, 3, 11, 14)
    units = every(pool(images))
    assert len(units.image) == pool(images).numel()
    single = pasted(project(Chain(nn.Sequential(pool), images), images, "0", units), images.shape)
    # each unit is the pixel that has its value, which is one only, in its own channel
    values = at(pool(images), units)
    there = images[units.image] == values[:, None, None, None]
    assert (there.flatten(1).sum(1) == 1).all()
    assert torch.equal(single, images[units.image].where(there, 0))
    # and all of them together the transpose of the Jacobian: where windows overlap, they add up
    inputs = images.clone().requires_grad_()
    [transposed] = torch.autograd.grad(pool(inputs), inputs, pool(images))
    together = torch.zeros_like(images).index_add_(0, units.image, single)
    torch.testing.assert_close(together, transposed, rtol=1e-14, atol=0)
    if pool.kernel_size == pool.stride:  # unpool(pool(x)) is x at the maxima
        assert torch.equal(together, images.where(together > 0, 0))


@pytest.mark.parametrize("name", CASES)
def test_nothing_falls_outside_the_receptive_field(name: str) -> None:
    model, images = ready(name)
    chain = Chain(model, images)
    rows, columns = (torch.arange(side)[None, :] for side in images.shape[2:])
    for layer, output in chain.forward(images):
        units = active(output, 40)
        found = pasted(project(chain, images, layer, units), images.shape)
        top, left, bottom, right = fields(chain, layer, units.position, images.shape[1:]).T[
            ..., None
        ]
        inside = ((rows >= top) & (rows <= bottom))[:, :, None] & (
            (columns >= left) & (columns <= right)
        )[:, None]
        assert (found.where(~inside[:, None], 0) == 0).all()
        assert (found.where(inside[:, None], 0) != 0).any() or name == "no filters that see borders"


def test_half_the_light_makes_half_the_projection() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 6, 5, 2, bias=False), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(6, 6, 3, padding=1, bias=False), nn.ReLU(), nn.Flatten(),
        nn.Linear(54, 4, bias=False),
    )  # fmt: skip
    images = torch.rand(3, 3, 17, 17)
    chain = Chain(model, images)
    for layer, output in chain.forward(images):
        units = active(output)
        once, half = project(chain, images, layer, units), project(chain, images / 2, layer, units)
        assert torch.equal(once.values / 2, half.values)


def test_biases_leave_no_trace() -> None:
    """A bias added where every ReLU was open anyway changes the seed alone."""
    torch.manual_seed(0)
    images = pixels(2, 3, 11, 11)
    conv1, conv2 = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3)
    for conv in (conv1, conv2):
        nn.init.uniform_(conv.weight)
        nn.init.constant_(conv.bias, 1.0)  # type: ignore[arg-type]
    model = nn.Sequential(conv1, nn.ReLU(), conv2, nn.ReLU()).double()
    units = active(model(images))
    before, activations = (
        project(Chain(model, images), images, "3", units),
        at(model(images), units),
    )
    conv1.bias.data += pixels(4)  # type: ignore[union-attr]
    conv2.bias.data += pixels(4)  # type: ignore[union-attr]
    after, raised = project(Chain(model, images), images, "3", units), at(model(images), units)
    factor = (raised / activations).detach()[:, None, None, None]
    assert (factor > 1.01).all()
    torch.testing.assert_close(after.values, before.values * factor, rtol=1e-13, atol=0)


@pytest.mark.parametrize("layer", ["1", "4", "7"])
def test_order_batches_and_company_do_not_matter(layer: str) -> None:
    model, images = ready("overlapping pools")
    chain = Chain(model, images)
    units = active(chain.outputs(images, [layer])[layer], 40)
    whole = project(chain, images, layer, units, batch=1000)
    order = torch.randperm(len(units.image), generator=torch.Generator().manual_seed(1))
    mixed = project(chain, images, layer, Units(*(column[order] for column in units)), batch=7)
    assert torch.equal(whole.corner[order], mixed.corner)
    torch.testing.assert_close(whole.values[order], mixed.values, rtol=0, atol=1e-14)
    for row in (0, len(order) - 1):
        alone = project(chain, images, layer, Units(*(column[row : row + 1] for column in units)))
        torch.testing.assert_close(whole.values[row : row + 1], alone.values, rtol=0, atol=1e-14)


def test_an_image_is_passed_once_however_many_of_its_units_are_asked_for() -> None:
    model, images = ready("overlapping pools")
    chain = Chain(model, images)
    units = active(chain.outputs(images, ["1"])["1"], 40)
    passed: list[int] = []
    passage = chain.passage

    def counted(images: Tensor, layer: str) -> Passage:
        passed.append(len(images))
        return passage(images, layer)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chain, "passage", counted)
        project(chain, images, "1", units, batch=14)
    assert sum(passed) <= len(images) + len(passed) - 1


def test_no_units_are_no_windows() -> None:
    model, images = ready("centred")
    none = torch.zeros(0, dtype=torch.int64)
    found = project(Chain(model, images), images, "3", Units(none, none, none.view(0, 2)))
    assert len(found.values) == 0
    assert found.values.shape[1] == 3
    assert pasted(found, images.shape).shape == (0, 3, 20, 17)


def test_a_window_holds_the_field_and_no_more_than_the_image() -> None:
    model, images = ready("overlapping pools")
    chain = Chain(model, images)
    sizes = [tuple(project(chain, images, layer, active(output)).values.shape[2:])
             for layer, output in chain.forward(images)]  # fmt: skip
    assert sizes[:3] == [(7, 7), (7, 7), (11, 11)]
    assert sizes[3] == (19, 19) and sizes[-1] == (33, 30)


def test_a_window_as_large_as_the_image_is_the_image() -> None:
    model, images = nn.Sequential(nn.Conv2d(1, 1, 5, padding=2)), torch.rand(1, 1, 5, 6)
    nn.init.uniform_(next(model.parameters()))
    found = project(Chain(model, images), images, "0", unit(0, 0, 1, 4))
    assert found.values.shape == (1, 1, 5, 5)
    assert found.corner.tolist() == [[0, 2]]


@pytest.mark.parametrize("below", [nn.MaxPool2d(2), nn.Conv2d(1, 1, 2), nn.AvgPool2d(2)])
def test_a_unit_that_sees_only_padding_has_an_empty_projection(below: nn.Module) -> None:
    filters = nn.Conv2d(1, 1, 1, padding=3)
    nn.init.constant_(filters.bias, 1.0)  # type: ignore[arg-type]
    model, images = nn.Sequential(below, nn.ReLU(), filters), torch.rand(2, 1, 8, 8)
    last = filters(below(images)).shape[2] - 1
    places = torch.tensor([[0, 0], [5, 0], [last, last]])
    corners = Units(torch.tensor([0, 0, 1]), torch.tensor([0, 0, 0]), places)
    found = project(Chain(model, images), images, "2", corners)
    assert pasted(found, images.shape).shape == (3, 1, 8, 8)
    assert not found.values.any()


# --- windows and places --------------------------------------------------------------------------


def test_cut_and_paste_show_the_pixels_themselves() -> None:
    images = (torch.rand(6, 2, 7, 9) - 0.2).clamp(min=0) * 1e-3
    corner = torch.tensor([[0, 0], [-2, 3], [5, 7], [3, -4], [-9, 0], [0, 12]])
    found = cut(images, corner, (4, 5), 0.7)
    for image, (top, left), patch in zip(images, corner.tolist(), found, strict=True):
        for y in range(4):
            for x in range(5):
                row, column = top + y, left + x
                known = 0 <= row < 7 and 0 <= column < 9
                wanted = image[:, row, column] if known else torch.full((2,), 0.7)
                assert torch.equal(patch[:, y, x], wanted)
    back = pasted(Window(cut(images, corner, (4, 5), 0.0), corner), images.shape)
    assert back[4:].eq(0).all()
    for image, (top, left), plane in zip(images, corner.tolist(), back, strict=True):
        shown = torch.zeros(7, 9, dtype=torch.bool)
        shown[max(0, top) : max(0, top + 4), max(0, left) : max(0, left + 5)] = True
        assert torch.equal(plane, image.where(shown, 0))


@pytest.mark.parametrize("corner", [(0, 0), (-3, 5), (2, -20), (30, 0)])
def test_windows_at_one_place_are_cut_alike(corner: tuple[int, int]) -> None:
    images = torch.rand(3, 2, 7, 9)
    alike = torch.tensor([corner] * 3)
    apart = torch.cat([alike, torch.tensor([[1, 1]])])
    found = cut(torch.cat([images, images[:1]]), apart, (4, 6), 0.5)
    assert torch.equal(cut(images, alike, (4, 6), 0.5), found[:3])


def test_of_equal_values_the_first_in_reading_order_is_strongest() -> None:
    maps = torch.randint(0, 3, (4, 5, 6, 7), generator=torch.Generator().manual_seed(0)).float()
    values, positions = strongest_positions(maps)
    for image in range(4):
        for channel in range(5):
            flat = maps[image, channel].flatten().tolist()
            place = flat.index(max(flat))
            assert values[image, channel] == max(flat)
            assert positions[image, channel].tolist() == [place // 7, place % 7]
    values, positions = strongest_positions(maps[:, :, 0, 0])
    assert torch.equal(values, maps[:, :, 0, 0])
    assert positions.shape == (4, 5, 2) and not positions.any()


# --- what is left, and what is refused -----------------------------------------------------------


@pytest.mark.parametrize("name", ["in place", "batch norm", "averages"])
def test_all_is_left_as_it_was(name: str) -> None:
    model, images = ready(name)
    model.train()
    model[1].eval()
    weights, given = copy.deepcopy(model.state_dict()), images.clone()
    modes, random = [m.training for m in model.modules()], torch.get_rng_state()
    chain = Chain(model, images)
    for layer, output in chain.forward(images):
        assert not project(chain, images, layer, active(output)).values.requires_grad
    assert torch.equal(images, given)
    assert torch.equal(torch.get_rng_state(), random)
    assert [m.training for m in model.modules()] == modes
    assert not torch.is_inference_mode_enabled()
    for key, value in model.state_dict().items():
        assert torch.equal(value, weights[key]), key
    for module in model.modules():
        assert not (module._forward_hooks or module._forward_pre_hooks or module._backward_hooks)
    assert all(parameter.grad is None for parameter in model.parameters())


def unit(image: int, feature_map: int, row: int, column: int) -> Units:
    where = torch.tensor([[row, column]])
    return Units(torch.tensor([image]), torch.tensor([feature_map]), where)


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ((0, 5, 0, 0), r"layer '1' has 5 maps of 23 × 23, got map 5 at row 0, column 0"),
        ((0, -1, 0, 0), r"got map -1 at row 0"),
        ((0, 0, 23, 1), r"map 0 at row 23, column 1"),
        ((0, 0, 1, -1), r"map 0 at row 1, column -1"),
        ((5, 0, 0, 0), r"one of the 5 images, got image 5"),
        ((-1, 0, 0, 0), r"got image -1"),
    ],
)
def test_units_that_are_not_there_are_refused(place: tuple[int, ...], words: str) -> None:
    model, images = ready("in place")
    with pytest.raises(UserError, match=words):
        project(Chain(model, images), images, "1", unit(*place))


def test_a_silent_unit_is_refused() -> None:
    model, images = ready("in place")
    chain = Chain(model, images)
    for layer in ("0", "1", "7"):
        output = chain.outputs(images, [layer])[layer]
        maps = output if output.ndim == 4 else output[..., None, None]
        image, feature_map, row, column = torch.nonzero(maps <= 0)[0].tolist()
        with pytest.raises(UserError, match=rf"unit {feature_map} of layer '{layer}' is [-0]"):
            project(chain, images, layer, unit(image, feature_map, row, column))


def test_an_unknown_layer_is_refused() -> None:
    chain = Chain(nn.Sequential(OrderedDict(conv1=nn.Conv2d(3, 2, 3))), pixels(1, 3, 5, 5).float())
    with pytest.raises(UserError, match="no layer 'conv2': did you mean 'conv1'"):
        project(chain, torch.rand(1, 3, 5, 5), "conv2", unit(0, 0, 0, 0))
