"""What do the layers of a convolutional network see, and what leaves their answer alone?

Source: course assignment 3; Zeiler and Fergus 2014, sections 2 to 4, and arXiv 1311.2901
"""

from collections.abc import Iterable
from dataclasses import replace

from torch import nn

from research.data import Dataset, Split, check_contents, load
from research.errors import UserError
from research.methods.crops import cropped
from research.records import Table
from research.studies.zf.drawings import FIGURES
from research.studies.zf.features import TOP, Viewed, measure_evolution, measure_tops, viewed
from research.studies.zf.measures import grey, measure_errors, measure_first_layers
from research.studies.zf.networks import beginning, check_networks, given, stages, train
from research.studies.zf.occlusion import measure_occlusion
from research.studies.zf.settings import ARMS, PRESETS, Config, children
from research.studies.zf.transformations import (
    check_parts,
    measure_correspondence,
    measure_invariance,
)
from research.tracking import Log

__all__ = ["FIGURES", "PRESETS", "Config", "children", "study"]


def study(config: Config, log: Log) -> None:
    with log.part("data"):
        data = load(config.data).to(config.train.device)
        log.dataset(data.facts())
        parts = aligned(config, log)
        check(config, data)
        test, fill = cropped(data.test, config.side), grey(data.train)

    def views(models: Iterable[nn.Module]) -> list[Viewed]:
        return [viewed(model, test, data.classes, config) for model in models]

    with log.part("training"):
        if config.model == "zfnet":
            models = {
                arm: [train(arm, seed, data, config, log) for seed in config.seeds] for arm in ARMS
            }
        else:
            own = given(data, config, log)
    with log.part("analysis"):
        untrained: list[Viewed] = []
        if config.model == "zfnet":
            groups = {arm: views(group) for arm, group in models.items()}
            group = groups["zf"]
            untrained = views(beginning(seed, data, config) for seed in config.seeds)
            measure_errors(models, data.test, test, log)
        else:
            group = views([own])
            groups = {"given": group}
        measure_tops(group, config, log)
        if config.model == "zfnet":
            measure_evolution(stages(models["zf"], data, config, log), group, config, log)
        measure_first_layers(groups, config, log)
        measure_occlusion(group, fill, config, log)
        measure_invariance(group, fill, config, log)
        measure_correspondence(group, untrained, parts, fill, config, log)


def aligned(config: Config, log: Log) -> Split:
    """The aligned images, of the first class of their set, as the network sees them."""
    check_side(config)
    parts = load(replace(config.parts, size=config.parts.size or config.side))
    facts = parts.facts()
    rows = [{name: str(facts[name]) for name in ("name", "source", "licence", "sha256")}]
    log.table("aligned", Table.of(rows))
    check_shape("parts", parts, config)
    first = parts.test.labels == 0
    chosen = Split(parts.test.images[first], parts.test.labels[first])
    check_parts(chosen, config)
    return cropped(chosen, config.side).to(config.train.device)


def check_side(config: Config) -> None:
    size = config.data.size
    if config.side < 1 or (size is not None and size < config.side):
        raise UserError(
            f"--side must be at least 1 pixel and at most --data.size ({size}), got {config.side}"
        )


def check_shape(flag: str, data: Dataset, config: Config) -> None:
    """Raises UserError for images that have no colour or are smaller than a crop."""
    channels, height, width = data.shape
    if channels != 3 or min(height, width) < config.side:
        raise UserError(
            f"the network needs images in three channels of at least {config.side} pixels, "
            f"{data.name} has {channels} × {height} × {width}; give another --{flag}.name, "
            f"--{flag}.size or --side"
        )


def check(config: Config, data: Dataset) -> None:
    """Finds settings that the data cannot bear before anything is trained."""
    check_shape("data", data, config)
    if len(data.classes) < 2 or len(data.train) < 1 or len(data.test) < TOP:
        raise UserError(
            f"the study needs 2 classes, a training image and {TOP} test images at least, "
            f"{data.name} has {len(data.classes)}, {len(data.train)} and {len(data.test)}; give "
            "another --data.name or --data.root"
        )
    check_contents(data)
    if not config.width > 0:
        raise UserError(f"--width must be greater than 0, got {config.width:g}")
    if not (1 <= config.window <= config.side and config.stride >= 1):
        raise UserError(
            f"--window must be 1 to {config.side} pixels and --stride at least 1, got "
            f"{config.window} and {config.stride}"
        )
    least = {"shown": 1, "occluded": 1, "moved": 2}
    for name, number in least.items():
        if getattr(config, name) < number:
            raise UserError(f"--{name} must be at least {number}, got {getattr(config, name)}")
    if min(config.lengths, default=1) < 1:
        raise UserError(f"--lengths must be at least 1 epoch, got {min(config.lengths)}")
    if config.model == "zfnet":
        check_networks(data, config)
