"""Receptive fields against networks of positive weights, lit one pixel at a time."""

import pytest
import torch
from torch import Tensor, nn

from research.errors import UserError
from research.methods.chain import Chain
from research.methods.receptive_fields import extent, fields, plane_sizes
from research.models import ZFNet

SHAPE = (2, 13, 17)


pytestmark = pytest.mark.usefixtures("seeded")


def networks() -> dict[str, list[nn.Module]]:
    return {
        "strides": [nn.Conv2d(2, 2, 5, 2), nn.ReLU(), nn.Conv2d(2, 3, 3, 2), nn.Conv2d(3, 1, 1)],
        "padded": [nn.Conv2d(2, 2, 3, padding=1), nn.MaxPool2d(3, 2, 1), nn.Conv2d(2, 2, 5, 1, 2)],
        "oblong": [nn.Conv2d(2, 2, (2, 5), (3, 1), (1, 0)), nn.AvgPool2d((2, 1), (1, 2))],
        "dilated": [nn.Conv2d(2, 2, 3, dilation=(2, 4), padding=(3, 4)), nn.MaxPool2d(2, 1, 0, 3)],
        "ceiled": [nn.MaxPool2d(3, 2, ceil_mode=True), nn.AvgPool2d(2, 2, 1, ceil_mode=True)],
        "gaps": [nn.Conv2d(2, 2, 1, 3, 2), nn.MaxPool2d(2, 3), nn.Conv2d(2, 2, 2, 1, 1)],
        "only padding": [nn.Conv2d(2, 2, 3, padding=1), nn.Conv2d(2, 2, 1, 1, (3, 1)),
                         nn.Conv2d(2, 2, 2)],
        "grouped": [nn.Conv2d(2, 4, 3, groups=2, padding=1), nn.Conv2d(4, 2, 3, groups=2)],
        "adaptive": [nn.Conv2d(2, 2, 2), nn.AdaptiveAvgPool2d((4, 3)), nn.Conv2d(2, 2, 2)],
        "linear": [nn.Conv2d(2, 2, 3, 3), nn.Flatten(), nn.LazyLinear(3), nn.ReLU(),
                   nn.Linear(3, 2)],
        "unseen border": [nn.MaxPool2d(4, 4), nn.Flatten(), nn.LazyLinear(2)],
    }  # fmt: skip


def positive(name: str) -> Chain:
    """All weights are one and no bias, so nothing cancels."""
    model = nn.Sequential(*networks()[name])
    model(torch.zeros(1, *SHAPE))
    for parameter in model.parameters():
        nn.init.constant_(parameter, 1.0 if parameter.ndim > 1 else 0.0)
    return Chain(model.eval(), torch.rand(1, *SHAPE))


def boxes(seen: Tensor) -> list[list[int]]:
    """First row and column, last row and column that are true in (B, H, W)."""
    found = []
    for plane in seen:
        at = plane.nonzero()
        first = at.amin(0).tolist() if len(at) else [1, 1]
        found.append([*first, *(at.amax(0).tolist() if len(at) else [0, 0])])
    return found


def everywhere(output: Tensor) -> Tensor:
    """All places of a layer's maps."""
    height, width = output.shape[2:] if output.ndim == 4 else (1, 1)
    return torch.cartesian_prod(torch.arange(height), torch.arange(width))


def lit(chain: Chain, layer: str, positions: Tensor) -> Tensor:
    """Which single bright pixels a layer answers to, (B, H, W); any map and any channel."""
    height, width = SHAPE[1:]
    images = torch.eye(height * width).view(-1, 1, height, width).expand(-1, 2, -1, -1)
    output = chain.outputs(images, [layer])[layer]
    maps = output if output.ndim == 4 else output[..., None, None]
    answers = maps.amax(1)[:, positions[:, 0], positions[:, 1]] > 0
    return answers.T.reshape(len(positions), height, width)


@pytest.mark.parametrize("name", networks())
def test_the_box_is_that_of_the_pixels_that_are_answered_to(name: str) -> None:
    chain = positive(name)
    for layer, output in chain.forward(torch.rand(1, *SHAPE)):
        positions = everywhere(output)
        found = fields(chain, layer, positions, SHAPE)
        assert found.dtype == torch.int64
        for box, wanted in zip(found.tolist(), boxes(lit(chain, layer, positions)), strict=True):
            empty = wanted == [1, 1, 0, 0]
            assert (box[0] > box[2] or box[1] > box[3]) if empty else box == wanted, (layer, box)


@pytest.mark.parametrize("name", ["strides", "oblong", "grouped", "adaptive", "linear"])
def test_the_box_is_that_of_the_gradient(name: str) -> None:
    chain = positive(name)
    for place, link in enumerate(chain.links):
        images = torch.rand(1, *SHAPE, requires_grad=True)
        output = images
        for module in [link.module for link in chain.links[: place + 1]]:
            output = module(output)
        positions = everywhere(output)
        maps = (output if output.ndim == 4 else output[..., None, None])[0].sum(0)
        supports = [
            torch.autograd.grad(maps[row, column], images, retain_graph=True)[0][0].sum(0) > 0
            for row, column in positions.tolist()
        ]
        found = fields(chain, link.name, positions, SHAPE)
        assert found.tolist() == boxes(torch.stack(supports))


@pytest.mark.parametrize("name", ["strides", "padded", "grouped"])
def test_the_extent_is_that_of_the_largest_box(name: str) -> None:
    chain = positive(name)
    for layer, output in chain.forward(torch.rand(1, *SHAPE)):
        found = fields(chain, layer, everywhere(output), SHAPE)
        sizes = (found[:, 2:] - found[:, :2] + 1).amax(0).tolist()
        assert list(extent(chain, layer, SHAPE)) == sizes, layer


def test_gaps_count_and_an_adaptive_average_sees_all() -> None:
    layers = [nn.Conv2d(2, 2, (3, 2), dilation=(2, 5)), nn.MaxPool2d(2, 2, dilation=(1, 3)),
              nn.AdaptiveAvgPool2d(2), nn.ReLU()]  # fmt: skip
    shape = (2, 21, 30)
    chain = Chain(nn.Sequential(*layers), torch.rand(1, *shape))
    assert [extent(chain, layer, shape) for layer in chain.names] == [
        (5, 6), (6, 9), (21, 30), (21, 30),
    ]  # fmt: skip


def test_the_extents_of_the_paper_at_its_size() -> None:
    shape = (3, 224, 224)
    chain = Chain(ZFNet(0.02, 4), torch.rand(1, *shape))
    # of 3×3 pools with stride 2 behind 7×7 and 5×5 filters with stride 2: 1 + Σ (k - 1) · jump
    wanted = {"conv1": 7, "pool1": 11, "norm1": 11, "conv2": 27, "pool2": 43, "conv3": 75,
              "conv4": 107, "conv5": 139, "pool5": 171, "fc6": 224}  # fmt: skip
    assert {layer: extent(chain, layer, shape) for layer in wanted} == {
        layer: (size, size) for layer, size in wanted.items()
    }
    sides = {name: tuple(size) for name, size in zip(chain.names, plane_sizes(chain, shape)[1:],
                                                     strict=True)}  # fmt: skip
    assert [sides[name][1] for name in ("conv1", "pool1", "conv2", "pool2", "conv5", "pool5")] == [
        110, 55, 26, 13, 13, 6,
    ]  # fmt: skip


def test_a_network_without_weights_has_fields() -> None:
    chain = Chain(nn.Sequential(nn.MaxPool2d(2)), torch.rand(1, *SHAPE))
    assert plane_sizes(chain, SHAPE) == [(2, 13, 17), (2, 6, 8)]
    assert fields(chain, "0", torch.tensor([[5, 7]]), SHAPE).tolist() == [[10, 14, 11, 15]]


def test_an_unknown_layer_is_refused() -> None:
    chain = positive("padded")
    with pytest.raises(UserError, match="no layer 'conv'"):
        fields(chain, "conv", torch.zeros(1, 2, dtype=torch.int64), SHAPE)
    with pytest.raises(UserError, match="no layer 'conv'"):
        extent(chain, "conv", SHAPE)
