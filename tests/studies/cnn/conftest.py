from pathlib import Path

import pytest
from safetensors.torch import load_file
from torch import Tensor

from research.config import Data
from research.data import Dataset, load
from research.records import Results

from .by_hand import Vectors, Weights, by_hand
from .tiny import parent, run


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("store")
    run(folder)
    return folder


@pytest.fixture(scope="session")
def record(store: Path) -> Results:
    return parent(store)


@pytest.fixture(scope="session")
def data() -> Dataset:
    return load(Data("mnist-sample"))


@pytest.fixture(scope="session")
def weights(record: Results) -> list[Weights]:
    return [
        load_file(record.folder / f"weights/baseline-seed{seed}.safetensors") for seed in (0, 1)
    ]


@pytest.fixture(scope="session")
def layers(weights: list[Weights], data: Dataset) -> list[dict[str, Tensor]]:
    return [by_hand(w, data.test.floats()) for w in weights]


@pytest.fixture(scope="session")
def embedding(layers: list[dict[str, Tensor]]) -> Vectors:
    return layers[0]["fc2"].double().numpy()
