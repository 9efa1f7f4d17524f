"""Contrast normalisation and its projection against loops over single numbers."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from research.methods.chain import Chain
from research.methods.deconvnet import pasted, project
from tests.methods.projections import (
    active,
    assert_close,
    by_gradient,
    pixels,
)

pytestmark = [
    pytest.mark.usefixtures("seeded"),
    pytest.mark.filterwarnings("ignore:Setting backward hooks on ReLU"),
]


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
