"""Requirements: what an assignment asks for, and what of a paper answers it.

They live beside the study as data, `research/studies/<module>.toml`:

    assignment = "Assignment 4: convolutional autoencoder"
    pages = [2, 3]                    # the fewest and the most, where the source says so

    [[requirement]]
    id = "kernels"
    text = "Show the kernels of each layer."
    source = "course assignment 4"
    figures = ["kernels_*"]           # also tables, numbers, claims; `*` stands for any letters
    settings = { "train.lr" = 0.001 } # what the source demands of the configuration
    bonus = true                      # not demanded

A paper answers a requirement where its record prints every name that the requirement lists. What
the answer is worth is for the reader to judge.
"""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

from research.errors import UserError
from research.provenance.entries import Claimed, Exhibited, Measured, Trail

Kind = Literal["figures", "tables", "numbers", "claims"]
KINDS: tuple[Kind, ...] = ("figures", "tables", "numbers", "claims")
Status = Literal["answered", "in part", "departs", "missing"]

_KEYS = {"id", "text", "source", "settings", "bonus", *KINDS}


@dataclass(frozen=True)
class Requirement:
    """One thing that is asked for.

    Attributes:
        names: kind -> names, or patterns of names, of what has to be printed.
        settings: setting, spelt like its flag -> the value that the source demands.
        bonus: whether it is only welcome.
    """

    id: str
    text: str
    source: str
    names: Mapping[Kind, tuple[str, ...]]
    settings: Mapping[str, Any]
    bonus: bool = False


@dataclass(frozen=True)
class Assignment:
    """What a study's source asks for.

    Attributes:
        pages: the fewest and the most, None where nothing is said of them.
    """

    title: str
    pages: tuple[int, int] | None
    requirements: tuple[Requirement, ...]


@dataclass(frozen=True)
class Answer:
    """What of a paper answers a requirement: `entry` is its entry in the paper's record."""

    kind: Kind
    name: str
    entry: Measured | Exhibited | Claimed


@dataclass(frozen=True)
class Judgement:
    """A requirement beside what a paper prints.

    Attributes:
        missing: names that are listed and not printed, with their kind.
        departures: one phrase for each setting that is not the demanded one.
    """

    requirement: Requirement
    answers: tuple[Answer, ...]
    missing: tuple[str, ...]
    departures: tuple[str, ...]

    @property
    def status(self) -> Status:
        """missing where nothing answers, in part where something does; departs by its settings."""
        if self.missing:
            return "in part" if self.answers else "missing"
        return "departs" if self.departures else "answered"


def load(path: Path) -> Assignment:
    """Reads an assignment. Raises UserError, in one line, for a file that is not of this form."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{path.name} is not TOML: {error}") from None
    asked = tuple(_requirement(path, raw) for raw in content.get("requirement", ()))
    ids = [requirement.id for requirement in asked]
    if not asked or len(set(ids)) < len(ids):
        raise UserError(f"{path.name} needs [[requirement]] entries, each with an id of its own")
    pages = content.get("pages")
    if pages is not None and not (
        isinstance(pages, list) and len(pages) == 2 and 0 < pages[0] <= pages[1]
    ):
        raise UserError(f"{path.name}: pages are [fewest, most], given is {pages}")
    return Assignment(str(content.get("assignment", "")), tuple(pages) if pages else None, asked)


def _requirement(path: Path, raw: Mapping[str, Any]) -> Requirement:
    name = raw.get("id", "?")
    if unknown := sorted(raw.keys() - _KEYS):
        raise UserError(f"{path.name}: requirement '{name}' has no key '{unknown[0]}'")
    if lacking := [key for key in ("id", "text", "source") if not raw.get(key)]:
        raise UserError(f"{path.name}: requirement '{name}' needs {lacking[0]}")
    names: dict[Kind, tuple[str, ...]] = {kind: tuple(raw.get(kind, ())) for kind in KINDS}
    settings = raw.get("settings", {})
    if not settings and not any(names.values()):
        kinds = ", ".join(KINDS)
        raise UserError(f"{path.name}: requirement '{name}' needs one of {kinds}, settings")
    return Requirement(name, raw["text"], raw["source"], names, settings, raw.get("bonus", False))


def judged(requirement: Requirement, trail: Trail) -> Judgement:
    """Looks a requirement up in the record of a paper, see `research.provenance.trail`."""
    answers: list[Answer] = []
    missing: list[str] = []
    for kind, names in requirement.names.items():
        printed = [*_printed(kind, trail)]
        for asked in names:
            matching = [Answer(kind, name, entry) for name, entry in printed
                     if fnmatchcase(name, asked)]  # fmt: skip
            answers += matching
            if not matching:
                missing.append(f"{kind.removesuffix('s')} {asked}")
    departures = tuple(_departures(requirement.settings, trail.run.config))
    return Judgement(requirement, tuple(_unique(answers)), tuple(missing), departures)


def _printed(kind: Kind, trail: Trail) -> Iterator[tuple[str, Measured | Exhibited | Claimed]]:
    if kind in ("figures", "tables"):
        yield from ((exhibit.name, exhibit) for of, exhibit in trail.exhibits if f"{of}s" == kind)
        return
    studies = {run.id: study for study, run in trail.reads.items()}
    numbers = [number for number in trail.numbers if isinstance(number, Measured)]
    for entry in numbers if kind == "numbers" else trail.claims:
        study, name = studies.get(entry.run, ""), entry.name  # a write-up calls it fgsm:accuracy
        yield name if not study or ":" in name else f"{study}:{name}", entry


def _unique(answers: list[Answer]) -> Iterator[Answer]:
    """Each figure, number … once: the first place where it stands."""
    seen = set()
    for answer in answers:
        if (answer.kind, answer.name) not in seen:
            seen.add((answer.kind, answer.name))
            yield answer


def _departures(settings: Mapping[str, Any], config: Mapping[str, Any]) -> Iterator[str]:
    for name, value in settings.items():
        if name not in config:
            yield f"{name}: asked is {_spelt(value)}, the run has no such setting"
        elif config[name] != value:
            yield f"{name}: asked is {_spelt(value)}, the run has {_spelt(config[name])}"


def _spelt(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
