import numpy as np
import pytest
import torch

from research.config import Data
from research.data import load
from research.records import Array, Results

from .tiny import run


@pytest.fixture(scope="session")
def record(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return run(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="session")
def images() -> torch.Tensor:
    return load(Data("mnist-sample")).test.images.float() / 255


@pytest.fixture(scope="session")
def labels() -> Array:
    return np.asarray(load(Data("mnist-sample")).test.labels.numpy())
