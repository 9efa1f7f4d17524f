"""Studies on a few random images: what needs their code, and no result."""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn

from research.config import Data, Train
from research.data import Dataset, Split
from research.launch import Study
from research.models.pretrained import FrozenVgg16

CLASSES = 10
SETTINGS = Train(epochs=1, batch=20, lr=1e-3, device="cpu")


def images(config: Data) -> Dataset:
    """Two images of each class to train on and nine to test on, of the wanted set's shape."""
    grey = config.name.startswith("mnist")
    side = config.size or (28 if grey else 32)
    order = torch.Generator().manual_seed(len(config.name))

    def split(of_each: int) -> Split:
        count = of_each * CLASSES
        shape = (count, 1 if grey else 3, side, side)
        pixels = torch.randint(0, 256, shape, generator=order, dtype=torch.uint8)
        return Split(pixels, torch.arange(count) % CLASSES)

    names = tuple(map(str, range(CLASSES)))
    return Dataset.of(config.name, split(12), split(16), names, source="", licence="")


class Standin(nn.Module):
    """In the layout of torchvision's VGG16."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 6, 5, stride=3), nn.ReLU(True), nn.MaxPool2d(2))
        self.avgpool = nn.AdaptiveAvgPool2d(3)
        self.classifier = nn.Sequential(nn.Linear(54, 20), nn.ReLU(True), nn.Linear(20, 1000))


SMALL: Mapping[str, dict[str, Any]] = {
    "ae": {
        "data": Data("photos", size=16),
        "sample": "3",
        "sample_index": 0,
        "map_points": 90,
        "map_perplexity": 5,
    },
    "cnn": {"map_points": 90, "perplexities": (5,)},
    "fgsm": {"crafted": 20, "judged": 20, "cells": 20, "deepfool": 1, "checked": 1},
    "mlp": {"ones_left": 4, "doses": (0, 2, 6)},
    "vgg": {"width": 0.0625, "crafted": 20, "judged": 20, "cells": 20, "frozen_epochs": 1},
    "zf": {"width": 0.0625},
    "zf-features": {"width": 0.0625, "k": (2, 3), "splits": 1},
}  # fmt: skip
"""Settings that few images can bear."""


def config_of(slug: str, study: Study) -> Any:
    """The sample of a study with one seed, each model trained for one epoch."""
    config = study.PRESETS["sample"]
    small = replace(config, train=SETTINGS, seeds=(0,), **SMALL.get(slug, {}))
    return replace(small, data=replace(small.data, size=100)) if slug == "seq2seq" else small


@contextmanager
def patched(study: Study, **more: Any) -> Iterator[None]:
    """The study with these images for its own, and a stand-in for ImageNet's network."""
    package = study.__name__  # type: ignore[attr-defined]
    weights = Standin().state_dict()
    given: dict[str, Callable[..., Any]] = {
        "load": images,
        "imagenet_file": lambda given: Path("weights"), "imagenet_weights": lambda path: weights,
        "FrozenVgg16": partial(FrozenVgg16, build=Standin, side=40), **more,
    }  # fmt: skip
    modules = [module for name, module in sys.modules.items()
               if name == package or name.startswith(f"{package}.")]  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        for module in modules:
            for name, value in given.items():
                if _replaces(module, name):
                    patch.setattr(module, name, value)
        yield


def _replaces(module: ModuleType, name: str) -> bool:
    """Whether a module has such a name; `load` of images, not of sentences or requirements."""
    known = vars(module).get(name)
    return known is not None and (name != "load" or known.__module__ == "research.data")
