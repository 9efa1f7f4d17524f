from pathlib import Path

import pytest
from torch import Tensor

from research.config import Data
from research.data import Dataset
from research.records import Results

from .by_hand import Hand
from .tiny import run, thinned


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="session")
def record(store: Path) -> Results:
    return run(store, "--seeds", "0", "1")


@pytest.fixture(scope="session")
def data() -> Dataset:
    return thinned(Data("mnist-sample"))


@pytest.fixture(scope="session")
def hands(record: Results) -> dict[str, Hand]:
    names = [path.stem for path in (record.folder / "weights").glob("*.safetensors")]
    return {name: Hand(record, name) for name in names}


@pytest.fixture(scope="session")
def noises(hands: dict[str, Hand], data: Dataset) -> dict[str, Tensor]:
    """Signs of the whole test set's gradients, for all networks but the logistic regression."""
    test = data.test
    return {
        name: hand.noise(test.floats(), test.labels)
        for name, hand in hands.items()
        if "logistic" not in name
    }
