import dataclasses
import hashlib
import json
import struct
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import Generator, Tensor

from research.config import Data
from research.data import Dataset, Split, batches, check_contents, load
from research.data.dataset import digest
from research.errors import UserError


def split(count: int, seed: int = 0) -> Split:
    generator = Generator().manual_seed(seed)
    images = torch.randint(256, (count, 3, 4, 5), dtype=torch.uint8, generator=generator)
    return Split(images, torch.arange(count) % 2)


@pytest.fixture
def pets() -> Dataset:
    return Dataset.of("pets", split(7), split(3, 1), ("cat", "dog"), source="here", licence="CC0")


def test_digest_is_the_sha256_of_the_documented_bytes(pets: Dataset) -> None:
    data = json.dumps([["cat", "dog"], [7, 3, 4, 5], [3, 3, 4, 5]]).encode() + b"\n"
    for part in (pets.train, pets.test):
        data += bytes(part.images.flatten().tolist())
        data += b"".join(struct.pack("<q", label) for label in part.labels.tolist())
    assert pets.sha256 == hashlib.sha256(data).hexdigest()


def test_digest_does_not_depend_on_memory_layout(pets: Dataset) -> None:
    images = pets.train.images.contiguous(memory_format=torch.channels_last)
    assert digest(Split(images, pets.train.labels), pets.test, pets.classes) == pets.sha256


def _pixel(d: Dataset) -> tuple[Split, Split, tuple[str, ...]]:
    images = d.test.images.clone()
    images[-1, -1, -1, -1] ^= 1
    return d.train, Split(images, d.test.labels), d.classes


@pytest.mark.parametrize(
    "change",
    [
        _pixel,
        lambda d: (d.train, Split(d.test.images, 1 - d.test.labels), d.classes),
        lambda d: (Split(d.train.images.flip(0), d.train.labels.flip(0)), d.test, d.classes),
        lambda d: (d.test, d.train, d.classes),
        lambda d: (d.train, d.test, ("dog", "cat")),
        lambda d: (Split(d.train.images.mT, d.train.labels), d.test, d.classes),
    ],
    ids=["one bit", "labels", "order", "splits", "names", "shape"],
)
def test_digest_notices(change: Any, pets: Dataset) -> None:
    assert digest(*change(pets)) != pets.sha256


def test_facts_are_json_and_count_the_images(pets: Dataset) -> None:
    facts = json.loads(json.dumps(pets.facts()))
    assert facts == {
        "name": "pets",
        "source": "here",
        "licence": "CC0",
        "sha256": pets.sha256,
        "reading": "",
        "train": 7,
        "test": 3,
        "classes": ["cat", "dog"],
        "shape": [3, 4, 5],
    }


def test_class_index_suggests_the_nearest_name(pets: Dataset) -> None:
    assert [pets.class_index(name) for name in ("cat", "dog")] == [0, 1]
    with pytest.raises(UserError, match="no class 'dgo': did you mean 'dog'"):
        pets.class_index("dgo")
    with pytest.raises(UserError, match=r"no class 'zebra': choose from cat, dog$"):
        pets.class_index("zebra")


def test_a_long_list_of_classes_is_cut_short() -> None:
    names = tuple(f"{i:03d}" for i in range(100))
    data = Dataset.of("many", split(1), split(1), names, source="", licence="")
    with pytest.raises(UserError, match=r"choose from 000, .*, 011, … \(100 classes\)$"):
        data.class_index("zebra")


def test_batches_are_the_pixels_over_255_in_order(pets: Dataset) -> None:
    got = list(batches(pets.train, 3))
    assert [len(labels) for _, labels in got] == [3, 3, 1]
    flat = [value / 255 for value in pets.train.images.flatten().tolist()]
    expected = torch.tensor(flat).reshape(7, 3, 4, 5)
    assert torch.equal(torch.cat([x for x, _ in got]), expected)
    assert torch.cat([y for _, y in got]).tolist() == [0, 1, 0, 1, 0, 1, 0]


def _order(generator: Generator) -> list[int]:
    images = torch.arange(50, dtype=torch.uint8).reshape(50, 1, 1, 1)
    got = list(batches(Split(images, torch.arange(50)), 8, generator=generator))
    for inputs, labels in got:
        assert torch.equal((inputs.flatten() * 255).round().long(), labels)
    return [label for _, labels in got for label in labels.tolist()]


def test_shuffled_batches_hold_each_image_once_with_its_label() -> None:
    generator = Generator().manual_seed(3)
    first, second = _order(generator), _order(generator)
    assert sorted(first) == sorted(second) == list(range(50))
    assert first != second and first != list(range(50))
    assert _order(Generator().manual_seed(3)) == first


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_gives_the_same_batches(pets: Dataset) -> None:
    def run(data: Dataset) -> list[Tensor]:
        return [x.cpu() for x, _ in batches(data.train, 2, generator=Generator().manual_seed(1))]

    for ours, theirs in zip(run(pets.to("cuda")), run(pets), strict=True):
        assert torch.equal(ours, theirs)


def test_to_moves_both_splits(pets: Dataset) -> None:
    moved = pets.to("meta")
    tensors = (moved.train.images, moved.train.labels, moved.test.images, moved.test.labels)
    assert {tensor.device.type for tensor in tensors} == {"meta"}
    assert (moved.sha256, moved.shape, len(moved.train)) == (pets.sha256, (3, 4, 5), 7)


def test_a_batch_needs_an_image(pets: Dataset) -> None:
    with pytest.raises(UserError, match="at least 1 image, got 0"):
        list(batches(pets.train, 0))


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("mnits", "did you mean 'mnist'"),
        ("?", "choose from mnist, cifar10, imagenette, caltech101, folder"),
    ],
)
def test_unknown_set(name: str, hint: str) -> None:
    with pytest.raises(UserError, match=hint):
        load(Data(name=cast(Any, name)))


def test_a_size_is_positive(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="at least 1 pixel, got 0"):
        load(Data("mnist-sample", tmp_path, 0))


def same(split: Split) -> Split:
    return Split(split.images[:1].expand_as(split.images), split.labels)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"classes": ("cat",)}, "needs 2 classes at least, got 1 in pets"),
        ({"train": None}, "needs 3 training images at least, got 0"),
        ({"same": "train"}, "the 7 training images of pets are all the same"),
        ({"same": "test"}, "the 3 test images of pets are all the same"),
    ],
)
def test_what_nothing_can_be_learnt_from_is_refused(
    change: dict[str, Any], message: str, pets: Dataset
) -> None:
    check_contents(pets, train=3, test=3)
    if side := change.pop("same", None):
        change[side] = same(getattr(pets, side))
    if "train" in change and change["train"] is None:
        change["train"] = Split(pets.train.images[:0], pets.train.labels[:0])
    with pytest.raises(UserError, match=message):
        check_contents(dataclasses.replace(pets, **change), train=3, test=3)
