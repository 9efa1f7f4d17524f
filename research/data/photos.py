"""Ten colour photographs that scikit-image and scikit-learn ship, cut into small images.

Each photograph is a class. It is laid out in square blocks of twice the image size, and every fifth
block, a knight's move apart, is for testing. A crop never leaves its block, so no source pixel is
seen in both training and testing; within a split crops overlap. A third of the crops each show 1,
5/4 and 3/2 source pixels per pixel, in every class alike. Blocks without contrast (the black around
the retina, plain sky) are left out.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image

from research.config import Data
from research.data.dataset import Dataset, Split
from research.data.packages import package_file
from research.data.pixels import Pixels, read_rgb, stack
from research.errors import UserError

_SKIMAGE, _SKLEARN = ("skimage", "scikit-image"), ("sklearn", "scikit-learn")
FILES = {
    "astronaut": (*_SKIMAGE, "data/astronaut.png"),
    "cat": (*_SKIMAGE, "data/chelsea.png"),
    "coffee": (*_SKIMAGE, "data/coffee.png"),
    "flower": (*_SKLEARN, "datasets/images/flower.jpg"),
    "galaxy": (*_SKIMAGE, "data/hubble_deep_field.jpg"),
    "motorcycle": (*_SKIMAGE, "data/motorcycle_left.png"),
    "retina": (*_SKIMAGE, "data/retina.jpg"),
    "rocket": (*_SKIMAGE, "data/rocket.jpg"),
    "temple": (*_SKLEARN, "datasets/images/china.jpg"),
    "tissue": (*_SKIMAGE, "data/ihc.png"),
}
"""class -> package, distribution and file of its photograph"""
_LICENCE = (
    "as the packages state: public domain, CC0 or no known restrictions (astronaut, cat, coffee, "
    "galaxy, retina, rocket, tissue); CC BY 2.0 (flower: vultilion, temple: danielbuechele); "
    "Middlebury 2014 stereo benchmark, none stated (motorcycle)"
)
SIZES = range(8, 113)
"""image sizes at which the smallest photograph still has a block for each split"""
SCALES = (1.0, 1.25, 1.5)
"""source pixels per pixel of a crop"""
_MOST = {"train": 160, "test": 40}
"""crops per class and scale, where all photographs have as many"""
_CONTRAST = 8.0
"""standard deviation of a block's grey levels below which it is plain"""


class Crop(NamedTuple):
    """A square of a photograph, in pixels."""

    left: int
    top: int
    side: int

    @property
    def rows(self) -> slice:
        return slice(self.top, self.top + self.side)

    @property
    def columns(self) -> slice:
        return slice(self.left, self.left + self.side)


def load(config: Data) -> Dataset:
    """4,800 + 1,200 crops of ten photographs, (3, 32, 32); fewer where `config.size` is larger."""
    size = config.size or 32
    if size not in SIZES:
        raise UserError(
            f"photos can be cut to {SIZES[0]} to {SIZES[-1]} pixels, got --data.size {size}"
        )
    images = [_photo(*where) for where in FILES.values()]
    return Dataset.of(
        "photos",
        _split("train", images, size),
        _split("test", images, size),
        tuple(FILES),
        source="crops of ten photographs in the packages scikit-image and scikit-learn",
        licence=_LICENCE,
    )


def _photo(package: str, distribution: str, path: str) -> Image.Image:
    return read_rgb(package_file(package, distribution, path), f"reinstall {distribution}")


def _split(split: str, photographs: Sequence[Image.Image], size: int) -> Split:
    """The same number of crops of every class and scale."""
    places = [
        (photograph, crops(blocks(photograph, split, size), scale, size))
        for photograph in photographs
        for scale in SCALES
    ]
    count = min(_MOST[split], *(len(found) for _, found in places))
    pictures = [cut(p, crop, size) for p, found in places for crop in _spread(found, count)]
    labels = torch.arange(len(photographs)).repeat_interleave(count * len(SCALES))
    return Split(stack(pictures), labels)


def blocks(photograph: Image.Image, split: str, size: int) -> list[Crop]:
    """The blocks of a split ("train" or "test") that are not plain, row by row."""
    side = 2 * size
    grey = np.asarray(photograph.convert("L"))
    found = [
        Crop(column * side, row * side, side)
        for row in range(photograph.height // side)
        for column in range(photograph.width // side)
        if ((row + 2 * column) % 5 == 0) == (split == "test")
    ]
    return [block for block in found if grey[block.rows, block.columns].std() > _CONTRAST]


def crops(blocks: Sequence[Crop], scale: float, size: int) -> list[Crop]:
    """All places of a crop within the blocks, an eighth of the image size apart."""
    side = round(scale * size)
    steps = range(0, 2 * size - side + 1, size // 8)
    return [Crop(b.left + x, b.top + y, side) for b in blocks for y in steps for x in steps]


def _spread(places: Sequence[Crop], count: int) -> list[Crop]:
    """`count` of them, evenly spaced."""
    return [places[i * len(places) // count] for i in range(count)]


def cut(photograph: Image.Image, crop: Crop, size: int) -> Pixels:
    """The crop resized to `size`, bilinear with antialiasing, (size, size, 3)."""
    left, top, side = crop
    box = (left, top, left + side, top + side)
    # Cropped first: a resize with a box may look at pixels beyond it.
    return np.asarray(photograph.crop(box).resize((size, size), Image.Resampling.BILINEAR))
