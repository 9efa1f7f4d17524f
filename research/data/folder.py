"""A data set of image files: ROOT/train/CLASS/… and ROOT/test/CLASS/…, as ImageFolder reads it."""

import sys
from collections import Counter
from pathlib import Path

from research.config import Data
from research.data import tree
from research.data.dataset import Dataset
from research.data.files import splits
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
    into a file in `ROOT/.research-cache`, see `mapped`.
    """
    train, test = (_side(path) for path in (config.root / "train", _test_side(config.root)))
    if train.classes.keys() != test.classes.keys():
        odd = ", ".join(sorted(train.classes.keys() ^ test.classes.keys()))
        raise UserError(
            f"{config.root}: train/ and {test.root.name}/ must hold the same classes, "
            f"only one has {odd}"
        )
    name = tree.shown(config.root.resolve().name)
    groups = [*train.classes.values()], [*test.classes.values()]
    sides, reading = splits(*groups, config.size, config.root, "replace or remove it")
    done = reading.told() + _shared(train, test)
    _tell(config.root, [*done, *_left(train, test, named=True), *_alike(train)])
    return Dataset.of(
        name,
        *sides,
        tuple(train.classes),
        source=f"image files of the folder {name}",
        licence="not known",
        reading="; ".join(done + _left(train, test)),
    )


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


def _tell(root: Path, phrases: list[str]) -> None:
    if phrases:
        print(f"{root}: {'; '.join(phrases)}", file=sys.stderr, flush=True)
