"""Evidence: what the record of a paper holds, and what it demands to be printed."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from research.provenance import trail as provenance
from research.provenance.formats import DAGGER, measured, plain
from research.records import Number, Run
from research.report.tables import cut, repetitions

Trail = Mapping[str, Any]
Files = Mapping[str, bytes]


def reprinted(entry: Mapping[str, Any]) -> str | None:
    """What an entry's value prints as under its format; None for words, which have none."""
    kind, value, spec = entry["kind"], entry["value"], entry.get("format")
    if kind in ("quoted", "stated"):
        return str(value)
    if kind == "count":
        return repetitions(set(value))
    if kind == "cut":
        return cut(int(value[0]), int(value[1]), str(entry["file"]))
    if kind in ("setting", "fact"):
        return plain(value, spec)
    if kind == "cell" and (isinstance(value, str) or value is None):
        return None if value is not None else plain(None)
    if kind == "cell" and isinstance(value, int) and entry.get("half_width") is None:
        return plain(value, spec)
    number = number_of(entry)
    lone = entry["lone"] if kind == "cell" else number.lone
    return measured(number, str(spec), **entry["shows"]) + DAGGER * lone


def number_of(entry: Mapping[str, Any]) -> Number:
    names = {field.name for field in fields(Number)}
    facts = {key: _tupled(entry[key]) for key in names & entry.keys()}
    return Number(**facts)


def same(a: Any, b: Any) -> bool:
    """Whether two values are equal; what is no number is like another that is none."""
    if isinstance(a, float) and isinstance(b, float) and math.isnan(a):
        return math.isnan(b)
    return bool(a == b)


def _tupled(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


class Evidence:
    """The raw values behind printed ones, from the attached files and the run's facts."""

    def __init__(self, trail: Trail, files: Files) -> None:
        self.numbers, self.claims = (
            {
                file["run"]: json.loads(files[file["attachment"]])
                for file in trail["files"]
                if file["path"] == path and file["attachment"] in files
            }
            for path in provenance.MEASURED
        )
        self._seeds, self._rows = _seeds(trail["numbers"]), _rows(trail["numbers"])
        self._files = {
            table["name"]: file["attachment"] for table in trail["tables"] for file in table["data"]
        }
        self._tables = {
            table["name"]: json.loads(files[file["attachment"]])
            for table in trail["tables"]
            for file in table["data"]
            if file["attachment"] in files
        }
        runs = [trail["run"], *trail["reads"].values()]
        self._runs = {run["id"]: run for run in runs}
        around = trail["surroundings"]
        self._facts = {run["id"]: provenance.facts(run_of(run)) | around[run["id"]] for run in runs}

    def of(self, entry: Mapping[str, Any]) -> tuple[bool, Any]:
        """(whether the data are at hand, the value that they hold)."""
        kind, name, run = entry["kind"], entry["name"], entry.get("run")
        if kind == "number" and run in self.numbers:
            return True, _value(self.numbers[run].get(name))
        if kind == "cell":
            table, _, column = name.rpartition(".")
            return table in self._tables, self._cell(table, column, entry["row"])
        if kind == "count":
            return True, self._seeds.get(name.removesuffix(".n"))
        if kind == "cut":
            return True, self._cut(name.removesuffix(".rows"), entry)
        if kind == "setting" and run in self._runs:
            return True, self._runs[run]["config"].get(name)
        if kind == "fact" and run in self._facts:
            return True, provenance.portable(self._facts[run].get(name))
        return kind not in ("quoted", "stated"), None

    def _cut(self, table: str, entry: Mapping[str, Any]) -> list[int] | None:
        """How many rows are printed, and how many there are."""
        if self._files.get(table) != entry["file"] or table not in self._tables:
            return None
        return [len(self._rows.get(table, ())), len(self._tables[table]["rows"])]

    def _cell(self, table: str, column: str, row: int) -> Any:
        if table not in self._tables:
            return None
        content = self._tables[table]
        if column not in content["columns"] or not 1 <= row <= len(content["rows"]):
            return None
        return _value(content["rows"][row - 1][content["columns"].index(column)])


def _seeds(entries: Sequence[Mapping[str, Any]]) -> dict[str, list[int]]:
    """Table -> over how many seeds its printed cells are."""
    found: dict[str, set[int]] = {}
    for entry in entries:
        if entry["kind"] == "cell" and entry["values"]:
            table = entry["name"].rpartition(".")[0]
            found.setdefault(table, set()).add(len(entry["values"]))
    return {table: sorted(counts) for table, counts in found.items()}


def _rows(entries: Sequence[Mapping[str, Any]]) -> dict[str, set[int]]:
    """Table -> the rows of which a cell is printed."""
    found: dict[str, set[int]] = {}
    for entry in entries:
        if entry["kind"] == "cell":
            found.setdefault(entry["name"].rpartition(".")[0], set()).add(entry["row"])
    return found


def _value(raw: Any) -> Any:
    return raw["value"] if isinstance(raw, dict) else raw


def run_of(facts: Mapping[str, Any]) -> Run:
    """The run as a record inside a paper tells of it."""
    names = {field.name for field in fields(Run)}
    return Run(**{key: _tupled(value) for key, value in facts.items() if key in names})
