"""Is the fast gradient sign attack universal, and are its own signs right?

Source: course assignment 5; both FGSM tutorials; Goodfellow, Shlens and Szegedy 2015; MNIST

The attack of a tutorial is repeated on its two networks with gradients that float32 does not round
away. Then its noises are compared, and the best single one is judged on images that it was not made
of. The paper's own experiments on MNIST stand beside its numbers.
"""

import torch

from research.data import Dataset, load
from research.errors import ArgumentError, UserError
from research.methods.samples import check as check_battery
from research.studies.fgsm.drawings import FIGURES
from research.studies.fgsm.goodfellow import measure_paper
from research.studies.fgsm.measures import (
    measure_curves,
    measure_signs,
    measure_universality,
)
from research.studies.fgsm.networks import train
from research.studies.fgsm.pictures import measure_examples
from research.studies.fgsm.settings import (
    PAIR,
    PAPER,
    PRESETS,
    TUTORIAL,
    Config,
    Models,
    children,
    recipes,
)
from research.tracking import Log

__all__ = ["FIGURES", "PRESETS", "Config", "children", "study"]


def study(config: Config, log: Log) -> None:
    with log.part("data"):
        data = load(config.data).to(config.train.device)
        log.dataset(data.facts())
        check(config, data)
    with log.part("training"):
        trained = {recipe: train(recipe, data, config, log) for recipe in recipes(config)}
        models: Models = {
            arm: [model for recipe, model in trained.items() if recipe.arm == arm]
            for arm in (*TUTORIAL, *PAPER)
        }
    with log.part("analysis"):
        measure_curves(models, data, config, log)
        measure_signs(models, data, config, log)
        measure_examples(models, data.test, config, log)
        measure_universality(models, data, config, log)
        measure_paper(models, data, config, log)


def check(config: Config, data: Dataset) -> None:
    """Finds settings that the data cannot bear before anything is trained."""
    if data.shape != (1, 28, 28) or len(data.classes) != 10:
        raise UserError(
            "the networks need images of 1 × 28 × 28 in 10 classes, "
            f"{data.name} has {' × '.join(map(str, data.shape))} in {len(data.classes)}; "
            "give --data.name mnist or mnist-sample"
        )
    for name in PAIR:
        data.class_index(name)
    check_steps(config)
    check_counts(config, data)


def check_steps(config: Config) -> None:
    """Finds step sizes that are none, or that are no step."""
    steps = (*config.eps, config.paper_eps, config.noise_eps)
    if not all(0 <= eps <= 1 for eps in steps) or min(config.paper_eps, config.noise_eps) == 0:
        raise UserError(
            "--eps must be in [0, 1], --paper-eps and --noise-eps above 0 too, got "
            f"{' '.join(map(str, config.eps))}, {config.paper_eps} and {config.noise_eps}"
        )
    if len(config.eps) < 2 or list(config.eps) != sorted({0, *config.eps}):
        raise UserError(
            "--eps must begin with 0 and rise, got "
            f"{' '.join(map(str, config.eps))}; give 0 0.1 0.2"
        )


def check_counts(config: Config, data: Dataset) -> None:
    """Finds numbers that must be positive and sets that are too small."""
    counts = (
        "lenet_epochs", "paper_epochs", "checked", "crafted", "judged", "cells", "random",
        "deepfool", "rubbish",
    )  # fmt: skip
    for name in counts:
        if getattr(config, name) < 1:
            raise UserError(
                f"--{name.replace('_', '-')} must be at least 1, got {getattr(config, name)}"
            )
    sizes = (config.crafted, config.judged, config.cells, config.deepfool)
    try:
        check_battery(*sizes, classes=len(data.classes))
    except ArgumentError as error:  # it begins with the argument's name, which is the flag's
        raise UserError(f"--{error}") from None
    if not 0 < config.step < float("inf") or min(config.lengths, default=1) < 1:
        raise UserError(
            "--step must be greater than 0 and --lengths at least 1, got "
            f"{config.step:g} and {' '.join(map(str, config.lengths))}"
        )
    per_class = int(torch.bincount(data.test.labels, minlength=len(data.classes)).min())
    wanted = sum(-(-count // len(data.classes)) for count in (config.crafted, config.judged))
    if wanted > per_class:
        raise UserError(
            f"--crafted and --judged need {wanted} test images of each class, the smallest has "
            f"{per_class}; lower them"
        )
    if config.checked > len(data.test):
        raise UserError(
            f"--checked must be at most {len(data.test)}, the test images of {data.name}, given "
            f"was {config.checked}"
        )
