"""Decoded images are read again if and only if the files are what they were."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from research import paths
from research.config import Data
from research.data import Dataset, decoded, files, load


def paint(path: Path, value: int) -> None:
    """A file whose size does not depend on the value."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((4, 4, 3), value, np.uint8)).save(path, "ppm")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for number, side in enumerate(("train", "test")):
        for label, name in enumerate(("cat", "dog")):
            for i in range(3):
                paint(tmp_path / f"pets/{side}/{name}/{i}.ppm", 100 * number + 10 * label + i)
    return tmp_path / "pets"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(paths, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(decoded, "WORTH", 0.0)
    monkeypatch.setattr(decoded, "GRAIN", 0.0)
    return tmp_path / "cache"


@pytest.fixture
def decodings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry each time that files are decoded."""
    made: list[int] = []
    true = files.splits

    def splits(*args: Any) -> Any:
        made.append(1)
        return true(*args)

    monkeypatch.setattr("research.data.folder.splits", splits)
    return made


def read(root: Path, size: int | None = None) -> Dataset:
    return load(Data("folder", root, size))


def same(data: Dataset, other: Dataset) -> bool:
    pairs = ((data.train, other.train), (data.test, other.test))
    equal = all(torch.equal(a.images, b.images) and torch.equal(a.labels, b.labels)
                for a, b in pairs)  # fmt: skip
    return equal and data.facts() == other.facts()


def test_the_same_files_are_decoded_once(tree: Path, decodings: list[int]) -> None:
    first = read(tree)
    again = read(tree)
    assert same(first, again)
    assert len(decodings) == 1
    again.train.images[:] = 0  # in this process alone
    assert same(first, read(tree))
    assert len(decodings) == 1


def test_another_size_is_another_set(tree: Path, decodings: list[int]) -> None:
    assert [read(tree, size).shape[1] for size in (None, 2, 3, 2, None)] == [4, 2, 3, 2, 4]
    assert len(decodings) == 3


def changed(path: Path) -> None:
    """Other pixels, but the size and the time of change that the file had."""
    before = path.stat()
    paint(path, 250)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)


def replaced(path: Path) -> None:
    """Another file in the place of the former, as large and as old."""
    before = path.stat()
    paint(path.with_name("new"), 250)
    os.utime(path.with_name("new"), ns=(before.st_atime_ns, before.st_mtime_ns))
    path.with_name("new").replace(path)


@pytest.mark.parametrize("change", [changed, replaced])
def test_a_changed_file_is_seen(
    tree: Path, decodings: list[int], change: Callable[[Path], None]
) -> None:
    before = read(tree)
    change(tree / "train/dog/1.ppm")
    after = read(tree)
    assert len(decodings) == 2
    assert int((before.train.images != after.train.images).any(3).any(2).any(1).sum()) == 1
    assert after.train.images[4].eq(250).all()


@pytest.mark.parametrize("name", ["train/dog/3.ppm", "test/cat/a.ppm"])
def test_a_file_more_is_seen(tree: Path, decodings: list[int], name: str) -> None:
    read(tree)
    paint(tree / name, 7)
    data = read(tree)
    assert len(data.train) + len(data.test) == 13
    assert len(decodings) == 2


def test_files_that_change_places_are_seen(tree: Path, decodings: list[int]) -> None:
    before = read(tree)
    (tree / "train/dog/0.ppm").rename(tree / "aside")
    (tree / "train/dog/1.ppm").rename(tree / "train/dog/0.ppm")
    (tree / "aside").rename(tree / "train/dog/1.ppm")
    assert read(tree).train.images[3].equal(before.train.images[4])
    assert len(decodings) == 2


def test_a_copy_is_known_by_its_content(
    tree: Path, decodings: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = read(tree)
    copy = tree.parent / "copied" / "pets"
    shutil.copytree(tree, copy)
    assert same(read(copy), first)
    assert len(decodings) == 1

    def refuse(*_: Any) -> str:
        raise AssertionError("the content of a known copy was read again")

    monkeypatch.setattr(decoded, "_content", refuse)
    assert same(read(copy), first)


def test_an_array_that_was_changed_is_not_trusted(
    tree: Path, cache: Path, decodings: list[int]
) -> None:
    first = read(tree)
    [array] = cache.glob("*.uint8")
    pixels = bytearray(array.read_bytes())
    pixels[5] ^= 1
    array.write_bytes(pixels)
    assert same(read(tree), first)
    array.write_bytes(pixels[:-1]) if array.exists() else None
    assert same(read(tree), first)
    assert same(read(tree), first)
    assert len(decodings) == 3


def test_what_changes_while_it_is_read_is_not_kept(
    tree: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    true = files.splits

    def splits(*args: Any) -> Any:
        sides = true(*args)
        paint(tree / "train/dog/1.ppm", 99)
        return sides

    monkeypatch.setattr("research.data.folder.splits", splits)
    read(tree)
    assert not list(cache.glob("*"))


def test_a_change_too_late_to_be_told_from_another_is_not_kept(
    tree: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoded, "GRAIN", 3600.0)
    read(tree)
    assert not list(cache.glob("*.json"))


def test_the_least_recently_used_gives_way(
    tree: Path, cache: Path, decodings: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoded, "LIMIT", 12 * 3 * (16 + 9))
    read(tree)  # of 16 pixels
    read(tree, 3)  # of 9
    for note in cache.glob("*.json"):
        os.utime(note, (1, 1))
    read(tree)
    read(tree, 2)  # for which there is no room beside both
    assert len(decodings) == 3
    assert sorted(path.stat().st_size for path in cache.glob("*.uint8")) == [12 * 12, 12 * 48]
    read(tree)
    assert len(decodings) == 3


def test_a_full_disk_costs_nothing_but_time(
    tree: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(decoded, "SPARE", 2**80)
    assert len(read(tree).train) == 6
    assert not list(cache.glob("*"))
    monkeypatch.setattr(decoded, "SPARE", 0)

    def fail(*_: Any) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(decoded, "write_json", fail)
    assert len(read(tree).train) == 6
    assert "decoded images are not kept: No space left on device" in capsys.readouterr().err
    assert not list(cache.glob("*.json"))


def test_a_folder_that_cannot_be_written_costs_nothing_but_time(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "CACHE", tree / "train/cat/0.ppm/cache")
    assert len(read(tree).train) == 6
