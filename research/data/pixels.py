"""Image files and arrays to pixels, by Pillow, whose integer arithmetic is the same everywhere.

Every image file of the project is decoded by `decode`: upright as its EXIF orientation says,
transparent pixels over white, the first of several frames. What Pillow keeps with more than 8 bits
a pixel (whole numbers of 16 or 32 bits, floating-point numbers) comes as it is, for whoever knows
the other images of the set to scale; see `Picture.rgb`.
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageFile, ImageOps
from torch import Tensor

from research.errors import UserError
from research.machine import hardware

Pixels = npt.NDArray[np.uint8]
Values = npt.NDArray[np.float64]
Kind = Literal["integers", "floats"]
Range = tuple[float, float]
Trait = Literal["turned", "transparent", "frames", "halved"]

_NO_PIXELS = frozenset({"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"})
"""formats that Pillow knows by name, and decodes with another program or not at all"""
_ORIENTATION = 0x0112
_SAMPLE_FORMAT, _UNSIGNED = 339, (1,)
"""TIFF's tag for the kind of its numbers, and what it is where it is not given"""
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation -> what makes the image upright"""
# Pillow's decoders also leave with these where a file is broken.
_BROKEN = (OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, EOFError,
           struct.error, Image.DecompressionBombError)  # fmt: skip


@dataclass(frozen=True)
class Picture:
    """A decoded image file.

    Attributes:
        image: RGB of 8 bits; of a picture with `kind`, only its size counts.
        traits: what was done to it: turned upright, transparent pixels put over white, the first
            of several frames taken, 16-bit channels cut to their upper 8 bits.
        kind: of `values`, None where the file has 8 bits a channel or less.
        values: (H, W), finite, as the file has them.
        blank: (H, W), where the file says that a value stands for nothing.
    """

    image: Image.Image
    traits: frozenset[Trait]
    kind: Kind | None = None
    values: Values | None = None
    blank: npt.NDArray[np.bool_] | None = None

    @property
    def range(self) -> Range:
        """The smallest and the largest value; of 8 bits where there is no `kind`."""
        values = np.asarray(self.image) if self.values is None else self.values
        return float(values.min()), float(values.max())

    def rgb(self, ranges: Mapping[Kind, Range]) -> Image.Image:
        """The image in 8 bits: `ranges[kind]` becomes 0 to 255, rounded, and nothing is clipped.

        Arguments:
            ranges: of all images that are to be comparable, this one among them.
        """
        if self.kind is None or self.values is None:
            return self.image
        low, high = ranges[self.kind]
        grey = np.rint((self.values - low) * (255 / (high - low) if high > low else 0))
        if self.blank is not None:
            grey[self.blank] = 255
        return Image.fromarray(grey.astype(np.uint8)).convert("RGB")


@contextmanager
def whole_files() -> Iterator[None]:
    """Makes Pillow refuse files that end early, which other libraries of the process switch off
    for all (WeasyPrint does when it is imported)."""
    former = ImageFile.LOAD_TRUNCATED_IMAGES
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    try:
        yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = former


def require_room(needed: int, what: str) -> None:
    """Raises UserError unless so many bytes of main memory are available for `what`."""
    hardware.require_memory(needed, what, "give a smaller --data.size")


# --- which files are images ----------------------------------------------------------------------


@cache
def formats() -> tuple[str, ...]:
    """The formats that Pillow decodes by itself."""
    Image.init()
    return tuple(name for name in Image.OPEN if name not in _NO_PIXELS)


@cache
def endings() -> frozenset[str]:
    """What the names of image files end in, in lower case: ".png"."""
    known = set(formats())
    return frozenset(end for end, name in Image.registered_extensions().items() if name in known)


@cache
def _marked() -> tuple[str, ...]:
    """The formats that begin with a mark of their own; of the others any file may look like one."""
    return tuple(name for name in formats() if Image.OPEN[name][1] is not None)


def is_image(path: Path) -> bool:
    """Whether a file is one for `decode`: by the ending of its name, else by its first bytes."""
    if path.suffix.lower() in endings():
        return True
    try:
        with Image.open(path, formats=_marked()):
            return True
    except _BROKEN:
        return False


# --- decoding ------------------------------------------------------------------------------------


def decode(path: Path, damaged: str) -> Picture:
    """Decodes an image file. Raises UserError: the path, what is wrong, and `damaged`, the cure."""
    try:
        with Image.open(path, formats=formats()) as image:
            return _picture(image)
    except FileNotFoundError:
        raise UserError(f"{path} is missing: {damaged}") from None
    except _BROKEN as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path} cannot be read as an image ({reason}): {damaged}") from None


def read_rgb(path: Path, damaged: str) -> Image.Image:
    """A single image file in 8 bits, by its own range where it has more. Raises as `decode`."""
    picture = decode(path, damaged)
    return picture.rgb({picture.kind: picture.range} if picture.kind else {})


def _picture(image: Image.Image) -> Picture:
    traits: set[Trait] = set()
    if any(_is_cut(tile) for tile in getattr(image, "tile", ())):
        traits.add("halved")
    # the layers of a PSD file are no frames: Pillow reads what they make together
    if image.format != "PSD" and getattr(image, "n_frames", 1) > 1:
        traits.add("frames")
    image.load()
    if image.mode == "F" or image.mode.startswith("I"):
        return _deep(image, traits)
    flat, transparent = _opaque(image)
    if transparent:
        traits.add("transparent")
    upright = _upright(image, flat, traits)
    return Picture(upright, frozenset(traits))


def _is_cut(tile: tuple[object, ...]) -> bool:
    """Whether Pillow reads only the upper 8 bits of channels of 16."""
    given = tile[3] if len(tile) > 3 else ""
    raw = given[0] if isinstance(given, tuple) and given else given
    return isinstance(raw, str) and ";16" in raw and raw.startswith(("RGB", "LA", "CMYK"))


def _upright(image: Image.Image, flat: Image.Image, traits: set[Trait]) -> Image.Image:
    """`flat`, which shows `image`, turned as the EXIF data of the latter say."""
    try:
        turn = _TURNS.get(image.getexif().get(_ORIENTATION, 1))
    except _BROKEN:  # EXIF data that nobody can read turn nothing
        turn = None
    if turn is None:
        return flat
    traits.add("turned")
    return flat.transpose(turn)


def _opaque(image: Image.Image) -> tuple[Image.Image, bool]:
    """RGB, transparent pixels over white, and whether there were any."""
    if image.mode == "LAB":
        return _of_lab(image), False
    if "transparency" not in image.info and image.mode[-1] not in "Aa":
        return image.convert("RGB"), False
    clear = image.convert("LA") if image.mode == "La" else image
    clear = clear.convert("RGBA")
    if clear.getchannel("A").getextrema() == (255, 255):
        return clear.convert("RGB"), False
    white = Image.new("RGBA", clear.size, "white")
    return Image.alpha_composite(white, clear).convert("RGB"), True


def _of_lab(image: Image.Image) -> Image.Image:
    from PIL import ImageCms

    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    turned = ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB")
    assert turned is not None  # it is only where the image is changed in place
    return turned


def _deep(image: Image.Image, traits: set[Trait]) -> Picture:
    """A grey image of more than 8 bits. Raises ValueError for values that are not numbers."""
    kind: Kind = "floats" if image.mode == "F" else "integers"
    plain = image if image.mode in "FI" else image.convert("I")
    upright = _upright(image, plain, traits)
    values = np.asarray(upright).astype(np.float64)
    unsigned = image.format == "TIFF" and _is_unsigned(image)
    if kind == "integers" and values.min() < 0 and unsigned:  # Pillow has no 32 bits without a sign
        values = np.asarray(upright).view(np.uint32).astype(np.float64)
    if not np.isfinite(values).all():
        raise ValueError("it holds values that are not finite numbers")
    nothing = image.info.get("transparency")
    blank = values == nothing if isinstance(nothing, int) else None
    if blank is not None and blank.any():
        traits.add("transparent")
    size = Image.new("RGB", upright.size)
    return Picture(size, frozenset(traits), kind, values, blank)


def _is_unsigned(image: Image.Image) -> bool:
    tags = getattr(image, "tag_v2", {})
    return bool(tags.get(_SAMPLE_FORMAT, _UNSIGNED) == _UNSIGNED)


# --- sizes ---------------------------------------------------------------------------------------


def fit(image: Image.Image, size: int) -> Image.Image:
    """Resizes the shorter side to `size` (bilinear, antialiased) and cuts out the middle square."""
    return ImageOps.fit(image, (size, size), Image.Resampling.BILINEAR)


def resize(images: Tensor, size: int | None) -> Tensor:
    """`fit` for uint8 (N, C, H, W) with C of 1 or 3; as they are where `size` is None or theirs.

    Raises:
        UserError: there is no room for them.
    """
    if size is None or images.shape[2:] == (size, size):
        return images
    count, channels = images.shape[:2]
    # one by one, and then in one array
    require_room(2 * count * channels * size**2, f"{count:,} images of {size} × {size} pixels")
    pictures = images.squeeze(1) if images.shape[1] == 1 else images.permute(0, 2, 3, 1)
    return stack([np.asarray(fit(Image.fromarray(p), size)) for p in pictures.numpy()])


def stack(pictures: Sequence[Pixels] | Pixels) -> Tensor:
    """(H, W) or (H, W, 3) each -> uint8 (N, C, H, W), contiguous."""
    images = torch.from_numpy(np.asarray(pictures))
    return images.unsqueeze(1) if images.ndim == 3 else images.permute(0, 3, 1, 2).contiguous()
