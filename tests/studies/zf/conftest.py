from pathlib import Path

import numpy as np
import pytest
from torch import Tensor

from research.data import Dataset
from research.records import Results

from . import own, tiny
from .by_hand import Outputs, Weights, by_hand, weights_of


@pytest.fixture(scope="session")
def zf_store(tmp_path_factory: pytest.TempPathFactory, stripes: Path) -> Path:
    """With one run of the study `zf` on these pictures."""
    store = tmp_path_factory.mktemp("store")
    assert tiny.run(store, stripes) == 0
    return store


@pytest.fixture(scope="session")
def zf_record(zf_store: Path) -> Results:
    return tiny.parents(zf_store)[0]


@pytest.fixture(scope="session")
def zf_weights(zf_record: Results) -> list[Weights]:
    """Of the paper's network, by seed."""
    return [weights_of(zf_record, f"zf-seed{seed}") for seed in (0, 1)]


@pytest.fixture(scope="session")
def zf_images(zf_data: Dataset) -> Tensor:
    """The middles of the test images, float64 in [0, 1]."""
    return zf_data.test.images[:, :, 2:-2, 2:-2].double() / 255


@pytest.fixture(scope="session")
def zf_outputs(zf_weights: list[Weights], zf_images: Tensor) -> list[Outputs]:
    """What the paper's network makes of them, by seed."""
    return [by_hand(w, zf_images) for w in zf_weights]


@pytest.fixture(scope="session")
def grey(zf_data: Dataset) -> float:
    return float(np.mean(zf_data.train.images.numpy() / 255))


@pytest.fixture(scope="session")
def zf_own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of networks of the user's, with weights of each beside it."""
    return own.written(tmp_path_factory.mktemp("own"))
