"""What changed between two papers, number by number, and why.

Numbers are paired by study, kind, name and row. Each change has causes: the inputs in which the
two runs differ (code, config, data, seeds, environment), or the text or a format where the value
is the same. Where everything that the record knows of is the same, the change is `unexplained`.
"""

import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from research.config import Train, machine

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


def difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> Difference:
    """Compares the provenance of two PDFs."""
    runs = _runs(old), _runs(new)
    studies = [study for study in runs[1] if study in runs[0]]
    inputs = {study: _inputs(runs[0][study], runs[1][study]) for study in studies}
    text = sorted(old["sources"].items() ^ new["sources"].items())
    inputs["text"] = {"text": sorted({name for name, _ in text})}
    pairs = _paired(_entries(old, runs[0]), _entries(new, runs[1]))
    found = (_change(key, pair[0], pair[1], inputs) for key, pair in pairs)
    return Difference(inputs, [change for change in found if change])


def _runs(trail: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The runs that a paper speaks of, by study, its own first."""
    return {trail["run"]["study"]: trail["run"], **trail.get("reads", {})}


# --- inputs --------------------------------------------------------------------------------------


def _inputs(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, list[str]]:
    """In which inputs two runs differ: kind -> what was and what is."""
    found = {
        "code": _code(old, new),
        "config": _items(old["config"], new["config"], frozenset({"seeds", *_apart(old, new)})),
        "data": _items(old["data"], new["data"]),
        "seeds": _items({"seeds": list(old["seeds"])}, {"seeds": list(new["seeds"])}),
        "environment": _items(
            {"device": old["device"], **old["versions"]},
            {"device": new["device"], **new["versions"]},
        ),
    }
    return {kind: words for kind, words in found.items() if words}


def _code(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """By the digests of the code that ran where both have them, else by commit."""
    if old.get("code") and new.get("code"):
        return _items({"code": old["code"]}, {"code": new["code"]})
    names = [f"{run['commit'][:7]}{' and changes' if run['dirty'] else ''}" for run in (old, new)]
    unknown = old["dirty"] is not False or new["dirty"] is not False  # null where git was silent
    return [] if names[0] == names[1] and not unknown else [f"{names[0]} → {names[1]}"]


def _apart(*runs: Mapping[str, Any]) -> Iterator[str]:
    """The settings that say where and how the runs happened."""
    yield from (f"train.{name}" for name in machine(Train))
    yield from (name for run in runs for name in run.get("local", ()))


def _items(
    old: Mapping[str, Any], new: Mapping[str, Any], but: frozenset[str] = frozenset()
) -> list[str]:
    names = [name for name in {**old, **new} if name not in but]
    return [f"{n} {old.get(n)} → {new.get(n)}" for n in names if old.get(n) != new.get(n)]


# --- numbers -------------------------------------------------------------------------------------


def _entries(trail: Mapping[str, Any], runs: Mapping[str, Any]) -> dict[Key, list[Any]]:
    """Everything printed, in the order of the text: a number may stand in several places."""
    study_of = {run["id"]: study for study, run in runs.items()}
    found: dict[Key, list[Any]] = {}
    for entry in trail["numbers"]:
        study = study_of.get(entry.get("run", ""), "")
        key = (study, entry["kind"], entry["name"], entry.get("row", 0))
        found.setdefault(key, []).append(entry)
    for key, entry in _outcomes(trail):
        found.setdefault(key, []).append(entry)
    return found


def _outcomes(trail: Mapping[str, Any]) -> Iterator[tuple[Key, dict[str, Any]]]:
    """Claims and comparisons, whose value is their outcome."""
    study = trail["run"]["study"]
    for one in trail.get("claims", []):
        value = {"value": one["outcome"], "printed": one.get("printed") or one["outcome"]}
        yield (study, "claim", one["name"], 0), {**value, "page": one.get("page")}
    for one in trail["comparisons"]:
        value = {"value": one["outcome"], "printed": one["outcome"], "page": None}
        yield (study, "comparison", f"{one['a']} and {one['b']}", 0), value


def _paired(old: Mapping[Key, Sequence[Any]], new: Mapping[Key, Sequence[Any]]) -> Iterator[Any]:
    for key in {**new, **old}:
        for pair in itertools.zip_longest(old.get(key, ()), new.get(key, ())):
            yield key, pair


def _change(key: Key, old: Any, new: Any, inputs: Mapping[str, Any]) -> Change | None:
    sides = (old or {}, new or {})
    values = tuple(_raw(side) for side in sides)
    printed = tuple(side.get("printed") for side in sides)
    if values[0] == values[1] and printed[0] == printed[1] and old and new:
        return None
    pages = tuple(side.get("page") for side in sides)
    shown = (values[0][0], values[1][0])
    causes = _causes(key, values[0] == values[1], not (old and new), inputs)
    return Change(*key, pages, printed, shown, causes, *_size(*shown))  # type: ignore[arg-type]


def _raw(entry: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(entry.get(key) for key in ("value", "half_width", "low", "high", "n"))


def _size(old: Any, new: Any) -> tuple[float | None, float | None]:
    if not all(isinstance(v, int | float) and not isinstance(v, bool) for v in (old, new)):
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
    found = {k: v for k, v in inputs.get(study, {}).items() if v}
    narrow = _narrowed(kind, name, found)
    text = ["text"] if one_sided and inputs["text"]["text"] else []
    return (*narrow, *text) or ("unexplained",)


def _narrowed(kind: str, name: str, found: Mapping[str, Sequence[str]]) -> list[str]:
    """Of the inputs that differ those that can have changed this value, with what they were."""
    own = {"data": "data", "versions": "environment", "device": "environment", "seeds": "seeds"}
    if kind == "setting":
        return [f"config: {words}" for words in found.get("config", ()) if words.startswith(name)]
    if kind == "fact":
        only = own.get(name.split(".")[0], "config")
        return [only] if only in found else []
    return [
        f"{name}: {'; '.join(words)}" if name == "config" else name for name, words in found.items()
    ]


# --- in words ------------------------------------------------------------------------------------


def lines(found: Difference) -> Iterator[str]:
    """The differences for a terminal: first the inputs, then the numbers."""
    for study, kinds in found.inputs.items():
        for kind, words in kinds.items():
            if words:
                yield (
                    f"{study}: {kind} {'; '.join(words)}"
                    if study != "text"
                    else (f"text: {', '.join(words)}")
                )
    rows = [(_name(one), *_sides(one), _by(one), ", ".join(one.causes)) for one in found.changes]
    widths = [max((len(row[i]) for row in rows), default=0) for i in range(4)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, [*widths, 0], strict=True))
        yield "  ".join(cells).rstrip()
    counting = sum(one.counts for one in found.changes)
    yield f"{counting} of the printed numbers changed" if counting else "no result changed"


def _name(one: Change) -> str:
    row = f", row {one.row}" if one.row else ""
    return f"{one.study + ':' if one.study else ''}{one.name}{row}"


def _sides(one: Change) -> tuple[str, str]:
    old, new = ("not printed" if text is None else text for text in one.printed)
    return old, f"→ {new}"


def _by(one: Change) -> str:
    if not one.by:
        return ""
    share = f" ({one.relative:+.2%})" if one.relative is not None else ""
    return f"{one.by:+.3g}{share}"


def printable(text: str) -> str:
    """Without the characters that steer a terminal, since anyone can write them into a PDF."""
    return "".join(char if char.isprintable() or char == "\u00a0" else "?" for char in text)
