"""What do a small CNN's layers see, and is its embedding a better judge of class than the pixels?

Source: course assignment 2 and lecture 4; network CNN_A on MNIST

The assignment compares two sixes and two sevens. Here their six distances stand among those of all
pairs of test images, and the trained embedding beside the pixels and an untrained network.
"""

from collections.abc import Sequence

import torch

from research.data import Dataset, load
from research.errors import UserError
from research.methods.embedding import varies
from research.models import CnnA
from research.studies.cnn.drawings import FIGURES
from research.studies.cnn.layers import log_digits, measure_layers
from research.studies.cnn.measures import (
    measure_arms,
    measure_helper,
    measure_maps,
    measure_pairs,
    measure_spaces,
    spaces_of,
)
from research.studies.cnn.networks import embedder, encode, fresh, train
from research.studies.cnn.settings import ARMS, PRESETS, Config, Models, children, seeds_of
from research.tracking import Log

__all__ = ["FIGURES", "PRESETS", "Config", "children", "study"]


def study(config: Config, log: Log) -> None:
    with log.part("data"):
        data = load(config.data).to(config.train.device)
        log.dataset(data.facts())
        check(config, data)
        sample = data.test_image(config.sample, config.sample_index)
    with log.part("training"):
        models: Models = {
            arm: [train(arm, seed, data, config, log) for seed in seeds_of(arm, config)]
            for arm in ARMS
        }
    with log.part("analysis"):
        tell_dead(models["baseline"], data, log)
        measure_arms(models, data, log)
        measure_layers(models["baseline"][0], fresh(config.seeds[0]), sample, log)
        indices = four_samples(data, config)
        log_digits(data, indices, log)
        measure_helper(models["baseline"], data.test, indices, log)
        spaces = spaces_of(models["baseline"], config)
        measure_spaces(spaces, data, config, log)
        measure_pairs(spaces, data, indices, log)
        measure_maps(spaces["trained"][0](data.test), data, config, log)


def tell_dead(models: Sequence[CnnA], data: Dataset, log: Log) -> None:
    """How many networks died in training, and send all test images to one point."""
    dead = sum(not varies(encode(embedder(model), data.test)) for model in models)
    log.number("dead", dead)
    if dead:
        log.finding(
            f"{dead} of {len(models)} networks send every test image to one point: training has "
            "silenced them, and what compares distances there is undefined."
        )


def check(config: Config, data: Dataset) -> None:
    """Finds settings that the data cannot bear before anything is trained."""
    if data.shape != (1, 28, 28) or len(data.classes) > 10:
        raise UserError(
            "the network needs images of 1 × 28 × 28 in at most 10 classes, "
            f"{data.name} has {' × '.join(map(str, data.shape))} in {len(data.classes)}; "
            "give --data.name mnist or mnist-sample"
        )
    points = min(config.map_points, len(data.test))
    if not 1 <= config.neighbours < min(points / 2, len(data.train)):
        raise UserError(
            f"--neighbours must be at least 1 and less than half of the {points} points of the "
            f"maps, got {config.neighbours}; change it or --map-points"
        )
    for perplexity in config.perplexities:
        if not 1 <= perplexity < points / 3:
            raise UserError(
                "--perplexities must be at least 1 and less than a third of the "
                f"{points} points of the maps, got {perplexity}; change it or --map-points"
            )
    check_counts(config, data)


def check_counts(config: Config, data: Dataset) -> None:
    """Finds numbers that must be positive and classes that are too small."""
    for name in ("relu_seeds", "resamples", "permutations"):
        if getattr(config, name) < 1:
            raise UserError(
                f"--{name.replace('_', '-')} must be at least 1, got {getattr(config, name)}"
            )
    if not config.perplexities or len(set(config.perplexities)) < len(config.perplexities):
        raise UserError("--perplexities must be one or more different numbers; give 10 30 50")
    first, second = (data.class_index(name) for name in config.pair)
    if first == second:
        raise UserError(f"--pair must be two classes, got '{config.pair[0]}' twice")
    counts = torch.bincount(data.test.labels, minlength=len(data.classes))
    if counts.min() < 2:
        name = data.classes[int(counts.argmin())]
        raise UserError(
            f"each class needs two test images, '{name}' has {counts.min()}; add some to the data"
        )


def four_samples(data: Dataset, config: Config) -> list[int]:
    """The first two test images of each of the two classes, by their place in the test set."""
    labels = data.test.labels.cpu()
    return [
        int(place)
        for name in config.pair
        for place in torch.nonzero(labels == data.class_index(name))[:2, 0]
    ]
