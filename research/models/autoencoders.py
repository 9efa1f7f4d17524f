"""Networks from images to reconstructions."""

import itertools
from collections import OrderedDict
from collections.abc import Sequence
from math import prod
from typing import Literal

from torch import Tensor, nn

from research.models.layers import FloatSigmoid, Normalise

Decoder = Literal["transpose", "upsample"]
Output = Literal["linear", "relu", "sigmoid", "tanh"]


class ConvAutoencoder(nn.Module):
    r"""Creates the convolutional autoencoder of the course, with one of two decoders.

    The encoder is conv 3×3 to 16 maps, ReLU, max-pool 2, conv 3×3 to 4 maps, ReLU, max-pool 2, so
    the code of a (3, 32, 32) image is (4, 8, 8). The decoder `transpose` undoes each pooling with
    a transposed convolution of kernel 2 and stride 2; `upsample` repeats each pixel 2×2 (nearest
    neighbour) and then convolves 3×3, which cannot favour one pixel of four.

    References:
        Convolutional Autoencoder, PyTorch notebooks of a 2018 deep-learning course (Udacity).
        Deconvolution and Checkerboard Artifacts (Odena et al., 2016), for the second decoder.

    Arguments:
        channels: image channels C; height and width must be multiples of 4.
        decoder: "transpose" (1,495 parameters at C = 3) or "upsample" (2,055).
        maps: channels of the code; 4 is the course's.

    Example:
        >>> import torch
        >>> model = ConvAutoencoder()
        >>> model(torch.rand(8, 3, 32, 32)).shape
        torch.Size([8, 3, 32, 32])
    """

    def __init__(self, channels: int = 3, decoder: Decoder = "transpose", maps: int = 4) -> None:
        super().__init__()
        self.config: dict[str, int | str] = {"channels": channels, "decoder": decoder}
        if maps != 4:  # weights that were stored before there was a choice stay valid
            self.config["maps"] = maps
        self.encoder = nn.Sequential(
            OrderedDict(
                conv1=nn.Conv2d(channels, 16, 3, padding=1),
                relu1=nn.ReLU(),
                pool1=nn.MaxPool2d(2),
                conv2=nn.Conv2d(16, maps, 3, padding=1),
                relu2=nn.ReLU(),
                pool2=nn.MaxPool2d(2),
            )
        )
        self.decoder = nn.Sequential(_DECODERS[decoder](channels, maps))

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, H, W) in [0, 1] to reconstructions of the same shape in (0, 1)."""
        out: Tensor = self.decoder(self.encoder(images))
        return out


def _transpose(channels: int, maps: int) -> OrderedDict[str, nn.Module]:
    return OrderedDict(
        conv1=nn.ConvTranspose2d(maps, 16, 2, stride=2),
        relu1=nn.ReLU(),
        conv2=nn.ConvTranspose2d(16, channels, 2, stride=2),
        sigmoid=FloatSigmoid(),
    )


def _upsample(channels: int, maps: int) -> OrderedDict[str, nn.Module]:
    return OrderedDict(
        upsample1=nn.Upsample(scale_factor=2),
        conv1=nn.Conv2d(maps, 16, 3, padding=1),
        relu1=nn.ReLU(),
        upsample2=nn.Upsample(scale_factor=2),
        conv2=nn.Conv2d(16, channels, 3, padding=1),
        sigmoid=FloatSigmoid(),
    )


_DECODERS = {"transpose": _transpose, "upsample": _upsample}


class DenseAutoencoder(nn.Module):
    """Creates a fully connected autoencoder: linear layers with the same activation between them.

    References:
        Simple Autoencoder, PyTorch notebooks of a 2018 deep-learning course (Udacity), which calls
        784-32-784 with ReLU and sigmoid linear; Implementing an Autoencoder in PyTorch (Agarap),
        784-128-128-128-784; A Better Autoencoder for Image (Zhang, 2018), one hidden layer.

    Arguments:
        shape: (C, H, W) of an image.
        encoder: widths behind the pixels, the last of them the code's.
        decoder: widths between code and pixels.
        hidden: activation behind every layer but the last, the code among them.
        output: activation of the last layer.
        centred: works on pixels in [-1, 1], as Normalize(0.5, 0.5) makes them. What it returns is
            mapped back to [0, 1], so that an output of -1 is black and one of 0 is mid-grey.

    Example:
        >>> import torch
        >>> model = DenseAutoencoder((1, 28, 28), [256, 128, 64, 32, 16], [32, 64, 128, 256])
        >>> model.encoder(torch.rand(8, 1, 28, 28)).shape
        torch.Size([8, 16])
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        encoder: Sequence[int],
        decoder: Sequence[int] = (),
        *,
        hidden: Output = "relu",
        output: Output = "sigmoid",
        centred: bool = False,
    ) -> None:
        super().__init__()
        self.config = {
            "shape": list(shape), "encoder": list(encoder), "decoder": list(decoder),
            "hidden": hidden, "output": output, "centred": centred,
        }  # fmt: skip
        pixels = prod(shape)
        first = [Normalise([0.5] * shape[0], [0.5] * shape[0])] if centred else []
        last = [Normalise([-1.0] * shape[0], [2.0] * shape[0])] if centred else []
        self.encoder = nn.Sequential(
            *first, nn.Flatten(), *_dense([pixels, *encoder], hidden, hidden)
        )
        self.decoder = nn.Sequential(
            *_dense([encoder[-1], *decoder, pixels], hidden, output),
            nn.Unflatten(1, shape),
            *last,
        )

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, H, W) in [0, 1] to reconstructions of the same shape."""
        out: Tensor = self.decoder(self.encoder(images))
        return out


_ACTIVATIONS: dict[str, type[nn.Module]] = {
    "linear": nn.Identity,
    "relu": nn.ReLU,
    "sigmoid": FloatSigmoid,
    "tanh": nn.Tanh,
}


def _dense(widths: Sequence[int], hidden: Output, output: Output) -> list[nn.Module]:
    """Linear layers from width to width, `hidden` behind each but the last, `output` behind it."""
    layers: list[nn.Module] = []
    for number, (inputs, outputs) in enumerate(itertools.pairwise(widths), start=2):
        last = number == len(widths)
        layers += [nn.Linear(inputs, outputs), _ACTIVATIONS[output if last else hidden]()]
    return layers


class DenoisingAutoencoder(nn.Module):
    """Creates the course's denoising network: three poolings, so 28 × 28 becomes 8 × 3 × 3.

    References:
        Denoising Autoencoder, PyTorch notebooks of a 2018 deep-learning course (Udacity).

    Example:
        >>> import torch
        >>> DenoisingAutoencoder().encoder(torch.rand(8, 1, 28, 28)).shape
        torch.Size([8, 8, 3, 3])
    """

    def __init__(self) -> None:
        super().__init__()
        self.config: dict[str, int] = {}
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(32, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(16, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        )  # fmt: skip
        self.decoder = nn.Sequential(
            nn.ConvTranspose2d(8, 8, 3, stride=2), nn.ReLU(),
            nn.ConvTranspose2d(8, 16, 2, stride=2), nn.ReLU(),
            nn.ConvTranspose2d(16, 32, 2, stride=2), nn.ReLU(),
            nn.Conv2d(32, 1, 3, padding=1), FloatSigmoid(),
        )  # fmt: skip

    def forward(self, images: Tensor) -> Tensor:
        """(N, 1, 28, 28) in [0, 1] to reconstructions of the same shape in (0, 1)."""
        out: Tensor = self.decoder(self.encoder(images))
        return out


class PooledAutoencoder(nn.Module):
    """Creates the convolutional autoencoder that its source sets against a simple one.

    It has no activation but the last, three poolings, and a code of an eighth of the image's side.

    References:
        A Better Autoencoder for Image: Convolutional Autoencoder (Zhang, 2018), in the layers of
        its PyTorch re-implementation (tanjeffreyz, 2023).

    Arguments:
        maps: channels of the code; 32 is the source's.

    Example:
        >>> import torch
        >>> PooledAutoencoder().encoder(torch.rand(8, 1, 64, 64)).shape
        torch.Size([8, 32, 8, 8])
    """

    def __init__(self, maps: int = 32) -> None:
        super().__init__()
        self.config = {"maps": maps}
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1), nn.MaxPool2d(2),
            nn.Conv2d(8, 16, 3, padding=1), nn.MaxPool2d(2),
            nn.Conv2d(16, maps, 3, padding=1), nn.MaxPool2d(2),
        )  # fmt: skip
        self.decoder = nn.Sequential(  # sides from 8: 17, 33, 64, 64
            nn.ConvTranspose2d(maps, 32, 5, stride=2, padding=1),
            nn.ConvTranspose2d(32, 16, 3, stride=2, padding=1),
            nn.ConvTranspose2d(16, 8, 2, stride=2, padding=1),
            nn.ConvTranspose2d(8, 1, 3, padding=1),
            FloatSigmoid(),
        )

    def forward(self, images: Tensor) -> Tensor:
        """(N, 1, H, W) in [0, 1], sides multiples of 8, to the same shape in (0, 1)."""
        out: Tensor = self.decoder(self.encoder(images))
        return out
