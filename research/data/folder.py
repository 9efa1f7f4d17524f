"""A data set of image files: ROOT/train/CLASS/… and ROOT/test/CLASS/…, as ImageFolder reads it."""

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import PIL
import torch
from PIL import features
from torch import Tensor

from research.config import Data
from research.data import decoded, tree
from research.data.dataset import Dataset, Split
from research.data.files import DECODING, splits
from research.data.tree import Side
from research.errors import UserError

_LAYOUT = (
    "--data.root must name a folder with train/<class>/<image> and test/<class>/<image>, or "
    "val/<class>/<image> in its place"
)


def load(config: Data) -> Dataset:
    """Your own images, in colour, one folder per class, in the order of classes and file names.

    Where there is no `test` the test side is `val`: ImageNet as torchvision lays it out, its 1,000
    classes named and ordered by WordNet ID, as pretrained models expect them. Every image that
    Pillow reads is read, whatever its name ends in; hidden files and folders are passed over, each
    real folder and file is read once, and what is left out is counted on the screen and in
    `reading`. With `config.size` every image is resized and cut to that square; without, all must
    share one size. Images that would take more than half of the machine's memory are decoded once
    into a file in `ROOT/.research-cache`, see `memory_map`; others are kept decoded in
    `runs/cache`, see `decoded`.
    """
    side = _test_side(config.root)
    settings = [DECODING, PIL.__version__, features.version("jpg"), config.size]
    images, facts = decoded.kept(
        [config.root / "train", side], settings, lambda: _read(config, side)
    )
    data = _dataset(config, images, facts)
    if data.sha256 != facts["sha256"]:
        decoded.forget(facts)  # the file with the images was changed
        images, facts = _read(config, side)
        data = _dataset(config, images, facts)
    if facts["told"]:
        print(f"{config.root}: {'; '.join(facts['told'])}", file=sys.stderr, flush=True)
    return data


def _read(config: Data, test_side: Path) -> decoded.Made:
    """The images of both sides, how many of each class there are, and what is to be told."""
    train, test = _side(config.root / "train"), _side(test_side)
    if train.classes.keys() != test.classes.keys():
        odd = ", ".join(sorted(train.classes.keys() ^ test.classes.keys()))
        raise UserError(
            f"{config.root}: train/ and {test_side.name}/ must hold the same classes, "
            f"only one has {odd}"
        )
    groups = [*train.classes.values()], [*test.classes.values()]
    sides, reading = splits(*groups, config.size, config.root, "replace or remove it")
    done = reading.told() + _shared(train, test)
    images = [split.images for split in sides]
    facts: dict[str, Any] = {
        "classes": [*train.classes],
        "counts": [[*map(len, group)] for group in groups],
        "reading": "; ".join(done + _left(train, test)),
        "told": [*done, *_left(train, test, named=True), *_alike(train)],
    }
    return images, {**facts, "sha256": _dataset(config, images, facts).sha256}


def _dataset(config: Data, images: Sequence[Tensor], facts: Mapping[str, Any]) -> Dataset:
    name, classes = tree.shown(config.root.resolve().name), tuple(facts["classes"])
    train, test = (
        Split(side, torch.arange(len(classes)).repeat_interleave(torch.tensor(counts)))
        for side, counts in zip(images, facts["counts"], strict=True)
    )
    return Dataset.of(
        name, train, test, classes,
        source=f"image files of the folder {name}", licence="not known", reading=facts["reading"],
    )  # fmt: skip


def _side(root: Path) -> Side:
    if not root.is_dir():
        raise UserError(f"there is no folder {root}: {_LAYOUT}")
    return tree.read(root)


def _test_side(root: Path) -> Path:
    for name in ("test", "val"):
        if (root / name).is_dir():
            return root / name
    raise UserError(f"there is neither {root / 'test'} nor {root / 'val'}: {_LAYOUT}")


def _left(train: Side, test: Side, *, named: bool = False) -> list[str]:
    """What is no part of the set, as one phrase."""
    phrases = (train.left + test.left).told(named=named)
    return [f"left out: {', '.join(phrases)}"] if phrases else []


def _shared(train: Side, test: Side) -> list[str]:
    count = test.shared(train)
    return [f"test images that are training images too: {count:,}"] if count else []


def _alike(side: Side) -> list[str]:
    """Classes that some file systems would take for one."""
    counts = Counter(name.casefold() for name in side.classes)
    alike = [name for name in side.classes if counts[name.casefold()] > 1]
    return [f"classes that differ in capitals only: {', '.join(alike)}"] if alike else []
