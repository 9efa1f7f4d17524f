"""Evidence: what the record of a paper holds, and what it demands to be printed."""

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from research.provenance import reading
from research.provenance import trail as provenance
from research.provenance.entries import (
    Count,
    Cut,
    Measured,
    Printed,
    TableCell,
    Told,
    Trail,
    Typed,
)
from research.provenance.facts import claim_facts, facts, portable
from research.provenance.formats import DAGGER, Manner, measured, plain
from research.provenance.reading import Files
from research.records import Cell, Number, family
from research.report.tables import cut, repetitions


def reprinted(entry: Printed) -> str | None:
    """What an entry's value prints as under its format; None for words, which have none.

    Raises:
        UserError, OverflowError: its format is not one of its value.
    """
    match entry:
        case Typed():
            return entry.value
        case Count():
            return repetitions(set(entry.value), entry.equal)
        case Cut():
            return cut(*entry.value, entry.file)
        case Told():
            return plain(entry.value, entry.format)
        case TableCell():
            return _cell(entry)
    return _measured(entry, entry.number(entry.value), lone=len(entry.values) == 1)


def _cell(entry: TableCell) -> str | None:
    value = entry.value
    if isinstance(value, str):
        return None
    if value is None or (isinstance(value, int) and entry.half_width is None):
        return plain(value, entry.format)
    return _measured(entry, entry.number(value), entry.lone)


def _measured(entry: Measured | TableCell, number: Number, lone: bool) -> str:
    shows = entry.shows
    noted = isinstance(entry, TableCell)
    text = measured(
        number, str(entry.format), spread=shows.spread, unit=shows.unit,
        manner=Manner(shows.place, shows.ends, noted, shows.edition),
    )  # fmt: skip
    return text + DAGGER * lone


def same(a: Any, b: Any) -> bool:
    """Whether two values are equal; what is no number is like another that is none."""
    if isinstance(a, float) and isinstance(b, float) and math.isnan(a):
        return math.isnan(b)
    return bool(a == b)


class Evidence:
    """The raw values behind printed ones, from the attached files and the run's facts.

    Raises:
        Refused: an attached file is not as it is built.
    """

    def __init__(self, trail: Trail, files: Files) -> None:
        numbers, claims = (
            {
                file.run: file.attachment
                for file in trail.files
                if file.path == path and file.attachment in files
            }
            for path in provenance.MEASURED
        )
        self.numbers = {run: reading.numbers_of(name, files) for run, name in numbers.items()}
        self.claims = {
            run: family.adjusted(reading.claims_of(name, files)) for run, name in claims.items()
        }
        for run, own in self.claims.items():
            self.numbers[run] = self.numbers.get(run, {}) | family.numbers(own)
        self._seeds, self._rows = _seeds(trail.numbers), _rows(trail.numbers)
        self._files = {table.name: file.attachment for table in trail.tables for file in table.data}
        self._tables = {
            table: reading.table_of(name, files)
            for table, name in self._files.items()
            if name is not None and name in files
        }
        self._runs = {run.id: run for run in trail.runs}
        self._facts = {
            run.id: facts(run)
            | claim_facts(self.claims.get(run.id, {}))
            | trail.surroundings.get(run.id, {})
            for run in trail.runs
        }

    def of(self, entry: Printed) -> tuple[bool, Any]:
        """(whether the data are at hand, the value that they hold)."""
        name = entry.name
        match entry:
            case Measured() if entry.run in self.numbers:
                return True, _value(self.numbers[entry.run].get(name))
            case TableCell():
                table, _, column = name.rpartition(".")
                return table in self._tables, self._cell(table, column, entry.row)
            case Count():
                return True, self._seeds.get(name.removesuffix(".n"))
            case Cut():
                return True, self._cut(name.removesuffix(".rows"), entry.file)
            case Told(kind="setting") if entry.run in self._runs:
                return True, self._runs[entry.run].config.get(name)
            case Told(kind="fact") if entry.run in self._facts:
                return True, portable(self._facts[entry.run].get(name))
        return not isinstance(entry, Typed), None

    def _cut(self, table: str, file: str) -> tuple[int, int] | None:
        """How many rows are printed, and how many there are."""
        if self._files.get(table) != file or table not in self._tables:
            return None
        return len(self._rows.get(table, ())), len(self._tables[table].rows)

    def _cell(self, table: str, column: str, row: int) -> Any:
        if table not in self._tables:
            return None
        content = self._tables[table]
        if column not in content.columns or row > len(content.rows):
            return None
        cells = content.rows[row - 1]
        place = content.columns.index(column)
        return _value(cells[place]) if place < len(cells) else None


def _seeds(entries: Sequence[Printed]) -> dict[str, tuple[int, ...]]:
    """Table -> over how many seeds its printed cells are."""
    places: defaultdict[str, set[int]] = defaultdict(set)
    for entry in entries:
        if isinstance(entry, TableCell) and entry.values:
            places[entry.name.rpartition(".")[0]].add(len(entry.values))
    return {table: tuple(sorted(counts)) for table, counts in places.items()}


def _rows(entries: Sequence[Printed]) -> dict[str, set[int]]:
    """Table -> the rows of which a cell is printed."""
    places: defaultdict[str, set[int]] = defaultdict(set)
    for entry in entries:
        if isinstance(entry, TableCell):
            places[entry.name.rpartition(".")[0]].add(entry.row)
    return places


def _value(raw: Cell) -> Any:
    return raw.value if isinstance(raw, Number) else raw
