"""The networks of the studies: modules from images in [0, 1] to logits or reconstructions.

Images enter unnormalised; a network that wants them normalised does it in its first layer, so that
an attack, a heat map or a figure always speaks of pixels in [0, 1]. Every ReLU is a module of its
own and not in place, so that each activation can be looked at.
"""

import json
from collections import OrderedDict
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Literal

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from research.errors import UserError

Decoder = Literal["transpose", "upsample"]

MNIST = (0.1307,), (0.3081,)
"""Mean and standard deviation of MNIST's training pixels, as the course normalises."""


class Normalise(nn.Module):
    """(x - mean) / std per channel, as a network's first layer; the constants are not trained."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        for name, values in {"mean": mean, "std": std}.items():
            self.register_buffer(name, torch.tensor(values).view(-1, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        return (images - self.mean) / self.std


class Mlp(nn.Module):
    r"""Creates the course's fully connected network: 784-128-64-10 with ReLU between.

    Arguments:
        hidden: widths of the hidden layers; (128, 64) has 109,386 parameters, (128, 64, 32) has
            111,146.
        inputs: pixel values of an image.
        classes: outputs, without softmax.

    Example:
        >>> Mlp()(torch.rand(8, 1, 28, 28)).shape
        torch.Size([8, 10])
    """

    def __init__(
        self, hidden: Sequence[int] = (128, 64), inputs: int = 784, classes: int = 10
    ) -> None:
        super().__init__()
        self.config = {"hidden": list(hidden), "inputs": inputs, "classes": classes}
        layers: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
        for number, (width, after) in enumerate(pairwise((inputs, *hidden)), start=1):
            if number > 1:
                layers[f"relu{number - 1}"] = nn.ReLU()
            layers[f"fc{number}"] = nn.Linear(width, after)
        self.normalise = Normalise(*MNIST)
        self.body = nn.Sequential(layers)
        self.relu = nn.ReLU()
        self.head = nn.Linear(hidden[-1], classes)

    def embed(self, images: Tensor) -> Tensor:
        """The last hidden layer before its ReLU, (N, hidden[-1]): the course's embedding."""
        out: Tensor = self.body(self.normalise(images))
        return out

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, H, W) in [0, 1] to logits (N, classes)."""
        out: Tensor = self.head(self.relu(self.embed(images)))
        return out


class CnnA(nn.Module):
    r"""Creates CNN_A, the course's convolutional network (232,650 parameters).

    Conv 3×3 to 32 maps, max-pool 2, ReLU, conv 3×3 to 64 maps, max-pool 2, ReLU, channel dropout,
    linear 1600-128, ReLU, dropout, linear 128-64 (the embedding, without ReLU), linear 64-10. The
    course applies `Dropout2d` to vectors too, where it does what `Dropout` does.

    Arguments:
        relu_on_logits: ends with a ReLU, as in the course's assignment 2 and lecture 5; lecture 4,
            which trains the network, has none.

    Example:
        >>> CnnA().embed(torch.rand(8, 1, 28, 28)).shape
        torch.Size([8, 64])
    """

    def __init__(self, *, relu_on_logits: bool = False) -> None:
        super().__init__()
        self.config = {"relu_on_logits": relu_on_logits}
        self.normalise = Normalise(*MNIST)
        self.features = nn.Sequential(
            OrderedDict(
                conv1=nn.Conv2d(1, 32, 3),
                pool1=nn.MaxPool2d(2),
                relu1=nn.ReLU(),
                conv2=nn.Conv2d(32, 64, 3),
                pool2=nn.MaxPool2d(2),
                relu2=nn.ReLU(),
                dropout1=nn.Dropout2d(0.25),
            )
        )
        self.neck = nn.Sequential(
            OrderedDict(
                flatten=nn.Flatten(),
                fc1=nn.Linear(1600, 128),
                relu3=nn.ReLU(),
                dropout2=nn.Dropout(0.5),
                fc2=nn.Linear(128, 64),
            )
        )
        self.head = nn.Sequential(OrderedDict(fc3=nn.Linear(64, 10)))
        if relu_on_logits:
            self.head.append(nn.ReLU())

    def embed(self, images: Tensor) -> Tensor:
        """The output of fc2, (N, 64)."""
        out: Tensor = self.neck(self.features(self.normalise(images)))
        return out

    def forward(self, images: Tensor) -> Tensor:
        """(N, 1, 28, 28) in [0, 1] to logits (N, 10)."""
        out: Tensor = self.head(self.embed(images))
        return out


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
