"""Images as tensors: name -> `Dataset`, `batches` on any device, batched augmentation.

The sets are `mnist`, `cifar10`, `imagenette` and `caltech101` (downloaded and checksummed),
`folder` (a tree of image files, such as ImageNet's), and three that installed packages carry, so
that they need no network: `mnist-sample`, `photos` and `faces`. Sentences are
in `sequences`, `bitext` and `numerals`.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path

from research.config import Data, DatasetName
from research.data import downloads, folder, packages, photos
from research.data.augmentation import random_crop, random_flip
from research.data.dataset import Dataset, Samples, Split, batches, check_contents, pixel_std
from research.data.pixels import whole_files
from research.errors import UserError

__all__ = [
    "Dataset",
    "Samples",
    "Split",
    "batches",
    "check_contents",
    "load",
    "load_data",
    "pixel_std",
    "random_crop",
    "random_flip",
    "remembered",
]

_SETS: dict[str, Callable[[Data], Dataset]] = {
    "mnist": downloads.mnist,
    "cifar10": downloads.cifar10,
    "imagenette": downloads.imagenette,
    "caltech101": downloads.caltech101,
    "folder": folder.load,
    "mnist-sample": packages.mnist_sample,
    "photos": photos.load,
    "faces": packages.faces,
}

_KEPT: ContextVar[dict[Data, Dataset] | None] = ContextVar("kept", default=None)


def load_data(
    name: DatasetName, root: Path | str | None = None, size: int | None = None
) -> Dataset:
    """Reads a data set for a script or a notebook, downloading it first where it has to.

    Arguments:
        name: mnist, cifar10, imagenette, caltech101 (downloaded), folder (your own), or
            mnist-sample, photos, faces (offline).
        root: where downloaded data lie, or of `folder` train/<class>/ and test/<class>/.
        size: side length in pixels; the set's own when absent.

    Returns:
        The sets `train` and `test`: uint8 images (N, C, H, W) and int64 labels (N,), and their
        classes; `test.floats()` gives pixels in [0, 1].

    Raises:
        UserError: unknown name, impossible size, file missing or damaged, download not possible.

    Example:
        >>> len(load_data("photos", size=16).test.images[0].flatten())
        768
    """
    return load(Data(name, Data().root if root is None else Path(root), size))


def load(config: Data) -> Dataset:
    """Reads a data set, downloading it first where it has to.

    Arguments:
        config: its name, the data root, and the side length in pixels, if not the set's own.

    Raises:
        UserError: unknown name, impossible size, file missing or damaged, download not possible.

    Example:
        >>> load(Data("faces")).shape
        (3, 25, 25)
    """
    kept = _KEPT.get()
    if kept is not None and config in kept:
        return kept.pop(config)
    data = _read(config)
    if kept is not None:
        kept[config] = data
    return data


@contextmanager
def remembered() -> Iterator[None]:
    """Within this block a set that is asked for a second time is not read again."""
    token = _KEPT.set({})
    try:
        yield
    finally:
        _KEPT.reset(token)


def _read(config: Data) -> Dataset:
    if config.name not in _SETS:
        nearest = get_close_matches(config.name, _SETS, 1)
        hint = f"did you mean '{nearest[0]}'?" if nearest else f"choose from {', '.join(_SETS)}"
        raise UserError(f"there is no data set '{config.name}': {hint}")
    if config.size is not None and config.size < 1:
        raise UserError(f"--data.size must be at least 1 pixel, got {config.size}")
    with whole_files():
        return _SETS[config.name](replace(config, root=config.root.expanduser()))
