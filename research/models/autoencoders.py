"""Networks from images to reconstructions."""

from collections import OrderedDict
from typing import Literal

from torch import Tensor, nn

from research.models.layers import FloatSigmoid

Decoder = Literal["transpose", "upsample"]


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

    Example:
        >>> model = ConvAutoencoder()
        >>> model(torch.rand(8, 3, 32, 32)).shape
        torch.Size([8, 3, 32, 32])
    """

    def __init__(self, channels: int = 3, decoder: Decoder = "transpose") -> None:
        super().__init__()
        self.config = {"channels": channels, "decoder": decoder}
        self.encoder = nn.Sequential(
            OrderedDict(
                conv1=nn.Conv2d(channels, 16, 3, padding=1),
                relu1=nn.ReLU(),
                pool1=nn.MaxPool2d(2),
                conv2=nn.Conv2d(16, 4, 3, padding=1),
                relu2=nn.ReLU(),
                pool2=nn.MaxPool2d(2),
            )
        )
        self.decoder = nn.Sequential(_DECODERS[decoder](channels))

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, H, W) in [0, 1] to reconstructions of the same shape in (0, 1)."""
        out: Tensor = self.decoder(self.encoder(images))
        return out


def _transpose(channels: int) -> OrderedDict[str, nn.Module]:
    return OrderedDict(
        conv1=nn.ConvTranspose2d(4, 16, 2, stride=2),
        relu1=nn.ReLU(),
        conv2=nn.ConvTranspose2d(16, channels, 2, stride=2),
        sigmoid=FloatSigmoid(),
    )


def _upsample(channels: int) -> OrderedDict[str, nn.Module]:
    return OrderedDict(
        upsample1=nn.Upsample(scale_factor=2),
        conv1=nn.Conv2d(4, 16, 3, padding=1),
        relu1=nn.ReLU(),
        upsample2=nn.Upsample(scale_factor=2),
        conv2=nn.Conv2d(16, channels, 3, padding=1),
        sigmoid=FloatSigmoid(),
    )


_DECODERS = {"transpose": _transpose, "upsample": _upsample}
