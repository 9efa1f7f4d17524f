import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from research.config import Data
from research.data import Dataset, batches, load, packages
from research.errors import UserError


@pytest.fixture(scope="module")
def faces() -> Dataset:
    return load(Data("faces"))


@pytest.fixture(scope="module")
def shipped() -> torch.Tensor:
    """What scikit-image's own function gives, (200, 25, 25) in [0, 1]."""
    from skimage import data

    subset: Any = data
    return torch.from_numpy(subset.lfw_subset())


def test_all_pictures_are_for_testing(faces: Dataset, shipped: torch.Tensor) -> None:
    expected = (255 * shipped)[:, None].expand(-1, 3, -1, -1)
    assert faces.test.images.dtype == torch.uint8 and faces.test.images.is_contiguous()
    assert (faces.test.images - expected).abs().max() <= 0.5
    assert faces.test.labels.tolist() == [0] * 100 + [1] * 100
    assert faces.classes == ("face", "other")


def test_those_labelled_faces_look_alike(faces: Dataset) -> None:
    pixels = faces.test.images[:, 0].flatten(1).double()
    mean = pixels[1:100:2].mean(0)  # of one half of the faces, which the other half resembles
    rows = torch.cat([mean[None], pixels[:100:2], pixels[100:]])
    alike = torch.corrcoef(rows)[0, 1:].nan_to_num()
    more_alike = (alike[:50, None] > alike[None, 50:]).double().mean()  # area under the ROC curve
    assert more_alike > 0.9


def test_there_is_nothing_to_train_on_and_the_set_bears_it(faces: Dataset) -> None:
    assert (len(faces.train), faces.train.images.shape) == (0, (0, 3, 25, 25))
    assert faces.shape == (3, 25, 25)
    assert list(batches(faces.train, 4, generator=torch.Generator())) == []
    facts = json.loads(json.dumps(faces.facts()))
    assert (facts["train"], facts["test"], facts["shape"]) == (0, 200, [3, 25, 25])
    assert len(faces.to("cpu").train) == 0
    assert faces.test_image("face", 99).shape == (1, 3, 25, 25)


@pytest.mark.parametrize("size", [64, 20])
def test_enlarged_and_reduced_as_torch_does(size: int, faces: Dataset) -> None:
    data = load(Data("faces", size=size))
    assert data.shape == (3, size, size) and data.sha256 != faces.sha256
    expected = F.interpolate(
        faces.test.images.float(), (size, size), mode="bilinear", antialias=True
    )
    # Pillow rounds after each of the two directions.
    assert (data.test.images - expected).abs().max() <= 1.01
    assert (data.test.images == data.test.images[:, :1]).all()


def _saved(path: Path, shape: tuple[int, ...]) -> bytes:
    np.save(path, np.zeros(shape))
    return path.read_bytes()


@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "text", "shape"])
def test_a_damaged_package_is_named(
    damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "lfw_subset.npy"
    whole, other = _saved(path, (200, 25, 25)), _saved(path, (200, 5, 5))
    path.unlink()
    contents = {"empty": b"", "cut": whole[:-9], "text": b"no array", "shape": other}
    if damage in contents:
        path.write_bytes(contents[damage])
    monkeypatch.setattr(packages, "package_file", lambda *_: path)
    with pytest.raises(UserError, match=r"reinstall scikit-image$") as caught:
        load(Data("faces"))
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
