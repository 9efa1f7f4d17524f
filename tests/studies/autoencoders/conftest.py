from pathlib import Path

import pytest

from research import __main__ as command
from research.config import Data
from research.data import Dataset, load
from research.records import Results
from research.studies.autoencoders import networks

from .tiny import draw, parent


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Few digits, and few coloured pictures of 16 × 16 pixels."""
    folder = tmp_path_factory.mktemp("images")
    digits, pictures = load(Data("mnist-sample")), load(Data("photos", size=16))
    for name, data, steps in (("digits", digits, (20, 20)), ("pictures", pictures, (40, 40))):
        for side, split, step in zip(
            ("train", "test"), (data.train, data.test), steps, strict=True
        ):
            draw(folder / name / side, split.images[::step], split.labels[::step])
    return folder


@pytest.fixture(scope="session")
def flags(folders: Path) -> list[str]:
    return [
        "--preset", "sample", "--data.name", "folder", "--data.root", str(folders / "digits"),
        "--pictures.name", "folder", "--pictures.root", str(folders / "pictures"),
        "--pictures.size", "16", "--digit-maps", "1", "--picture-maps", "2", "--picture-epochs",
        "2", "--train.epochs", "3", "--train.batch", "50", "--seeds", "0", "1",
    ]  # fmt: skip


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory, flags: list[str]) -> Path:
    folder = tmp_path_factory.mktemp("store")
    assert command.main(["run", "autoencoders", "--log", f"folder:{folder}", *flags]) == 0
    return folder


@pytest.fixture(scope="session")
def record(store: Path) -> Results:
    return parent(store)


@pytest.fixture(scope="session")
def digits(folders: Path) -> Dataset:
    return networks.in_grey(load(Data("folder", folders / "digits")))


@pytest.fixture(scope="session")
def pictures(folders: Path) -> Dataset:
    return networks.in_grey(load(Data("folder", folders / "pictures", 16)))
