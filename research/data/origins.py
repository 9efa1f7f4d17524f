"""The files that a data set is read from: where they lie here, and where anyone finds them.

downloaded    the archive, where it is still here, else what was unpacked from it, by its name
of a package  the file as the package ships it
your own      every file of the folders, or the two text files
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from research.config import Data, Text
from research.data import downloads, packages, photos
from research.errors import UserError
from research.records import sha256
from research.records.sources import DataFile, Source

MOST = 20_000
"""files of a set that are listed at most"""
LARGEST = 20_000_000_000
"""bytes of a set that are hashed at most: a minute's reading"""


@dataclass(frozen=True)
class Origin:
    """A file of a data set.

    Attributes:
        path: where it lies on this machine.
        name: by which it is found within the set, with `/`.
        url: where it can be downloaded; empty where it comes otherwise.
        told: where it comes from, in words.
    """

    path: Path
    name: str
    url: str = ""
    told: str = ""


def of(config: Data | Text) -> list[Origin]:
    """The files of a set on this machine, by name.

    Raises:
        UserError: a file is not here.

    Example:
        >>> [origin.name for origin in of(Data("mnist-sample"))]
        ['mnist_5k.csv.gz']
    """
    found = list(_texts(config) if isinstance(config, Text) else _SETS[config.name](config))
    for origin in found:
        if not origin.path.is_file():
            raise UserError(
                f"{origin.path} of the data set {config.title} is not here: bring it back"
            )
    return sorted(found, key=lambda origin: origin.name)


def sources(config: Any) -> list[Source]:
    """Every data set that the settings of a study name, with the digests of its files.

    Arguments:
        config: a study's settings; its fields of the types `Data` and `Text` count.
    """
    return [
        _source(name, one) for name, one in vars(config).items() if isinstance(one, Data | Text)
    ]


def _source(group: str, config: Data | Text) -> Source:
    try:
        found = of(config)
    except UserError as trouble:
        return Source(group, config.title, why=str(trouble))
    size = sum(origin.path.stat().st_size for origin in found)
    if len(found) > MOST or size > LARGEST:
        why = f"its {len(found):,} files of {size / 1e9:,.0f} GB were too many to be read again"
        return Source(group, config.title, why=why)
    files = (
        DataFile(one.name, sha256(one.path), one.path.stat().st_size, one.url, one.told)
        for one in found
    )
    return Source(group, config.title, tuple(files))


def _packaged(*files: tuple[str, str, str]) -> Iterator[Origin]:
    for package, distribution, path in files:
        told = f"{path} of the package {distribution} {version(distribution)}"
        yield Origin(packages.package_file(package, distribution, path), Path(path).name, told=told)


def _mnist(config: Data) -> Iterator[Origin]:
    from torchvision.datasets import MNIST

    raw = config.root / "MNIST/raw"
    for filename, _ in MNIST.resources:
        name = filename.removesuffix(".gz")
        inside = [Origin(raw / name, name, told=f"unpacked from {filename}")]
        yield from _archive(raw / filename, MNIST.mirrors[0] + filename, inside)


def _cifar10(config: Data) -> Iterator[Origin]:
    from torchvision.datasets import CIFAR10

    folder = config.root / CIFAR10.base_folder
    listed = (*CIFAR10.train_list, *CIFAR10.test_list)
    names = [*(name for name, _ in listed), CIFAR10.meta["filename"]]
    told = f"unpacked from {CIFAR10.filename}"
    inside = [Origin(folder / name, name, told=told) for name in names]
    yield from _archive(config.root / CIFAR10.filename, CIFAR10.url, inside)


def _imagenette(config: Data) -> Iterator[Origin]:
    from torchvision.datasets import Imagenette

    url, _ = Imagenette._ARCHIVES[downloads.imagenette_variant(config.size)]
    path = config.root / Path(url).name
    yield from _archive(path, url, _tree(config.root / path.stem))


def _caltech101(config: Data) -> Iterator[Origin]:
    path = config.root / "caltech101/caltech-101.zip"
    tree = _tree(path.parent / "101_ObjectCategories")
    yield from _archive(path, downloads.CALTECH_URL, tree)


def _archive(path: Path, url: str, inside: Iterable[Origin]) -> Iterator[Origin]:
    if path.is_file():
        yield Origin(path, path.name, url, "downloaded")
    else:
        yield from inside


def _own(config: Data) -> Iterator[Origin]:
    for side in ("train", "test", "val"):
        yield from _tree(config.root / side)


def _tree(folder: Path) -> Iterator[Origin]:
    """Every file but the hidden ones; named from the folder that holds this one."""
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder.parent).parts
        if path.is_file() and not any(part.startswith(".") for part in parts[1:]):
            yield Origin(path, "/".join(parts))


def _texts(config: Text) -> Iterator[Origin]:
    """Generated sentences have no file."""
    for path in (config.source, config.target):
        if path is not None:
            yield Origin(path, path.name)


_SETS: dict[str, Callable[[Data], Iterator[Origin]]] = {
    "mnist": _mnist,
    "cifar10": _cifar10,
    "imagenette": _imagenette,
    "caltech101": _caltech101,
    "folder": _own,
    "mnist-sample": lambda config: _packaged(packages.DIGITS),
    "photos": lambda config: _packaged(*photos.FILES.values()),
    "faces": lambda config: _packaged(packages.FACES),
}
