"""Near-duplicates against a loop over pairs, and copies that were planted."""

import numpy as np
import pytest
import torch
from torch import Tensor

from research.data import Split
from research.methods import near_duplicates
from research.methods.near_duplicates import Nearest, found_copies, nearest, thumbnails, without
from research.records import Array


def noise(count: int, seed: int, channels: int = 3, side: int = 32) -> Tensor:
    """Images uint8 of 4 × 4 random fields, so that a change of size hardly moves them."""
    generator = torch.Generator().manual_seed(seed)
    fields = torch.randint(20, 220, (count, channels, 4, 4), generator=generator).float()
    size = (side, side)
    smooth = torch.nn.functional.interpolate(fields, size, mode="bilinear", align_corners=False)
    return smooth.to(torch.uint8)


def small(image: Tensor) -> Array:
    """A grey thumbnail by a loop over pixels; sides are multiples of 16."""
    planes = image.numpy().astype(float)
    grey = planes[0] if len(planes) == 1 else 0.299 * planes[0] + 0.587 * planes[1]
    grey = grey if len(planes) == 1 else grey + 0.114 * planes[2]
    high, wide = (side // 16 for side in grey.shape)
    return np.array([
        [grey[i * high : (i + 1) * high, j * wide : (j + 1) * wide].mean() for j in range(16)]
        for i in range(16)
    ])  # fmt: skip


def slowly(images: Tensor, others: Tensor) -> Array:
    """(N, M), the larger correlation of each pair, as it is and mirrored."""
    return np.array([
        [max(np.corrcoef(small(a).ravel(), one.ravel())[0, 1]
             for one in (small(b), small(b)[:, ::-1])) for b in others]
        for a in images
    ])  # fmt: skip


@pytest.mark.parametrize("channels", [1, 3])
def test_the_likest_is_that_of_a_loop_over_pairs(
    channels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, others = noise(7, 1, channels), noise(9, 2, channels, 48)
    expected = slowly(images, others)
    whole = nearest(images, others)
    assert np.allclose(whole.correlations, expected.max(1), atol=1e-5)
    assert whole.images.tolist() == expected.argmax(1).tolist()
    monkeypatch.setattr(near_duplicates, "_BLOCK", 2)
    monkeypatch.setattr(near_duplicates, "_PART", 4)
    for found in (nearest(images, others), nearest(images.float(), others)):
        assert torch.allclose(found.correlations, whole.correlations, atol=1e-6)
        assert torch.equal(found.images, whole.images)


def test_thumbnails_have_length_one_and_no_mean() -> None:
    found = thumbnails(noise(5, 3))
    assert found.shape == (5, 256)
    assert torch.allclose(found.norm(dim=1), torch.ones(5))
    assert torch.allclose(found.sum(1), torch.zeros(5), atol=1e-5)
    expected = small(noise(5, 3)[2]).ravel()
    assert np.corrcoef(found[2], expected)[0, 1] == pytest.approx(1, abs=1e-6)


def test_planted_copies_are_found_where_they_lie() -> None:
    images, others = noise(6, 4), noise(20, 5)
    others[3], others[11] = images[2], images[4].flip(2)  # mirrored
    others[17] = (images[5].float() * 0.5 + 40).to(torch.uint8)  # darker and flatter
    found = nearest(images, others)
    assert found.above(0.95).tolist() == [False, False, True, False, True, True]
    assert found.images[[2, 4, 5]].tolist() == [3, 11, 17]
    assert found.correlations.max() <= 1
    assert found.correlations[[2, 4, 5]].min() > 0.999
    assert nearest(images[:1], images[:1].flip(3)).correlations[0] > 0.999
    assert nearest(images[:1], images[:1].flip(2)).correlations[0] < 0.9, "upside down"


def test_plain_images_match_nothing() -> None:
    plain = torch.full((2, 3, 32, 32), 120, dtype=torch.uint8)
    plain[1, :, :3] += 2  # too little to be seen
    others = torch.cat([plain, noise(3, 6)])
    assert nearest(plain, others).correlations.tolist() == [0, 0]
    assert (nearest(others, plain).correlations == 0).all()
    assert not nearest(plain, others).above(0.01).any()
    assert (thumbnails(plain) == 0).all()


def test_a_negative_is_no_copy() -> None:
    image = noise(1, 7)
    assert nearest(image, 255 - image).correlations[0] < 0.5


def test_images_with_a_copy_leave_and_the_rest_keeps_its_order() -> None:
    split = Split(noise(4, 8), torch.tensor([3, 1, 2, 0]))
    found = Nearest(torch.tensor([0.2, 0.95, 0.94, 0.99]), torch.zeros(4, dtype=torch.int64))
    kept = without(split, found, 0.95)
    assert kept.labels.tolist() == [3, 2]
    assert torch.equal(kept.images, split.images[[0, 2]])
    assert without(split, found, 0.995) is split


def test_the_share_of_copies_that_is_found() -> None:
    images = noise(12, 9, side=64)
    found = found_copies(images, 0.95)
    assert found == {"scaled": 1, "lit": 1, "mirrored": 1, "trimmed": 1}
    plain = torch.full((4, 3, 64, 64), 9, dtype=torch.uint8)
    assert found_copies(torch.cat([images, plain]), 0.95)["mirrored"] == pytest.approx(12 / 16)
    # what halving takes away: single rows of black and white become grey
    stripes = torch.zeros(2, 1, 16, 16, dtype=torch.uint8)
    stripes[:, :, ::2] = 255
    found = found_copies(stripes, 0.95)
    assert found["scaled"] == 0 and found["mirrored"] == 1
    spread = found_copies(noise(3, 10), 0.9999)
    assert spread["mirrored"] == 1 and spread["lit"] < 1
