"""The networks of the studies: modules from images in [0, 1] to logits or reconstructions.

Images enter unnormalised; a network that wants them normalised does it in its first layer, so that
an attack, a heat map or a figure always speaks of pixels in [0, 1]. Every ReLU is a module of its
own and not in place, so that each activation can be looked at.
"""

import json
from collections import OrderedDict
from pathlib import Path
from typing import Literal

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from research.errors import UserError

Decoder = Literal["transpose", "upsample"]


class FloatSigmoid(nn.Sigmoid):
    """A sigmoid evaluated in float32: under bfloat16 autocast its output would be as coarse as
    1/256 near one, which is a visible error in an image."""

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input.float())


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


def count_parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def save_weights(path: Path, model: nn.Module, name: str) -> None:
    """Writes safetensors with the model's class, its configuration and `name` inside."""
    metadata = {
        "model": type(model).__name__,
        "config": json.dumps(getattr(model, "config", {}), sort_keys=True),
        "name": name,
    }
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, path, metadata)


def weights_metadata(path: Path) -> dict[str, str]:
    """The `model`, `config` and `name` stored by `save_weights`.

    Raises:
        UserError: the file is missing or not such a file.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise UserError(
            f"weights must be a safetensors file of a run, {path} cannot be read ({error}); "
            "give a file from a run's weights/ folder or a run id"
        ) from None
    if not {"model", "config", "name"} <= metadata.keys():
        raise UserError(
            f"weights must name their model, {path} has no model, config and name in its header; "
            "give a file from a run's weights/ folder or a run id"
        )
    return metadata


def load_weights(path: Path, model: nn.Module) -> None:
    """Reads weights into a model of the same class and configuration.

    Raises:
        UserError: the weights belong to another model.
    """
    metadata = weights_metadata(path)
    wanted = (type(model).__name__, json.dumps(getattr(model, "config", {}), sort_keys=True))
    given = (metadata["model"], metadata["config"])
    if wanted != given:
        raise UserError(
            f"{path.name} holds a {given[0]} with {given[1]}, the study needs a {wanted[0]} with "
            f"{wanted[1]}; give weights of that model"
        )
    with safe_open(path, framework="pt") as file:
        model.load_state_dict({key: file.get_tensor(key) for key in file.keys()})  # noqa: SIM118
