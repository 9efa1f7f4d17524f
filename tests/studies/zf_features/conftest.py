from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from research.config import Data
from research.data import Dataset, load
from research.records import Array, Results

from .by_hand import places, thumbnail
from .tiny import SPLITS, parent, run, targets


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory, stripes: Path) -> Path:
    return targets(tmp_path_factory.mktemp("shapes"), stripes)


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory, stripes: Path, shapes: Path) -> Path:
    folder = tmp_path_factory.mktemp("features")
    assert run(folder, stripes, shapes) == 0
    return folder


@pytest.fixture(scope="session")
def record(store: Path) -> Results:
    return parent(store)


@pytest.fixture(scope="session")
def target(shapes: Path) -> Dataset:
    return load(Data("folder", shapes, 52))


@pytest.fixture(scope="session")
def drawn(target: Dataset) -> list[tuple[Tensor, Tensor]]:
    """For each draw the places of training images, class by class, and of test images."""
    return [places(target, seed) for seed in range(SPLITS)]


@pytest.fixture(scope="session")
def everything(target: Dataset) -> Tensor:
    """The middles of all images of the target, float64 in [0, 1]."""
    images = torch.cat([target.train.images, target.test.images])
    return images[:, :, 2:-2, 2:-2].double() / 255


@pytest.fixture(scope="session")
def likest(zf_data: Dataset, target: Dataset) -> Array:
    """The correlation of each source image with its likest target image."""
    small = [thumbnail(image) for split in (target.train, target.test) for image in split.images]
    others = np.array([one.ravel() for view in small for one in (view, view[:, ::-1])])
    mine = np.array([thumbnail(image).ravel() for image in zf_data.train.images])
    correlations: Array = np.corrcoef(mine, others)[: len(mine), len(mine) :].max(1)
    return correlations
