"""A data set in memory, and batches of it."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Generator, Tensor

from research.errors import UserError
from research.machine import hardware


class Samples(Protocol):
    """What training goes through once an epoch: the images of a split, or pairs of sentences."""

    def __len__(self) -> int: ...

    @property
    def device(self) -> torch.device: ...

    def batches(self, size: int, generator: Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """Inputs and what they are to become, `size` at a time, in an order by `generator`."""


@runtime_checkable
class Indexed(Protocol):
    """Samples of which a batch is made of their places alone, all of one shape."""

    def __len__(self) -> int: ...

    @property
    def device(self) -> torch.device: ...

    def order(self, generator: Generator) -> Tensor:
        """The order of an epoch, drawn on the CPU as `batches` draws it. int64 (N,)"""

    def take(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """The batch of the samples at `index`, as `batches` yields it."""


@dataclass(frozen=True)
class Split:
    """The images of one side of a data set.

    Attributes:
        images: uint8, (N, C, H, W), contiguous.
        labels: int64, (N,), indices into the set's class names.
    """

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def device(self) -> torch.device:
        return self.images.device

    def batches(self, size: int, generator: Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """Shuffled batches for training, laid out channels-last as `train.placed` models are."""
        for images, labels in batches(self, size, generator=generator):
            yield images.contiguous(memory_format=torch.channels_last), labels

    def order(self, generator: Generator) -> Tensor:
        """The order in which `batches` would show the images, on the CPU. int64 (N,)"""
        return torch.randperm(len(self), generator=generator)

    def take(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """The batch of the images at `index`, as `batches` yields it."""
        images = self.images[index].float().div_(255)
        return images.contiguous(memory_format=torch.channels_last), self.labels[index]

    def floats(self) -> Tensor:
        """All images as float32 in [0, 1], four times the memory. (N, C, H, W)"""
        return self.images.float().div_(255)

    def to(self, device: torch.device | str) -> "Split":
        return Split(self.images.to(device), self.labels.to(device))


@dataclass(frozen=True)
class Dataset:
    """Images for training and testing, and where they come from.

    Attributes:
        name: short name, as a table would print it.
        train, test: the two splits, of one image shape.
        classes: class names, in the order of the labels.
        source: where the images come from, in words, and how they were read.
        licence: under what terms, in words.
        sha256: hex digest of all of the set's bytes, see `digest`.
        reading: what was done to the images while they were read and what was left out, in words;
            empty where there was nothing of the kind.
    """

    name: str
    train: Split
    test: Split
    classes: tuple[str, ...]
    source: str
    licence: str
    sha256: str
    reading: str = ""

    @classmethod
    def of(
        cls,
        name: str,
        train: Split,
        test: Split,
        classes: tuple[str, ...],
        *,
        source: str,
        licence: str,
        reading: str = "",
    ) -> "Dataset":
        """A set with its digest computed."""
        told = f"{source}; {reading}" if reading else source
        sha256 = digest(train, test, classes)
        return cls(name, train, test, classes, told, licence, sha256, reading)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of an image."""
        channels, height, width = self.train.images.shape[1:]
        return channels, height, width

    def to(self, device: torch.device | str) -> "Dataset":
        return replace(self, train=self.train.to(device), test=self.test.to(device))

    def require_floats(self, train: float, test: float) -> None:
        """Sees to it that float32 copies of the images have room, before a study makes them.

        Arguments:
            train, test: how many copies of all images of each side there are at once.

        Raises:
            UserError: they have no room.
        """
        values = train * self.train.images.numel() + test * self.test.images.numel()
        _, height, width = self.shape
        count = len(self.train) + len(self.test)
        hardware.require_memory(
            4 * values,
            f"what this study computes of {count:,} images of {height} × {width} pixels",
            "give a smaller --data.size, or fewer images",
        )

    def class_index(self, name: str) -> int:
        """The label of a class. Raises UserError for an unknown name."""
        if name in self.classes:
            return self.classes.index(name)
        nearest = get_close_matches(name, self.classes, 1)
        hint = f"did you mean '{nearest[0]}'?" if nearest else _shortened(self.classes)
        raise UserError(f"{self.name} has no class '{name}': {hint}")

    def test_image(self, name: str, index: int) -> Tensor:
        """The test image of a class that is `index`-th in order, (1, C, H, W) in [0, 1].

        Raises:
            UserError: there is no such class, or it has fewer images.
        """
        images = self.test.images[self.test.labels == self.class_index(name)]
        if not 0 <= index < len(images):
            raise UserError(
                f"--sample-index must be 0 to {len(images) - 1}, the test images of '{name}', "
                f"got {index}"
            )
        return images[index : index + 1].float() / 255

    def facts(self) -> dict[str, Any]:
        """What a tracker should know: everything but the images; `train` and `test` are counts."""
        return {
            "name": self.name,
            "source": self.source,
            "licence": self.licence,
            "sha256": self.sha256,
            "reading": self.reading,
            "train": len(self.train),
            "test": len(self.test),
            "classes": self.classes,
            "shape": self.shape,
        }


def check_contents(data: Dataset, *, classes: int = 2, train: int = 1, test: int = 1) -> None:
    """Finds a set that nothing can be learnt from or shown of, before anything is trained.

    Arguments:
        classes, train, test: how many classes and images are needed at least.

    Raises:
        UserError: fewer classes or images, or a side whose images are all the same.
    """
    needed = {"class": classes, "training image": train, "test image": test}
    there = dict(zip(needed, (len(data.classes), len(data.train), len(data.test)), strict=True))
    for what, least in needed.items():
        plural = what + ("" if least == 1 else "es" if what == "class" else "s")
        if there[what] < least:
            raise UserError(
                f"the study needs {least:,} {plural} at least, got {there[what]:,} in "
                f"{data.name}; give other data"
            )
    for side, split in (("training", data.train), ("test", data.test)):
        if len(split) > 1 and _are_equal(split.images):
            raise UserError(
                f"the {len(split):,} {side} images of {data.name} are all the same, from which "
                "nothing can be learnt and nothing told apart; give other data"
            )


def _are_equal(images: Tensor, chunk: int = 256) -> bool:
    first = images[:1]
    starts = range(0, len(images), chunk)
    return all(bool((images[start : start + chunk] == first).all()) for start in starts)


def pixel_std(split: Split) -> float:
    """Standard deviation of all pixels of all channels, in units of [0, 1].

    Example:
        >>> images = torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1)
        >>> pixel_std(Split(images, torch.arange(2)))
        0.5
    """
    counts = torch.bincount(split.images.flatten(), minlength=256).double().cpu()
    values, shares = torch.arange(256, dtype=torch.float64) / 255, counts / counts.sum()
    return float((shares @ (values - shares @ values).square()).sqrt())


def digest(train: Split, test: Split, classes: tuple[str, ...]) -> str:
    """sha256 of a set: of order, pixels, labels, splits and class names, on any machine the same.

    Hashed in turn: one line of JSON, `[classes, shape of train images, shape of test images]`, then
    for train and test the images' bytes, N slowest, and the labels as little-endian int64.

    Example:
        >>> split = Split(torch.zeros(2, 1, 4, 4, dtype=torch.uint8), torch.arange(2))
        >>> digest(split, split, ("cat", "dog")) == digest(split, split, ("dog", "cat"))
        False
    """
    header = json.dumps([classes, train.images.shape, test.images.shape])
    hashed = hashlib.sha256(f"{header}\n".encode())
    for split in (train, test):
        hashed.update(split.images.cpu().contiguous().numpy().data)
        hashed.update(np.ascontiguousarray(split.labels.cpu().numpy(), dtype="<i8").data)
    return hashed.hexdigest()


def batches(
    split: Split, size: int, *, generator: Generator | None = None
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yields each image once, on the device where the split lies; the last batch may be short.

    Arguments:
        split: uint8 images (N, C, H, W) with labels (N,).
        size: images per batch, at least 1.
        generator: shuffles the images when given. On the CPU, so that one seed gives one order
            whatever the device; it advances by one permutation of N. Without, the order is kept.

    Yields:
        images: float32 in [0, 1], (B, C, H, W).
        labels: int64, (B,).

    Example:
        >>> split = Split(torch.full((5, 1, 4, 4), 255, dtype=torch.uint8), torch.arange(5))
        >>> [(tuple(images.shape), labels.tolist()) for images, labels in batches(split, 3)]
        [((3, 1, 4, 4), [0, 1, 2]), ((2, 1, 4, 4), [3, 4])]
    """
    if size < 1:
        raise UserError(f"a batch needs at least 1 image, got {size}: raise --train.batch")
    count = len(split)
    order = torch.arange(count) if generator is None else torch.randperm(count, generator=generator)
    order = order.to(split.images.device)
    for start in range(0, count, size):
        index = order[start : start + size]
        yield split.images[index].float().div_(255), split.labels[index]


def _shortened(classes: tuple[str, ...], most: int = 12) -> str:
    listed = ", ".join(classes[:most])
    return f"choose from {listed}" + (f", … ({len(classes)} classes)" * (len(classes) > most))
