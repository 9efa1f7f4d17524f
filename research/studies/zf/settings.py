"""The settings of the study `zf`, and the models that it trains."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from research.config import GIVEN, LOCAL, LOCAL_MODEL, Data, Train

ARMS = ("zf", "alexnet")
"""The paper's network, and the same with the first two layers of the one that it replaces."""
PARTS = (
    # on the aligned faces, a person's right eye being on the left of the picture
    ("right eye", 0.23, 0.14, 0.43, 0.42),
    ("left eye", 0.23, 0.54, 0.43, 0.82),
    ("nose", 0.40, 0.34, 0.60, 0.62),
    ("mouth", 0.62, 0.34, 0.82, 0.62),
)
"""part, top, left, bottom, right; all boxes of one size, so that random ones serve them all"""


@dataclass(frozen=True)
class Config:
    """The settings of the study `zf`."""

    data: Data
    """Images a little larger than what the network sees, which are ten crops of each."""
    train: Train
    seeds: tuple[int, ...]
    """Each network is trained once per seed; pictures are of the first."""
    model: Annotated[str, LOCAL_MODEL] = "zfnet"
    """zfnet, trained here; torchvision:alexnet or torchvision:vgg16 with ImageNet's weights; or
    FILE.py:NAME, a network of your own whose weights --weights names."""
    imagenet: Annotated[Path | None, LOCAL] = None
    """torchvision's file of weights, or a folder that holds it; else it is downloaded."""
    side: int = 224
    """Pixels of a crop."""
    width: float = 1.0
    """Factor on all numbers of maps and of hidden units."""
    lengths: tuple[int, ...] = (1, 2, 5, 10, 20, 30, 40, 64)
    """Epochs after which the features are looked at, besides the last."""
    shown: int = 3
    """Feature maps of each layer of which the strongest activations are shown."""
    window: int = 48
    """Side of the grey square that occludes, in pixels."""
    stride: int = 8
    """Pixels from one position of the square to the next."""
    occluded: int = 50
    """Test images for the agreement of the maps of occlusion; three are shown."""
    moved: int = 200
    """Test images that are shifted, enlarged and turned."""
    parts: Data = field(default_factory=lambda: Data("faces"))
    """Aligned images of one kind, whose parts are masked; its first class is used."""
    boxes: tuple[tuple[str, float, float, float, float], ...] = PARTS
    """Parts of the aligned images, all of one size: name, and top, left, bottom, right as shares
    of the side."""
    random: int = 10
    """Random boxes to compare each part with."""
    group: int = 5
    """Images among which sign changes are compared, as in the paper."""


PRESETS = {
    "sample": Config(
        data=Data("photos", size=72),
        train=Train(epochs=18, batch=32, lr=0.0025),
        seeds=(0, 1, 2),
        side=64,
        width=0.125,
        lengths=(1, 2, 5, 10),
        window=16,
        stride=4,
        occluded=20,
        moved=100,
    ),
    "full": Config(
        data=Data("imagenette", size=256),
        train=Train(epochs=70, batch=128, lr=0.01),
        seeds=(0, 1, 2),
    ),
}


def children(config: Config) -> list[str]:
    """The models that the study trains, or the one that it is given."""
    if config.model != "zfnet":
        return [GIVEN]
    return [name_of(arm, seed) for arm in ARMS for seed in config.seeds]


def name_of(arm: str, seed: int) -> str:
    return f"{arm}-seed{seed}"
