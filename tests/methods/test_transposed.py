"""Transposed convolutions and switches of pooling against those of torch."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from research.methods.chain import Chain
from research.methods.transposed import transposed
from tests.methods.projections import pixels

SETTINGS = [
    (3, 1, 1),
    (5, 1, 0),
    (7, 2, 1),
    (2, 3, 1),
    ((4, 3), (2, 4), (3, 2)),
    ((2, 5), (3, 1), (1, 0)),
    (1, 2, 0),
]
"""kernel, stride, padding"""


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5])
@pytest.mark.parametrize(("kernel", "stride", "padding"), SETTINGS, ids=str)
@pytest.mark.parametrize("side", [(1, 1), (6, 9)], ids=str)
def test_some_outputs_go_back_as_torch_takes_them(
    channels: int, kernel: int, stride: int, padding: int, side: tuple[int, int]
) -> None:
    conv = nn.Conv2d(channels, 7, kernel, stride, padding).double().requires_grad_(False)
    values = pixels(2, 7, *side) - 0.5
    wanted = F.conv_transpose2d(values, conv.weight, stride=conv.stride)
    torch.testing.assert_close(transposed(conv, values), wanted, rtol=0, atol=1e-13)


@pytest.mark.parametrize("channels", [1, 3, 5])
@pytest.mark.parametrize(("kernel", "stride", "padding"), SETTINGS, ids=str)
def test_a_whole_output_goes_back_to_the_gradient(
    channels: int, kernel: int, stride: int, padding: int
) -> None:
    conv = nn.Conv2d(channels, 7, kernel, stride, padding).double().requires_grad_(False)
    images = pixels(2, channels, 15, 18).requires_grad_()
    output = conv(images)
    values = pixels(*output.shape) - 0.5
    [wanted] = torch.autograd.grad(output, images, values)
    found = transposed(conv, values, whole=(15, 18))
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-13)


@pytest.mark.parametrize("channels", [1, 10, 16, 24])
@pytest.mark.parametrize("laid", [torch.contiguous_format, torch.channels_last], ids=str)
def test_switches_are_those_of_torch_where_values_are_equal(
    channels: int, laid: torch.memory_format
) -> None:
    levels = torch.randint(-2, 3, (3, channels, 13, 11)).float()  # most windows have two maxima
    pool = nn.MaxPool2d(3, 2, 1, ceil_mode=True)
    passage = Chain(nn.Sequential(pool), levels).passage(levels.contiguous(memory_format=laid), "0")
    maxima, places = F.max_pool2d(levels, 3, 2, 1, ceil_mode=True, return_indices=True)
    assert torch.equal(passage.output, maxima)
    assert torch.equal(passage.switches[0], places)
