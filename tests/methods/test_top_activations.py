"""The strongest activations of a set against a sort of everything."""

from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from research.data import Split
from research.errors import ArgumentError, UserError
from research.methods.chain import Chain
from research.methods.deconvnet import project
from research.methods.top_activations import Strongest, strongest
from research.models.layers import CentredPixels

COUNT, SIDE = 200, 9
LAYERS = ["1", "2", "3", "4", "6"]


def split_of(images: Tensor) -> Split:
    return Split(images.to(torch.uint8), torch.zeros(len(images), dtype=torch.int64))


def whole_numbers() -> tuple[Chain, Split]:
    """A network in which all sums are exact, on images of three greys: full of equal values."""
    order = torch.Generator().manual_seed(0)
    model = nn.Sequential(
        CentredPixels(torch.zeros(2, SIDE, SIDE)), nn.Conv2d(2, 5, 3, 2), nn.ReLU(),
        nn.MaxPool2d(2, 1), nn.Conv2d(5, 4, 2), nn.Flatten(), nn.Linear(16, 3),
    )  # fmt: skip
    for parameter in model.parameters():
        parameter.data = torch.randint(-2, 3, parameter.shape, generator=order).float()
    images = torch.randint(0, 3, (COUNT, 2, SIDE, SIDE), generator=order)
    images[50:60] = images[:10]
    return Chain(model, torch.rand(1, 2, SIDE, SIDE)), split_of(images)


def real_numbers() -> tuple[Chain, Split]:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Identity(), nn.Conv2d(2, 5, 3, 2), nn.ReLU(inplace=True), nn.MaxPool2d(2, 1),
        nn.Conv2d(5, 4, 2), nn.Flatten(), nn.Linear(16, 3),
    )  # fmt: skip
    images = torch.randint(0, 256, (COUNT, 2, SIDE, SIDE))
    return Chain(model, torch.rand(1, 2, SIDE, SIDE)), split_of(images)


def sorted_all(chain: Chain, split: Split, layer: str, count: int) -> list[list[tuple[float, ...]]]:
    """For each map (value, image, row, column), by brute force over single images."""
    found: list[list[tuple[float, ...]]] = []
    for number in range(len(split)):
        output = chain.outputs(split.images[number : number + 1].float() / 255, [layer])[layer][0]
        maps = (output if output.ndim == 3 else output[:, None, None]).tolist()
        found = found or [[] for _ in maps]
        for rows, plane in zip(found, maps, strict=True):
            places = [(-value, y, x) for y, row in enumerate(plane) for x, value in enumerate(row)]
            value, y, x = min(places)
            rows.append((-value, number, y, x))
    return [sorted(rows, key=lambda row: (-row[0], row[1]))[:count] for rows in found]


def rows_of(found: Strongest) -> list[list[tuple[float, ...]]]:
    return [
        [(value, image, *place) for value, image, place in zip(*columns, strict=True)]
        for columns in zip(*(column.tolist() for column in found), strict=True)
    ]


@pytest.mark.parametrize("batch", [7, 64, 512])
def test_they_are_those_of_a_sort_of_all(batch: int) -> None:
    chain, split = whole_numbers()
    found = strongest(chain, split, LAYERS, 9, batch)
    assert list(found) == LAYERS
    ties = 0
    for layer, one in found.items():
        wanted = sorted_all(chain, split, layer, 9)
        assert all(value == round(value) for rows in wanted for value, *_ in rows)
        assert rows_of(one) == wanted, layer
        ties += sum(a[0] == b[0] for rows in wanted for a, b in pairwise(rows))
        assert one.values.shape == one.images.shape == (len(wanted), 9)
        assert one.positions.shape == (len(wanted), 9, 2)
        assert one.images.dtype == one.positions.dtype == torch.int64
    assert ties > 30  # the rule for equal values has been tried


@pytest.mark.parametrize("batch", [7, 64])
def test_real_values_do_not_depend_on_batches(batch: int) -> None:
    chain, split = real_numbers()
    for layer, one in strongest(chain, split, LAYERS, 9, batch).items():
        wanted = sorted_all(chain, split, layer, 9)
        assert [[row[1:] for row in rows] for rows in rows_of(one)] == [
            [row[1:] for row in rows] for rows in wanted
        ]
        values = torch.tensor([[row[0] for row in rows] for rows in wanted])
        torch.testing.assert_close(one.values, values, rtol=1e-5, atol=1e-6)


def test_permuting_the_set_permutes_the_images() -> None:
    chain, split = real_numbers()
    order = torch.randperm(COUNT, generator=torch.Generator().manual_seed(1))
    before = strongest(chain, split, LAYERS, 9, 64)
    after = strongest(chain, split_of(split.images[order]), LAYERS, 9, 64)
    for layer in LAYERS:
        active = before[layer].values > 0  # silent ones are all equal, and the first of them win
        assert active.any()
        assert torch.equal(before[layer].images[active], order[after[layer].images][active])
        assert torch.equal(before[layer].positions[active], after[layer].positions[active])


def test_a_small_set_has_fewer_columns() -> None:
    chain, split = whole_numbers()
    few = split_of(split.images[:4])
    for layer, one in strongest(chain, few, LAYERS, 9, 3).items():
        assert rows_of(one) == sorted_all(chain, few, layer, 9)
        assert one.values.shape[1] == 4


def test_layers_come_in_the_order_asked_for() -> None:
    chain, split = whole_numbers()
    assert list(strongest(chain, split, ["4", "1", "4"], 1)) == ["4", "1"]
    with pytest.raises(UserError, match="no layer 'conv1'"):
        strongest(chain, split, ["conv1"])
    with pytest.raises(ArgumentError, match="k must be at least 1 image for each map, got 0"):
        strongest(chain, split, ["4"], 0)


def test_units_point_into_the_whole_set() -> None:
    chain, split = real_numbers()
    found = strongest(chain, split, ["3"], 4)["3"]
    maps = torch.tensor([3, 0])
    units = found.units(maps)
    assert units.feature_map.tolist() == [3, 3, 3, 3, 0, 0, 0, 0]
    assert torch.equal(units.image.view(2, 4), found.images[maps])
    output = chain.outputs(split.floats(), ["3"])["3"]
    values = output[units.image, units.feature_map, units.position[:, 0], units.position[:, 1]]
    torch.testing.assert_close(values.view(2, 4), found.values[maps])
    assert project(chain, split.floats(), "3", units).values.shape == (8, 2, 5, 5)


def test_all_is_left_as_it_was() -> None:
    chain, split = real_numbers()
    model = chain.model.train()
    before, random = split.images.clone(), torch.get_rng_state()
    weights = [parameter.clone() for parameter in model.parameters()]
    strongest(chain, split, LAYERS)
    assert torch.equal(split.images, before)
    assert torch.equal(torch.get_rng_state(), random)
    assert all(module.training for module in model.modules())
    assert not torch.is_inference_mode_enabled()
    for parameter, weight in zip(model.parameters(), weights, strict=True):
        assert torch.equal(parameter, weight) and parameter.grad is None
    assert not any(module._forward_hooks for module in model.modules())


def test_only_the_best_so_far_are_kept() -> None:
    """Nothing that is kept, or is a view into what is larger, grows with the set."""
    chain, split = real_numbers()
    for size in (20, COUNT):
        for one in strongest(chain, split_of(split.images[:size]), LAYERS, 9, 10).values():
            for column in one:
                stored = column.untyped_storage().nbytes()
                assert stored == column.numel() * column.element_size()
