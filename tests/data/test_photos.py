import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.neighbors import KNeighborsClassifier
from torch.nn import functional as F

from research.config import Data
from research.data import Dataset, load, photos
from research.errors import UserError
from research.paths import ROOT
from research.records import Array

SPLITS = ("train", "test")


@pytest.fixture(scope="module")
def data() -> Dataset:
    return load(Data("photos"))


@pytest.fixture(scope="module")
def photographs() -> dict[str, Image.Image]:
    from skimage import data
    from sklearn.datasets import load_sample_image

    shipped: Any = data
    arrays = {
        "astronaut": shipped.astronaut(),
        "cat": shipped.chelsea(),
        "coffee": shipped.coffee(),
        "flower": load_sample_image("flower.jpg"),
        "galaxy": shipped.hubble_deep_field(),
        "motorcycle": shipped.stereo_motorcycle()[0],
        "retina": shipped.retina(),
        "rocket": shipped.rocket(),
        "temple": load_sample_image("china.jpg"),
        "tissue": shipped.immunohistochemistry(),
    }
    return {name: Image.fromarray(array) for name, array in arrays.items()}


def index_photos(photograph: Image.Image) -> tuple[Image.Image, Image.Image]:
    """Photographs of the same size whose pixels are their own row and column."""
    rows, columns = np.mgrid[: photograph.height, : photograph.width].astype(np.float32)
    return Image.fromarray(rows), Image.fromarray(columns)


def span(means: Array) -> slice:
    """The source pixels behind evenly spaced means of an index, which lie at their centres.

    Taken from the inner ones, since those at the rim average over fewer pixels.
    """
    step = (means[-5] - means[4]) / (len(means) - 9)
    return slice(round(means[4] - 4.5 * step + 0.5), round(means[-5] + 4.5 * step + 0.5))


def places(photograph: Image.Image, split: str, size: int) -> Iterator[tuple[float, photos.Crop]]:
    for scale in photos.SCALES:
        found = photos.crops(photos.blocks(photograph, split, size), scale, size)
        yield from ((scale, crop) for crop in found)


@pytest.mark.parametrize("size", [32, 112])
def test_no_source_pixel_is_in_both_splits(size: int, photographs: dict[str, Image.Image]) -> None:
    for photograph in photographs.values():
        rows, columns = index_photos(photograph)
        seen = {split: np.zeros((photograph.height, photograph.width), bool) for split in SPLITS}
        for split in SPLITS:
            for scale, crop in list(places(photograph, split, size))[:: 19 if size < 50 else 3]:
                down = span(photos.cut(rows, crop, size)[:, 0].astype(np.float32))
                across = span(photos.cut(columns, crop, size)[0].astype(np.float32))
                assert down.stop - down.start == across.stop - across.start == round(scale * size)
                assert down.start >= 0 and down.stop <= photograph.height
                assert across.start >= 0 and across.stop <= photograph.width
                seen[split][down, across] = True
        assert seen["train"].any() and seen["test"].any()
        assert not (seen["train"] & seen["test"]).any()


@pytest.mark.parametrize("size", [8, 20, 28, 32, 64, 112])
def test_no_place_of_one_split_touches_the_other(
    size: int, photographs: dict[str, Image.Image]
) -> None:
    photograph = photographs["cat"]  # the smallest
    seen = {split: np.zeros((photograph.height, photograph.width), bool) for split in SPLITS}
    for split in SPLITS:
        for _, (left, top, side) in places(photograph, split, size):
            seen[split][top : top + side, left : left + side] = True
    assert seen["train"].any() and seen["test"].any()
    assert not (seen["train"] & seen["test"]).any()


@pytest.mark.parametrize(("side", "tolerance"), [(32, 0), (40, 1), (48, 1)])
def test_a_crop_is_torch_s_antialiased_resize_of_nothing_but_its_square(
    side: int, tolerance: int, photographs: dict[str, Image.Image]
) -> None:
    pixels = np.array(photographs["coffee"])
    square = (slice(90, 90 + side), slice(150, 150 + side))
    source = torch.from_numpy(pixels[square]).permute(2, 0, 1)[None].float()
    expected = F.interpolate(source, (32, 32), mode="bilinear", antialias=True)[0].permute(1, 2, 0)
    crop = photos.Crop(left=150, top=90, side=side)
    got = photos.cut(photographs["coffee"], crop, 32)
    assert np.abs(got - expected.numpy()).max() <= tolerance
    repainted = 255 - pixels
    repainted[square] = pixels[square]
    assert (photos.cut(Image.fromarray(repainted), crop, 32) == got).all()


def test_each_class_shows_its_own_photograph(
    data: Dataset, photographs: dict[str, Image.Image]
) -> None:
    assert data.classes == tuple(photographs)
    for label, photograph in enumerate(photographs.values()):
        image = data.train.images[data.train.labels == label][80]  # at one pixel per pixel
        windows = np.lib.stride_tricks.sliding_window_view(np.asarray(photograph), (32, 32, 3))
        first = (windows[:, :, 0, 0, 0] == image[:, 0, 0].numpy()).all(-1)
        candidates = windows[:, :, 0][first]
        assert (candidates == image.permute(1, 2, 0).numpy()).all((1, 2, 3)).any()


def test_classes_are_balanced(data: Dataset) -> None:
    assert data.train.labels.bincount().tolist() == [480] * 10
    assert data.test.labels.bincount().tolist() == [120] * 10
    assert data.shape == (3, 32, 32)


def test_a_simple_classifier_learns_but_errs(data: Dataset) -> None:
    train, test = (
        part.images[:, :, ::4, ::4].flatten(1).numpy() for part in (data.train, data.test)
    )
    model = KNeighborsClassifier(5).fit(train, data.train.labels.numpy())
    assert 0.4 < model.score(test, data.test.labels.numpy()) < 0.9


def test_larger_images_are_fewer_but_balanced() -> None:
    data = load(Data("photos", size=96))
    assert data.shape == (3, 96, 96)
    for part in (data.train, data.test):
        counts = part.labels.bincount().tolist()
        assert len(set(counts)) == 1 and len(counts) == 10


@pytest.mark.parametrize("size", [7, 113])
def test_impossible_size(size: int) -> None:
    with pytest.raises(UserError, match=f"8 to 112 pixels, got --data.size {size}"):
        load(Data("photos", size=size))


def test_a_missing_photograph_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    where = ("skimage", "scikit-image", "data/no.png")
    monkeypatch.setitem(photos.FILES, "cat", where)
    with pytest.raises(UserError, match=r"no\.png is missing: reinstall scikit-image$"):
        load(Data("photos"))


@pytest.mark.long
def test_another_process_gets_the_same_bytes_and_imports_no_large_package(data: Dataset) -> None:
    code = (
        "import sys; from research.config import Data; from research.data import load; "
        "print(load(Data('photos')).sha256, "
        "*{'skimage', 'sklearn', 'torchvision'}.intersection(sys.modules))"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "7", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert (done.stdout.strip(), done.stderr) == (data.sha256, "")
    assert torch.equal(load(Data("photos")).test.images, data.test.images)
