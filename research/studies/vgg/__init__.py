"""Is the sign attack on a VGG16 for colour photographs more universal than on small networks?

Source: course assignment 5, bonus; notebook Vgg16-CIFAR; Goodfellow, Shlens and Szegedy 2015

Its numbers of the noises carry the names of the study `fgsm`, with which the write-up compares.
"""

from research.data import Dataset, check_contents, load
from research.errors import ArgumentError, UserError
from research.methods.samples import check as check_battery
from research.studies.vgg.drawings import FIGURES
from research.studies.vgg.frozen import measure_frozen, train_frozen, weights_file
from research.studies.vgg.measures import (
    measure_curves,
    measure_models,
    measure_noises,
    measure_signs,
    measure_transfer,
)
from research.studies.vgg.networks import train
from research.studies.vgg.settings import PRESETS, Config, children
from research.tracking import Log

__all__ = ["FIGURES", "PRESETS", "Config", "children", "study"]


def study(config: Config, log: Log) -> None:
    with log.part("data"):
        data = load(config.data).to(config.train.device)
        log.dataset(data.facts())
        check(config, data)
        imagenet = weights_file(config, log)
    with log.part("training"):
        models = [train(seed, data, config, log) for seed in config.seeds]
        frozen = train_frozen(imagenet, data, config, log) if imagenet else {}
    with log.part("analysis"):
        measure_models(models, data, config, log)
        measure_curves(models, data, config, log)
        measure_signs(models[0], data, config, log)
        batteries = measure_noises(models, data, config, log)
        measure_transfer(models, batteries, data, config, log)
        if frozen:
            measure_frozen(frozen, data, config, log)


def check(config: Config, data: Dataset) -> None:
    """Finds settings that the data cannot bear before anything is trained."""
    channels, height, width = data.shape
    if channels != 3 or height != width or height % 32:
        raise UserError(
            "the network needs square images in three channels whose side is a multiple of 32, "
            f"{data.name} has {channels} × {height} × {width}; give --data.size 32"
        )
    check_contents(data)
    if not config.width > 0:
        raise UserError(f"--width must be greater than 0, got {config.width:g}")
    for name, values in {"eps": config.eps, "noise-eps": (config.noise_eps,)}.items():
        if not values or not all(0 <= value <= 1 for value in values):
            given = " ".join(f"{value:g}" for value in values) or "none"
            raise UserError(f"--{name} must lie in [0, 1], in units of pixels, got {given}")
    if not config.noise_eps:
        raise UserError("--noise-eps must be greater than 0: noises of size 0 have no direction")
    check_counts(config, data)
    data.require_floats(train=0, test=4)  # the images, and their noises, clipped and not


def check_counts(config: Config, data: Dataset) -> None:
    """Finds numbers of samples that are too small, or more than there are."""
    for name in ("checked", "crafted", "judged", "cells", "random", "deepfool"):
        if getattr(config, name) < 1:
            raise UserError(f"--{name} must be at least 1, got {getattr(config, name)}")
    if config.frozen_epochs < 0:
        raise UserError(f"--frozen-epochs must be at least 0, got {config.frozen_epochs}")
    sizes = (config.crafted, config.judged, config.cells, config.deepfool)
    try:
        check_battery(*sizes, classes=len(data.classes))
    except ArgumentError as error:  # it begins with the argument's name, which is the flag's
        raise UserError(f"--{error}") from None
    asked, there = config.crafted + config.judged, len(data.test)
    if asked > there:
        raise UserError(
            f"--crafted and --judged must together be at most the {there} test images, given "
            f"were {config.crafted} and {config.judged}; lower one"
        )
