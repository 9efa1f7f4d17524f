"""Windows of projections, what is left as it was and what is refused."""

import copy
from collections import OrderedDict

import pytest
import torch
from torch import nn

from research.errors import UserError
from research.methods.chain import Chain
from research.methods.deconvnet import Window, cut, pasted, project, strongest_positions
from tests.methods.projections import (
    active,
    pixels,
    ready,
    unit,
)

pytestmark = [
    pytest.mark.usefixtures("seeded"),
    pytest.mark.filterwarnings("ignore:Setting backward hooks on ReLU"),
]


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
