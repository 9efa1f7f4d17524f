"""Is convolution worth it in an autoencoder, and at which size of the code?

Source: Agarap's and another tutorial's autoencoders; three course notebooks (Udacity); Zhang 2018

The autoencoders of these sources under one budget, with true mean squared errors in pixel units of
[0, 1], beside principal components, below whose error no linear code of the same size can get.
"""

from research.data import Dataset, check_contents, load
from research.errors import UserError
from research.records import Cell, Table
from research.studies.autoencoders.drawings import FIGURES
from research.studies.autoencoders.measures import (
    exam_of,
    log_examples,
    measure_floor,
    measure_linear,
    measure_networks,
    measure_sizes,
)
from research.studies.autoencoders.networks import in_grey, train
from research.studies.autoencoders.settings import PRESETS, Config, Models, children, recipes
from research.tracking import Log

__all__ = ["FIGURES", "PRESETS", "Config", "children", "study"]


def study(config: Config, log: Log) -> None:
    with log.part("data"):
        check(config)
        digits = in_grey(load(config.data)).to(config.train.device)
        log.dataset(digits.facts())
        pictures = pictures_of(config, log)
        check_shapes(digits, pictures)
        sets = {"digits": digits, "pictures": pictures}
    with log.part("training"):
        models: Models = {}
        for recipe in recipes(config):
            model = train(recipe, sets[recipe.set], config, log)
            models.setdefault(recipe.group, []).append(model)
    with log.part("analysis"):
        exams = {name: exam_of(name, data, config) for name, data in sets.items()}
        measured = measure_networks(models, exams, log)
        measure_sizes(measured, exams, config, log)
        measure_linear(measured, exams["digits"], log)
        measure_floor(models, digits.test, log)
        log_examples(models, exams, log)


def pictures_of(config: Config, log: Log) -> Dataset:
    """The pictures in grey; the table `pictures` says what they are."""
    pictures = in_grey(load(config.pictures)).to(config.train.device)
    facts = pictures.facts()
    row: dict[str, Cell] = {name: str(facts[name]) for name in ("name", "source", "licence")}
    row |= {"train": len(pictures.train), "test": len(pictures.test), "sha256": pictures.sha256}
    log.table("pictures", Table.of([row]))
    for name in ("train", "test"):
        log.number(f"pictures_{name}", len(getattr(pictures, name)))
    log.number("pictures_side", pictures.shape[1])
    return pictures


def check(config: Config) -> None:
    """Finds settings that no data could bear."""
    for name in ("picture_epochs", "picture_batch"):
        if getattr(config, name) < 1:
            raise UserError(
                f"--{name.replace('_', '-')} must be at least 1, got {getattr(config, name)}"
            )
    for name in ("digit_maps", "picture_maps"):
        maps = getattr(config, name)
        if min(maps, default=1) < 1 or len(set(maps)) < len(maps):
            raise UserError(
                f"--{name.replace('_', '-')} must be different numbers from 1 on, got "
                f"{' '.join(map(str, maps))}"
            )
    if not 0 < config.noise < float("inf"):
        raise UserError(f"--noise must be greater than 0, got {config.noise:g}")


def check_shapes(digits: Dataset, pictures: Dataset) -> None:
    """Finds images that the networks cannot take, before anything is trained."""
    if digits.shape != (1, 28, 28):
        raise UserError(
            "the networks of the digits need images of 1 × 28 × 28, "
            f"{digits.name} has {' × '.join(map(str, digits.shape))}; "
            "give --data.name mnist or mnist-sample"
        )
    side = pictures.shape[1:]
    if side[0] % 8 or side[1] % 8 or min(side) < 16:
        raise UserError(
            "the pictures' sides must be multiples of 8 and at least 16 pixels, they are "
            f"{side[0]} × {side[1]}; give --pictures.size 64"
        )
    if not len(pictures.train):
        raise UserError(
            f"{pictures.name} has no pictures to train on; give another --pictures.name"
        )
    check_contents(pictures, classes=1)
    for data in (digits, pictures):  # clean and noisy, as vectors, and reconstructed
        data.require_floats(train=5, test=5)
