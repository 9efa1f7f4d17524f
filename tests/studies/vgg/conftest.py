from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from research.config import Data
from research.data import Dataset, load
from research.methods.samples import Samples, halves
from research.models import Vgg16
from research.models.pretrained import FrozenVgg16
from research.records import Results
from research.studies.vgg import frozen

from .by_hand import Weights
from .tiny import Standin, parent, pictures, run


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pictures(tmp_path_factory.mktemp("stripes"))


@pytest.fixture(scope="session")
def data(root: Path) -> Dataset:
    return load(Data("folder", root))


@pytest.fixture(scope="session")
def imagenet() -> Weights:
    torch.manual_seed(5)
    return Standin().state_dict()


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory, root: Path, imagenet: Weights) -> Path:
    """With ImageNet's weights, for a stand-in of its network."""
    folder = tmp_path_factory.mktemp("store")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(frozen, "imagenet_file", lambda given: Path("weights"))
        patch.setattr(frozen, "imagenet_weights", lambda path: imagenet)
        patch.setattr(frozen, "FrozenVgg16", partial(FrozenVgg16, build=Standin, side=40))
        assert run(folder, root, "--frozen-epochs", "2") == 0
    return folder


@pytest.fixture(scope="session")
def record(store: Path) -> Results:
    return parent(store)


@pytest.fixture(scope="session")
def weights(record: Results) -> list[Weights]:
    files = [record.folder / f"weights/scratch-seed{seed}.safetensors" for seed in (0, 1)]
    return [{name: w.double() for name, w in load_file(file).items()} for file in files]


@pytest.fixture(scope="session")
def models(record: Results) -> list[Vgg16]:
    found = [Vgg16(0.0625, 3) for _ in (0, 1)]
    for seed, model in enumerate(found):
        model.load_state_dict(load_file(record.folder / f"weights/scratch-seed{seed}.safetensors"))
    return found


@pytest.fixture(scope="session")
def sets(models: list[Vgg16], data: Dataset) -> tuple[Samples, Samples]:
    return halves(models[0], data.test, 24, 30)
