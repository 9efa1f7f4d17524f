"""Image files, one group per class, to the two sides of a data set."""

import hashlib
import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from research.data import memory_map
from research.data.dataset import Split
from research.data.pixels import Pixels, fit, read_rgb
from research.errors import UserError

_CHUNK = 250
"""files per task of a thread: enough that handing out tasks costs nothing"""

Groups = Sequence[Sequence[Path]]
"""the files of each class, in the order of the labels"""


def splits(
    train: Groups, test: Groups, size: int | None, root: Path, damaged: str
) -> tuple[Split, Split]:
    """Decodes all files, in their order. Both sides are views of one array.

    Arguments:
        train, test: files below `root`, in all at least one.
        size: every image is resized and cut to that square; all must share one size where None.
        root: folder of the set. An array that is too large for the memory goes into a file there,
            see `mapped`.
        damaged: what to do about a file that cannot be read.

    Returns:
        Images uint8 (N, 3, H, W), labels int64 (N,).

    Raises:
        UserError: a file cannot be read, or has another size than the first.
    """
    images = _decode([*chain(*train, *test)], size, root, damaged)
    labels = _labels(train)
    return Split(images[: len(labels)], labels), Split(images[len(labels) :], _labels(test))


def _labels(groups: Groups) -> Tensor:
    counts = torch.tensor([len(paths) for paths in groups])
    return torch.arange(len(groups)).repeat_interleave(counts)


def _decode(paths: Sequence[Path], size: int | None, root: Path, damaged: str) -> Tensor:
    """Image files -> uint8 (N, 3, H, W), on all cores."""
    first = _read(paths[0], size, damaged).shape

    def fill(images: Pixels, start: int) -> None:
        for i, path in enumerate(paths[start : start + _CHUNK], start):
            picture = _read(path, size, damaged)
            if picture.shape != first:
                raise UserError(_unequal(paths[0], first, path, picture.shape))
            images[i] = picture

    def fill_all(images: Pixels) -> None:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for _ in pool.map(lambda start: fill(images, start), range(0, len(paths), _CHUNK)):
                pass

    shape = (len(paths), *first)
    if memory_map.needed(shape):
        path = root / memory_map.FOLDER / f"{_key(paths, size, root)}.uint8"
        return memory_map.array(shape, fill_all, path)
    images = np.empty(shape, np.uint8)
    fill_all(images)
    return torch.from_numpy(images)


def _read(path: Path, size: int | None, damaged: str) -> Pixels:
    """(3, H, W)"""
    image = read_rgb(path, damaged)
    return np.asarray(image if size is None else fit(image, size)).transpose(2, 0, 1)


def _key(paths: Sequence[Path], size: int | None, root: Path) -> str:
    """Digest of the files' names, sizes and times of change, and of the size of the images."""
    facts = [size, *((path.relative_to(root).as_posix(), *_stamp(path)) for path in paths)]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def _stamp(path: Path) -> tuple[int, ...]:
    try:
        stat = path.stat()
    except OSError:  # told when it is read
        return ()
    return stat.st_size, stat.st_mtime_ns


def _unequal(first: Path, shape: tuple[int, ...], path: Path, other: tuple[int, ...]) -> str:
    return (
        f"all images must share one size, but {first} is {shape[2]}×{shape[1]} and {path} is "
        f"{other[2]}×{other[1]}: give --data.size, to which every image is then cut"
    )
