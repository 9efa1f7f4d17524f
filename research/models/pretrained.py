"""VGG16 with ImageNet's weights, its convolutions frozen, for small pictures of other classes.

The weights are torchvision's file; it is looked for, or downloaded, and its checksum is verified
before it is read.
"""

import hashlib
import os
import shutil
import urllib.request
from collections import OrderedDict
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from research.errors import UserError
from research.models.layers import Normalise

URL = "https://download.pytorch.org/models/vgg16-397923af.pth"
"""torchvision's `VGG16_Weights.IMAGENET1K_V1`; its name ends with the beginning of its sha256."""
_SILENCE = 30.0
"""seconds without a byte after which the server counts as out of reach"""
TORCHVISION = {
    "alexnet": "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
    "vgg16": URL,
}
"""Networks of torchvision -> their weights for ImageNet, `IMAGENET1K_V1`."""
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Mean and standard deviation per channel by which torchvision's networks normalise."""
HALF = (0.5, 0.5, 0.5)
"""Mean and standard deviation by which the course's notebook normalises."""

Weights = dict[str, Tensor]


class MissingWeightsError(UserError):
    """Weights that nobody asked for by name are not there, and cannot be downloaded."""


class FrozenVgg16(nn.Sequential):
    """Creates VGG16 for ImageNet that enlarges small pictures, with its convolutions frozen.

    Pictures are enlarged inside the network (bilinear), so that an attack acts on their own
    pixels. `encoder` maps them to features, `head` these to logits; only the head has weights to
    train. Made in evaluation mode.

    Arguments:
        weights: of torchvision's VGG16, see `imagenet_weights`.
        classes: outputs of a new last layer, drawn at random; without it the last layer stays as it
            is, with ImageNet's thousand outputs.
        side: of the enlarged pictures, in pixels.
        build: makes the network that the weights belong to, with `features`, `avgpool` and a
            sequence `classifier`; torchvision's VGG16 when absent.

    Raises:
        UserError: the weights are not those of the network.

    References:
        Very Deep Convolutional Networks (Simonyan and Zisserman, 2015), configuration D.
    """

    head: "Head"

    def __init__(
        self,
        weights: Weights,
        classes: int | None = None,
        *,
        side: int = 224,
        build: Callable[[], nn.Module] | None = None,
    ) -> None:
        network = _filled(weights, build)
        super().__init__()
        self.encoder = nn.Sequential(
            OrderedDict(
                enlarge=nn.Upsample(size=(side, side), mode="bilinear"),
                normalise=Normalise(HALF, HALF),
                features=network.features.requires_grad_(False),
                avgpool=network.avgpool,
                flatten=nn.Flatten(),
            )
        )
        self.head = Head(network.classifier, classes)
        self.eval()


class Head(nn.Sequential):
    """VGG16's linear layers, features (N, D) to logits; with `classes`, the last one is new."""

    def __init__(self, layers: nn.Sequential, classes: int | None) -> None:
        *before, last = layers
        assert isinstance(last, nn.Linear)
        # setting `out_features`, as the notebook does, changes only what is printed of a layer
        last = last if classes is None else nn.Linear(last.in_features, classes)
        super().__init__(*before, last)
        self.config = {"outputs": last.out_features}


def _filled(weights: Weights, build: Callable[[], nn.Module] | None) -> Any:
    """The network with these weights, its ReLUs not in place."""
    from torchvision.models import vgg16

    with torch.device("meta"):  # no weights are drawn that the file replaces
        network = (build or vgg16)().to_empty(device="cpu")
    try:
        network.load_state_dict(weights)  # copied: training must not change the caller's
    except RuntimeError as error:
        raise UserError(
            "ImageNet's weights must be those of torchvision's VGG16, these differ "
            f"({' '.join(str(error).split())[:120]} …); give its file vgg16-397923af.pth"
        ) from None
    for module in network.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False
    return network


# --- the file ------------------------------------------------------------------------------------


def imagenet_file(given: Path | None = None, url: str = URL) -> Path:
    """torchvision's file of weights, with the right checksum.

    Arguments:
        given: the file or a folder that holds it; when absent it is looked for in torch's cache
            and, if it is not there, downloaded to it.
        url: its name ends with the beginning of its sha256.

    Raises:
        MissingWeightsError: it was not given, is not in the cache and cannot be downloaded.
        UserError: there is no such file where it was given, or its checksum is wrong.
    """
    name = url.rpartition("/")[2]
    path = _given(given, name) if given else Path(torch.hub.get_dir(), "checkpoints", name)
    if not path.exists():
        _download(url, path)
    _check(path, name)
    return path


def imagenet_weights(path: Path) -> Weights:
    """The weights in a checked file, name -> tensor, on the CPU."""
    weights: Weights = torch.load(path, map_location="cpu", weights_only=True)
    return weights


def _given(path: Path, name: str) -> Path:
    path = path.expanduser()
    path = path / name if path.is_dir() else path
    if not path.is_file():
        raise UserError(
            f"--imagenet must name the file {name} or its folder, there is no {path}; "
            "leave it out to have the file downloaded"
        )
    return path


def _download(url: str, path: Path) -> None:
    """Brings the file there, whole or not at all."""
    part = path.with_suffix(f".{os.getpid()}.part")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with urllib.request.urlopen(url, timeout=_SILENCE) as source, part.open("wb") as target:
            shutil.copyfileobj(source, target, 1 << 20)
        part.replace(path)
    except (OSError, HTTPException) as error:
        raise MissingWeightsError(
            f"{path.name} is not in torch's cache and cannot be downloaded from {url} "
            f"({' '.join(str(error).split())})"
        ) from None
    finally:
        part.unlink(missing_ok=True)


def _check(path: Path, name: str) -> None:
    """Raises UserError unless the file's sha256 begins as its name ends."""
    wanted = Path(name).stem.rpartition("-")[2]
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if not found.startswith(wanted):
        raise UserError(
            f"the sha256 of {name} must begin with {wanted}, that of {path} begins with "
            f"{found[:8]}: delete it and run again, or give another with --imagenet"
        )
