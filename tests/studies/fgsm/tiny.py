"""Test images and settings for the tests of the study `fgsm`."""

import dataclasses
from pathlib import Path

import pytest
import torch

from research import __main__ as command
from research.config import Data
from research.data import Dataset, Split, load
from research.records import Results
from research.records import load as read
from research.studies import fgsm

COUNT = 200
"""Test images, of 1,000."""
EPS = (0, 0.1, 0.15, 0.22)
FLAGS = ["--preset", "sample", "--train.epochs", "1", "--lenet-epochs", "8", "--paper-epochs", "2"]
FLAGS += ["--lengths", "6", "--checked", "20", "--crafted", "30", "--judged", "30", "--cells", "20"]
FLAGS += ["--random", "5", "--deepfool", "3", "--rubbish", "100", "--eps", *map(str, EPS)]


def thinned(config: Data) -> Dataset:
    """A part of the test images, in mixed order as MNIST has them."""
    data = load(config)
    kept = torch.randperm(len(data.test), generator=torch.Generator().manual_seed(0))[:COUNT]
    return dataclasses.replace(data, test=Split(data.test.images[kept], data.test.labels[kept]))


def run(store: Path, *more: str) -> Results:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fgsm, "load", thinned)
        assert command.main(["run", "fgsm", "--log", f"folder:{store}", *FLAGS, *more]) == 0
    found = [read(path.parent) for path in store.glob("*/run.json")]
    return next(r for r in found if (r.folder / "tables/signs.json").exists())
