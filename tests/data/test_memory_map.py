import os
import shutil
import sys
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
import torch
from PIL import Image
from torch import Generator

from research.config import Data
from research.data import Dataset, batches, load, memory_map, pixel_std
from research.data.pixels import Pixels
from research.errors import UserError

Patch = pytest.MonkeyPatch


def paint(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 256, (5, 6, 3))
    Image.fromarray(noise.astype(np.uint8)).save(path)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Eight training and four test images of two classes, 6 pixels wide and 5 high."""
    for seed in range(12):
        side = "train" if seed < 8 else "val"
        paint(tmp_path / f"pets/{side}/{'dog' if seed % 2 else 'cat'}/{seed}.png", seed)
    return tmp_path / "pets"


def read(root: Path, size: int | None = None) -> Dataset:
    return load(Data("folder", root, size))


@pytest.fixture
def small(monkeypatch: Patch) -> None:
    """A machine in whose memory nothing fits."""
    monkeypatch.setattr(memory_map, "SHARE", 0.0)


def only(root: Path) -> Path:
    (path,) = (root / ".research-cache").glob("*.uint8")
    return path


def flip(path: Path) -> None:
    """Inverts the first pixel, by which a file that is used again is known."""
    content = path.read_bytes()
    path.write_bytes(bytes([content[0] ^ 255]) + content[1:])


def test_mapped_images_are_those_in_memory(tree: Path, monkeypatch: Patch) -> None:
    expected = read(tree)
    assert not (tree / ".research-cache").exists()
    monkeypatch.setattr(memory_map, "SHARE", 0.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data = read(tree)
    assert only(tree).stat().st_size == 12 * 3 * 5 * 6
    assert data.facts() == expected.facts()  # with the sha256
    assert pixel_std(data.train) == pixel_std(expected.train)
    for ours, theirs in ((data.train, expected.train), (data.test, expected.test)):
        assert ours.images.is_contiguous() and torch.equal(ours.images, theirs.images)
        assert torch.equal(ours.floats(), theirs.floats())
        assert torch.equal(ours.labels, theirs.labels)


@pytest.mark.usefixtures("small")
def test_batches_of_mapped_images(tree: Path) -> None:
    split = read(tree).train
    order = torch.randperm(8, generator=Generator().manual_seed(3))
    got = list(batches(split, 3, generator=Generator().manual_seed(3)))
    pixels = np.stack(
        [np.asarray(Image.open(path)) for path in sorted((tree / "train").rglob("*.png"))]
    )
    expected = torch.from_numpy(pixels).permute(0, 3, 1, 2)[order] / 255
    assert torch.equal(torch.cat([inputs for inputs, _ in got]), expected)
    assert torch.equal(torch.cat([labels for _, labels in got]), (order >= 4).long())


@pytest.mark.usefixtures("small")
def test_a_whole_file_is_used_again(tree: Path) -> None:
    first = read(tree).train.images.clone()
    flip(only(tree))
    again = read(tree).train.images
    assert again[0, 0, 0, 0] == first[0, 0, 0, 0] ^ 255
    assert torch.equal(again.flatten()[1:], first.flatten()[1:])


def _touch(tree: Path) -> None:
    os.utime(tree / "train/cat/0.png", ns=(1, 1))


def _grow(tree: Path) -> None:
    path = tree / "train/cat/0.png"
    stat = path.stat()
    path.write_bytes(path.read_bytes() + b"\0")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    "change",
    [
        _touch,
        _grow,
        lambda t: (t / "train/cat/0.png").rename(t / "train/cat/00.png"),
        lambda t: (t / "val/cat/8.png").rename(t / "train/cat/8.png"),
        lambda t: paint(t / "val/dog/x.png", 99),
    ],
    ids=["time", "size", "name", "side", "number"],
)
def test_another_tree_is_decoded_anew(change: Callable[[Path], object], tree: Path) -> None:
    read(tree)
    flip(only(tree))
    change(tree)
    pixels = read(tree).train.images[0].permute(1, 2, 0).numpy()
    first = min((tree / "train/cat").iterdir())
    assert (pixels == np.asarray(Image.open(first))).all()


@pytest.mark.usefixtures("small")
def test_each_size_has_its_file(tree: Path) -> None:
    shapes = [read(tree, size).shape for size in (4, None, 4, 3)]
    assert shapes == [(3, 4, 4), (3, 5, 6), (3, 4, 4), (3, 3, 3)]
    assert len(list((tree / ".research-cache").glob("*.uint8"))) == 3


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.with_suffix(".json").unlink(),
        lambda path: path.with_suffix(".json").write_text("{"),
        lambda path: path.with_suffix(".json").write_text('{"shape": [12, 3, 6, 5]}'),
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.unlink(),
    ],
    ids=["unmarked", "marker cut", "shape", "file cut", "gone"],
)
def test_what_an_interruption_left_is_replaced(
    damage: Callable[[Path], object], tree: Path
) -> None:
    before = read(tree)
    flip(only(tree))
    damage(only(tree))
    assert read(tree).sha256 == before.sha256
    flip(only(tree))
    assert read(tree).sha256 != before.sha256  # it is whole now, and marked


@pytest.mark.usefixtures("small")
def test_a_damaged_image_leaves_no_file(tree: Path) -> None:
    (tree / "val/dog/11.png").write_bytes(b"no image")
    with pytest.raises(UserError, match=r"11\.png cannot be read as an image"):
        read(tree)
    assert {path.suffix for path in (tree / ".research-cache").iterdir()} <= {".lock"}


def refused(root: Path) -> str:
    with pytest.raises(UserError) as caught:
        read(root)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.usefixtures("small")
def test_a_missing_image_is_told(tree: Path) -> None:
    (tree / "val/dog/x.png").symlink_to(tree / "nowhere")
    assert "x.png is missing: replace or remove it" in refused(tree)


@pytest.mark.usefixtures("small")
def test_a_disk_too_small_is_told_beforehand(tree: Path, monkeypatch: Patch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1079))
    assert "make room, or give a smaller --data.size" in refused(tree)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1080))
    assert len(read(tree).train) == 8


@pytest.mark.usefixtures("small")
def test_a_folder_that_cannot_be_written_is_told(tree: Path) -> None:
    (tree / ".research-cache").write_text("a file where a folder should be")
    assert "cannot be written" in refused(tree)


def test_more_than_half_of_the_memory_is_too_much(monkeypatch: Patch) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(total=48))
    assert not memory_map.needed((2, 3, 2, 2))
    assert memory_map.needed((1, 1, 5, 5))


def test_two_runs_at_once_decode_once(tmp_path: Path) -> None:
    calls: list[int] = []

    def fill(images: Pixels) -> None:
        calls.append(1)
        time.sleep(0.2)
        images[:] = 7

    def run() -> None:
        tensors.append(memory_map.array((2, 3, 4, 5), fill, tmp_path / "cache" / "x.uint8"))

    tensors: list[torch.Tensor] = []
    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1
    assert len(tensors) == 3 and all((tensor == 7).all() for tensor in tensors)


def test_while_a_file_is_written_no_marker_says_that_it_is_whole(tmp_path: Path) -> None:
    path, seen = tmp_path / "x.uint8", list[bool]()

    def fill(images: Pixels) -> None:
        seen.append(path.with_suffix(".json").exists())

    memory_map.array((2, 3, 4, 5), fill, path)
    path.write_bytes(b"cut")
    memory_map.array((2, 3, 4, 5), fill, path)
    assert seen == [False, False]


@pytest.mark.skipif(sys.platform != "linux", reason="relies on files with holes")
def test_an_array_larger_than_the_memory(tmp_path: Path, monkeypatch: Patch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1 << 60))
    total = psutil.virtual_memory().total + psutil.swap_memory().total
    count = total * 3 // 2 // 2**20

    def fill(images: Pixels) -> None:
        images[-1, -1] = 9

    path = tmp_path / "x.uint8"
    images = memory_map.array((count, 4, 512, 512), fill, path)
    assert (images[-1, -1] == 9).all() and (images[-1, 0] == 0).all()
    path.unlink()
