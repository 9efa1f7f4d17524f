"""The settings of the study `cnn`, and the models that it trains."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

from research.config import Data, Train
from research.data import Split
from research.methods.distances import Metric
from research.models import CnnA
from research.records import Array

ARMS = ("baseline", "relu")
METRICS: tuple[Metric, ...] = get_args(Metric)
MEASURED: dict[str, tuple[Metric, ...]] = {
    "pixels": ("mse", "cosine"),
    "untrained": ("mse", "cosine"),
    "features": ("mse", "cosine"),
    "trained": METRICS,
}
"""space -> the metrics that make sense in it: pixels are no logarithms of a distribution"""
MAPS = ("conv1", "pool1", "relu1", "conv2", "pool2", "relu2")

Models = Mapping[str, Sequence[CnnA]]
"""One model per seed, by arm."""
Encode = Callable[[Split], Array]
"""Images to vectors (N, D), float32."""


@dataclass(frozen=True)
class Config:
    """The settings of the study `cnn`."""

    data: Data
    train: Train
    seeds: tuple[int, ...]
    """One network is trained per seed."""
    relu_seeds: int = 2
    """For how many of the seeds the variant with a ReLU on the logits is trained too."""
    sample: str = "7"
    """The class of which one test image is sent through every layer."""
    sample_index: int = 0
    """Which of the class's test images, counted from 0."""
    pair: tuple[str, str] = ("6", "7")
    """The two classes whose first two test images are compared."""
    neighbours: int = 10
    """k of the nearest-neighbour classifiers and of the maps' measures."""
    resamples: int = 1000
    """Bootstrap resamples behind each interval over test images."""
    permutations: int = 1000
    """Random labellings behind each permutation test."""
    perplexities: tuple[int, ...] = (10, 30, 50)
    """Perplexities of t-SNE, one map each."""
    map_points: int = 5000
    """Test images on the maps, drawn at random."""


PRESETS = {
    # two epochs of so few images would be 126 steps, where the course takes 1,876
    "sample": Config(
        data=Data("mnist-sample"),
        train=Train(epochs=10, batch=64, lr=0.003),
        seeds=(0, 1, 2),
        map_points=1000,
    ),
    "full": Config(
        data=Data("mnist"),
        train=Train(epochs=2, batch=64, lr=0.003),
        seeds=(0, 1, 2, 3, 4),
    ),
}


def children(config: Config) -> list[str]:
    """The models that the study trains."""
    return [f"{arm}-seed{seed}" for arm in ARMS for seed in seeds_of(arm, config)]


def seeds_of(arm: str, config: Config) -> tuple[int, ...]:
    return config.seeds if arm == "baseline" else config.seeds[: config.relu_seeds]
