"""MNIST and CIFAR-10 as torchvision reads them, every file checked before it is used."""

import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

import torch
from torch import Tensor

from research.config import Data
from research.data.dataset import Dataset, Split
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


@dataclass(frozen=True)
class _Archive:
    """A file of a server, and the checksums (MD5) of what is unpacked from it into `folder`."""

    path: Path
    md5: str
    urls: tuple[str, ...]
    folder: Path
    members: Mapping[Path, str]


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
    failures = _fetch(archive)
    if failures:
        raise UserError(
            f"{archive.path.name} cannot be had ({'; '.join(failures)}): run again with a network, "
            f"place the file at {archive.path} by hand, or take --data.name {instead}"
        )


def _fetch(archive: _Archive) -> list[str]:
    """Downloads what is not there yet, and unpacks it; what failed when nothing worked, else []."""
    from torchvision.datasets.utils import download_and_extract_archive

    failures = []
    for url in archive.urls:
        try:
            with _timeout(_SILENCE):
                download_and_extract_archive(
                    url, archive.path.parent, archive.folder, archive.path.name, archive.md5
                )
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
