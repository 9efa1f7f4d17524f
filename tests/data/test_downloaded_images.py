"""The downloaded sets that are trees of image files: Imagenette and Caltech-101."""

import hashlib
import inspect
import io
import shutil
import socket
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from research.config import Data
from research.data import Dataset, downloads, load, memory_map
from research.errors import UserError

Bytes = dict[str, bytes]
Patch = pytest.MonkeyPatch


def jpeg(seed: int, mode: str = "RGB") -> bytes:
    """Noise, 12 pixels wide and 8 high."""
    noise = np.random.default_rng(seed).integers(0, 256, (8, 12, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).convert(mode).save(buffer, "JPEG")
    return buffer.getvalue()


def tar(files: Bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


def middle(image: Image.Image) -> Tensor:
    """The 8 × 8 pixels in the middle of an image of `jpeg`, (3, 8, 8)."""
    return torch.from_numpy(np.array(image.convert("RGB"))[:, 2:10]).permute(2, 0, 1)


def read(name: Any, root: Path, size: int | None = 8) -> Dataset:
    return load(Data(name, root, size))


def refused(name: Any, root: Path, size: int | None = 8) -> str:
    """The one line with which a set is refused."""
    with pytest.raises(UserError) as caught:
        read(name, root, size)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def nowhere(monkeypatch: Patch) -> Iterator[str]:
    """Address of a server that refuses connections."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound but not listening
        yield f"http://127.0.0.1:{unused.getsockname()[1]}/"


WNIDS = (
    "n01440764", "n02102040", "n02979186", "n03000684", "n03028079",
    "n03394916", "n03417042", "n03425413", "n03445777", "n03888257",
)  # fmt: skip


@pytest.fixture
def imagenette(nowhere: str, monkeypatch: Patch) -> bytes:
    """An archive of two training and one validation image per class, and no server."""
    from torchvision.datasets import Imagenette

    files = {"noisy_imagenette.csv": b"path"}
    for i, wnid in enumerate(reversed(WNIDS)):
        files[f"train/{wnid}/{wnid}_10.JPEG"] = jpeg(3 * i)
        files[f"train/{wnid}/ILSVRC2012_val_00000293.JPEG"] = jpeg(3 * i + 1, "L")
        files[f"val/{wnid}/{wnid}_9.JPEG"] = jpeg(3 * i + 2)
    archive = tar({f"imagenette2-160/{name}": data for name, data in files.items()})
    variants = {
        name: (nowhere + Path(url).name, md5(archive))
        for name, (url, _) in Imagenette._ARCHIVES.items()
    }
    monkeypatch.setattr(Imagenette, "_ARCHIVES", variants)
    monkeypatch.setattr(downloads, "_IMAGENETTE", {"train": 20, "val": 10})
    return archive


@pytest.fixture
def nette(imagenette: bytes, tmp_path: Path) -> Path:
    """A root where the archive was placed by hand."""
    (tmp_path / "imagenette2-160.tgz").write_bytes(imagenette)
    return tmp_path


def assert_is_torchvision_s_imagenette(data: Dataset, root: Path) -> None:
    from torchvision.datasets import Imagenette

    for split, side in ((data.train, "train"), (data.test, "val")):
        expected = Imagenette(root, side, "160px")
        assert split.labels.tolist() == [label for _, label in expected]
        images = torch.stack([middle(image) for image, _ in expected])
        assert torch.equal(split.images, images)
        assert list(data.classes) == [names[0] for names in expected.classes]


def test_imagenette_is_torchvision_s(nette: Path) -> None:
    data = read("imagenette", nette)
    assert (data.name, data.shape, len(data.train), len(data.test)) == (
        "imagenette", (3, 8, 8), 20, 10,
    )  # fmt: skip
    assert data.classes[:2] == ("tench", "English springer")
    assert_is_torchvision_s_imagenette(data, nette)
    (nette / "imagenette2-160.tgz").unlink()
    assert read("imagenette", nette).sha256 == data.sha256


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    """Address of a server of the files of `tmp_path`."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=tmp_path)) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def test_imagenette_is_downloaded(nette: Path, served: str, monkeypatch: Patch) -> None:
    from torchvision.datasets import Imagenette

    _, digest = Imagenette._ARCHIVES["160px"]
    address = f"{served}imagenette2-160.tgz"
    monkeypatch.setitem(Imagenette._ARCHIVES, "160px", (address, digest))
    root = nette / "new"
    assert_is_torchvision_s_imagenette(read("imagenette", root), root)


@pytest.mark.usefixtures("imagenette")
@pytest.mark.parametrize(
    ("size", "variant"),
    [(1, "2-160"), (160, "2-160"), (161, "2-320"), (None, "2-320"), (320, "2-320"), (321, "2")],
)
def test_the_smallest_variant_that_is_large_enough(
    size: int | None, variant: str, tmp_path: Path
) -> None:
    message = refused("imagenette", tmp_path, size)
    assert message.startswith(f"imagenette{variant}.tgz cannot be had (http://127.0.0.1:")
    assert "Connection refused" in message and "--data.name photos" in message
    assert f"place the file at {tmp_path / f'imagenette{variant}.tgz'} by hand, or" in message


def test_imagenette_s_own_size(nette: Path) -> None:
    read("imagenette", nette)
    (nette / "imagenette2-160").rename(nette / "imagenette2-320")
    assert read("imagenette", nette, None).shape == (3, 224, 224)


def test_a_damaged_archive_is_named(nette: Path, imagenette: bytes) -> None:
    path = nette / "imagenette2-160.tgz"
    path.write_bytes(imagenette[:-1])
    message = refused("imagenette", nette)
    assert f"(the one there is damaged, its MD5 should be {md5(imagenette)})" in message
    assert path.read_bytes() == imagenette[:-1]


def test_a_damaged_image_is_named_and_mended_from_the_archive(nette: Path) -> None:
    data = read("imagenette", nette)
    tree = nette / "imagenette2-160"
    path = tree / "val/n03000684/n03000684_9.JPEG"
    path.write_bytes(path.read_bytes()[:-60])
    message = refused("imagenette", nette)
    assert message.startswith(f"{path} cannot be read as an image")
    assert message.endswith(f"delete {tree} and run again")
    shutil.rmtree(tree)
    assert read("imagenette", nette).sha256 == data.sha256


@pytest.mark.parametrize(("side", "found"), [("train", "19 images in"), ("val", "9 images in")])
def test_a_missing_image_is_noticed(side: str, found: str, nette: Path) -> None:
    read("imagenette", nette)
    tree = nette / "imagenette2-160"
    next((tree / side / "n03000684").iterdir()).unlink()
    message = refused("imagenette", nette)
    assert message.startswith(f"{tree} holds {found}")
    assert message.endswith(f"delete {tree} and run again")


def test_an_unpacking_cut_short_is_repeated(nette: Path, monkeypatch: Patch) -> None:
    from torchvision.datasets import utils

    def fail(archive: Any, folder: Any, *rest: Any) -> None:
        (Path(folder) / "imagenette2-160/train").mkdir(parents=True)
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(utils, "extract_archive", fail)
        message = refused("imagenette", nette)
    assert "No space left on device" in message and "damaged" not in message
    assert not (nette / "imagenette2-160").exists()
    (nette / ".imagenette2-160.part/imagenette2-160/train/extra").mkdir()
    assert_is_torchvision_s_imagenette(read("imagenette", nette), nette)
    assert sorted(path.name for path in nette.iterdir()) == [
        "imagenette2-160", "imagenette2-160.tgz",
    ]  # fmt: skip


CATEGORIES = {"ant": 31, "Faces": 33, "accordion": 90, "BACKGROUND_Google": 3}


@pytest.fixture
def caltech(nowhere: str, tmp_path: Path, monkeypatch: Patch) -> Path:
    """A root with a small archive in Caltech-101's layout, and no server."""
    files = {"101_ObjectCategories/BACKGROUND_Google/tmp": b"no image"}
    for label, (name, count) in enumerate(CATEGORIES.items()):
        for i in range(1, count + 1):
            mode = "L" if i == 5 else "RGB"
            files[f"101_ObjectCategories/{name}/image_{i:04d}.jpg"] = jpeg(100 * label + i, mode)
    path = tmp_path / "caltech101/caltech-101.zip"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("caltech-101/101_ObjectCategories.tar.gz", tar(files))
        archive.writestr("caltech-101/Annotations.tar", b"not read")
        archive.writestr("__MACOSX/caltech-101/._Annotations.tar", b"not read")
    monkeypatch.setattr(downloads, "CALTECH_URL", f"{nowhere}caltech-101.zip")
    monkeypatch.setattr(downloads, "_CALTECH_MD5", md5(path.read_bytes()))
    monkeypatch.setattr(downloads, "_CALTECH", 31 + 33 + 90)
    return tmp_path


def originals(root: Path) -> tuple[list[str], dict[bytes, tuple[int, int]]]:
    """torchvision's categories, and pixels -> label and number within its class."""
    from torchvision.datasets import Caltech101

    given = Caltech101(root)
    pixels = [middle(image).numpy().tobytes() for image, _ in given]
    where = dict(zip(pixels, zip(given.y, given.index, strict=True), strict=True))
    assert len(where) == 154
    return given.categories, where


def test_caltech101_is_drawn_from_torchvision_s(caltech: Path) -> None:
    data = read("caltech101", caltech)
    categories, where = originals(caltech)
    assert list(data.classes) == categories == ["Faces", "accordion", "ant"]
    assert data.train.labels.bincount().tolist() == [30, 30, 30]
    assert data.test.labels.bincount().tolist() == [3, 50, 1]
    drawn = []
    for split in (data.train, data.test):
        found = [where[image.numpy().tobytes()] for image in split.images]
        assert [label for label, _ in found] == split.labels.tolist()
        assert found == sorted(found)
        drawn.append(found)
    assert len({*drawn[0], *drawn[1]}) == 90 + 54
    of_accordion = [number for label, number in drawn[0] if label == 1]
    assert 20 < sum(of_accordion) / 30 < 71 and max(of_accordion) > 60  # not the first ones


def test_caltech101_is_drawn_alike_each_time(caltech: Path) -> None:
    first = read("caltech101", caltech)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    assert read("caltech101", caltech).sha256 == first.sha256
    assert torch.equal(torch.get_rng_state(), before)


def test_classes_are_drawn_independently() -> None:
    same = [Path(str(i)) for i in range(90)]
    train, test = downloads._drawn([same, same])
    assert train[0] != train[1] and test[0] != test[1]


def test_caltech101_needs_no_archive_once_unpacked(caltech: Path, monkeypatch: Patch) -> None:
    data = read("caltech101", caltech)
    assert sorted(path.name for path in (caltech / "caltech101").iterdir()) == [
        "101_ObjectCategories", "caltech-101.zip",
    ]  # fmt: skip
    (caltech / "caltech101/caltech-101.zip").unlink()
    monkeypatch.setattr(memory_map, "SHARE", 0.0)
    for _ in range(2):
        assert read("caltech101", caltech).sha256 == data.sha256


def test_caltech101_s_own_size(caltech: Path) -> None:
    assert read("caltech101", caltech, None).shape == (3, 224, 224)


def test_caltech101_out_of_reach(caltech: Path) -> None:
    path = caltech / "caltech101/caltech-101.zip"
    path.unlink()
    message = refused("caltech101", caltech)
    assert message.startswith("caltech-101.zip cannot be had (http://127.0.0.1:")
    assert f"place the file at {path} by hand, or take --data.name photos" in message


def test_caltech101_damaged(caltech: Path) -> None:
    data = read("caltech101", caltech)
    tree = caltech / "caltech101/101_ObjectCategories"
    path = tree / "ant/image_0007.jpg"
    whole = path.read_bytes()
    path.write_bytes(whole[:-60])
    message = refused("caltech101", caltech)
    assert message.startswith(f"{path} cannot be read as an image")
    path.unlink()
    message = refused("caltech101", caltech)
    assert message == f"{tree} holds 153 images instead of 154: delete {tree} and run again"
    shutil.rmtree(tree)
    assert read("caltech101", caltech).sha256 == data.sha256


def test_caltech101_s_address_and_checksum_are_torchvision_s() -> None:
    from torchvision.datasets import Caltech101

    source = inspect.getsource(Caltech101.download)
    assert f'"{downloads.CALTECH_URL}"' in source
    assert f'"{downloads._CALTECH_MD5}"' in source
