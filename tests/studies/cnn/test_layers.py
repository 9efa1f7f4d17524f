"""The study `cnn`, run small: kernels, maps and the images shown."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from research.data import Dataset
from research.models import CnnA
from research.records import Results
from research.studies.cnn import layers as looks


def test_kernels_are_split_into_an_even_part_and_a_slope() -> None:
    even, across = np.ones((1, 1, 3, 3)), np.tile([-1.0, 0, 1], (1, 1, 3, 1))
    assert looks.parts_of(even) == pytest.approx((1, 0))
    assert looks.parts_of(across) == pytest.approx((0, 1))
    assert looks.parts_of(across.swapaxes(2, 3)) == pytest.approx((0, 1))
    mixed = np.concatenate([even, 2 * across])  # 9 squared weights beside 4 × 6
    assert looks.parts_of(mixed) == pytest.approx((9 / 33, 24 / 33))
    drawn = np.random.default_rng(0).normal(size=(20000, 1, 3, 3))
    assert looks.parts_of(drawn) == pytest.approx((1 / 9, 2 / 9), abs=0.01)


def test_kernels_are_held_against_those_they_began_as() -> None:
    first = np.array([[[[3.0, 0], [0, 0]]], [[[0, 2.0], [0, 0]]]])
    turned = np.array([[[[1.0, 1.0], [0, 0]]], [[[0, -5.0], [0, 0]]]])
    assert looks.cosines(turned, first) == pytest.approx([2**-0.5, -1])


def test_a_map_is_a_copy_a_negative_or_neither() -> None:
    image = np.random.default_rng(0).random((8, 8))
    inner = image[1:7, 1:7]
    assert looks.likeness(image, 3 * inner + 1) == pytest.approx(1)
    assert looks.likeness(image, -inner) == pytest.approx(-1)
    assert looks.likeness(image, np.zeros((6, 6))) == 0


def test_the_counts_of_maps_and_kernels_are_those_of_the_stored_layers(record: Results) -> None:
    maps, image = record.arrays("activations"), record.arrays("sample")["image"][0]
    seen = [np.corrcoef(image[1:-1, 1:-1].ravel(), one.ravel())[0, 1] for one in maps["conv1"]]
    counts = [record.numbers[f"maps_{name}"].value for name in ("copying", "negative", "other")]
    assert sum(counts) == 32
    assert counts[:2] == [sum(r >= 0.7 for r in seen), sum(r <= -0.7 for r in seen)]
    assert record.numbers["zeros_relu1"].value == np.mean(maps["relu1"] == 0)
    torch.manual_seed(0)
    first = CnnA().get_parameter("features.conv1.weight").detach().flatten(1)
    trained = torch.from_numpy(record.arrays("kernels")["conv1"]).flatten(1)
    kept = F.cosine_similarity(first, trained).median()
    assert record.numbers["kernels_kept_conv1"].value == pytest.approx(float(kept), abs=0.05)


def test_the_four_digits_are_pictured(record: Results, data: Dataset) -> None:
    shown = record.arrays("digits")
    assert list(shown["classes"]) == ["6", "6", "7", "7"]
    for place, image in zip(shown["places"], shown["images"], strict=True):
        assert np.allclose(image, data.test.images[place].numpy() / 255)
