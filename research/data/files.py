"""Image files, one group per class, to the two sides of a data set."""

import hashlib
import json
import math
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from research.data import memory_map
from research.data.dataset import Split
from research.data.pixels import Kind, Picture, Pixels, Range, decode, fit, require_room
from research.data.reading import Reading
from research.errors import UserError
from research.records import write_json

_CHUNK = 250
"""files per task of a thread: enough that handing out tasks costs nothing"""
DECODING = 2
"""raised whenever files are decoded to other pixels, which makes kept ones useless"""
_NAMED = 3
"""damaged files that a message names"""

Groups = Sequence[Sequence[Path]]
"""the files of each class, in the order of the labels"""


def splits(
    train: Groups, test: Groups, size: int | None, root: Path, damaged: str
) -> tuple[tuple[Split, Split], Reading]:
    """Decodes all files, in their order. Both sides are views of one array.

    Arguments:
        train, test: files below `root`, in all at least one.
        size: every image is resized and cut to that square; all must share one size where None.
        root: folder of the set. An array that is too large for the memory goes into a file there,
            see `memory_map`.
        damaged: what to do about a file that cannot be read.

    Returns:
        Images uint8 (N, 3, H, W), labels int64 (N,), and what was done to the images.

    Raises:
        UserError: files cannot be read, or one has another size than the first.
    """
    images, reading = _decode([*chain(*train, *test)], size, root, damaged)
    labels = _labels(train)
    sides = Split(images[: len(labels)], labels), Split(images[len(labels) :], _labels(test))
    return sides, reading


def _labels(groups: Groups) -> Tensor:
    counts = torch.tensor([len(paths) for paths in groups])
    return torch.arange(len(groups)).repeat_interleave(counts)


def _decode(
    paths: Sequence[Path], size: int | None, root: Path, damaged: str
) -> tuple[Tensor, Reading]:
    """Image files -> uint8 (N, 3, H, W), on all cores."""
    if size:  # each core holds one image, and what it was resized from, row by row
        require_room(2 * 3 * size**2 * _cores(), f"an image of {size} × {size} pixels on each core")
    job = _Job(paths, size, damaged)
    if not memory_map.needed(job.shape):
        count, _, *sides = job.shape
        told = f"{count:,} images of {sides[0]} × {sides[1]} pixels"
        require_room(math.prod(job.shape), told)
        array = np.empty(job.shape, np.uint8)
        return torch.from_numpy(array), job.fill(array)
    path = root / memory_map.FOLDER / f"{_key(paths, size, root)}.uint8"
    noted = path.with_suffix(".reading")

    def fill(images: Pixels) -> None:
        write_json(noted, job.fill(images).as_json())

    if _noted(noted) is None and path.is_file():  # nobody knows what was done to the images
        path.unlink()
    images = memory_map.array(job.shape, fill, path)
    return images, _noted(noted) or Reading()


def _noted(path: Path) -> Reading | None:
    """What an earlier run noted beside the decoded images; None where that cannot be read."""
    try:
        return Reading.of_json(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError):
        return None


class _Job:
    """Decodes the files of a set into one array."""

    def __init__(self, paths: Sequence[Path], size: int | None, damaged: str) -> None:
        self._paths, self._size, self._damaged = paths, size, damaged
        self._model, first = self._first()
        self.shape = (len(paths), *self._fitted(first, {}, blank=True).shape)

    def _first(self) -> tuple[Path, Picture]:
        """The first file that can be read, whose size all others must have."""
        broken = list[str]()
        for path in self._paths:
            try:
                return path, decode(path, self._damaged)
            except UserError as error:
                broken.append(str(error))
        raise UserError(_told(broken))

    def fill(self, images: Pixels) -> Reading:
        """Writes every image; those of more than 8 bits once the range of all is known.

        Raises:
            UserError: files that cannot be read, the first of them by name.
        """
        reading, deep, broken = Reading(), list[int](), list[str]()
        starts = range(0, len(self._paths), _CHUNK)
        with ThreadPoolExecutor(_cores()) as pool:
            for found, later, wrong in pool.map(lambda start: self._part(images, start), starts):
                reading.join(found)
                deep += later
                broken += wrong
            if broken:
                raise UserError(_told(broken))
            reading.check()
            list(pool.map(lambda index: self._write(images, index, reading.ranges), deep))
        return reading

    def _part(self, images: Pixels, start: int) -> tuple[Reading, list[int], list[str]]:
        """What was done, which images need the range of all, and what is wrong."""
        reading, deep, broken = Reading(), list[int](), list[str]()
        for index, path in enumerate(self._paths[start : start + _CHUNK], start):
            try:
                picture = decode(path, self._damaged)
            except UserError as error:
                broken.append(str(error))
                continue
            reading.add(picture)
            fitted = self._fitted(picture, {}, blank=picture.kind is not None)
            if fitted.shape != self.shape[1:]:
                raise UserError(_unequal(self._model, self.shape[1:], path, fitted.shape))
            if picture.kind:
                deep.append(index)
            else:
                images[index] = fitted
        return reading, deep, broken

    def _write(self, images: Pixels, index: int, ranges: Mapping[Kind, Range]) -> None:
        images[index] = self._fitted(decode(self._paths[index], self._damaged), ranges)

    def _fitted(
        self, picture: Picture, ranges: Mapping[Kind, Range], *, blank: bool = False
    ) -> Pixels:
        """(3, H, W); `blank` where only the size counts."""
        image = picture.image if blank else picture.rgb(ranges)
        fitted = image if self._size is None else fit(image, self._size)
        return np.asarray(fitted).transpose(2, 0, 1)


def _told(broken: Sequence[str]) -> str:
    """One line about all files that cannot be read."""
    if len(broken) == 1:
        return broken[0]
    more = f"; and {len(broken) - _NAMED:,} more" if len(broken) > _NAMED else ""
    return f"{len(broken):,} files cannot be read: {'; '.join(broken[:_NAMED])}{more}"


def _key(paths: Sequence[Path], size: int | None, root: Path) -> str:
    """Digest of the files' names, sizes and times of change, and of the size of the images."""
    facts = [
        DECODING,
        size,
        *((path.relative_to(root).as_posix(), *_stamp(path)) for path in paths),
    ]
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


def _cores() -> int:
    return os.cpu_count() or 1
