"""Which layers does a convolutional network need, and what are its features worth elsewhere?

Source: Zeiler and Fergus 2014, section 5 and tables 2, 3, 4 and 6

Architectures are trained anew, each for as long; then linear classifiers are trained on each
layer's features of images of another set, beside networks that saw nothing else.
"""

from dataclasses import replace

from research.data import Dataset, Split, check_contents, load
from research.errors import UserError
from research.records import Cell, Table
from research.studies.zf_features.ablation import Ablation, measure_ablations
from research.studies.zf_features.comparisons import measure_transfer
from research.studies.zf_features.drawings import FIGURES
from research.studies.zf_features.generalisation import pool_of, train_controls, try_features
from research.studies.zf_features.networks import beginning, source_of, train
from research.studies.zf_features.overlap import apart
from research.studies.zf_features.settings import PRESETS, Config, ablations, children, sources
from research.tracking import Log

__all__ = ["FIGURES", "PRESETS", "Config", "children", "study"]


def study(config: Config, log: Log) -> None:
    with log.part("data"):
        check(config)
        data = load(config.data).to(config.train.device)
        log.dataset(data.facts())
        check_source(config, data)
        pool = pool_of(target_of(config, data, log), config)
        source = source_of(apart(data, pool, config, log), config.side)
        untrained = [beginning(seed, source, config) for seed in config.seeds]
    with log.part("training"):
        trained = [train(recipe, source, config, log) for recipe in sources(config)]
        known = dict(zip(sources(config), trained, strict=True))
        ablation = Ablation()
        for arm, recipes in ablations(config).items():
            for recipe in recipes:
                ablation.add(arm, known.get(recipe) or train(recipe, source, config, log), source)
        scratch = train_controls(pool, config, log)
    with log.part("analysis"):
        measure_ablations(ablation, log)
        tries = try_features(trained, untrained, pool, config)
        measure_transfer(tries, scratch, pool, config, log)


def target_of(config: Config, data: Dataset, log: Log) -> Dataset:
    """The target, as large as the source and in as many channels."""
    size = config.target.size or min(data.shape[1:])
    target = load(replace(config.target, size=size)).to(config.train.device)
    facts = target.facts()
    row: dict[str, Cell] = {name: str(facts[name]) for name in ("name", "source", "licence")}
    row |= {"images": len(target.train) + len(target.test), "classes": len(target.classes)}
    row |= {"sha256": target.sha256, "digest": target.sha256[:12]}
    log.table("target", Table.of([row]))
    check_target(config, target, data)
    return replace(target, train=in_channels(target.train, data.shape[0]),
                   test=in_channels(target.test, data.shape[0]))  # fmt: skip


def in_channels(split: Split, channels: int) -> Split:
    """Grey images in as many equal channels."""
    if split.images.shape[1] == channels:
        return split
    return Split(split.images.expand(-1, channels, -1, -1).contiguous(), split.labels)


# --- settings that cannot be --------------------------------------------------------------------


def check(config: Config) -> None:
    """Finds settings that no data could bear."""
    counts = ("side", "splits", "judged", "scratch_steps", "scratch_batch", "ablation_epochs")
    for name in counts:
        value = getattr(config, name)
        if value is not None and value < 1:
            raise UserError(f"--{name.replace('_', '-')} must be at least 1, got {value}")
    if not config.width > 0:
        raise UserError(f"--width must be greater than 0, got {config.width:g}")
    if len(set(config.k)) < 2 or len(set(config.k)) < len(config.k) or min(config.k) < 2:
        given = " ".join(map(str, config.k)) or "none"
        raise UserError(
            f"--k must be two or more different numbers from 2 on, got {given}; give 15 30"
        )
    if not config.penalties or not all(0 < c < float("inf") for c in config.penalties):
        given = " ".join(map(str, config.penalties)) or "none"
        raise UserError(f"--penalties must be numbers greater than 0, got {given}")
    if not 0 < config.threshold < 1:  # rounding leaves equal images a little below 1
        raise UserError(
            f"--threshold must be greater than 0 and less than 1, got {config.threshold:g}"
        )


def check_source(config: Config, data: Dataset) -> None:
    check_contents(data)
    if min(data.shape[1:]) < config.side:
        raise UserError(
            f"--side must be at most the {min(data.shape[1:])} pixels of the images of "
            f"{data.name}, got {config.side}; give a smaller one, or a larger --data.size"
        )


def check_target(config: Config, target: Dataset, data: Dataset) -> None:
    if len(target.classes) < 2:
        raise UserError(f"the target needs two classes or more, {target.name} has one")
    check_contents(target, train=0)
    if min(target.shape[1:]) < config.side:
        raise UserError(
            f"--target.size must be at least --side ({config.side}), got {min(target.shape[1:])}"
        )
    if target.shape[0] not in (1, data.shape[0]):
        raise UserError(
            f"the target's images must have the {data.shape[0]} channels of the source, or one, "
            f"{target.name} has {target.shape[0]}; give another --target.name or --data.name"
        )
