"""Decoded images that are too many for the memory: an array in a file, written once.

The file lies in `.research-cache` of the set's folder. It may be deleted while no run reads it.
"""

import json
import math
import shutil
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import torch
from filelock import FileLock
from torch import Tensor

from research.data.pixels import Pixels
from research.errors import UserError
from research.records import write_json

FOLDER = ".research-cache"
SHARE = 0.5
"""of the machine's memory: an array that would take more is mapped"""

Shape = tuple[int, int, int, int]
Fill = Callable[[Pixels], None]


def needed(shape: Shape) -> bool:
    """Whether an array of bytes is too large for the memory."""
    return math.prod(shape) > SHARE * psutil.virtual_memory().total


def array(shape: Shape, fill: Fill, path: Path) -> Tensor:
    """The uint8 tensor that `fill` writes into the file `path`, or wrote there before.

    Arguments:
        shape: (N, C, H, W).
        fill: writes every element of the array it is given.
        path: named by all that the array follows from.

    Returns:
        Contiguous. It must not be written to: its pages are read-only.

    Raises:
        UserError: the file cannot be written, or the disk is too small for it.
    """
    if not _whole(path, shape):
        try:
            path.parent.mkdir(exist_ok=True)
            with FileLock(path.with_suffix(".lock")):
                if not _whole(path, shape):
                    _write(shape, fill, path)
        except OSError as error:
            raise UserError(
                f"{path} cannot be written ({error}), which holds decoded images that are too many "
                f"for the memory: make its folder writable, or give a smaller --data.size"
            ) from None
    # A private writable mapping is refused where it is larger than the memory, and a shared one
    # would let a slip change the file.
    images = np.memmap(path, np.uint8, "r", shape=shape)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.from_numpy(images)


def _marker(path: Path) -> Path:
    """Written last: where it is, the file is whole."""
    return path.with_suffix(".json")


def _whole(path: Path, shape: Shape) -> bool:
    try:
        noted = json.loads(_marker(path).read_text(encoding="utf-8"))
        return bool(noted == {"shape": [*shape]} and path.stat().st_size == math.prod(shape))
    except (OSError, ValueError):
        return False


def _write(shape: Shape, fill: Fill, path: Path) -> None:
    for left in (_marker(path), path):
        left.unlink(missing_ok=True)
    _check_space(path.parent, math.prod(shape))
    print(f"decoding {shape[0]:,} images into {path}, once", file=sys.stderr, flush=True)
    try:
        images = np.memmap(path, np.uint8, "w+", shape=shape)
        fill(images)
        images.flush()
    except BaseException:
        # Once the tree is mended it has another name, and nothing would ever replace this file.
        path.unlink(missing_ok=True)
        raise
    write_json(_marker(path), {"shape": [*shape]})


def _check_space(folder: Path, needed: int) -> None:
    # A disk that fills up under a mapping ends the process without a word.
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise UserError(
            f"{folder} needs {needed / 1e9:.1f} GB for decoded images that are too many for the "
            f"memory, and {free / 1e9:.1f} GB are free: make room, or give a smaller --data.size"
        )
