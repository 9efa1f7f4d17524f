"""The settings of the study `autoencoders`, and the models that it trains."""

from dataclasses import dataclass
from typing import NamedTuple

from torch import nn

from research.config import Data, Train

FIXED = ("linear", "shallow", "agarap", "published", "mended", "transpose", "denoiser")
"""Networks on digits that have one size, the published one."""
SIZED = {"digits": ("simple", "upsample"), "pictures": ("picture_simple", "picture_conv")}
"""set -> the fully connected and the convolutional network that are trained at several sizes"""
PICTURES_NOISY = ("noisy_simple", "noisy_conv")
"""The latter two of the published size, trained to take noise away."""
NOISY = ("denoiser", *PICTURES_NOISY)
PUBLISHED_MAPS = {"digits": 4, "pictures": 32}
"""Channels of the code in the sources' convolutional networks."""


class Printed(NamedTuple):
    """What a source prints of a network: the true mean squared error, and after how many epochs."""

    mse: float
    epochs: int
    batch: int


PRINTED = {
    "shallow": Printed(0.235611 / 20, 20, 20),
    "transpose": Printed(0.165248 / 20, 30, 20),
    "upsample": Printed(0.104016 / 20, 30, 20),
    "denoiser": Printed(0.522199 / 20, 20, 20),
    "picture_simple": Printed(0.00880, 100, 64),
    "picture_conv": Printed(0.00530, 100, 64),
}
"""The course prints sums of batch means times 20 over the number of batches, for training; the
re-implementation of Zhang prints means, for testing on faces."""


@dataclass(frozen=True)
class Config:
    """The settings of the study `autoencoders`."""

    data: Data
    """The digits, 28 pixels a side, taken in grey."""
    pictures: Data
    """Photographs or faces, taken in grey; `folder` for your own."""
    train: Train
    """Of every network on digits."""
    seeds: tuple[int, ...]
    """Each network is trained once per seed."""
    picture_epochs: int = 100
    """Passes over the training pictures, of every network on them."""
    picture_batch: int = 64
    """Pictures per step."""
    digit_maps: tuple[int, ...] = (1, 2, 4, 8)
    """Channels of the convolutional code on digits; a fully connected one has as many values."""
    picture_maps: tuple[int, ...] = (2, 8, 32)
    """The same for pictures."""
    noise: float = 0.5
    """Standard deviation of the noise that is to be taken away; pixels are clipped to [0, 1]."""


PRESETS = {
    "sample": Config(
        data=Data("mnist-sample"),
        pictures=Data("photos", size=32),
        train=Train(epochs=5, batch=32),
        seeds=(0, 1, 2),
        picture_epochs=4,
        digit_maps=(1, 4, 8),
    ),
    # the course's batch and, for its two decoders, its epochs; Labeled Faces are not at hand
    "full": Config(
        data=Data("mnist"),
        pictures=Data("photos", size=64),
        train=Train(epochs=30, batch=20),
        seeds=(0, 1, 2),
    ),
}


class Recipe(NamedTuple):
    """One model.

    Attributes:
        maps: channels of its code, or of the convolutional code with as many values; 0 where the
            network has one published size.
    """

    set: str
    arm: str
    seed: int
    maps: int = 0

    @property
    def name(self) -> str:
        return f"{self.group}-seed{self.seed}"

    @property
    def group(self) -> str:
        """The name of the network whatever its seed; the published size goes without."""
        if self.maps in (0, PUBLISHED_MAPS[self.set]):
            return self.arm
        return f"{self.arm}-{self.maps}maps"


Models = dict[str, list[nn.Module]]
"""One model per seed, by group."""


def sizes_of(name: str, config: Config) -> list[int]:
    """The channels of the codes on a set, ascending; the published one is always among them."""
    wanted = config.digit_maps if name == "digits" else config.picture_maps
    return sorted({*wanted, PUBLISHED_MAPS[name]})


def recipes(config: Config) -> list[Recipe]:
    """Every model of the study."""
    sized = [
        (name, arm, maps)
        for name, arms in SIZED.items()
        for arm in arms
        for maps in sizes_of(name, config)
    ]
    networks = [("digits", arm, 0) for arm in FIXED] + sized
    networks += [("pictures", arm, PUBLISHED_MAPS["pictures"]) for arm in PICTURES_NOISY]
    return [Recipe(name, arm, seed, maps) for name, arm, maps in networks for seed in config.seeds]


def children(config: Config) -> list[str]:
    """The models that the study trains."""
    return [recipe.name for recipe in recipes(config)]
