"""How wide must a hidden layer be to read handwritten digits?

Source: an example to begin with
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import nn

from research import figures
from research.config import Data, Train
from research.data import Dataset, load
from research.methods.classification import cross_entropy, scores
from research.methods.statistics import claim_pairs, over_seeds, paired
from research.models.inference import predict
from research.records import Results, Table
from research.tracking import Log
from research.training.cache import obtain
from research.training.loop import Training, placed


@dataclass(frozen=True)
class Config:
    data: Data
    train: Train
    seeds: tuple[int, ...]
    """One network of each width is trained per seed."""
    widths: tuple[int, ...] = (4, 16, 64)
    """Units of the hidden layer, narrow to wide."""


PRESETS = {
    "sample": Config(Data("mnist-sample"), Train(epochs=4, lr=0.003), (0, 1, 2)),
    "full": Config(Data("mnist"), Train(epochs=10), (0, 1, 2, 3, 4)),
}


def children(config: Config) -> list[str]:
    return [name(width, seed) for width in config.widths for seed in config.seeds]


def study(config: Config, log: Log) -> None:
    with log.part("data"):
        data = load(config.data).to(config.train.device)
        log.dataset(data.facts())
    with log.part("training"):
        accuracies = [
            [train(width, seed, data, config, log) for seed in config.seeds]
            for width in config.widths
        ]
    means = [over_seeds(values) for values in accuracies]
    sizes = [parameters(width, data) for width in config.widths]
    log.number("accuracy_narrow", means[0])
    log.number("accuracy_wide", means[-1])
    log.number("gain", paired(accuracies[0], accuracies[-1]))
    log.claim("wide_is_better", claim_pairs(means[0], means[-1], "greater"))
    rows = zip(config.widths, sizes, means, strict=True)
    log.table("widths", Table(("width", "parameters", "accuracy"), tuple(rows)))
    log.arrays("widths", width=np.array(config.widths), accuracy=np.array(accuracies))


def name(width: int, seed: int) -> str:
    return f"width{width}-seed{seed}"


def network(width: int, data: Dataset) -> nn.Sequential:
    inputs, outputs = math.prod(data.shape), len(data.classes)
    layers = nn.Linear(inputs, width), nn.ReLU(), nn.Linear(width, outputs)
    return nn.Sequential(nn.Flatten(), *layers)


def parameters(width: int, data: Dataset) -> int:
    return sum(weight.numel() for weight in network(width, data).parameters())


def train(width: int, seed: int, data: Dataset, config: Config, log: Log) -> float:
    """The accuracy on the test images of one network, trained or found as trained before."""
    torch.manual_seed(seed)
    model = placed(network(width, data), config.train)
    optimiser = torch.optim.Adam(model.parameters(), lr=config.train.lr)
    obtain(
        Training(model, data.train, cross_entropy, optimiser, config.train, seed=seed),
        name=name(width, seed),
        params={"width": width, "seed": seed},
        log=log,
    )
    return scores(predict(model, data.test), data.test.labels)["accuracy/test"]


def draw_widths(results: Results) -> Figure:
    """Accuracy by width, a point for each seed and a line through their means."""
    widths, accuracies = results.arrays("widths").values()
    figure = figures.canvas(figures.COLUMN_MM, 50)
    axes = figure.subplots()
    axes.plot(widths, accuracies, "o", color=figures.COLOURS[0])
    axes.plot(widths, accuracies.mean(1), color=figures.COLOURS[0])
    axes.set_xscale("log", base=2)
    axes.set_xticks(widths, map(str, widths))
    axes.set(xlabel="units of the hidden layer", ylabel="accuracy on the test images")
    return figure


FIGURES = {"widths": draw_widths}
