"""MNIST, CIFAR-10, Imagenette and Caltech-101 as torchvision reads them, checked before use.

The archives of Imagenette and Caltech-101 hold thousands of image files each, which are counted,
and each is decoded.
"""

import shutil
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path

import torch
from torch import Tensor

from research.config import Data
from research.data.dataset import Dataset, Split
from research.data.files import Groups, splits
from research.data.pixels import resize, stack
from research.errors import UserError

_SILENCE = 30.0
"""seconds without a byte after which a server counts as out of reach"""

_MNIST_MD5 = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}
"""torchvision knows only the archives' checksums, and reads whatever was unpacked."""

_SIDE = 224
"""pixels: the images of Imagenette and Caltech-101 where no size is given"""
_IMAGENETTE = {"train": 9_469, "val": 3_925}
"""images, in each variant"""
CALTECH_URL = "https://data.caltech.edu/records/mzrjq-6wc02/files/caltech-101.zip"
_CALTECH_MD5 = "3138e1922a9193bfa496528edbbc45d0"
"""torchvision's, which has both within the method that downloads"""
_CALTECH = 8_677
"""images, without the background's"""
_TRAIN, _TEST = 30, 50
"""images per class of Caltech-101, where there are as many"""


@dataclass(frozen=True)
class _Archive:
    """A file of a server, and what is unpacked from it into `folder`.

    Attributes:
        members: the checksums (MD5) of the unpacked files, where known.
        inner: archives within the archive, to be unpacked too.
    """

    path: Path
    md5: str
    urls: tuple[str, ...]
    folder: Path
    members: Mapping[Path, str] = field(default_factory=dict)
    inner: tuple[str, ...] = ()


def mnist(config: Data) -> Dataset:
    """MNIST: 60,000 + 10,000 handwritten digits, (1, 28, 28).

    References:
        Gradient-Based Learning Applied to Document Recognition (LeCun et al., 1998).
    """
    from torchvision.datasets import MNIST

    raw = config.root / "MNIST" / "raw"
    for filename, md5 in MNIST.resources:
        name = filename.removesuffix(".gz")
        urls = tuple(f"{mirror}{filename}" for mirror in MNIST.mirrors)
        members = {raw / name: _MNIST_MD5[name]}
        _provide(_Archive(raw / filename, md5, urls, raw, members), instead="mnist-sample")
    train, test = (MNIST(config.root, train=train) for train in (True, False))
    return Dataset.of(
        "mnist",
        _split(train.data.unsqueeze(1), train.targets, config.size),
        _split(test.data.unsqueeze(1), test.targets, config.size),
        tuple("0123456789"),
        source="MNIST (LeCun, Cortes and Burges), as torchvision reads it",
        licence="CC BY-SA 3.0",
    )


def cifar10(config: Data) -> Dataset:
    """CIFAR-10: 50,000 + 10,000 colour photographs of ten classes, (3, 32, 32).

    References:
        Learning Multiple Layers of Features from Tiny Images (Krizhevsky, 2009).
    """
    from torchvision.datasets import CIFAR10

    folder = config.root / CIFAR10.base_folder
    members = {folder / name: md5 for name, md5 in (*CIFAR10.train_list, *CIFAR10.test_list)}
    members[folder / CIFAR10.meta["filename"]] = CIFAR10.meta["md5"]
    path = config.root / CIFAR10.filename
    archive = _Archive(path, CIFAR10.tgz_md5, (CIFAR10.url,), config.root, members)
    _provide(archive, instead="photos")
    train, test = (CIFAR10(config.root, train=train) for train in (True, False))
    return Dataset.of(
        "cifar10",
        _split(stack(train.data), torch.tensor(train.targets), config.size),
        _split(stack(test.data), torch.tensor(test.targets), config.size),
        tuple(train.classes),
        source="CIFAR-10 (Krizhevsky, 2009), as torchvision reads it",
        licence="none stated by its author",
    )


def imagenette(config: Data) -> Dataset:
    """Imagenette: 9,469 + 3,925 photographs of ten unlike classes of ImageNet, (3, 224, 224).

    Of the variants whose shorter sides are 160 pixels, 320 pixels and the originals', the first
    that is at least as large as `config.size`. The test side is its validation set.

    References:
        Imagenette (Howard, 2019), a subset of ImageNet (Deng et al., 2009).
    """
    from torchvision.datasets import Imagenette

    size = config.size or _SIDE
    variant = imagenette_variant(size)
    url, md5 = Imagenette._ARCHIVES[variant]
    tree = config.root / Path(url).stem
    _provide_tree(tree, config.root / Path(url).name, md5, url)
    classes = dict(sorted(Imagenette._WNID_TO_CLASS.items()))
    train, test = (
        _listed([tree / side / wnid for wnid in classes], "*.JPEG", count, tree)
        for side, count in _IMAGENETTE.items()
    )
    sides, reading = splits(train, test, size, tree, _again(tree))
    return Dataset.of(
        "imagenette",
        *sides,
        tuple(names[0] for names in classes.values()),
        source=f"Imagenette (Howard, 2019), variant {variant}, as torchvision reads it",
        licence="Apache 2.0; the images under ImageNet's terms: research and education only",
        reading="; ".join(reading.told()),
    )


def imagenette_variant(size: int | None) -> str:
    """`160px`, `320px` or `full`: the first that is as large as the images are to be."""
    return next((f"{side}px" for side in (160, 320) if (size or _SIDE) <= side), "full")


def caltech101(config: Data) -> Dataset:
    """Caltech-101: 30 training and at most 50 test images of each of 101 classes, (3, 224, 224).

    torchvision reads 8,677 images. The 9,144 that papers count, Zeiler and Fergus among them,
    include 467 of the background, which is no class here. There is no official split: as is custom,
    30 images of a class are drawn, with a fixed seed, and up to 50 of the others; the smallest
    class has 31. Test accuracy is customarily the mean over classes, and over several such draws.

    References:
        Learning Generative Visual Models from Few Training Examples (Fei-Fei et al., 2004);
        Visualizing and Understanding Convolutional Networks (Zeiler & Fergus, 2014), section 5.2.
    """
    root = config.root / "caltech101"
    tree = root / "101_ObjectCategories"
    inner = ("caltech-101/101_ObjectCategories.tar.gz",)
    _provide_tree(tree, root / "caltech-101.zip", _CALTECH_MD5, CALTECH_URL, inner)
    folders = sorted(path for path in tree.iterdir() if path.is_dir())
    folders = [path for path in folders if path.name != "BACKGROUND_Google"]
    train, test = _drawn(_listed(folders, "image_*.jpg", _CALTECH, tree))
    sides, reading = splits(train, test, config.size or _SIDE, root, _again(tree))
    return Dataset.of(
        "caltech101",
        *sides,
        tuple(path.name for path in folders),
        source="Caltech-101 (Fei-Fei et al., 2004), as torchvision reads it; split drawn here",
        licence="CC BY 4.0",
        reading="; ".join(reading.told()),
    )


def _drawn(groups: Groups) -> tuple[Groups, Groups]:
    """The training and the test files of each class, by name."""
    generator = torch.Generator().manual_seed(0)
    train, test = [], []
    for paths in groups:
        order = torch.randperm(len(paths), generator=generator).tolist()
        train.append([paths[i] for i in sorted(order[:_TRAIN])])
        test.append([paths[i] for i in sorted(order[_TRAIN : _TRAIN + _TEST])])
    return train, test


def _listed(folders: Iterable[Path], pattern: str, count: int, tree: Path) -> Groups:
    """The files of each folder by name. Raises UserError where there are not `count` in all."""
    groups = [sorted(folder.glob(pattern)) for folder in folders]
    found = sum(len(paths) for paths in groups)
    if found != count:
        raise UserError(f"{tree} holds {found:,} images instead of {count:,}: {_again(tree)}")
    return groups


def _again(tree: Path) -> str:
    return f"delete {tree} and run again"


def _split(images: Tensor, labels: Tensor, size: int | None) -> Split:
    return Split(resize(images, size), labels.long())


def _provide(archive: _Archive, instead: str) -> None:
    """Sees to it that every member is there with the right checksum; `instead` needs no download.

    What an interrupted download or unpacking left behind is replaced. A wrong file that no archive
    here can replace is left alone, since it may be the user's own.
    """
    from torchvision.datasets.utils import check_integrity

    wrong = [path for path, md5 in archive.members.items() if not check_integrity(path, md5)]
    if not wrong:
        return
    damaged = [path for path in wrong if path.exists()]
    if damaged and not check_integrity(archive.path, archive.md5):
        expected = archive.members[damaged[0]]
        raise UserError(
            f"{damaged[0]} is damaged (its MD5 should be {expected}): delete it and run again"
        )
    _obtain(archive, instead)


def _provide_tree(tree: Path, path: Path, md5: str, url: str, inner: tuple[str, ...] = ()) -> None:
    """Sees to it that the folder `tree` of an archive is there, which appears whole or not at all.

    Arguments:
        path: the archive's place.
        inner: the archives within it, of which the last one holds `tree`.
    """
    if tree.is_dir():
        return
    part = tree.with_name(f".{tree.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    _obtain(_Archive(path, md5, (url,), part, inner=inner), instead="photos")
    (part / tree.name).replace(tree)
    shutil.rmtree(part)


def _obtain(archive: _Archive, instead: str) -> None:
    """Unpacks the archive, downloading it where it is not there. Raises UserError."""
    from torchvision.datasets.utils import check_integrity

    failures = _fetch(archive)
    if failures:
        damaged = archive.path.is_file() and not check_integrity(archive.path, archive.md5)
        raise UserError(
            f"{archive.path.name} cannot be had ({'; '.join(failures)}): run again with a network, "
            f"place the file at {archive.path} by hand"
            f"{f' (the one there is damaged, its MD5 should be {archive.md5})' * damaged}, "
            f"or take --data.name {instead}"
        )


def _fetch(archive: _Archive) -> list[str]:
    """Downloads what is not there yet, and unpacks it; what failed when nothing worked, else []."""
    from torchvision.datasets.utils import download_and_extract_archive, extract_archive

    failures = []
    for url in archive.urls:
        try:
            with _timeout(_SILENCE):
                download_and_extract_archive(
                    url, archive.path.parent, archive.folder, archive.path.name, archive.md5
                )
            for name in archive.inner:
                extract_archive(archive.folder / name, archive.folder)
            return []
        except (RuntimeError, OSError, EOFError, HTTPException) as error:
            failures.append(f"{url}: {' '.join(str(error).split())}")
    return failures


@contextmanager
def _timeout(seconds: float) -> Iterator[None]:
    """torchvision sets none, and would wait for ever on a network that swallows packets."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
