"""What of a folder belongs to a data set: each real file once, everything else counted."""

import os
import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from research import paths
from research.config import Data
from research.data import Dataset, decoded, folder, load, memory_map
from research.data.tree import shown
from research.errors import UserError


def paint(path: Path, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng([seed, *path.name.encode("utf-8", "surrogateescape")])
    Image.fromarray(noise.integers(0, 256, (5, 6, 3)).astype(np.uint8)).save(path, "PNG")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for side in ("train", "test"):
        for name in ("cat", "dog"):
            for i in range(3):
                paint(tmp_path / f"pets/{side}/{name}/{i}.png", i)
    return tmp_path / "pets"


def read(root: Path) -> Dataset:
    return load(Data("folder", root))


def counts(data: Dataset) -> list[int]:
    return data.train.labels.bincount().tolist()


def _hidden_folder(root: Path) -> None:
    paint(root / "train/cat/.ipynb_checkpoints/0-checkpoint.png")


def _hidden_class(root: Path) -> None:
    paint(root / "train/.ipynb_checkpoints/0.png")


def _apple_double(root: Path) -> None:
    (root / "train/cat/._0.png").write_bytes(b"\0\x05\x16\x07")


def _apple_folder(root: Path) -> None:
    paint(root / "train/cat/__MACOSX/0.png")


def _litter(root: Path) -> None:
    (root / "train/cat/Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")


def _text(root: Path) -> None:
    (root / "train/cat/notes.txt").write_text("cats")


def _heic(root: Path) -> None:
    (root / "train/cat/4.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(64))


def _pipe(root: Path) -> None:
    os.mkfifo(root / "train/cat/4.png")


def _loose(root: Path) -> None:
    paint(root / "train/loose.png")


def _link_up(root: Path) -> None:
    (root / "train/cat/loop").symlink_to("../cat", target_is_directory=True)


def _link_to_the_side(root: Path) -> None:
    (root / "train/cat/all").symlink_to("../../train", target_is_directory=True)


def _link_above(root: Path) -> None:
    (root / "train/cat/up").symlink_to("../../..", target_is_directory=True)


def _link_to_a_neighbour(root: Path) -> None:
    (root / "train/cat/more").symlink_to("../dog", target_is_directory=True)


def _file_link(root: Path) -> None:
    (root / "train/cat/again.png").symlink_to("0.png")


def _hard_link(root: Path) -> None:
    (root / "train/cat/9.png").hardlink_to(root / "train/cat/0.png")


def _circle(root: Path) -> None:
    (root / "train/cat/x").symlink_to("y")
    (root / "train/cat/y").symlink_to("x")


NO_IMAGE = "that holds no image that Pillow reads"
AGAIN = "link to what is read elsewhere"


@pytest.mark.parametrize(
    ("add", "told"),
    [
        (_hidden_folder, "1 hidden file or folder"),
        (_hidden_class, "1 hidden file or folder"),
        (_apple_double, "1 hidden file or folder"),
        (_apple_folder, "1 hidden file or folder"),
        (_litter, "1 hidden file or folder"),
        (_text, f"1 file {NO_IMAGE}"),
        (_heic, f"1 file {NO_IMAGE}"),
        (_pipe, f"1 file {NO_IMAGE}"),
        (_loose, "1 file beside the folders of the classes"),
        (_link_up, f"1 {AGAIN}"),
        (_link_to_the_side, f"1 {AGAIN}"),
        (_link_above, f"1 {AGAIN}"),
        (_link_to_a_neighbour, f"1 {AGAIN}"),
        (_file_link, f"1 {AGAIN}"),
        (_hard_link, f"1 {AGAIN}"),
        (_circle, "2 links that lead nowhere"),
    ],
    ids=lambda value: value.__name__.strip("_") if callable(value) else "",
)
def test_what_is_no_part_of_the_set_is_left_out_and_counted(
    add: Callable[[Path], None], told: str, root: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    bare = read(root)
    assert bare.reading == "" and capfd.readouterr().err == ""
    add(root)
    data = read(root)
    assert (counts(data), data.sha256) == ([3, 3], bare.sha256)
    assert data.reading == f"left out: {told}"
    line = capfd.readouterr().err
    assert line.startswith(f"{root}: left out: {told} (") and line.count("\n") == 1


def test_links_to_elsewhere_and_to_within_are_followed(root: Path, tmp_path: Path) -> None:
    for i in range(2):
        paint(tmp_path / f"more/deep/{i}.png", 7)
    (tmp_path / "more/deep/back").symlink_to(tmp_path / "more", target_is_directory=True)
    (root / "train/dog/more").symlink_to(tmp_path / "more", target_is_directory=True)
    paint(tmp_path / "one.png")
    (root / "train/cat/one.png").symlink_to(tmp_path / "one.png")
    assert counts(read(root)) == [4, 5]


def test_a_class_that_is_another_s_folder_is_refused(root: Path) -> None:
    for side in ("train", "test"):
        (root / side / "kitten").symlink_to("cat", target_is_directory=True)
    with pytest.raises(UserError, match=r"train/kitten and .*train/cat are one folder"):
        read(root)


def test_test_images_that_are_training_images_are_told(root: Path) -> None:
    (root / "test/cat/3.png").symlink_to("../../train/cat/0.png")
    assert read(root).reading == "test images that are training images too: 1"


def test_every_ending_is_read(root: Path) -> None:
    for name in ("a", "b.JPG", "c.webp", "d.dat", "e.gif"):
        paint(root / "train/cat" / name)
    assert counts(read(root)) == [8, 3]


def test_a_folder_that_cannot_be_opened_is_told(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = os.scandir

    def scandir(path: str) -> object:
        if str(path).endswith("dog"):
            raise PermissionError(13, "Permission denied")
        return before(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(UserError, match=r"train/dog cannot be read \(Permission denied\)"):
        read(root)


def test_an_empty_class_names_what_lies_there(root: Path) -> None:
    for path in (root / "test/dog").iterdir():
        path.unlink()
    (root / "test/dog/a.heic").write_text("no")
    with pytest.raises(UserError, match=r"holds no image that Pillow reads \(1 file: .*a\.heic\)"):
        read(root)


# --- names ---------------------------------------------------------------------------------------


def test_the_two_ways_to_write_an_accent_are_one_class(tmp_path: Path) -> None:
    composed, parts = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    assert composed != parts
    for side, name in (("train", composed), ("train", parts), ("test", parts)):
        paint(tmp_path / side / name / f"{len(name)}.png")
        paint(tmp_path / side / "tea" / "0.png")
    data = read(tmp_path)
    assert data.classes == (composed, "tea")
    assert counts(data) == [2, 1]


@pytest.mark.parametrize(
    ("stored", "printed"),
    [
        (b"caf\xe9", "café"),
        ("日本".encode(), "日本"),
        (b"a\nb", "a\\nb"),
        (b"a\tb", "a\\tb"),
        ("ab\u202ecd".encode(), "ab\\u202ecd"),
        (b"a\x81", "a\\x81"),
        (b"a$b_c^d%e&f<g>{{h}}\\i*", "a$b_c^d%e&f<g>{{h}}\\i*"),
    ],
)
def test_names_are_text_that_prints(stored: bytes, printed: str, tmp_path: Path) -> None:
    name = os.fsdecode(stored)
    assert shown(name) == printed
    for side in ("train", "test"):
        paint(tmp_path / side / name / "0.png")
        paint(tmp_path / side / "~" / "0.png")
    assert read(tmp_path).classes == tuple(sorted((printed, "~")))


def test_classes_that_differ_in_capitals_are_two_and_told(
    root: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for side in ("train", "test"):
        paint(root / side / "Cat/0.png")
    assert read(root).classes == ("Cat", "cat", "dog")
    assert "classes that differ in capitals only: Cat, cat" in capfd.readouterr().err


# --- sets larger than the memory -----------------------------------------------------------------


def test_mapped_images_are_told_of_alike(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).integers(75, 1745, (5, 6)).astype(np.uint16)
    Image.fromarray(values).save(root / "train/cat/deep.png")
    Image.new("RGBA", (6, 5), (1, 2, 3, 0)).save(root / "train/cat/clear.png")
    expected = read(root)
    monkeypatch.setattr(memory_map, "SHARE", 0.0)
    for _ in range(2):  # decoded, then found
        assert read(root).facts() == expected.facts()
    (note,) = (root / ".research-cache").glob("*.reading")
    note.write_text("{}")
    assert read(root).facts() == expected.facts()


def test_kept_images_are_told_of_alike(
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Also where links circle, and a pipe lies among the files."""
    monkeypatch.setattr(paths, "CACHE", tmp_path_factory.mktemp("cache"))
    monkeypatch.setattr(decoded, "WORTH", 0.0)
    monkeypatch.setattr(decoded, "GRAIN", -1.0)
    Image.new("RGBA", (6, 5), (1, 2, 3, 0)).save(root / "train/cat/clear.png")
    _link_to_the_side(root)
    _link_above(root)
    _pipe(root)
    first, said = read(root), capfd.readouterr().err.splitlines()
    assert "decoded images are kept in" in said[0]
    monkeypatch.setattr(folder, "splits", None)  # nothing is decoded again
    assert read(root).facts() == first.facts()
    assert capfd.readouterr().err.splitlines() == said[1:]
    assert "transparent pixels (1 image) over white; left out: " in said[1]
