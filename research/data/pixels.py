"""Image files and arrays to pixels, by Pillow, whose integer arithmetic is the same everywhere."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageFile, ImageOps
from torch import Tensor

from research.errors import UserError

Pixels = npt.NDArray[np.uint8]


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


def read_rgb(path: Path, damaged: str) -> Image.Image:
    """Decodes an image file. Raises UserError: the path, what is wrong, and `damaged`, the cure."""
    try:
        with Image.open(path) as image:
            return image.convert("RGB")
    except FileNotFoundError:
        raise UserError(f"{path} is missing: {damaged}") from None
    # Pillow's decoders also leave with SyntaxError and ValueError where a file is broken.
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path} cannot be read as an image ({reason}): {damaged}") from None


def fit(image: Image.Image, size: int) -> Image.Image:
    """Resizes the shorter side to `size` (bilinear, antialiased) and cuts out the middle square."""
    return ImageOps.fit(image, (size, size), Image.Resampling.BILINEAR)


def resize(images: Tensor, size: int | None) -> Tensor:
    """`fit` for uint8 (N, C, H, W) with C of 1 or 3; as they are where `size` is None or theirs."""
    if size is None or images.shape[2:] == (size, size):
        return images
    pictures = images.squeeze(1) if images.shape[1] == 1 else images.permute(0, 2, 3, 1)
    return stack([np.asarray(fit(Image.fromarray(p), size)) for p in pictures.numpy()])


def stack(pictures: Sequence[Pixels] | Pixels) -> Tensor:
    """(H, W) or (H, W, 3) each -> uint8 (N, C, H, W), contiguous."""
    images = torch.from_numpy(np.asarray(pictures))
    return images.unsqueeze(1) if images.ndim == 3 else images.permute(0, 3, 1, 2).contiguous()
