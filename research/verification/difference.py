"""What changed between two papers, number by number, and why.

Numbers are paired by study, kind, name and row. Each change has causes: the inputs in which the
two runs differ (code, config, data, seeds, environment), or the text or a format where the value
is the same. Where everything that the record knows of is the same, the change is `unexplained`.
"""

import dataclasses
import itertools
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from research.config import Train, machine
from research.provenance.entries import Content, Interval, Printed, TableCell, run_of
from research.records import Run

OCCASION = ("id", "started", "ended", "seconds", "name", "commit", "dirty", "models", "findings")
"""Facts that no two runs share and that are no result."""

Key = tuple[str, str, str, int]
"""study, kind, name, row (0 for none)"""


@dataclass(frozen=True)
class Change:
    """One printed number in both papers; None on a side that does not print it.

    `by` and `relative` are those of the raw values, where both are numbers.
    """

    study: str
    kind: str
    name: str
    row: int
    pages: tuple[int | None, int | None]
    printed: tuple[str | None, str | None]
    values: tuple[Any, Any]
    causes: tuple[str, ...]
    by: float | None = None
    relative: float | None = None

    @property
    def counts(self) -> bool:
        """Whether it is a change of the results, not merely of when and where they were made."""
        return self.causes != ("another run",)


@dataclass(frozen=True)
class Side:
    """What one paper prints in a place, the raw value, and how certain that is."""

    printed: str | None
    page: int | None
    value: Any
    certainty: tuple[float | None, ...] = ()


NOWHERE = Side(None, None, None)


@dataclass(frozen=True)
class Difference:
    """All that changed; `inputs` are by study and in words."""

    inputs: dict[str, dict[str, list[str]]]
    changes: list[Change] = field(default_factory=list)

    @property
    def equal(self) -> bool:
        return not any(change.counts for change in self.changes)

    def plain(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {"equal": self.equal, **dataclasses.asdict(self)}


def difference(old: Content, new: Content) -> Difference:
    """Compares the provenance of two PDFs."""
    runs = _runs(old), _runs(new)
    studies = [study for study in runs[1] if study in runs[0]]
    inputs = {study: _inputs(runs[0][study], runs[1][study]) for study in studies}
    text = sorted(old.sources.items() ^ new.sources.items())
    inputs["text"] = {"text": sorted({name for name, _ in text})}
    pairs = _paired(_entries(old, runs[0]), _entries(new, runs[1]))
    changes = (_change(key, pair, inputs) for key, pair in pairs)
    return Difference(inputs, [change for change in changes if change])


def _runs(trail: Content) -> dict[str, Run]:
    """The runs that a paper speaks of, by study, its own first."""
    return {trail.run.study: trail.run, **trail.reads}


# --- inputs --------------------------------------------------------------------------------------


def _inputs(old: Run, new: Run) -> dict[str, list[str]]:
    """In which inputs two runs differ: kind -> what was and what is."""
    inputs_of = {
        "code": _code(old, new),
        "config": _items(old.config, new.config, frozenset({"seeds", *_apart(old, new)})),
        "data": _items(old.data, new.data),
        "seeds": _items({"seeds": list(old.seeds)}, {"seeds": list(new.seeds)}),
        "environment": _items(
            {"device": old.device, **old.versions}, {"device": new.device, **new.versions}
        ),
        "adopted": _items(_choice(old), _choice(new)),
    }
    return {kind: words for kind, words in inputs_of.items() if words}


def _choice(run: Run) -> dict[str, Any]:
    """What of another program's runs was adopted, and by which rules."""
    keys = ("experiment", "filter", "group", "seeds", "rules")
    runs = [run[:8] for run in run.adopted.get("runs", ())]
    return {name: run.adopted.get(name) for name in keys} | {"runs": " ".join(runs)}


def _code(old: Run, new: Run) -> list[str]:
    """By the digests of the code that ran where both have them, else by commit."""
    if old.adopted and new.adopted:
        return _items({"commit": old.commit[:7]}, {"commit": new.commit[:7]})
    if old.code and new.code:
        return _items({"code": old.code}, {"code": new.code})
    names = [f"{run.commit[:7]}{' and changes' if run.dirty else ''}" for run in (old, new)]
    unknown = old.dirty is not False or new.dirty is not False  # None where git was silent
    return [] if names[0] == names[1] and not unknown else [f"{names[0]} → {names[1]}"]


def _apart(*runs: Run) -> Iterator[str]:
    """The settings that say where and how the runs happened."""
    yield from (f"train.{name}" for name in machine(Train))
    yield from (name for run in runs for name in run.local)


def _items(
    old: Mapping[str, Any], new: Mapping[str, Any], but: frozenset[str] = frozenset()
) -> list[str]:
    names = [name for name in {**old, **new} if name not in but]
    return [f"{n} {old.get(n)} → {new.get(n)}" for n in names if old.get(n) != new.get(n)]


# --- numbers -------------------------------------------------------------------------------------


def _entries(trail: Content, runs: Mapping[str, Run]) -> dict[Key, list[Side]]:
    """Everything printed, in the order of the text: a number may stand in several places."""
    study_of = {run.id: study for study, run in runs.items()}
    grouped: defaultdict[Key, list[Side]] = defaultdict(list)
    for entry in trail.numbers:
        row = entry.row if isinstance(entry, TableCell) else 0
        key: Key = (study_of.get(run_of(entry), ""), entry.kind, entry.name, row)
        grouped[key].append(Side(entry.printed, entry.page, entry.value, _certainty(entry)))
    for key, side in _outcomes(trail):
        grouped[key].append(side)
    return grouped


def _certainty(entry: Printed) -> tuple[float | None, ...]:
    if not isinstance(entry, Interval):
        return ()
    return entry.half_width, entry.low, entry.high, entry.n


def _outcomes(trail: Content) -> Iterator[tuple[Key, Side]]:
    """Claims and comparisons, whose value is their outcome."""
    study = trail.run.study
    for claim in trail.claims:
        side = Side(claim.printed or claim.outcome, claim.page, claim.outcome)
        yield (study, "claim", claim.name, 0), side
    for pair in trail.comparisons:
        side = Side(pair.outcome, None, pair.outcome)
        yield (study, "comparison", f"{pair.a} and {pair.b}", 0), side


Pair = tuple[Side | None, Side | None]


def _paired(
    old: Mapping[Key, Sequence[Side]], new: Mapping[Key, Sequence[Side]]
) -> Iterator[tuple[Key, Pair]]:
    for key in {**new, **old}:
        for pair in itertools.zip_longest(old.get(key, ()), new.get(key, ())):
            yield key, pair


def _change(key: Key, pair: Pair, inputs: Mapping[str, Any]) -> Change | None:
    old, new = pair[0] or NOWHERE, pair[1] or NOWHERE
    same = (old.value, old.certainty) == (new.value, new.certainty)
    one_sided = None in pair
    if same and old.printed == new.printed and not one_sided:
        return None
    pages, printed = (old.page, new.page), (old.printed, new.printed)
    values = old.value, new.value
    causes = _causes(key, same, one_sided, inputs)
    return Change(*key, pages, printed, values, causes, *_size(*values))


def _size(old: Any, new: Any) -> tuple[float | None, float | None]:
    for value in (old, new):
        if not isinstance(value, int | float) or isinstance(value, bool):
            return None, None
        if not abs(value) <= sys.float_info.max:  # whole numbers in JSON know no limit
            return None, None
    return new - old, (new - old) / abs(old) if old else None


def _causes(key: Key, same: bool, one_sided: bool, inputs: Mapping[str, Any]) -> tuple[str, ...]:
    study, kind, name, _ = key
    if kind in ("quoted", "stated"):
        return ("text",)
    if same and not one_sided:
        return ("format",)
    if kind == "fact" and name.split(".")[0] in OCCASION:
        return ("another run",)
    causes = {k: v for k, v in inputs.get(study, {}).items() if v}
    narrow = _narrowed(kind, name, causes)
    text = ["text"] if one_sided and inputs["text"]["text"] else []
    return (*narrow, *text) or ("unexplained",)


def _narrowed(kind: str, name: str, causes: Mapping[str, Sequence[str]]) -> list[str]:
    """Of the inputs that differ those that can have changed this value, with what they were."""
    own = {"data": "data", "versions": "environment", "device": "environment", "seeds": "seeds"}
    if kind == "setting":
        return [f"config: {words}" for words in causes.get("config", ()) if words.startswith(name)]
    if kind == "fact":
        only = own.get(name.split(".")[0], "config")
        return [only] if only in causes else []
    return [
        f"{name}: {'; '.join(words)}" if name == "config" else name
        for name, words in causes.items()
    ]


# --- in words ------------------------------------------------------------------------------------


def lines(compared: Difference) -> Iterator[str]:
    """The differences for a terminal: first the inputs, then the numbers."""
    for study, kinds in compared.inputs.items():
        for kind, words in kinds.items():
            if words:
                yield (
                    f"{study}: {kind} {'; '.join(words)}"
                    if study != "text"
                    else (f"text: {', '.join(words)}")
                )
    rows = [
        (_name(change), *_sides(change), _by(change), ", ".join(change.causes))
        for change in compared.changes
    ]
    widths = [max((len(row[i]) for row in rows), default=0) for i in range(4)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, [*widths, 0], strict=True))
        yield "  ".join(cells).rstrip()
    counting = sum(change.counts for change in compared.changes)
    yield f"{counting} of the printed numbers changed" if counting else "no result changed"


def _name(change: Change) -> str:
    row = f", row {change.row}" if change.row else ""
    return f"{change.study + ':' if change.study else ''}{change.name}{row}"


def _sides(change: Change) -> tuple[str, str]:
    old, new = ("not printed" if text is None else text for text in change.printed)
    return old, f"→ {new}"


def _by(change: Change) -> str:
    if not change.by:
        return ""
    share = f" ({change.relative:+.2%})" if change.relative is not None else ""
    return f"{change.by:+.3g}{share}"


def printable(text: str) -> str:
    """Without the characters that steer a terminal, since anyone can write them into a PDF."""
    return "".join(char if char.isprintable() or char == "\u00a0" else "?" for char in text)
