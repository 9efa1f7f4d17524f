"""A small study whose models a cluster trains; a module of its own, for jobs import it."""

import dataclasses
import os
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from research import paths
from research.config import Train
from research.data import Split, random_flip
from research.errors import UserError
from research.tracking import Log
from research.training.cache import obtain
from research.training.loop import Training

SETTINGS = Train(epochs=3, batch=8, lr=0.1, device="cpu", precision="float32")
NAMES = ["a", "b", "c", "after"]
HELD = 300.0
"""Seconds that a model is made to wait at most."""


@dataclasses.dataclass(frozen=True)
class Config:
    """
    Attributes:
        marks: a folder in which a file `hold-b` makes the model b wait after its second epoch, and
            `break-a` makes a fail.
        names: of the models that are trained.
    """

    marks: Path
    # an object of its own, as a launched run has it: digests tell one that is met twice from two
    train: Train = dataclasses.field(default_factory=lambda: dataclasses.replace(SETTINGS))
    names: tuple[str, ...] = tuple(NAMES)


def objective(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(model(random_flip(images, torch.default_generator)), labels)


def train(name: str, data: Split, config: Config, log: Log) -> nn.Module:
    torch.manual_seed(NAMES.index(name))
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
    epochs = [0]

    def evaluate(model: nn.Module) -> dict[str, float]:
        if (config.marks / f"break-{name}").exists():
            raise UserError("the evaluation must not break")
        epochs[0] += 1
        end = time.monotonic() + HELD
        while epochs[0] == 2 and (config.marks / f"hold-{name}").exists():
            assert time.monotonic() < end, "nobody let it go on"
            time.sleep(0.1)
        return {"loss/test": 1.0}

    optimiser = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    training = Training(
        model, data, objective, optimiser, config.train,
        seed=NAMES.index(name), evaluate=evaluate,
    )  # fmt: skip
    return obtain(training, name=name, params={}, log=log, snapshots=[1])


def study(config: Config, log: Log) -> None:
    """Three models by themselves, and one whose images follow from the first.

    Each process leaves a file that says which GPUs it sees.
    """
    (config.marks / f"gpu-{os.getpid()}").write_text(os.environ.get("CUDA_VISIBLE_DEVICES", ""))
    with log.part("data"):
        images = torch.randint(0, 256, (37, 1, 4, 4), generator=torch.Generator().manual_seed(0))
        data = Split(images.to(torch.uint8), torch.arange(37) % 3)
    with log.part("training"):
        trained = {name: train(name, data, config, log) for name in config.names if name != "after"}
        if "after" in config.names:
            shift = int(100 * next(iter(trained["a"].parameters())).norm())
            train("after", Split(data.images + shift, data.labels), config, log)
    with log.part("analysis"):
        log.number("models", len(trained))


def kept() -> set[str]:
    """Digests of the models that there are; a study that trains one adds to them."""
    return {path.name for path in paths.MODELS.glob("[0-9a-f]*")}


def opening(**facts: Any) -> Any:
    from research.tracking import Opening

    return Opening("small", "?", "sample", "small", {}, "d", (0,), "cpu", **facts)
