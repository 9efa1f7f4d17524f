"""How far a reconstruction is from its image. Images are float (N, C, H, W) in [0, 1].

Every measure returns one value per image, a mean over its pixels: nothing is multiplied by a
batch size, so values of different runs can be compared.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from research.errors import ArgumentError


def _check(images: Tensor, reconstructions: Tensor) -> None:
    """Raises ArgumentError unless both have one shape: broadcasting would hide a mistake."""
    if images.shape != reconstructions.shape:
        raise ArgumentError(
            f"reconstructions must have the images' shape, {tuple(images.shape)}, got "
            f"{tuple(reconstructions.shape)}; give one for each image"
        )


def bce(images: Tensor, reconstructions: Tensor) -> Tensor:
    """Binary cross-entropy in nats per pixel value, with the images as soft targets. (N,)

    Its least possible value is not 0 but `entropy_floor(images)`, reached at equality; nan where a
    value is.

    Example:
        >>> bce(torch.full((1, 1, 2, 2), 0.5), torch.full((1, 1, 2, 2), 0.5))  # log 2
        tensor([0.6931])
    """
    _check(images, reconstructions)
    shares = reconstructions.float()
    lost = shares.isnan()  # which PyTorch refuses, on a GPU in a way that ends the process
    loss = F.binary_cross_entropy(shares.masked_fill(lost, 0.5), images, reduction="none")
    per_image: Tensor = loss.masked_fill(lost, torch.nan).flatten(1).mean(1)
    return per_image


def entropy_floor(images: Tensor) -> Tensor:
    """The binary entropy of the pixels in nats: the cross-entropy of a perfect copy. (N,)

    Example:
        >>> entropy_floor(torch.tensor([[0.0, 1.0], [0.5, 0.5]]))
        tensor([0.0000, 0.6931])
    """
    return bce(images, images)


def mse(images: Tensor, reconstructions: Tensor) -> Tensor:
    """Mean squared error per pixel value. (N,)

    Example:
        >>> mse(torch.zeros(2, 1, 4, 4), torch.full((2, 1, 4, 4), 0.5))
        tensor([0.2500, 0.2500])
    """
    _check(images, reconstructions)
    return (images - reconstructions).square().flatten(1).mean(1)


def psnr(images: Tensor, reconstructions: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB, for a peak of 1; infinite for a perfect copy. (N,)

    Example:
        >>> psnr(torch.zeros(1, 1, 4, 4), torch.full((1, 1, 4, 4), 0.1))
        tensor([20.])
    """
    return -10 * mse(images, reconstructions).log10()


def ssim(images: Tensor, reconstructions: Tensor) -> Tensor:
    """Structural similarity in [-1, 1], mean over windows and channels. (N,)

    The window is a Gaussian of standard deviation 1.5, cut off at 11×11 pixels, and only windows
    that lie wholly inside the image count; constants K1 = 0.01, K2 = 0.03.

    References:
        Image Quality Assessment: From Error Visibility to Structural Similarity (Wang et al.,
        2004), section III-B.

    Raises:
        ArgumentError: images of less than 11×11 pixels, or reconstructions of another shape.

    Example:
        >>> images = torch.rand(2, 3, 16, 16)
        >>> ssim(images, images).tolist()
        [1.0, 1.0]
    """
    channels, height, width = images.shape[1:]
    if min(height, width) < 11:
        raise ArgumentError(
            f"SSIM needs images of at least 11×11 pixels, got {height}×{width}; use mse or psnr"
        )
    _check(images, reconstructions)
    x, y = images.double(), reconstructions.double()
    offsets = torch.arange(-5, 6, dtype=x.dtype, device=x.device)
    bell = torch.exp(-offsets.square() / (2 * 1.5**2))
    bell = bell / bell.sum()
    rows = bell.view(1, 1, 11, 1).expand(channels, 1, 11, 1)
    columns = bell.view(1, 1, 1, 11).expand(channels, 1, 1, 11)

    def local_mean(z: Tensor) -> Tensor:  # (N, C, H, W) -> (N, C, H - 10, W - 10)
        return F.conv2d(F.conv2d(z, rows, groups=channels), columns, groups=channels)

    mean_x, mean_y = local_mean(x), local_mean(y)
    var_x = local_mean(x * x) - mean_x**2
    var_y = local_mean(y * y) - mean_y**2
    covariance = local_mean(x * y) - mean_x * mean_y
    c1, c2 = 0.01**2, 0.03**2
    likeness = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    likeness = likeness / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2))
    return likeness.flatten(1).mean(1)


def spectrum(residuals: Tensor) -> Tensor:
    """Power of each spatial frequency, mean over images and channels, zero first. (H, W)

    Example:
        >>> spectrum(torch.ones(1, 1, 2, 2)).tolist()
        [[16.0, 0.0], [0.0, 0.0]]
    """
    waves: Tensor = torch.fft.fft2(residuals.double())
    return waves.abs().square().mean((0, 1))


def checkerboard_energy(residuals: Tensor) -> float:
    """Share of a residual's power, constant part excluded, that alternates from pixel to pixel.

    It is the share of the Fourier row and column at half a cycle per pixel, the pattern that
    strided transposed convolutions imprint. A pattern (-1)^(i+j) has share 1, a smooth residual 0,
    white noise (H + W - 1) / (HW - 1), which is 0.0616 at 32×32. nan where nothing but a constant
    is left, as by a perfect copy.

    Arguments:
        residuals: reconstruction minus image, (N, C, H, W) with even H and W.

    References:
        Deconvolution and Checkerboard Artifacts (Odena et al., 2016) describes the pattern.

    Example:
        >>> checkerboard_energy(torch.tensor([[[[1.0, -1.0], [-1.0, 1.0]]]]))
        1.0
    """
    power = spectrum(residuals)
    height, width = power.shape
    alternating = power[height // 2].sum() + power[:, width // 2].sum()
    alternating = alternating - power[height // 2, width // 2]
    return (alternating / (power.sum() - power[0, 0])).item()


def white_noise_share(height: int, width: int) -> float:
    """The `checkerboard_energy` expected of white noise.

    Example:
        >>> round(white_noise_share(32, 32), 4)
        0.0616
    """
    return (height + width - 1) / (height * width - 1)


def measure(images: Tensor, reconstructions: Tensor, part: int = 1000) -> dict[str, Tensor]:
    """`bce`, `mse`, `psnr` and `ssim` of each image, (N,) each on the CPU.

    Where reconstructions leave [0, 1], as those of a linear code do, they are clipped to [0, 1]
    first, and `bce`, which means nothing for them, is left out. The work is done `part` images at
    a time, which bounds memory.

    Example:
        >>> images = torch.rand(5, 1, 16, 16)
        >>> {name: tuple(values.shape) for name, values in measure(images, images / 2).items()}
        {'mse': (5,), 'psnr': (5,), 'ssim': (5,), 'bce': (5,)}
    """
    inside = bool(((reconstructions >= 0) & (reconstructions <= 1)).all())
    measures = {"mse": mse, "psnr": psnr, "ssim": ssim} | ({"bce": bce} if inside else {})
    shown = reconstructions.clamp(0, 1)
    pairs = list(zip(torch.split(images, part), torch.split(shown, part), strict=True))
    return {
        name: torch.cat([of(x, y).cpu() for x, y in pairs]).double()
        for name, of in measures.items()
    }
