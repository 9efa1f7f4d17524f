"""What must hold of projections: what linear networks do, adjoints, fields, order and company."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from research.methods.chain import Chain, Passage
from research.methods.deconvnet import Units, pasted, project
from research.methods.receptive_fields import fields
from tests.methods.projections import CASES, active, assert_close, at, pixels, ready, unit

pytestmark = [
    pytest.mark.usefixtures("seeded"),
    pytest.mark.filterwarnings("ignore:Setting backward hooks on ReLU"),
]


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
