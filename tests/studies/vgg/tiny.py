"""Pictures, settings and a small network for the tests of the study `vgg`."""

from collections import OrderedDict
from pathlib import Path

import numpy as np
from PIL import Image
from torch import nn

from research import __main__ as command
from research.records import Results
from research.records import load as read

EPS = 0.06
FLAGS = ["--preset", "sample", "--seeds", "0", "1", "--width", "0.0625", "--noise-eps", str(EPS)]
FLAGS += ["--train.epochs", "8", "--train.batch", "16", "--eps", "0", "0.03", "0.1"]
FLAGS += ["--checked", "4", "--crafted", "24", "--judged", "30", "--cells", "12"]
FLAGS += ["--random", "6", "--deepfool", "3"]


class Standin(nn.Module):
    """In the layout of torchvision's VGG16, and with its thousand outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 6, 5, stride=3), nn.ReLU(True), nn.MaxPool2d(2))
        self.avgpool = nn.AdaptiveAvgPool2d(3)
        self.classifier = nn.Sequential(
            OrderedDict({"0": nn.Linear(54, 20), "1": nn.ReLU(True), "2": nn.Dropout(),
                         "3": nn.Linear(20, 1000)})
        )  # fmt: skip


def pictures(root: Path) -> Path:
    """Faint stripes of three directions in noise on a tint, 40 + 40 images of each."""
    rng, tint = np.random.default_rng(0), np.array([0.4, 0.5, 0.6])
    x, y = np.meshgrid(np.arange(32), np.arange(32))
    for name, axis in {"across": y, "down": x, "sloping": (x + y) / 2**0.5}.items():
        for split in ("train", "test"):
            folder = root / split / name
            folder.mkdir(parents=True)
            for i in range(40):
                stripes = 0.14 * np.sin(axis * 1.2 + rng.uniform(0, 6.3))[..., None]
                image = tint + stripes + 0.1 * rng.normal(size=(32, 32, 3))
                Image.fromarray(np.uint8(255 * image.clip(0, 1))).save(folder / f"{i:02}.png")
    return root


def run(store: Path, root: Path, *more: str) -> int:
    where = ["--log", f"folder:{store}", "--data.name", "folder", "--data.root", str(root)]
    return command.main(["run", "vgg", *where, *FLAGS, *more])


def parent(store: Path) -> Results:
    return next(r for p in store.glob("*/tables/candidates.json") for r in [read(p.parent.parent)])
