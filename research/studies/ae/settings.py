"""Settings of the study `ae`, its models by name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from research.config import Data, Train
from research.models import ConvAutoencoder, Decoder

ARMS: tuple[Decoder, ...] = ("transpose", "upsample")


SHOWN = 6
"""test images whose reconstructions are shown: two best, two median and two worst"""


UNITS = {"bce": "nat", "mse": "", "psnr": "dB", "ssim": ""}


Models = Mapping[str, Sequence[ConvAutoencoder]]
"""One model per seed, by arm."""


@dataclass(frozen=True)
class Config:
    """The settings of the study `ae`."""

    data: Data
    train: Train
    seeds: tuple[int, ...]
    """One model of each arm is trained per seed."""
    sample: str
    """The class of which one test image is sent through every layer."""
    sample_index: int = 0
    """Which of the class's test images, counted from 0."""
    neighbours: int = 10
    """k of the nearest-neighbour classifiers and of the map's trustworthiness."""
    map_points: int = 2000
    """Test images on the map of the code, drawn at random."""
    map_perplexity: float = 30
    """Perplexity of t-SNE."""


PRESETS = {
    "sample": Config(
        data=Data("photos"),
        train=Train(epochs=8, batch=32),
        seeds=(0, 1, 2),
        sample="rocket",
        sample_index=119,
        map_points=1000,
    ),
    # the notebook's 100 epochs and Adam 1e-3; its derivatives disagree on the batch (20 or 32)
    "full": Config(
        data=Data("cifar10"),
        train=Train(epochs=100, batch=32),
        seeds=(0, 1, 2),
        sample="airplane",
    ),
}


def children(config: Config) -> list[str]:
    """The models that the study trains."""
    return [child_name(arm, seed) for arm in ARMS for seed in config.seeds]


def child_name(arm: Decoder, seed: int) -> str:
    return f"{arm}-seed{seed}"
