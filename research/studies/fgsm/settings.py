"""The settings of the study `fgsm`, and the models that it trains."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from torch import nn

from research.config import Data, Train

TUTORIAL = ("lenet", "cnn")
"""The networks of the tutorial: until 2023, and since."""
PAPER = ("softmax", "logistic", "maxout", "adversarial", "signs", "uniform")
"""The models of Goodfellow et al.; the last three are maxout networks trained on noisy images."""
PAIR = ("3", "7")
"""The classes that the logistic regression tells apart."""
EPS = (0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3)
"""Step sizes of the tutorial."""
PRINTED = {
    "lenet": (0.9810, 0.9426, 0.8510, 0.6826, 0.4301, 0.2082, 0.0869),
    "cnn": (0.9912, 0.9605, 0.8743, 0.7111, 0.4877, 0.2717, 0.1418),
}
"""The accuracies that both versions of the tutorial print at these."""


@dataclass(frozen=True)
class Config:
    """The settings of the study `fgsm`."""

    data: Data
    train: Train
    """Of the newer tutorial's network."""
    seeds: tuple[int, ...]
    """The tutorial's networks are trained once per seed; those of the paper for the first."""
    lenet_epochs: int = 10
    """Passes over the training set of the older tutorial's network."""
    paper_epochs: int = 20
    """Passes over the training set of the paper's models."""
    lengths: tuple[int, ...] = (2, 5)
    """Epochs after which the signs are checked too, besides the last."""
    eps: tuple[float, ...] = EPS
    """Step sizes of the accuracy curves, in pixel units of [0, 1]."""
    paper_eps: float = 0.25
    """Step size of the paper's rows."""
    noise_eps: float = 0.2
    """Size of the noises that are compared and shared."""
    checked: int = 1000
    """Test images whose gradients are computed in float64 too."""
    crafted: int = 1000
    """Test images on which the noises are made."""
    judged: int = 2000
    """Other test images on which the noises are judged."""
    cells: int = 400
    """Noises, and samples, of the fooling matrix."""
    random: int = 50
    """Noises of random signs to compare with."""
    deepfool: int = 100
    """Samples that the DeepFool noise is made of."""
    rubbish: int = 10_000
    """Inputs of Gaussian noise."""
    step: float = 10.0
    """Length of the step that makes rubbish look like a class, in units of the gradient."""


PRESETS = {
    # so few images need more epochs for the same number of steps
    "sample": Config(
        data=Data("mnist-sample"),
        train=Train(epochs=4, batch=64, lr=1.0),
        seeds=(0, 1, 2),
        lenet_epochs=20,
        paper_epochs=10,
        lengths=(2,),
        checked=250,
        crafted=300,
        judged=300,
        cells=100,
        deepfool=50,
        rubbish=1000,
    ),
    "full": Config(
        data=Data("mnist"),
        train=Train(epochs=14, batch=64, lr=1.0),
        seeds=(0, 1, 2),
    ),
}


class Recipe(NamedTuple):
    """One model."""

    arm: str
    seed: int

    @property
    def name(self) -> str:
        return f"{self.arm}-seed{self.seed}"


def recipes(config: Config) -> list[Recipe]:
    """Every model of the study."""
    tutorial = [Recipe(arm, seed) for arm in TUTORIAL for seed in config.seeds]
    return tutorial + [Recipe(arm, config.seeds[0]) for arm in PAPER]


def children(config: Config) -> list[str]:
    """The models that the study trains."""
    return [recipe.name for recipe in recipes(config)]


Models = Mapping[str, Sequence[nn.Module]]
"""One model per seed, by arm."""


def epochs_of(arm: str, config: Config) -> int:
    epochs = {"lenet": config.lenet_epochs, "cnn": config.train.epochs}
    return epochs.get(arm, config.paper_epochs)


def lengths_of(arm: str, config: Config) -> list[int]:
    """The epochs after which a network of the tutorial is looked at, the last one among them."""
    last = epochs_of(arm, config)
    return [*sorted({length for length in config.lengths if length < last}), last]
