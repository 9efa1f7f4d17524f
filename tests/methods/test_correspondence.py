"""Agreement of sign changes against planted ones and a loop over all pairs."""

from collections.abc import Callable
from itertools import combinations

import numpy as np
import pytest
import torch
from torch import Tensor

from research.errors import UserError
from research.methods.correspondence import (
    Box,
    disagreement,
    grouped,
    masked,
    random_boxes,
    sign_changes,
)
from research.methods.statistics import wilson

PART: Box = (0.25, 0.5, 0.5, 0.875)


def random_signs(number: int, units: int, values: tuple[int, ...] = (-1, 0, 1)) -> Tensor:
    torch.manual_seed(0)
    return torch.tensor(values, dtype=torch.int8)[torch.randint(len(values), (number, units))]


def looped(signs: Tensor) -> float:
    """The paper's sum over pairs of Hamming distances, as means over pairs and units."""
    rows = signs.tolist()
    distances = [
        sum(x != y for x, y in zip(a, b, strict=True)) / len(a) for a, b in combinations(rows, 2)
    ]
    return float(np.mean(distances))


@pytest.mark.parametrize("number", [2, 3, 5, 8])
@pytest.mark.parametrize("values", [(-1, 1), (-1, 0, 1), (0, 0, 0, 1)])
def test_counting_signs_is_comparing_pairs(number: int, values: tuple[int, ...]) -> None:
    signs = random_signs(number, 23, values)
    assert disagreement(signs) == pytest.approx(looped(signs), abs=1e-12)
    mixed = signs[torch.randperm(number)][:, torch.randperm(23)]
    assert disagreement(mixed) == pytest.approx(disagreement(signs), abs=1e-12)
    assert disagreement(-signs) == pytest.approx(disagreement(signs), abs=1e-12)


def test_planted_signs_are_found() -> None:
    signs = random_signs(1, 5000, (-1, 1))
    assert disagreement(signs.expand(7, -1)) == 0
    assert disagreement(torch.cat([signs, -signs])) == 1
    assert disagreement(torch.cat([signs, 0 * signs])) == 1
    chance = random_signs(2, 20_000, (-1, 1))
    low, high = wilson(round(disagreement(chance) * 20_000), 20_000).bounds or (1, 0)
    assert low < 1 / 2 < high
    half = torch.cat([signs.expand(2, -1), torch.cat([signs, -signs]).view(2, -1)], 1)
    assert disagreement(half) == 1 / 2


def test_groups_share_no_image() -> None:
    signs = random_signs(17, 40)
    found = grouped(signs, 5)
    assert found == [disagreement(signs[start : start + 5]) for start in (0, 5, 10)]
    changed = signs.clone()
    changed[5:10] = -signs[7]
    assert [a == b for a, b in zip(grouped(changed, 5), found, strict=True)] == [True, False, True]
    assert grouped(signs[:10], 5) == found[:2]


# --- parts ---------------------------------------------------------------------------------------


def test_a_box_is_filled_and_nothing_else() -> None:
    images, fill = torch.rand(3, 2, 16, 32), torch.tensor([0.25, 0.75]).view(2, 1, 1)
    copy = images.clone()
    for boxes in ([PART], [PART, (0.0, 0.0, 1.0, 1.0), (0.5, 0.0, 1.0, 0.5)]):
        hidden = masked(images, boxes, fill)
        for number, (top, left, bottom, right) in enumerate((boxes * 3)[:3]):
            y, x = torch.arange(16)[:, None] / 16, torch.arange(32) / 32
            inside = (y >= top) & (y < bottom) & (x >= left) & (x < right)
            expected = torch.where(inside, fill, images[number])
            assert torch.equal(hidden[number], expected)
    assert torch.equal(images, copy)


def test_boxes_of_one_size_hide_equally_many_pixels() -> None:
    boxes = random_boxes((0.1, 0.2, 0.3, 0.48), 200, torch.Generator().manual_seed(0))
    hidden = masked(torch.zeros(200, 1, 64, 50), boxes, 1.0)
    assert set(hidden.flatten(1).sum(1).tolist()) == {13 * 14}
    assert masked(torch.zeros(1, 1, 5, 5), [(0.99, 0.99, 1, 1)], 1.0).nonzero().tolist() == [
        [0, 0, 4, 4]
    ]


def test_random_boxes_are_spread_evenly_over_the_image() -> None:
    height, width = PART[2] - PART[0], PART[3] - PART[1]
    boxes = np.array(random_boxes(PART, 4000, torch.Generator().manual_seed(1)))
    assert np.allclose(boxes[:, 2:] - boxes[:, :2], (height, width), atol=1e-12)
    assert boxes.min() >= 0 and boxes.max() <= 1
    corners = boxes[:, :2] / (1 - height, 1 - width)
    # uniform on [0, 1]: mean 1/2, variance 1/12, and independent of each other
    assert np.allclose(corners.mean(0), 1 / 2, atol=4 * (1 / 12 / 4000) ** 0.5)
    assert np.allclose(corners.var(0), 1 / 12, rtol=0.06)
    centred = corners - corners.mean(0)
    assert 12 * abs(centred.prod(1).mean()) < 4 / 4000**0.5


def test_random_boxes_keep_off_others_and_cover_the_rest() -> None:
    others = [PART, (0.8, 0.0, 1.0, 0.3)]
    boxes = random_boxes(PART, 500, torch.Generator().manual_seed(2), avoid=others)
    shown = torch.zeros(200, 200)
    for top, left, bottom, right in boxes:
        for a, b, c, d in others:
            assert bottom <= a or top >= c or right <= b or left >= d
        shown[round(200 * top) : round(200 * bottom), round(200 * left) : round(200 * right)] = 1
    free = 200 * 200 - 50 * 75 - 40 * 60
    assert 0.7 * free < shown.sum() < free * 1.05


def test_one_generator_gives_one_choice() -> None:
    first, second, third = (
        random_boxes(PART, 10, torch.Generator().manual_seed(seed)) for seed in (5, 5, 6)
    )
    assert first == second != third


# --- features ------------------------------------------------------------------------------------


def test_signs_of_a_linear_feature_are_those_of_what_is_hidden() -> None:
    torch.manual_seed(0)
    images, weight = torch.rand(6, 1, 8, 8).double(), torch.randn(30, 64).double()
    weight[:10, 16:32] = 0  # these units do not see the rows that are hidden
    weight[:10, 16:24] = 0
    hidden = masked(images, [(0.25, 0.0, 0.5, 1.0)], 0.5)
    signs = sign_changes(lambda x: x.flatten(1) @ weight.T, images, hidden)
    lost = (images[:, 0, 2:4] - 0.5).flatten(1) @ weight[:, 16:32].T
    assert signs.dtype == torch.int8 and torch.equal(signs, lost.sign().to(torch.int8))
    assert (signs[:, :10] == 0).all() and (signs[:, 10:] != 0).all()


def test_what_is_not_resolved_has_no_sign() -> None:
    torch.manual_seed(0)
    images, hidden = torch.rand(2, 1, 4, 4), torch.rand(2, 1, 4, 4)
    noise = {0: 0.0, 1: 2e-7}  # some float32 roundings of the largest feature, which is 1

    def features(x: Tensor) -> Tensor:
        shift = noise[int(x is hidden)] * torch.tensor([1, -1, 1, -1])
        return torch.cat(
            [shift + torch.tensor([0.3, 1, 0, -0.2]), 1e-4 * (x is hidden) + torch.zeros(1)]
        ).repeat(2, 1)

    assert sign_changes(features, images, hidden).tolist() == [[0, 0, 0, 0, -1]] * 2
    exact = sign_changes(features, images, hidden, tolerance=0)
    assert exact.tolist() == [[-1, 1, -1, 1, -1]] * 2


def test_a_part_that_all_images_share_agrees_more_than_random_places() -> None:
    """Images alike in one box and random elsewhere, features that are the pixels."""
    torch.manual_seed(0)
    images = torch.rand(20, 1, 16, 16)
    images[:, :, 4:8, 8:14] = images[0, :, 4:8, 8:14]
    order = torch.Generator().manual_seed(0)

    def delta(boxes: list[Box]) -> list[float]:
        return grouped(sign_changes(lambda x: x, images, masked(images, boxes, 0.5)), 5)

    assert delta([PART]) == [0.0] * 4
    assert min(delta(random_boxes(PART, 20, order))) > 0
    # pixels seen in one place by all five images, half of them with the other sign
    assert np.mean(delta([(0.6, 0.0, 0.85, 0.375)])) == pytest.approx(24 / 256 / 2, rel=0.15)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: masked(torch.rand(3, 1, 8, 8), [PART] * 2, 0.5), "1 box or 3.*got 2"),
        (lambda: masked(torch.rand(3, 1, 8, 8), [(0.5, 0, 0.5, 1)], 0.5), "got 0.5 0 0.5 1"),
        (lambda: random_boxes((0, 0, 1.2, 1), 2, torch.Generator()), "got 0 0 1.2 1"),
        (
            lambda: random_boxes(PART, 2, torch.Generator(), avoid=[(0, 0, 1, 1)]),
            "0 of 10000 random boxes overlap none.*2 are needed",
        ),
        (lambda: disagreement(random_signs(1, 3)), "at least 2 images, got 1"),
        (lambda: grouped(random_signs(4, 3), 5), "2 to 4 images.*got 5"),
        (lambda: grouped(random_signs(4, 3), 1), "2 to 4 images.*got 1"),
    ],
)
def test_mistakes_are_named_in_one_line(call: Callable[[], object], words: str) -> None:
    with pytest.raises(UserError, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)
