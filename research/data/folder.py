"""A data set of image files: ROOT/train/CLASS/… and ROOT/test/CLASS/…, as ImageFolder reads it."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from research.config import Data
from research.data.dataset import Dataset, Split
from research.data.pixels import Pixels, fit, read_rgb, stack
from research.errors import UserError

_SUFFIXES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
_CHUNK = 250
"""files per task of a thread: enough that handing out tasks costs nothing"""


def load(config: Data) -> Dataset:
    """Your own images, in colour, one folder per class, in the order of classes and file names.

    Files of other kinds than images are passed over. With `config.size` every image is resized and
    cut to that square; without, all must share one size.
    """
    train, test = (_classes(config.root / name) for name in ("train", "test"))
    if train.keys() != test.keys():
        odd = ", ".join(sorted(train.keys() ^ test.keys()))
        raise UserError(
            f"{config.root}: train/ and test/ must hold the same classes, only one has {odd}"
        )
    images = _decode([path for split in (train, test) for path in _paths(split)], config.size)
    labels = _labels(train)
    name = config.root.resolve().name
    return Dataset.of(
        name,
        Split(images[: len(labels)], labels),
        Split(images[len(labels) :], _labels(test)),
        tuple(train),
        source=f"image files of the folder {name}",
        licence="not known",
    )


def _classes(root: Path) -> dict[str, list[Path]]:
    """Class name -> its image files, both sorted."""
    if not root.is_dir():
        raise UserError(
            f"there is no folder {root}: --data.root must name a folder with "
            f"train/<class>/<image> and test/<class>/<image>"
        )
    names = sorted(entry.name for entry in os.scandir(root) if entry.is_dir())
    classes = {name: list(_images(root / name)) for name in names}
    if not classes:
        raise UserError(f"{root} is empty: it must hold one folder of images per class")
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


def _paths(classes: dict[str, list[Path]]) -> list[Path]:
    return [path for paths in classes.values() for path in paths]


def _labels(classes: dict[str, list[Path]]) -> Tensor:
    counts = torch.tensor([len(paths) for paths in classes.values()])
    return torch.arange(len(classes)).repeat_interleave(counts)


def _decode(paths: Sequence[Path], size: int | None) -> Tensor:
    """Image files -> uint8 (N, 3, H, W), in order, on all cores."""
    shape = _read(paths[0], size).shape
    pictures = np.empty((len(paths), *shape), np.uint8)  # (N, H, W, 3)

    def fill(start: int) -> None:
        for i, path in enumerate(paths[start : start + _CHUNK], start):
            picture = _read(path, size)
            if picture.shape != shape:
                raise UserError(_unequal(paths[0], shape, path, picture.shape))
            pictures[i] = picture

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for _ in pool.map(fill, range(0, len(paths), _CHUNK)):
            pass
    return stack(pictures)


def _read(path: Path, size: int | None) -> Pixels:
    image = read_rgb(path, "replace or remove it")
    return np.asarray(image if size is None else fit(image, size))


def _unequal(first: Path, shape: tuple[int, ...], path: Path, other: tuple[int, ...]) -> str:
    return (
        f"all images must share one size, but {first} is {shape[1]}×{shape[0]} and {path} is "
        f"{other[1]}×{other[0]}: give --data.size, to which every image is then cut"
    )
