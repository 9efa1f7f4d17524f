"""Shifts, sizes and turns against torch's own moves of pixels and scipy's resampling."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor, nn
from torch.nn import functional as F

from research.errors import UserError
from research.methods.invariance import (
    CHANGES,
    Change,
    curves,
    rotated,
    scaled,
    translated,
    typical_distance,
)

NONE = {"translation": 0.0, "scale": 1.0, "rotation": 0.0}


def pictures(number: int = 2, height: int = 28, width: int = 31) -> Tensor:
    torch.manual_seed(0)
    images = torch.rand(number, 3, height, width)
    images[:, :, ::5] = 0  # beside which any rounding shows
    return images


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("side", [7, 28, 30, 224])
def test_no_change_leaves_every_bit(name: str, side: int) -> None:
    images = pictures(1, side, side + 3)
    assert torch.equal(CHANGES[name](images, NONE[name], 0.3), images)


@pytest.mark.parametrize("height", [28, 30, 49])
def test_whole_pixels_are_shifted_as_they_are(height: int) -> None:
    images, fill = pictures(2, height, 9), torch.tensor([0.1, 0.2, 0.7]).view(3, 1, 1)
    for shift in range(-height, height + 1):
        expected = images.roll(shift, 2)
        rows = torch.arange(height)
        outside = (rows < shift) | (rows >= height + shift)
        expected[:, :, outside] = fill
        assert torch.equal(translated(images, shift / height, fill), expected)


def test_quarter_turns_are_those_of_torch() -> None:
    square = pictures(2, 29, 29)
    turned = square
    for quarters in range(1, 5):
        turned = rotated(turned, 90, 0.5)
        assert torch.equal(turned, square.rot90(quarters, (2, 3)))
        assert torch.equal(rotated(square, 90 * quarters, 0.5), turned)
        assert torch.equal(rotated(square, 90 * quarters - 360, 0.5), turned)
    oblong = pictures()
    assert torch.equal(rotated(oblong, 180, 0.5), oblong.flip(2, 3))


def test_enlarging_moves_away_from_the_middle() -> None:
    images = torch.zeros(1, 1, 33, 33)
    images[0, 0, 16 + 3, 16 - 5] = 1
    assert scaled(images, 2, 0.0).flatten().argmax() == 33 * (16 + 6) + 16 - 10
    assert scaled(images, 2, 0.0).sum() > 3 > 0.5 > scaled(images, 0.5, 0.0).sum()


def inverse(name: str, amount: float) -> tuple[Any, float]:
    """The place in the input for one in the output, both about the middle, and rows to go up."""
    if name == "scale":
        return np.eye(2) / amount, 0.0
    if name == "translation":
        return np.eye(2), amount
    angle = -math.radians(amount)  # rows count downwards, so a turn to the left goes back by -angle
    return np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]), 0.0


@pytest.mark.parametrize(
    ("name", "amount"),
    [
        ("translation", 0.113), ("translation", -0.31), ("scale", 1.37), ("scale", 0.61),
        ("rotation", 33.0), ("rotation", -170.5), ("rotation", 300.0),
    ],
)  # fmt: skip
def test_blending_is_that_of_scipy(name: str, amount: float) -> None:
    images, fill = pictures().double(), 0.35
    matrix, up = inverse(name, amount)
    middle = (np.array(images.shape[2:]) - 1) / 2
    offset = middle - matrix @ middle - np.array([up * images.shape[2], 0])
    moved = CHANGES[name](images, amount, fill)
    for plane, found in zip(images.flatten(0, 1), moved.flatten(0, 1), strict=True):
        expected = ndimage.affine_transform(
            plane.numpy(), matrix, offset, order=1, mode="grid-constant", cval=fill
        )
        assert np.allclose(found.numpy(), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "amount"), [("translation", 0.4), ("scale", 0.3), ("rotation", 45)]
)
def test_what_comes_in_is_the_fill_and_images_stay_images(name: str, amount: float) -> None:
    images, fill = torch.ones(2, 3, 21, 21), torch.tensor([0.0, 0.25, 1.0]).view(3, 1, 1)
    moved = CHANGES[name](images, amount, fill)
    assert moved.shape == images.shape and moved.dtype == images.dtype
    assert torch.equal(moved[:, :, 0, 0], fill.flatten().expand(2, 3))
    assert torch.equal(moved[:, :, 12, 10], torch.ones(2, 3))
    noise = CHANGES[name](pictures(), amount, 1.0)
    assert noise.min() >= 0 and noise.max() <= 1


def test_a_convolution_shifts_with_the_image_in_the_interior() -> None:
    torch.manual_seed(0)
    images, weight = pictures(2, 24, 20), torch.randn(4, 3, 5, 5)
    before, after = (F.conv2d(x, weight) for x in (images, translated(images, 3 / 24, 0.5)))
    assert torch.allclose(after[:, :, 3:], before[:, :, :-3], atol=1e-5)
    assert not torch.allclose(after, before, atol=1e-2)


# --- distances -----------------------------------------------------------------------------------


def test_typical_distance_is_that_of_all_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    features = 3 + torch.randn(7, 50)
    pairs = [
        math.dist(features[i].tolist(), features[j].tolist())
        for i in range(7) for j in range(7) if i != j
    ]  # fmt: skip
    for columns in (1 << 14, 8):
        monkeypatch.setattr("research.methods.invariance._COLUMNS", columns)
        assert typical_distance(features) == pytest.approx(np.mean(pairs), rel=1e-12)


def test_typical_distance_has_its_closed_forms() -> None:
    assert typical_distance(torch.eye(6)) == pytest.approx(2**0.5, rel=1e-12)
    # points 0 to n - 1 of a line are (n + 1) / 3 apart on average
    line = 1e6 + torch.arange(20).double()[:, None] / 3  # far from 0, where products cancel
    assert typical_distance(line) == pytest.approx(7 / 3, rel=1e-8)
    assert typical_distance(torch.randn(1, 9).expand(5, 9)) == 0


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.conv, self.head = nn.Conv2d(3, 4, 5, 2), nn.Linear(4 * 12 * 14, 5)

    def forward(self, images: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        maps = self.conv(images).relu().flatten(1)
        return {"maps": maps, "pixels": images.flatten(1)}, self.head(maps)


@pytest.mark.parametrize("name", CHANGES)
def test_no_change_is_no_distance(name: str) -> None:
    labels = torch.arange(5)
    found = curves(Net(), pictures(5), labels, CHANGES[name], [NONE[name]], 0.4)
    for distances in found.distances.values():
        assert torch.equal(distances, torch.zeros(1, 5).double())


@pytest.mark.parametrize(
    ("change", "amounts"), [(translated, [0.1, 0.25]), (rotated, [10.0, 20.0])]
)
def test_curves_are_those_of_one_image_at_a_time(change: Change, amounts: list[float]) -> None:
    net, images, labels = Net(), pictures(5), torch.tensor([0, 3, 3, 1, 4])
    with torch.no_grad():
        features = [net(image[None])[0] for image in images]
        for batch in (2, 64):
            found = curves(net, images, labels, change, amounts, 0.4, batch=batch)
            for row, amount in enumerate(amounts):
                for i, image in enumerate(images):
                    after, logits = net(change(image[None], amount, 0.4))
                    p = logits.softmax(1)[0, labels[i]].item()
                    assert found.probabilities[row, i].item() == pytest.approx(p, rel=1e-5)
                    for layer, moved in found.distances.items():
                        unit = np.mean([
                            (features[a][layer] - features[b][layer]).norm().item()
                            for a in range(5) for b in range(a)
                        ])  # fmt: skip
                        far = (after[layer] - features[i][layer]).norm().item()
                        assert moved[row, i].item() == pytest.approx(far / unit, rel=1e-5)


def test_another_image_is_at_one() -> None:
    """If the change turns each of two images into the other, it is as far as another image."""
    found = curves(Net(), pictures(2), torch.tensor([0, 1]), lambda x, *_: x.flip(0), [1.0], 0.5)
    for distances in found.distances.values():
        assert torch.allclose(distances, torch.ones(1, 2).double(), atol=1e-6)


def test_equal_features_have_no_unit() -> None:
    same = pictures(1).expand(3, -1, -1, -1)
    found = curves(Net(), same, torch.zeros(3).long(), scaled, [1.0, 1.5], 0.5)
    assert all(distances.isnan().all() for distances in found.distances.values())


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: translated(torch.rand(3, 8, 8), 0.1, 0.5), r"\(N, C, H, W\).*\(3, 8, 8\)"),
        (lambda: rotated(255 * torch.ones(1, 3, 8, 8), 9, 0.5), "values 255 to 255"),
        (lambda: translated(pictures(), 0.1, 1.5), "a fill must be.*1.5 to 1.5"),
        (lambda: translated(pictures(), 0.1, torch.rand(3)), r"\(3, 1, 1\).*the shape \(3,\)"),
        (lambda: scaled(pictures(), 0, 0.5), "scale must be above 0, got 0"),
        (
            lambda: curves(Net(), pictures(1), torch.tensor([0]), scaled, [1.0], 0.5),
            "at least two images to compare, got 1",
        ),
    ],
)
def test_mistakes_are_named_in_one_line(call: Callable[[], object], words: str) -> None:
    with pytest.raises(UserError, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)
