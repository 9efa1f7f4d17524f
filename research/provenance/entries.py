"""What a trail holds, as types; a stranger's JSON is held to them once, where it is read.

What the parts mean stands in `research.provenance.trail`. Here stands what a reader may rely on:
which keys there are and of which types, that a rectangle has four finite ends, a page counts from
1 and a digest looks like one. Anything else is refused, in one line that names the place.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field

from research.records import Claim, Number, Outcome, Run

_FORMAT = r"^(.?[<>=^])?[-+ ]?0?\d{0,2}[,_]?(\.\d{1,2})?[bdeEfFgGnoxX%]?$"
"""Formats of a number, but for those that would make thousands of letters of it."""

_LONGEST = 1e9
"""seconds of a run's part at most"""

Finite = Annotated[float, Field(allow_inf_nan=False)]
Rectangle = tuple[Finite, Finite, Finite, Finite]
"""[left, bottom, right, top] in points"""
PageNumber = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(allow_inf_nan=False, ge=0, le=_LONGEST)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Format = Annotated[str, Field(pattern=_FORMAT)]


class Strict:
    """Has no keys but its own."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}


# --- the run -------------------------------------------------------------------------------------

Kinds = tuple[type, ...]
_NUMBER: Kinds = (int, float)
_ANY: Kinds = (int, float, str, list)
_WORDS = {int: "a number", float: "a number", str: "text", list: "a list"}


def _holding(kinds: Mapping[str, Kinds]) -> AfterValidator:
    """Facts whose list is open; those that are read have these types."""

    def check(facts: dict[str, Any]) -> dict[str, Any]:
        for key in kinds.keys() & facts.keys():
            if not isinstance(facts[key], kinds[key]) or isinstance(facts[key], bool):
                words = " or ".join(dict.fromkeys(_WORDS[kind] for kind in kinds[key]))
                raise ValueError(f"'{key}' is {str(facts[key])[:40]!r}, {words} is required")
        return facts

    return AfterValidator(check)


def _from_somewhere(model: dict[str, Any]) -> dict[str, Any]:
    if model.get("origin") not in ("trained", "found", "given"):
        raise ValueError("'origin' must be trained, found or given")
    if model["origin"] == "found" and "run" not in model:
        raise ValueError("a model that was found needs 'run'")
    if not 0 <= model.get("seconds", 0) <= _LONGEST:
        raise ValueError(f"'seconds' must be 0 to {_LONGEST:.0f}")
    return model


_METHODS = dict.fromkeys(("parameters", "optimiser", "lr", "epochs", "batch", "threads"), _ANY)
Model = Annotated[
    dict[str, Any],
    _holding(_METHODS | {"run": (str,), "seconds": _NUMBER}),
    AfterValidator(_from_somewhere),
]
Data = Annotated[
    dict[str, Any],
    _holding({"name": (str,), "sha256": (str,), "train": _NUMBER, "test": _NUMBER}),
]
_USED = {"wall_seconds": _NUMBER, "device_hours": _NUMBER}
Used = Annotated[
    dict[str, Any],
    _holding({"hardware": (str,), "peak_mib": _NUMBER, **_USED}),
]


@dataclass(frozen=True)
class RunFacts(Strict, Run):
    """A run as a paper tells of it, see `research.records.Run`."""

    data: Data
    seconds: dict[str, Seconds] = field(default_factory=dict)
    models: dict[str, Model] = field(default_factory=dict)
    compute: Used = field(default_factory=dict)


# --- printed values ------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Shows(Strict):
    """What is printed beside a value, and how its column prints.

    Attributes:
        place: the power of ten of the last digit in the column; None where each has its own.
        ends: whether the column prints the ends of intervals, [low, high], in place of ±.
        edition: of the rules in `research.provenance.formats`; older papers have the first.
    """

    spread: bool
    unit: bool
    place: int | None = None
    ends: bool = False
    edition: Literal[1, 2] = 1


@dataclass(frozen=True, kw_only=True)
class Entry(Strict):
    """One printed value and where it stands.

    Attributes:
        stands: what a reader of text finds there, where that is not the printed text.
    """

    id: str
    name: str
    printed: str
    page: PageNumber
    rectangle: Rectangle
    stands: str | None = None


@dataclass(frozen=True, kw_only=True)
class Typed(Entry):
    """Written by the author; `name` is the source or the reason."""

    kind: Literal["quoted", "stated"]
    value: str


@dataclass(frozen=True, kw_only=True)
class Told(Entry):
    """A setting or a fact of a run."""

    kind: Literal["setting", "fact"]
    run: str
    value: Any
    format: Format | None


@dataclass(frozen=True, kw_only=True)
class Interval(Strict):
    """What is known of a number beside its value, see `research.records.Number`."""

    unit: str
    half_width: float | None
    n: int
    low: float | None
    high: float | None
    values: tuple[float, ...]
    shows: Shows
    lone: bool
    range: tuple[float, float] | None = None
    interval: str = ""

    def number(self, value: float) -> Number:
        """The whole number."""
        ends = (self.half_width, self.n, self.low, self.high, self.values)
        return Number(value, self.unit, *ends, self.range, self.interval)


@dataclass(frozen=True, kw_only=True)
class Measured(Interval, Entry):
    """A number that a run logged."""

    kind: Literal["number"]
    run: str
    value: float
    format: Format


@dataclass(frozen=True, kw_only=True)
class TableCell(Interval, Entry):
    """A cell of a table; rows count from 1. `mark` is its text where formulas are drawn in it."""

    kind: Literal["cell"]
    run: str
    value: bool | int | float | str | None
    row: PageNumber
    format: Format | None
    mark: str | None = None


@dataclass(frozen=True, kw_only=True)
class Count(Entry):
    """Over how many seeds a table's cells are, and whether some are equal for all of them."""

    kind: Literal["count"]
    run: str
    value: tuple[int, ...]
    equal: bool = False


@dataclass(frozen=True, kw_only=True)
class Cut(Entry):
    """How many rows of a table are printed, how many there are, and the file that has all."""

    kind: Literal["cut"]
    run: str
    value: tuple[int, int]
    file: str


Printed = Measured | TableCell | Count | Cut | Told | Typed


def run_of(entry: Printed) -> str:
    """The id of the run that a value is of; empty for what the author typed."""
    return "" if isinstance(entry, Typed) else entry.run


# --- the rest ------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class DataFile(Strict):
    """A file behind a figure or table; too large a one is not attached."""

    path: str
    sha256: Digest
    attachment: str | None


@dataclass(frozen=True, kw_only=True)
class MeasuredFile(Strict):
    """All numbers or claims of a run."""

    path: str
    sha256: Digest
    attachment: str
    run: str


@dataclass(frozen=True, kw_only=True)
class Exhibited(Strict):
    """A printed figure or table."""

    name: str
    artifact: str
    sha256: Digest
    page: PageNumber
    rectangle: Rectangle
    data: tuple[DataFile, ...]


@dataclass(frozen=True, kw_only=True)
class PrintedPicture(Strict):
    """A picture of the author's."""

    name: str
    sha256: Digest
    page: PageNumber
    rectangle: Rectangle


@dataclass(frozen=True, kw_only=True)
class Claimed(Strict):
    """A sentence that rests on a claim; an empty branch stands on no page."""

    id: str
    run: str
    name: str
    outcome: Outcome
    effect: float
    low: float | None
    high: float | None
    unit: str
    values: tuple[float, ...]
    p: float | None
    n: int
    test: str
    direction: Literal["greater", "less"]
    threshold: float
    printed: str
    page: PageNumber | None
    rectangle: Rectangle | None
    adjusted: float | None = None
    range: tuple[float, float] | None = None
    interval: str = ""

    @property
    def claim(self) -> Claim:
        """The claim as a record has it."""
        ends = (self.low, self.high, self.values, self.range, self.interval)
        effect = Number(self.effect, self.unit, None, self.n, *ends)
        test = (self.p, self.n, self.test, self.direction, self.threshold, self.adjusted)
        return Claim(effect, *test)


@dataclass(frozen=True, kw_only=True)
class Comparison(Strict):
    """What the words of a computed comparison rest on; sides are names of numbers or constants."""

    a: str
    b: str | float
    outcome: Literal["less", "greater", "tie"]


@dataclass(frozen=True, kw_only=True)
class Look(Strict):
    """What a reader finds on a page; `picture` is empty in papers of format 2."""

    text: str
    drawing: Digest
    picture: str


def _named(author: dict[str, str]) -> dict[str, str]:
    if "name" not in author:
        raise ValueError("'name' is required")
    return author


@dataclass(frozen=True, kw_only=True)
class Content(Strict):
    """A trail, key by key as its JSON has it."""

    format: Literal[2, 3]
    title: str
    author: Annotated[dict[str, str], AfterValidator(_named)]
    run: RunFacts
    reads: dict[str, RunFacts]
    sources: dict[str, Digest]
    numbers: tuple[Annotated[Printed, Field(discriminator="kind")], ...]
    surroundings: dict[str, dict[str, str]]
    figures: tuple[Exhibited, ...]
    tables: tuple[Exhibited, ...]
    claims: tuple[Claimed, ...]
    comparisons: tuple[Comparison, ...]
    files: tuple[MeasuredFile, ...]
    gaps: tuple[str, ...]
    pages: tuple[Look, ...]
    alternatives: tuple[str, ...]
    parts: dict[str, Digest]
    metadata: dict[str, list[str]]
    seal: str
    pictures: tuple[PrintedPicture, ...] = ()

    @property
    def runs(self) -> list[RunFacts]:
        """All that are read, the paper's own first."""
        return [self.run, *self.reads.values()]

    @property
    def exhibits(self) -> list[tuple[str, Exhibited]]:
        """`figure` or `table`, and each of them."""
        figures = [("figure", figure) for figure in self.figures]
        return figures + [("table", table) for table in self.tables]


@dataclass(frozen=True, kw_only=True)
class Trail(Content):
    """A trail that was read.

    Attributes:
        digest: the seal that its JSON has, whatever `seal` says.
    """

    digest: str
