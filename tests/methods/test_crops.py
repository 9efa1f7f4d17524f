"""Crops against torchvision's, and what is averaged over them against slow loops."""

from collections import Counter

import numpy as np
import pytest
import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F
from torchvision.transforms import CenterCrop, TenCrop

from research.data import Split
from research.errors import UserError
from research.methods.crops import (
    centre,
    crop_loss,
    cropped,
    mean_image,
    random_one_of_ten,
    ten_crop_probabilities,
    ten_crops,
)


def noise(count: int = 4, height: int = 9, width: int = 8, seed: int = 0) -> Tensor:
    generator = Generator().manual_seed(seed)
    return torch.randint(256, (count, 3, height, width), dtype=torch.uint8, generator=generator)


def split(count: int = 4) -> Split:
    return Split(noise(count), torch.arange(count) % 2)


class Model(nn.Sequential):
    """Linear logits of crops of 5 pixels, with dropout; notes how many crops it saw at a time."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        super().__init__(nn.Flatten(), nn.Dropout(0.5), nn.Linear(75, 2))
        self.seen: list[int] = []

    def forward(self, images: Tensor) -> Tensor:
        self.seen.append(len(images))
        out: Tensor = super().forward(images)  # type: ignore[no-untyped-call]
        return out


# centres that lie between two pixels are rounded to even: margins 1, 2, 3 and 5
@pytest.mark.parametrize(("height", "width"), [(9, 8), (8, 10), (6, 7), (5, 5)])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float64])
def test_ten_crops_are_those_of_torchvision(height: int, width: int, dtype: torch.dtype) -> None:
    images = noise(2, height, width).to(dtype)
    crops = ten_crops(images, 5)
    assert (crops.dtype, crops.shape) == (dtype, (2, 10, 3, 5, 5))
    assert torch.equal(crops, torch.stack(TenCrop(5)(images), 1))
    assert torch.equal(centre(images, 5), CenterCrop(5)(images))


def test_each_image_is_one_of_its_own_ten_crops_all_alike_often() -> None:
    images = noise(2000)
    drawn = random_one_of_ten(images, 5, Generator().manual_seed(1))
    assert (drawn.dtype, drawn.shape) == (torch.uint8, (2000, 3, 5, 5))
    same = (drawn[:, None] == torch.stack(TenCrop(5)(images), 1)).flatten(2).all(2)
    assert same.sum(1).tolist() == [1] * 2000
    counts = Counter(same.int().argmax(1).tolist())
    assert len(counts) == 10
    assert all(abs(count - 200) < 60 for count in counts.values())  # standard deviation 13.4


def test_the_draw_follows_the_seed_of_torch_or_of_the_generator() -> None:
    images = noise(20)
    torch.manual_seed(5)
    first = random_one_of_ten(images, 5)
    second, state = random_one_of_ten(images, 5), torch.get_rng_state()
    assert not torch.equal(first, second)
    assert torch.equal(random_one_of_ten(images, 5, Generator().manual_seed(5)), first)
    assert torch.equal(torch.get_rng_state(), state)
    shuffled = images.contiguous(memory_format=torch.channels_last)
    assert torch.equal(random_one_of_ten(shuffled, 5, Generator().manual_seed(5)), first)


def test_probabilities_are_a_mean_over_ten_forward_passes() -> None:
    model, data = Model().eval(), split(7)
    crops = TenCrop(5)(data.images.float() / 255)
    expected = sum(torch.softmax(model(crop), 1) for crop in crops) / 10
    found = ten_crop_probabilities(model, data, 5)
    assert found.dtype == torch.float32
    assert torch.allclose(found, torch.as_tensor(expected), atol=1e-6)
    assert torch.allclose(found.sum(1), torch.ones(7), atol=1e-6)
    assert not found.requires_grad


@pytest.mark.parametrize(("batch", "most"), [(1, 10), (29, 20), (30, 30), (512, 70)])
def test_the_batch_bounds_what_the_model_sees_at_a_time(batch: int, most: int) -> None:
    model, data = Model(), split(7)
    found = ten_crop_probabilities(model, data, 5, batch)
    assert (max(model.seen), sum(model.seen)) == (most, 70)
    assert torch.allclose(found, ten_crop_probabilities(Model().eval(), data, 5), atol=1e-6)
    assert model.training


def test_the_mean_image_is_exact_and_the_same_in_any_order() -> None:
    data = split(301)
    mean = mean_image(data, 5)
    pixels = np.stack([CenterCrop(5)(image).numpy() for image in data.images]).astype(np.float64)
    assert (mean.numpy() == (pixels.mean(0) / 255).astype(np.float32)).all()
    order = torch.randperm(301, generator=Generator().manual_seed(0))
    assert torch.equal(mean_image(Split(data.images[order], data.labels), 5), mean)
    white = Split(torch.full((301, 1, 5, 5), 255, dtype=torch.uint8), data.labels)
    assert torch.equal(mean_image(white, 5), torch.ones(1, 5, 5))


def test_a_split_is_cropped_to_its_centre() -> None:
    data = cropped(split(), 5)
    assert torch.equal(data.images, CenterCrop(5)(split().images))
    assert data.images.is_contiguous()
    assert torch.equal(data.labels, split().labels)


def test_the_loss_is_that_of_crops_drawn_anew_each_time() -> None:
    model, images = Model().eval(), noise(1).float() / 255
    label = torch.tensor([1])
    each = [F.cross_entropy(model(crop), label).item() for crop in TenCrop(5)(images)]
    drawn = [crop_loss(model, images, label, side=5).item() for _ in range(100)]
    nearest = [int(np.abs(np.array(each) - loss).argmin()) for loss in drawn]
    assert max(abs(each[i] - loss) for i, loss in zip(nearest, drawn, strict=True)) < 1e-6
    assert len(set(nearest)) == 10


@pytest.mark.parametrize("side", [0, 9, 10])
def test_crops_larger_than_the_images_are_refused(side: int) -> None:
    message = f"crops of {side} pixels need .* got 9 × 8; take smaller crops"
    with pytest.raises(UserError, match=message):
        ten_crops(noise(), side)
    with pytest.raises(UserError, match=message):
        random_one_of_ten(noise(), side)
    with pytest.raises(UserError, match=message):
        mean_image(split(), side)
    with pytest.raises(UserError, match=message):
        ten_crop_probabilities(Model(), split(), side)
