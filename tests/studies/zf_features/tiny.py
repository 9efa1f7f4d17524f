"""Pictures and settings for the tests of the study `zf-features`."""

import dataclasses
from pathlib import Path

import numpy as np
from PIL import Image

from research import __main__ as command
from research.config import Train
from research.records import Results
from research.records import load as read
from research.studies.zf_features import settings

SIDE, K, SPLITS, PENALTIES = 48, (2, 4), 2, (1, 100)
CLASSES = ("blob", "cross", "ring")
FLAGS = ["--preset", "sample", "--data.name", "folder", "--data.size", "52", "--side", str(SIDE)]
FLAGS += ["--target.name", "folder", "--seeds", "0", "1", "--width", "0.0625"]
FLAGS += ["--train.epochs", "2", "--train.batch", "15", "--train.lr", "0.006"]
FLAGS += ["--ablation-epochs", "1", "--k", *map(str, K), "--splits", str(SPLITS), "--judged", "5"]
FLAGS += ["--scratch-steps", "6", "--scratch-batch", "5", "--penalties", *map(str, PENALTIES)]

ARMS = ["ours", "without34", "without7", "without67", "without3467", "hidden2048", "hidden8192",
        "maps", "both"]  # fmt: skip
LAYERS = ["layer1", "layer2", "layer3", "layer4", "layer5", "layer6", "layer7"]

SAMPLE = dataclasses.replace(
    settings.PRESETS["sample"], train=Train(epochs=2, batch=15, device="cpu")
)


def targets(root: Path, source: Path) -> Path:
    """Three shapes at random places, 6 + 6 images of each, and two copies of the source's."""
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:52, :52]
    for name in CLASSES:
        for split in ("train", "test"):
            folder = root / split / name
            folder.mkdir(parents=True)
            for i in range(6):
                down, right = y - rng.uniform(16, 36), x - rng.uniform(16, 36)
                away = np.hypot(down, right)
                shape = {"blob": away < 8, "cross": np.minimum(abs(down), abs(right)) < 3,
                         "ring": abs(away - 11) < 3}[name]  # fmt: skip
                image = (0.3 + 0.4 * shape)[..., None] + 0.08 * rng.normal(size=(52, 52, 3))
                Image.fromarray(np.uint8(255 * image.clip(0, 1))).save(folder / f"{i}.png")
    with Image.open(source / "train/across/07.png") as image:
        image.save(root / "train/blob/0.png")
    with Image.open(source / "train/sloping/11.png") as image:
        image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(root / "test/ring/3.png")
    return root


def run(store: Path, source: Path, target: Path, *more: str) -> int:
    where = ["--log", f"folder:{store}", "--data.root", str(source), "--target.root", str(target)]
    return command.main(["run", "zf-features", *FLAGS, *where, *more])


def parent(store: Path) -> Results:
    """The record of a store's one run, without those of single models."""
    [found] = store.glob("*/tables/ablations.json")
    return read(found.parent.parent)


def cells(record: Results, name: str, row: str) -> dict[str, object]:
    table = record.table(name)
    [found] = [cells for cells in table.rows if cells[0] == row]
    return dict(zip(table.columns, found, strict=True))
