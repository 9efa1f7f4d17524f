"""The settings of the study `zf-features`, the models that it trains, and what the paper prints."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from research.config import Data, Train
from research.methods.probes import Kind


class Printed(NamedTuple):
    """Errors on ImageNet as table 2 of the paper prints them: top-1 training, top-1 and top-5
    validation."""

    train: float
    test: float
    top5: float


class Arm(NamedTuple):
    """One architecture of table 2, which prints some changes of both of its networks.

    Attributes:
        own: errors of the paper's own network when changed so, None where it was not.
        alexnet: the same of its replication of AlexNet.
        without, maps, hidden: how it differs, as `ZFNet` takes them.
    """

    own: Printed | None = None
    alexnet: Printed | None = None
    without: tuple[int, ...] = ()
    maps: tuple[int, int, int] = (384, 384, 256)
    hidden: int = 4096


NETWORKS = ("own", "alexnet")
"""Those that the paper changes."""
WIDE = (512, 1024, 512)
BASELINE = "ours"
ARMS: Mapping[str, Arm] = {
    BASELINE: Arm(own=Printed(0.331, 0.384, 0.165), alexnet=Printed(0.351, 0.405, 0.181)),
    "without34": Arm(alexnet=Printed(0.418, 0.454, 0.221), without=(3, 4)),
    "without7": Arm(alexnet=Printed(0.274, 0.400, 0.184), without=(7,)),
    "without67": Arm(alexnet=Printed(0.274, 0.448, 0.224), without=(6, 7)),
    "without3467": Arm(alexnet=Printed(0.711, 0.713, 0.501), without=(3, 4, 6, 7)),
    "hidden2048": Arm(
        own=Printed(0.382, 0.402, 0.176), alexnet=Printed(0.403, 0.417, 0.188), hidden=2048
    ),
    "hidden8192": Arm(
        own=Printed(0.220, 0.388, 0.170), alexnet=Printed(0.268, 0.400, 0.181), hidden=8192
    ),
    "maps": Arm(own=Printed(0.188, 0.375, 0.160), maps=WIDE),
    "both": Arm(own=Printed(0.100, 0.383, 0.169), maps=WIDE, hidden=8192),
}
"""Architectures of table 2, the baseline first."""
NAMES: Mapping[str, str] = {
    BASELINE: "unchanged",
    "without34": "without 3, 4",
    "without7": "without 7",
    "without67": "without 6, 7",
    "without3467": "without 3, 4, 6, 7",
    "hidden2048": "6, 7 half as wide",
    "hidden8192": "6, 7 twice as wide",
    "maps": "3 to 5 wider",
    "both": "3 to 7 wider",
}
"""What they are called in print; numbers are layers."""

LAYERS = {
    "layer1": "norm1",
    "layer2": "norm2",
    "layer3": "relu3",
    "layer4": "relu4",
    "layer5": "pool5",
    "layer6": "relu6",
    "layer7": "relu7",
}
"""Layers of the paper's figure 3, and what the last thing in each is called in the network."""
SPACES = ("pixels", "untrained", "trained")
KINDS: tuple[Kind, ...] = ("svm", "softmax")

PRINTED_LAYERS: Mapping[Kind, Mapping[str, tuple[float, float]]] = {
    "svm": {
        "layer1": (0.448, 0.246),
        "layer2": (0.662, 0.396),
        "layer3": (0.723, 0.460),
        "layer4": (0.766, 0.513),
        "layer5": (0.862, 0.656),
        "layer7": (0.855, 0.717),
    },
    "softmax": {"layer5": (0.829, 0.657), "layer7": (0.854, 0.726)},
}
"""Table 6: accuracy on Caltech-101 with 30 images of each class, on Caltech-256 with 60."""
PRINTED_TRANSFER: Mapping[str, Mapping[int, tuple[float, float]]] = {
    "caltech101": {15: (0.228, 0.838), 30: (0.465, 0.865)},
    "caltech256": {15: (0.090, 0.657), 30: (0.225, 0.706), 45: (0.312, 0.727), 60: (0.388, 0.742)},
}
"""Tables 3 and 4: images per class to accuracy from scratch and pretrained."""


@dataclass(frozen=True)
class Config:
    """The settings of the study `zf-features`."""

    data: Data
    """Source: images a little larger than what the network sees, which are ten crops of each."""
    train: Train
    """Of the network whose features are tried on other images."""
    seeds: tuple[int, ...]
    """Each architecture is trained once per seed."""
    target: Data
    """Other images, of other classes; cut to the size of the source's unless a size is given."""
    side: int = 224
    """Pixels of a crop."""
    width: float = 1.0
    """Factor on all numbers of maps and of hidden units."""
    ablation_epochs: int | None = None
    """Passes over the training set for every architecture of the ablations; as many as
    --train.epochs when absent."""
    k: tuple[int, ...] = (15, 30)
    """Training images of each class of the target."""
    splits: int = 5
    """Draws of these images."""
    judged: int = 50
    """Test images of each class of the target at most."""
    pooled: bool = False
    """Whether both sides of the target are mixed before images are drawn: for sets that have no
    split of their own."""
    scratch_steps: int = 5000
    """Updates of the network that is trained on the target's images alone."""
    scratch_batch: int = 128
    """Images per update of that network."""
    mirrored: bool = True
    """Whether it also sees mirrored images: not where that makes another class, as of digits."""
    penalties: tuple[float, ...] = (1, 10, 100, 1000, 10_000)
    """Candidates for C, the weight of the errors of the linear classifiers."""
    threshold: float = 0.95
    """Correlation of thumbnails above which an image of the source is a near-duplicate of one of
    the target and is left out."""


PRESETS = {
    "sample": Config(
        data=Data("photos", size=72),
        train=Train(epochs=14, batch=64, lr=0.01),
        seeds=(0, 1, 2),
        target=Data("mnist-sample"),
        side=64,
        width=0.125,
        ablation_epochs=4,
        k=(5, 15),
        splits=3,
        scratch_steps=400,
        scratch_batch=32,
        mirrored=False,
    ),
    "full": Config(
        data=Data("imagenette", size=256),
        train=Train(epochs=70, batch=128, lr=0.01),
        seeds=(0, 1, 2),
        target=Data("caltech101"),
        pooled=True,
    ),
}


class Recipe(NamedTuple):
    """One network that is trained on the source."""

    arm: str
    seed: int
    epochs: int

    @property
    def name(self) -> str:
        return f"{self.arm}-seed{self.seed}"


def ablations(config: Config) -> dict[str, list[Recipe]]:
    """The networks of table 2, one per seed, by arm."""
    epochs = config.ablation_epochs or config.train.epochs
    return {arm: [Recipe(arm, seed, epochs) for seed in config.seeds] for arm in ARMS}


def sources(config: Config) -> list[Recipe]:
    """The networks whose features are tried: the baseline's where they are trained as long."""
    if config.ablation_epochs in (None, config.train.epochs):
        return ablations(config)[BASELINE]
    return [Recipe("source", seed, config.train.epochs) for seed in config.seeds]


def scratch_name(k: int, split: int) -> str:
    return f"scratch-k{k}-split{split}"


def children(config: Config) -> list[str]:
    """The models that the study trains."""
    recipes = [*sources(config), *(one for arm in ablations(config).values() for one in arm)]
    scratch = [scratch_name(k, split) for k in config.k for split in range(config.splits)]
    return [*dict.fromkeys(recipe.name for recipe in recipes), *scratch]
