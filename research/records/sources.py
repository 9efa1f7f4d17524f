"""The files of the data sets that a run read: `data.json` of its record.

They are listed when the run is made, so that whoever archives or repeats it later, elsewhere, knows
them by their digests.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from research.records import damage

NAME = "data.json"


@dataclass(frozen=True)
class DataFile:
    """A file of a data set.

    Attributes:
        name: within the set, with `/`.
        url: where anyone can download it; empty where it comes otherwise.
        told: where it comes from, in words.
    """

    name: str
    sha256: str
    bytes: int
    url: str = ""
    told: str = ""


@dataclass(frozen=True)
class Source:
    """A data set as a run read it.

    Attributes:
        group: the settings that name it, as `data` of `data.name`.
        name: as a table would print it.
        files: what it was read from; empty for what a run generates, and where `why` says so.
        why: why files are not listed.
    """

    group: str
    name: str
    files: tuple[DataFile, ...] = ()
    why: str = ""


def write(folder: Path, sources: Sequence[Source]) -> None:
    damage.write(folder / NAME, damage.as_bytes([dataclasses.asdict(source) for source in sources]))


def read(folder: Path) -> tuple[Source, ...]:
    """Empty where the record is of an older version, or of another program."""
    path = folder / NAME
    sources: tuple[Source, ...] = (
        damage.read_json(path, tuple[Source, ...]) if path.exists() else ()
    )
    return sources
