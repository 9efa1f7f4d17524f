from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageFile

from research.config import Data
from research.data import Dataset, load
from research.errors import UserError
from research.machine import hardware
from research.paths import DATA


def paint(path: Path, size: tuple[int, int] = (6, 5), mode: str = "RGB") -> None:
    """Noise of width and height `size`, the same for the same file name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(list(path.name.encode())).integers(0, 256, (*size[::-1], 3))
    Image.fromarray(noise.astype(np.uint8)).convert(mode).save(path)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "pets"
    for split in ("train", "test"):
        for name in ("dog", "Cat"):
            for i in range(3):
                paint(root / split / name / f"{i}.png")
    return root


def read(root: Path, size: int | None = None) -> Dataset:
    return load(Data("folder", root, size))


def assert_equals_image_folder(data: Dataset, root: Path, test: str = "test") -> None:
    from torchvision.datasets import ImageFolder

    for split, name in ((data.train, "train"), (data.test, test)):
        expected = ImageFolder(root / name)
        assert list(data.classes) == expected.classes
        assert split.labels.tolist() == expected.targets
        pixels = np.stack([np.asarray(image) for image, _ in expected])
        assert torch.equal(split.images, torch.from_numpy(pixels).permute(0, 3, 1, 2))


def test_reads_as_image_folder_does(tree: Path) -> None:
    paint(tree / "train/dog/deep/0.JPG")
    paint(tree / "train/dog/deep.png", mode="L")
    paint(tree / "train/dog/b.tif", mode="P")
    paint(tree / "train/dog/c.png", mode="RGBA")
    (tree / "train/dog/notes.txt").write_text("passed over")
    (tree / "train/loose.png").write_text("passed over")
    data = read(tree)
    assert_equals_image_folder(data, tree)
    assert (data.name, data.shape, len(data.train), len(data.test)) == ("pets", (3, 5, 6), 10, 6)


def test_reads_imagenet_s_layout(tmp_path: Path) -> None:
    for wnid in ("n01443537", "n01440764"):
        for i in range(3):
            paint(tmp_path / f"train/{wnid}/{wnid}_{i}.JPEG")
        paint(tmp_path / f"val/{wnid}/ILSVRC2012_val_0000{wnid[-1]}.JPEG")
    data = read(tmp_path)
    assert data.classes == ("n01440764", "n01443537")
    assert_equals_image_folder(data, tmp_path, "val")


def test_a_test_side_goes_before_a_validation_side(tree: Path) -> None:
    paint(tree / "val/dog/9.png")
    assert_equals_image_folder(read(tree), tree)


def test_real_jpeg_files_in_many_threads(tmp_path: Path) -> None:
    source = DATA / "cifar10-jpeg" / "test"
    if not source.exists():
        pytest.skip(f"CIFAR-10 as JPEG is not under {source}")
    for split in ("train", "test"):
        (tmp_path / split).mkdir()
        for name in ("airplane", "ship"):
            (tmp_path / split / name).symlink_to(source / name, target_is_directory=True)
    assert_equals_image_folder(read(tmp_path), tmp_path)


def test_source_names_no_path_of_the_machine(tree: Path) -> None:
    assert str(tree.parent) not in str(read(tree).facts())


def test_square_images_are_resized_as_pillow_does(tree: Path) -> None:
    for path in tree.rglob("*.png"):
        paint(path, (8, 8))
    expected = Image.open(tree / "train/dog/0.png").resize((4, 4), Image.Resampling.BILINEAR)
    got = read(tree, 4).train
    assert got.images.shape == (6, 3, 4, 4)
    assert (got.images[3].permute(1, 2, 0).numpy() == np.asarray(expected)).all()


@pytest.mark.parametrize("size", [(12, 6), (6, 12)])
def test_oblong_images_keep_their_middle_and_proportions(size: tuple[int, int], tree: Path) -> None:
    width, height = size
    image = Image.new("RGB", size, "red")
    image.paste("blue", ((width - 6) // 2, (height - 6) // 2, (width + 6) // 2, (height + 6) // 2))
    image.save(tree / "train/Cat/0.png")
    first = read(tree, 6).train.images[0]
    assert (first == torch.tensor([0, 0, 255], dtype=torch.uint8)[:, None, None]).all()


def _remove(tree: Path, name: str) -> None:
    for path in (tree / name).iterdir():
        path.unlink()


def _empty(tree: Path) -> None:
    (tree / "train").rename(tree / "elsewhere")
    (tree / "train").mkdir()


def _other_val(tree: Path) -> None:
    (tree / "test").rename(tree / "val")
    (tree / "val/dog").rename(tree / "dog")


def _cut_short(tree: Path) -> None:
    path = tree / "test/dog/2.png"
    path.write_bytes(path.read_bytes()[:-40])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda t: (t / "train").rename(t / "val"), "there is no folder {t}/train: --data.roo"),
        (
            lambda t: (t / "test").rename(t / "no"),
            "there is neither {t}/test nor {t}/val: --data.",
        ),
        (_empty, "{t}/train holds no folder: it must hold one folder"),
        (lambda t: _remove(t, "test/dog"), "{t}/test/dog holds no image that Pillow reads: add"),
        (
            lambda t: (t / "test/dog").rename(t / "test/Dog"),
            "{t}: train/ and test/ must hold the s",
        ),
        (lambda t: (t / "test/dog").rename(t / "test/Dog"), "only one has Dog, dog"),
        (_other_val, "{t}: train/ and val/ must hold the same classes, only one has dog"),
        (_cut_short, "{t}/test/dog/2.png cannot be read as an image"),
        (lambda t: (t / "train/dog/1.png").write_text("no"), "{t}/train/dog/1.png cannot be read"),
        (lambda t: (t / "train/dog/1.png").write_text(""), "{t}/train/dog/1.png cannot be read"),
        (lambda t: paint(t / "test/Cat/1.png", (7, 5)), "{t}/test/Cat/1.png is 7×5: give --data.s"),
    ],
    ids=lambda value: value[4:20].replace("/", " ") if isinstance(value, str) else "",
)
def test_one_line_says_what_to_do(
    damage: Callable[[Path], object], message: str, tree: Path
) -> None:
    damage(tree)
    with pytest.raises(UserError) as caught:
        read(tree)
    assert message.format(t=tree) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_cut_short_is_found_where_another_library_tolerates_it(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    _cut_short(tree)
    with pytest.raises(UserError, match="cannot be read as an image"):
        read(tree)
    assert ImageFile.LOAD_TRUNCATED_IMAGES


def test_the_last_of_many_files_is_checked_too(tree: Path) -> None:
    for i in range(600):
        paint(tree / f"test/dog/{i}.png", (1, 1))
    for path in tree.glob("*/*/*.png"):
        paint(path, (1, 1))
    paint(tree / "test/dog/zzz.png", (2, 1))
    with pytest.raises(UserError, match=r"zzz\.png is 2×1"):
        read(tree)


def test_images_that_have_no_room_are_refused_before_one_is_decoded(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def decode(*_: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr("research.data.files.decode", decode)
    with pytest.raises(
        UserError, match=r"^an image of 1000000 × 1000000 pixels on each core must fit"
    ):
        read(tree, 1_000_000)


def test_a_set_that_has_no_room_is_refused(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "available_memory", lambda: 12 * 3 * 64**2 - 1)
    monkeypatch.setattr("research.data.files._cores", lambda: 1)
    with pytest.raises(UserError, match=r"^12 images of 64 × 64 pixels must fit into the memory"):
        read(tree, 64)
    monkeypatch.setattr(hardware, "available_memory", lambda: 12 * 3 * 64**2)
    data = read(tree, 64)
    assert data.shape == (3, 64, 64)
    with pytest.raises(UserError, match=r"^what this study computes of 12 images of 64 × 64"):
        data.require_floats(train=0.3, test=0.3)
    data.require_floats(train=0.2, test=0.3)


@pytest.mark.parametrize("name", ["mnist-sample", "faces"])
def test_sets_of_one_array_are_not_enlarged_beyond_the_memory(name: Any) -> None:
    with pytest.raises(
        UserError, match=r"images of 200000 × 200000 pixels must fit .* --data.size"
    ):
        load(Data(name, size=200_000))
