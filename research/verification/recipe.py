"""The recipe of a recorded run: the command that runs it again, and what a PDF cannot carry.

What the PDF names becomes flags of `research run` and nothing else. It is never asked where things
lie on this machine: which settings those are, the types of the study's configuration tell.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from research import studies
from research.config import Local, Slurm, Train, local, machine
from research.errors import UserError
from research.records import Run

UNITS = {"s": 1, "m": 60, "h": 3600}
_KEY = re.compile(r"[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)*")
_OURS = frozenset(
    {"cluster", "detach", "experiment", "jobs", "log", "preset", "resume", "weights"}
    | {f"slurm.{field.name}" for field in fields(Slurm)}
)


@dataclass(frozen=True)
class Reproduce:
    """What a PDF cannot carry, and how much time to spend."""

    sample: str = "10"
    """How many printed numbers to show, drawn at random, or all; every one is compared."""
    seed: int = 0
    """Draws another sample."""
    budget: str | None = None
    """Wall time that the run may take, as 90s, 10m or 2h; without it, what the recorded one took
    three times over."""
    force: bool = False
    """Start even if the recorded run took longer than the budget; it is stopped in time."""
    beside: bool = False
    """Also run the other studies again that the paper reads."""
    keep: Path | None = None
    """Folder in which to keep the new run; without it nothing is kept."""
    data_root: Path | None = None
    """Folder of the data, if the recorded set is a folder or is not in its usual place."""
    parts_root: Path | None = None
    """Folder of the images with parts, likewise."""
    target_root: Path | None = None
    """Folder of the other images, likewise."""
    pictures_root: Path | None = None
    """Folder of the pictures, likewise."""
    data_source: Path | None = None
    """Text file of sentences to translate, if the run read one."""
    data_target: Path | None = None
    """Text file of their translations, likewise."""
    imagenet: Path | None = None
    """File of ImageNet's weights, if the run used one."""
    weights: tuple[str, ...] = ()
    """Files or ids of runs, if the recorded run was given its weights."""
    model: str | None = None
    """FILE.py:CLASS, if the run examined a network of its author's."""
    device: str | None = None
    """A device other than the recorded one."""
    threads: int | None = None
    """A number of threads other than the recorded one; sums then differ in their last digits."""


def seconds_of(text: str) -> float:
    """`90s`, `10m` or `2h` in seconds. Raises UserError for anything else."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh])", text.strip())
    if not match or not float(match[1]):
        raise UserError(f"--budget must be a time as 90s, 10m or 2h, got '{text}'")
    return float(match[1]) * UNITS[match[2]]


def command(run: Run, given: Reproduce, log: Path) -> list[str]:
    """The arguments of `research` that run the recorded experiment again.

    Raises:
        UserError: the PDF cannot carry what the run needs, and it was not given.
    """
    study, config = studies.entry(run.study).slug, run.config
    marks = local_settings(study) | {key: Local() for key in run.local}
    places = [key for key, mark in marks.items() if mark.names_a_place(config.get(key))]
    start = ["run", study, f"--preset={run.preset}", *flags(config, places)]
    start += [*_places(places, config, given), *_weights(config, given)]
    device = given.device or config.get("train.device", "auto")
    words = [*start, f"--train.device={device}", "--train.again", f"--log=folder:{log}"]
    if any("\0" in word for word in words):
        raise UserError("the PDF's settings hold a character that ends words: it was edited")
    return words


def flags(config: Mapping[str, Any], places: Iterable[str] = ()) -> list[str]:
    """The recorded settings, but for those that say where and how the run happened, as flags.

    Arguments:
        places: the settings that name a place on the machine, see `local_settings`.
    """
    apart = {f"train.{name}" for name in machine(Train)} | {"weights", *places}
    what = {key: value for key, value in config.items() if key not in apart}
    return [word for key, value in what.items() for word in _flag(key, value)]


def _flag(key: str, value: Any) -> list[str]:
    if not _KEY.fullmatch(key) or key in _OURS:
        raise UserError(f"the PDF names a setting '{key}', which no study has: it was edited")
    group, dot, name = key.replace("_", "-").rpartition(".")
    if isinstance(value, bool):
        return [f"--{group}{dot}{'' if value else 'no-'}{name}"]
    if not isinstance(value, list):
        return [f"--{group}{dot}{name}={value}"]
    words = list(_words(value))
    if any(isinstance(word, str) and word.startswith("-") for word in words):
        raise UserError(
            f"the PDF's setting '{key}' holds a flag, which no study has: it was edited"
        )
    return [f"--{group}{dot}{name}", *map(str, words)]


def _words(values: Sequence[Any]) -> Iterator[Any]:
    for value in values:
        yield from _words(value) if isinstance(value, list) else [value]


def local_settings(study: str) -> dict[str, Local]:
    """The settings of a study that may name a place, by the types of its configuration."""
    presets = studies.module_of(studies.entry(study).slug).PRESETS.values()
    return {key: mark for preset in presets for key, mark in local(type(preset)).items()}


def _places(places: Sequence[str], config: Mapping[str, Any], given: Reproduce) -> Iterator[str]:
    """Flags for what lies on the user's machine.

    A data set that is no folder of the author's own is found where it always is.
    """
    for key in places:
        name = key.replace(".", "_")
        mine = getattr(given, name, None)
        if mine is not None:
            yield f"--{key.replace('_', '-')}={_absolute(str(mine))}"
        elif config.get(f"{key.removesuffix('.root')}.name", "folder") == "folder":
            raise UserError(
                f"the run was given its {key}, '{config[key]}', which a PDF cannot carry; give "
                f"--{name.replace('_', '-')} {'DIR' if key.endswith('.root') else 'FILE'}"
            )


def _weights(config: Mapping[str, Any], given: Reproduce) -> Iterator[str]:
    if config.get("weights") and not given.weights:
        raise UserError(
            f"the run was given its weights, {config['weights']}, which a PDF cannot carry; give "
            "--weights"
        )
    if given.weights:
        yield from ("--weights", *map(_absolute, given.weights))


def _absolute(name: str) -> str:
    """A file as seen from any folder; a run's id as it is."""
    path = Path(name.rpartition(":")[0] or name)
    return str(Path(name).absolute()) if path.exists() else name
