"""A data set of image files: ROOT/train/CLASS/… and ROOT/test/CLASS/…, as ImageFolder reads it."""

import os
from collections.abc import Iterator
from pathlib import Path

from research.config import Data
from research.data.dataset import Dataset
from research.data.files import splits
from research.errors import UserError

_SUFFIXES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
_LAYOUT = (
    "--data.root must name a folder with train/<class>/<image> and test/<class>/<image>, or "
    "val/<class>/<image> in its place"
)


def load(config: Data) -> Dataset:
    """Your own images, in colour, one folder per class, in the order of classes and file names.

    Where there is no `test` the test side is `val`: ImageNet as torchvision lays it out, its 1,000
    classes named and ordered by WordNet ID, as pretrained models expect them. Files of other kinds
    than images are passed over. With `config.size` every image is resized and cut to that square;
    without, all must share one size. Images that would take more than half of the machine's memory
    are decoded once into a file in `ROOT/.research-cache`, see `mapped`.
    """
    train = _classes(config.root / "train")
    side = _test_side(config.root)
    test = _classes(side)
    if train.keys() != test.keys():
        odd = ", ".join(sorted(train.keys() ^ test.keys()))
        raise UserError(
            f"{config.root}: train/ and {side.name}/ must hold the same classes, only one has {odd}"
        )
    name = config.root.resolve().name
    groups = [*train.values()], [*test.values()]
    return Dataset.of(
        name,
        *splits(*groups, config.size, config.root, "replace or remove it"),
        tuple(train),
        source=f"image files of the folder {name}",
        licence="not known",
    )


def _test_side(root: Path) -> Path:
    for name in ("test", "val"):
        if (root / name).is_dir():
            return root / name
    raise UserError(f"there is neither {root / 'test'} nor {root / 'val'}: {_LAYOUT}")


def _classes(root: Path) -> dict[str, list[Path]]:
    """Class name -> its image files, both sorted."""
    if not root.is_dir():
        raise UserError(f"there is no folder {root}: {_LAYOUT}")
    names = sorted(entry.name for entry in os.scandir(root) if entry.is_dir())
    classes = {name: list(_images(root / name)) for name in names}
    if not classes:
        raise UserError(f"{root} holds no folder: it must hold one folder of images per class")
    for name, paths in classes.items():
        if not paths:
            raise UserError(
                f"{root / name} holds no image ({' '.join(_SUFFIXES)}): add some or remove it"
            )
    return classes


def _images(folder: Path) -> Iterator[Path]:
    for parent, _, names in sorted(os.walk(folder, followlinks=True)):
        chosen = (name for name in sorted(names) if name.lower().endswith(_SUFFIXES))
        yield from (Path(parent, name) for name in chosen)
