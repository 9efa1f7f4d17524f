"""A data set of image files: ROOT/train/CLASS/… and ROOT/test/CLASS/…, as ImageFolder reads it."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import PIL
import torch
from PIL import features
from torch import Tensor

from research.config import Data
from research.data import decoded
from research.data.dataset import Dataset, Split
from research.data.files import splits
from research.errors import UserError

_DECODING = 1
"""raised whenever files are decoded to other pixels, which makes kept ones useless"""
_SUFFIXES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
_LAYOUT = (
    "--data.root must name a folder with train/<class>/<image> and test/<class>/<image>, or "
    "val/<class>/<image> in its place"
)


def load(config: Data) -> Dataset:
    """Your own images, in colour, one folder per class, in the order of classes and file names.

    Where there is no `test` the test side is `val`: ImageNet as torchvision lays it out, its 1,000
    classes named and ordered by WordNet ID, as pretrained models expect them. Files of other kinds
    than images are passed over. With `config.size` every image is resized and cut to that square;
    without, all must share one size. Images that would take more than half of the machine's memory
    are decoded once into a file in `ROOT/.research-cache`, see `mapped`; others are kept decoded in
    `runs/cache`, see `decoded`.
    """
    side = _test_side(config.root)
    settings = [_DECODING, PIL.__version__, features.version("jpg"), config.size]
    images, facts = decoded.kept(
        [config.root / "train", side], settings, lambda: _read(config, side)
    )
    data = _dataset(config, images, facts)
    if data.sha256 == facts["sha256"]:
        return data
    decoded.forget(facts)  # the file with the images was changed
    return _dataset(config, *_read(config, side))


def _read(config: Data, side: Path) -> decoded.Made:
    """The images of both sides, and how many of each class there are."""
    train, test = _classes(config.root / "train"), _classes(side)
    if train.keys() != test.keys():
        odd = ", ".join(sorted(train.keys() ^ test.keys()))
        raise UserError(
            f"{config.root}: train/ and {side.name}/ must hold the same classes, only one has {odd}"
        )
    groups = [*train.values()], [*test.values()]
    sides = splits(*groups, config.size, config.root, "replace or remove it")
    images = [split.images for split in sides]
    facts = {"classes": [*train], "counts": [[*map(len, group)] for group in groups]}
    return images, {**facts, "sha256": _dataset(config, images, facts).sha256}


def _dataset(config: Data, images: Sequence[Tensor], facts: Mapping[str, Any]) -> Dataset:
    name, classes = config.root.resolve().name, tuple(facts["classes"])
    train, test = (
        Split(side, torch.arange(len(classes)).repeat_interleave(torch.tensor(counts)))
        for side, counts in zip(images, facts["counts"], strict=True)
    )
    return Dataset.of(
        name, train, test, classes,
        source=f"image files of the folder {name}", licence="not known",
    )  # fmt: skip


def _test_side(root: Path) -> Path:
    for name in ("test", "val"):
        if (root / name).is_dir():
            return root / name
    raise UserError(f"there is neither {root / 'test'} nor {root / 'val'}: {_LAYOUT}")


def _classes(root: Path) -> dict[str, list[Path]]:
    """Class name -> its image files, both sorted."""
    if not root.is_dir():
        raise UserError(f"there is no folder {root}: {_LAYOUT}")
    names = sorted(entry.name for entry in os.scandir(root) if entry.is_dir())
    classes = {name: list(_images(root / name)) for name in names}
    if not classes:
        raise UserError(f"{root} holds no folder: it must hold one folder of images per class")
    for name, paths in classes.items():
        if not paths:
            raise UserError(
                f"{root / name} holds no image ({' '.join(_SUFFIXES)}): add some or remove it"
            )
    return classes


def _images(folder: Path) -> Iterator[Path]:
    for parent, _, names in sorted(os.walk(folder, followlinks=True)):
        chosen = (name for name in sorted(names) if name.lower().endswith(_SUFFIXES))
        yield from (Path(parent, name) for name in chosen)
