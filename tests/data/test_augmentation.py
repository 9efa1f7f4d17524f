from collections import Counter

import pytest
import torch
from torch import Generator, Tensor

from research.data import random_crop, random_flip
from research.errors import UserError


@pytest.fixture(params=[torch.uint8, torch.float32], ids=str)
def images(request: pytest.FixtureRequest) -> Tensor:
    noise = torch.randint(1, 256, (400, 2, 5, 7), generator=Generator().manual_seed(0))
    return noise.to(request.param)


def mirrored(image: Tensor) -> Tensor:
    channels, height, width = image.shape
    out = torch.empty_like(image)
    for c in range(channels):
        for y in range(height):
            for x in range(width):
                out[c, y, x] = image[c, y, width - 1 - x]
    return out


def shifted(image: Tensor, down: int, right: int) -> Tensor:
    """out[y, x] = image[y - down, x - right], and 0 from beyond the edge."""
    _, height, width = image.shape
    out = torch.zeros_like(image)
    for y in range(max(0, down), min(height, height + down)):
        for x in range(max(0, right), min(width, width + right)):
            out[:, y, x] = image[:, y - down, x - right]
    return out


def test_flip_mirrors_about_half_of_the_images(images: Tensor) -> None:
    out = random_flip(images, Generator().manual_seed(1))
    assert out.dtype == images.dtype
    flipped = [torch.equal(a, mirrored(b)) for a, b in zip(out, images, strict=True)]
    kept = [torch.equal(a, b) for a, b in zip(out, images, strict=True)]
    assert [a != b for a, b in zip(flipped, kept, strict=True)] == [True] * 400
    assert 160 <= sum(flipped) <= 240  # four standard deviations of a fair coin


def test_crop_is_a_shift_of_its_own_for_each_image(images: Tensor) -> None:
    out = random_crop(images, 1, Generator().manual_seed(1))
    assert (out.dtype, out.shape) == (images.dtype, images.shape)
    counts: Counter[tuple[int, int]] = Counter()
    for before, after in zip(images, out, strict=True):
        shifts = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1)]
        found = [shift for shift in shifts if torch.equal(after, shifted(before, *shift))]
        assert len(found) == 1
        counts[found[0]] += 1
    assert len(counts) == 9
    assert max(counts.values()) < 75  # 400/9 = 44, standard deviation 6.3


def test_the_largest_shift_is_the_padding(images: Tensor) -> None:
    marked = torch.zeros(2000, 1, 9, 9)
    marked[:, :, 4, 4] = 1
    places = random_crop(marked, 3, Generator().manual_seed(2)).nonzero()[:, 2:]
    assert set(places.flatten().tolist()) == set(range(1, 8))


def test_no_padding_changes_nothing(images: Tensor) -> None:
    assert torch.equal(random_crop(images, 0, Generator()), images)


@pytest.mark.parametrize("change", [random_flip, lambda x, g: random_crop(x, 2, g)])
def test_a_seed_repeats_and_the_input_stays(change: object, images: Tensor) -> None:
    assert callable(change)
    before = images.clone()
    first, second = (change(images, Generator().manual_seed(s)) for s in (5, 5))
    assert torch.equal(first, second) and torch.equal(images, before)
    assert not torch.equal(first, change(images, Generator().manual_seed(6)))


def test_padding_is_not_negative(images: Tensor) -> None:
    with pytest.raises(UserError, match="at least 0 pixels, got -1"):
        random_crop(images, -1, Generator())
