"""How well features learnt on the source tell the classes of the target apart (tables 3, 4, 6)."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import product
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from research.data import Dataset, Split
from research.errors import ArgumentError, UserError
from research.methods.chain import Chain
from research.methods.crops import cropped
from research.methods.probes import (
    Draw,
    Encode,
    Kind,
    Task,
    class_accuracy,
    coordinates,
    draw,
    probe,
    products,
)
from research.models.inference import predict
from research.records import Array
from research.studies.zf_features.networks import train_scratch
from research.studies.zf_features.settings import KINDS, LAYERS, Config
from research.tracking import Log


class Pool(NamedTuple):
    """All images of the target, and draws from them.

    Attributes:
        split: images of the source's channels.
        draws: one for each repetition, for the largest k.
    """

    split: Split
    classes: tuple[str, ...]
    draws: Sequence[Draw]

    def train(self, number: int, k: int) -> Split:
        """The first k training images of each class of a draw, class by class."""
        return self._at(self.draws[number].train[:, :k].flatten())

    def test(self, number: int) -> Split:
        return self._at(self.draws[number].test)

    def _at(self, places: Tensor) -> Split:
        places = places.to(self.split.labels.device)
        return Split(self.split.images[places], self.split.labels[places])


def pool_of(target: Dataset, config: Config) -> Pool:
    """Raises UserError where a class of the target has too few images."""
    labels = torch.cat([target.train.labels, target.test.labels])
    split = Split(torch.cat([target.train.images, target.test.images]), labels)
    own = torch.arange(len(labels)) < len(target.train)
    learn, judge = (torch.ones_like(own),) * 2 if config.pooled else (own, ~own)
    most = max(config.k)
    try:
        draws = [
            draw(labels, target.classes, learn, judge, most, config.judged, number)
            for number in range(config.splits)
        ]
    except ArgumentError as error:
        raise UserError(f"{error}; that is --k {most}, and --pooled mixes them") from None
    return Pool(split, target.classes, draws)


# --- the control ---------------------------------------------------------------------------------


class Scratch(NamedTuple):
    """Networks trained on the target alone: images per class -> accuracy, one for each draw.

    Attributes:
        judged: on the test images.
        fitted: on their own training images.
    """

    judged: Mapping[int, Sequence[float]]
    fitted: Mapping[int, Sequence[float]]


def train_controls(pool: Pool, config: Config, log: Log) -> Scratch:
    """Trains the control on each draw, one network at a time in memory."""
    judged: dict[int, list[float]] = {k: [] for k in config.k}
    fitted: dict[int, list[float]] = {k: [] for k in config.k}
    for k, number in product(config.k, range(config.splits)):
        split = pool.train(number, k)
        model = train_scratch(split, len(pool.classes), number, config, log)
        judged[k].append(accuracy_of(model, cropped(pool.test(number), config.side)))
        fitted[k].append(accuracy_of(model, cropped(split, config.side)))
    return Scratch(judged, fitted)


def accuracy_of(model: nn.Module, split: Split) -> float:
    preds = predict(model, split).argmax(1)
    return class_accuracy(preds.numpy(force=True), split.labels.numpy(force=True))


# --- linear classifiers on features --------------------------------------------------------------


class Case(NamedTuple):
    """A classifier on the features of a layer: of which network, and how many images per class."""

    space: str
    layer: str
    kind: Kind
    k: int


class Try(NamedTuple):
    """What a classifier came to: mean accuracy over the classes, and its C."""

    accuracy: float
    penalty: float


Tries = Mapping[Case, Sequence[Try]]
"""One for each draw."""


def try_features(
    trained: Sequence[nn.Module], untrained: Sequence[nn.Module], pool: Pool, config: Config
) -> Tries:
    """Every classifier on every layer.

    One draw is tried on the network of one seed, the next one on that of the next seed.
    """
    found: dict[Case, list[Try]] = {}
    for number in range(config.splits):
        seed = number % len(trained)
        networks = {"trained": trained[seed], "untrained": untrained[seed]}
        for case, one in tried(networks, pool, number, config):
            found.setdefault(case, []).append(one)
    return found


def tried(
    networks: Mapping[str, nn.Module], pool: Pool, number: int, config: Config
) -> Iterator[tuple[Case, Try]]:
    """Every case of one draw."""
    most = max(config.k)
    train, test = (
        cropped(split, config.side) for split in (pool.train(number, most), pool.test(number))
    )
    labels, truth = (split.labels.numpy(force=True) for split in (train, test))
    rows = {k: first_of_each(len(pool.classes), most, k) for k in config.k}
    tasks = {}
    for space, encode in encoders(networks, train).items():
        for layer, inner in products(encode, train, test).items():
            for k, chosen in rows.items():
                known, asked = coordinates(inner.part(chosen))
                for kind in KINDS:
                    case = Case(space, layer, kind, k)
                    tasks[case] = Task(kind, known, labels[chosen], asked)
    answers = probe([*tasks.values()], config.penalties, number)
    for case, answer in zip(tasks, answers, strict=True):
        yield case, Try(class_accuracy(answer.preds, truth), answer.penalty)


def first_of_each(classes: int, most: int, k: int) -> Array:
    """Of images sorted by class, `most` of each: the places of the first k of each."""
    return np.add.outer(most * np.arange(classes), np.arange(k)).ravel()


def encoders(networks: Mapping[str, nn.Module], split: Split) -> dict[str, Encode]:
    """What makes features of images: nothing, and the layers of the networks."""
    some = split.images[:2].float() / 255
    chains = {space: Chain(model, some) for space, model in networks.items()}
    return {
        "pixels": lambda images: {"pixels": images},
        **{space: partial(features_of, chain) for space, chain in chains.items()},
    }


def features_of(chain: Chain, images: Tensor) -> dict[str, Tensor]:
    found = chain.outputs(images, [*LAYERS.values()])
    return {layer: found[name] for layer, name in LAYERS.items()}
