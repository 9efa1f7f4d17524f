"""The settings of the study `mlp`, and the models that it trains."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from research.config import Data, Train
from research.methods.classification import Report

ARMS = {
    "baseline": "baseline",
    "lr": "larger learning rate",
    "deep": "three hidden layers",
    "biased": "most ones deleted",
    "reordered": "baseline, other order",
}
OTHERS = tuple(ARMS)[1:]
SHOWN = tuple(ARMS)[:4]
"""The arms of the assignment."""
RARE = "1"
"""The class of which training images are deleted."""
SHAPE = (1, 28, 28)
"""(C, H, W) of the images for which the course's widths are meant."""
DIGITS = tuple("0123456789")
"""The classes, in any order."""
COURSE_ACCURACY = 97.71
"""Test accuracy of the baseline in per cent, as the course's text gives it."""
COURSE_TRAINING = {"epochs": 10, "lr": 0.003, "batch": 64}
"""Settings under which the course has that accuracy, on the data set `mnist`."""
COURSE_NOISE = "3"
"""The class that the course's network saw in noise."""
OTHER_ORDER = 1000
"""Added to the seed of the order of the images, the first weights staying what they are."""


@dataclass(frozen=True)
class Config:
    """The settings of the study `mlp`."""

    data: Data
    train: Train
    seeds: tuple[int, ...]
    """One model of each arm is trained per seed."""
    ones_left: int
    """Training images of the class 1 that the biased arm keeps: the last ones."""
    doses: tuple[int, ...]
    """Further numbers of ones to keep, beside --ones-left and all of them."""
    dose_seeds: int = 3
    """The first so many seeds are trained for every number of ones."""
    high_lr: float = 0.05
    """Learning rate of the arm `lr`."""
    noise_images: int = 10000
    """Images of noise shown to the baseline."""
    noise_sd: float = 0.2
    """Standard deviation of the noise."""


PRESETS = {
    # a fifteenth of the images: more epochs, and the same share of ones left
    "sample": Config(
        data=Data("mnist-sample"),
        train=Train(epochs=15, lr=0.003),
        seeds=(0, 1, 2),
        ones_left=14,
        doses=(0, 4, 58),
        noise_images=1000,
    ),
    "full": Config(
        data=Data("mnist"),
        train=Train(epochs=10, lr=0.003),
        seeds=(0, 1, 2, 3, 4),
        ones_left=242,
        doses=(0, 8, 30, 121, 968),
    ),
}


@dataclass(frozen=True)
class Recipe:
    """One model, by where it departs from the baseline of its seed."""

    arm: str
    seed: int
    hidden: tuple[int, ...] = (128, 64)
    lr: float | None = None
    ones: int | None = None
    """Training images of the class 1; None for all."""
    weighted: bool = False
    order: int = 0
    """Added to the seed of the order of the images."""

    @property
    def name(self) -> str:
        return f"{self.arm}-seed{self.seed}"


def recipes(config: Config) -> list[Recipe]:
    """Every model of the study, the five arms first."""
    arms = [
        Recipe("baseline", 0),
        Recipe("lr", 0, lr=config.high_lr),
        Recipe("deep", 0, hidden=(128, 64, 32)),
        Recipe("biased", 0, ones=config.ones_left),
        Recipe("reordered", 0, order=OTHER_ORDER),
    ]
    doses = [Recipe(f"ones{ones}", 0, ones=ones) for ones in config.doses]
    present = [one for one in (arms[0], arms[3], *doses) if one.ones != 0]
    doses += [replace(one, arm=f"{one.arm}-weighted", weighted=True) for one in present]
    few = config.seeds[: config.dose_seeds]
    return [
        replace(one, seed=seed)
        for group, seeds in ((arms, config.seeds), (doses, few))
        for one in group
        for seed in seeds
    ]


def children(config: Config) -> list[str]:
    """The models that the study trains."""
    return [recipe.name for recipe in recipes(config)]


Reports = Mapping[str, Sequence[Report]]
"""What the models make of the test images: one report per seed, by arm."""
