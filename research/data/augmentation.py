"""Random changes to a whole batch of images at once, on the device where it lies.

The random numbers come from a CPU generator, so that a seed gives the same changes on every device.
"""

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from research.data.draws import drawn
from research.errors import UserError


def random_flip(images: Tensor, generator: Generator) -> Tensor:
    """Mirrors each image left to right with probability 1/2.

    Arguments:
        images: any type, (N, C, H, W).
        generator: on the CPU; advances by N uniform numbers.

    Example:
        >>> random_flip(torch.rand(8, 3, 32, 32), Generator().manual_seed(0)).shape
        torch.Size([8, 3, 32, 32])
    """
    count = len(images)
    flipped = drawn(lambda g: torch.rand(count, generator=g) < 0.5, generator, images.device)
    return torch.where(flipped[:, None, None, None], images.flip(3), images)


def random_crop(images: Tensor, padding: int, generator: Generator) -> Tensor:
    """Shifts each image by up to `padding` pixels in both directions; what moves in is 0 (black).

    The same as padding with zeros on all sides and cropping to the old size at a random place, as
    in Deep Residual Learning for Image Recognition (He et al., 2016), section 4.2.

    Arguments:
        images: any type, (N, C, H, W).
        padding: pixels, at least 0.
        generator: on the CPU; advances by 2 N integers: N from the top, then N from the left.

    Example:
        >>> random_crop(torch.rand(8, 3, 32, 32), 4, Generator().manual_seed(0)).shape
        torch.Size([8, 3, 32, 32])
    """
    if padding < 0:
        raise UserError(f"padding must be at least 0 pixels, got {padding}")
    count, channels, height, width = images.shape
    offsets = drawn(
        lambda g: torch.randint(2 * padding + 1, (2, count), generator=g), generator, images.device
    )
    rows = offsets[0][:, None] + torch.arange(height, device=images.device)  # (N, H)
    columns = offsets[1][:, None] + torch.arange(width, device=images.device)  # (N, W)
    image = torch.arange(count, device=images.device)[:, None, None, None]
    channel = torch.arange(channels, device=images.device)[:, None, None]
    padded = F.pad(images, (padding,) * 4)  # (N, C, H + 2 padding, W + 2 padding)
    return padded[image, channel, rows[:, None, :, None], columns[:, None, None, :]]
