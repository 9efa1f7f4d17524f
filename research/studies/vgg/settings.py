"""The settings of the study `vgg`, and the models that it trains."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from research.config import LOCAL, Data, Train
from research.models import Vgg16

STEPS = (0, 1, 2, 4, 8, 16)
"""Step sizes of the accuracy curves in 1/255, besides the paper's for CIFAR-10."""
FROZEN = ("replaced", "notebook")
"""The two ways to make ten classes of ImageNet's thousand: a new last layer, and a new name."""

Models = Sequence[Vgg16]
"""One model per seed."""


@dataclass(frozen=True)
class Config:
    """The settings of the study `vgg`."""

    data: Data
    train: Train
    """Of the network that is trained from scratch; lr is its highest."""
    seeds: tuple[int, ...]
    """One network is trained from scratch per seed."""
    width: float = 1.0
    """Factor on the network's channel counts."""
    eps: tuple[float, ...] = (*(step / 255 for step in STEPS), 0.1)
    """Step sizes of the accuracy curves, in pixel units of [0, 1]."""
    noise_eps: float = 8 / 255
    """Size of the noises that are compared and shared."""
    checked: int = 500
    """Test images whose gradients are computed in float64 too."""
    crafted: int = 1000
    """Test images on which the noises are made."""
    judged: int = 2000
    """Other test images on which the noises are judged."""
    cells: int = 400
    """Noises, and samples, of the fooling matrix."""
    random: int = 50
    """Noises of random signs to compare with."""
    deepfool: int = 200
    """Samples from which DeepFool's one noise for all is made."""
    frozen_epochs: int = 10
    """Passes over the training set for the classifiers on ImageNet's frozen features; 0 leaves
    these out."""
    imagenet: Annotated[Path | None, LOCAL] = None
    """torchvision's vgg16-397923af.pth, or a folder that holds it; when absent it is taken from
    torch's cache or downloaded, and where neither works the study goes on without."""


PRESETS = {
    "sample": Config(
        data=Data("photos"),
        train=Train(epochs=4, batch=64, lr=0.005),
        seeds=(0, 1, 2),
        width=0.25,
        eps=tuple(step / 255 for step in STEPS if step != 1),
        checked=30,
        crafted=200,
        judged=200,
        cells=60,
        random=20,
        deepfool=20,
        frozen_epochs=0,
    ),
    "full": Config(
        data=Data("cifar10"),
        train=Train(epochs=60, batch=128, lr=0.1),
        seeds=(0, 1, 2),
    ),
}


def children(config: Config) -> list[str]:
    """The models that the study trains, where ImageNet's weights can be had."""
    scratch = [f"scratch-seed{seed}" for seed in config.seeds]
    return scratch + [f"frozen-{arm}" for arm in FROZEN if config.frozen_epochs]
