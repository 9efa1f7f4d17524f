"""Tables: raw cells to printed ones, units in the headings, the best of a column in bold."""

import html
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from research.errors import UserError
from research.provenance.formats import (
    ALONE,
    DAGGER,
    EQUAL,
    Manner,
    is_marked,
    manner_of,
    measured,
    plain,
    told_apart,
)
from research.records import Cell, Number, Table
from research.report.misses import miss


@dataclass(frozen=True)
class Column:
    """How a column is printed.

    Attributes:
        heading: Markdown within a line; a unit common to its cells is appended in parentheses.
        format: of numbers, as `.4f`.
        best: whose bold marks the best value, only where it can be told apart from the next.
        labels: printed names of raw words, as `{"transpose": "Transposed conv."}`.
        spread: whether half-widths are printed.
    """

    heading: str
    format: str | None = None
    best: Literal["min", "max"] | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    spread: bool = True

    def __post_init__(self) -> None:
        if self.best not in (None, "min", "max"):
            raise UserError(f"a column's best is 'min' or 'max', got '{self.best}'")


Columns = Mapping[str, "str | Column"]
Print = Callable[[str, str, Cell, int], str]
"""(column, printed text, raw cell, row from 1) -> tracked HTML"""


MOST = 50
"""rows that fit a page, their caption above them"""


@dataclass(frozen=True)
class Part:
    """The part of a table that is asked for: columns, and rows by their number in the record.

    Attributes:
        most: rows that are printed at most; the best of a column is that of all rows.
    """

    columns: dict[str, Column]
    rows: tuple[tuple[int, tuple[Cell, ...]], ...]
    most: int = MOST

    @property
    def shown(self) -> tuple[tuple[int, tuple[Cell, ...]], ...]:
        return self.rows[: self.most]

    def cells(self, name: str) -> list[Cell]:
        position = list(self.columns).index(name)
        return [row[position] for _, row in self.rows]

    def manner(self, name: str) -> Manner:
        """How the printed cells of a column are printed alike."""
        position = list(self.columns).index(name)
        numbers = [_number(row[position]) for _, row in self.shown]
        return manner_of([number for number in numbers if number], self.columns[name].format or "")

    @property
    def equal(self) -> bool:
        """Whether a printed cell is marked as equal for all repetitions."""
        return any(
            isinstance(cell, Number) and column.spread and is_marked(cell, self.manner(name))
            for _, row in self.shown
            for (name, column), cell in zip(self.columns.items(), row, strict=True)
        )

    @property
    def seeds(self) -> set[int]:
        """Over how many seeds its printed cells are; nothing of those that have none."""
        cells = (cell for _, row in self.shown for cell in row)
        return {len(cell.values) for cell in cells if isinstance(cell, Number) and cell.values}


def check_most(name: str, most: int) -> None:
    """Raises UserError where a table would print no row."""
    if most < 1:
        raise UserError(f"table '{name}' prints at least 1 row, got most={most}")


def select(
    table: Table, name: str, plan: Columns, rows: Mapping[str, Sequence[Cell]], most: int = MOST
) -> Part:
    """Picks columns in the order of `wanted` and the rows whose cells are among those of `rows`.

    Raises:
        UserError: a column that the table lacks, no row left, or `most` below one.
    """
    check_most(name, most)
    for column in [*plan, *rows]:
        if column not in table.columns:
            raise miss(f"table '{name}' has no column", column, table.columns)
    columns = {
        key: Column(heading) if isinstance(heading, str) else heading
        for key, heading in plan.items()
    }
    places = [table.columns.index(column) for column in columns]
    kept = tuple(
        (number, tuple(row[place] for place in places))
        for number, row in enumerate(table.rows, start=1)
        if all(row[table.columns.index(key)] in allowed for key, allowed in rows.items())
    )
    if not kept:
        raise UserError(f"table '{name}' has no row where {dict(rows)}")
    return Part(columns, kept, most)


def rows(part: Part, tracked: Print) -> list[list[tuple[str, bool, bool]]]:
    """The printed rows, of each cell its HTML, whether it is a number, and whether the best."""
    bold = {name: best(part.cells(name), column.best) for name, column in part.columns.items()}
    manners = {name: part.manner(name) for name in part.columns}
    lines: list[list[tuple[str, bool, bool]]] = []
    for index, (number, row) in enumerate(part.shown):
        cells: list[tuple[str, bool, bool]] = []
        for (name, column), cell in zip(part.columns.items(), row, strict=True):
            lone = len(part.seeds) > 1 and isinstance(cell, Number) and cell.lone
            shown = printed(cell, column, name, manners[name]) + (DAGGER if lone else "")
            text = tracked(name, shown, cell, number)
            cells.append((text, not isinstance(cell, str), bold[name] == index))
        lines.append(cells)
    return lines


def repetitions(seeds: set[int], equal: bool = False) -> str:
    """Over how many seeds cells are: n = 3 seeds; n = 1 seed†; n = 2–3 seeds, † n = 1.

    Arguments:
        equal: whether some are marked as equal for all repetitions.
    """
    several, phrases = sorted(seeds - {1}), []
    if several:
        ends = "–".join(map(str, dict.fromkeys((several[0], several[-1]))))
        phrases = [f"n = {ends} seeds"]
    if 1 in seeds:
        phrases.append(f"{DAGGER} n = 1" if several else f"n = 1 seed{DAGGER}")
    return ", ".join(phrases + [f"{EQUAL} all equal"] * equal)


def cut(shown: int, whole: int, file: str) -> str:
    """What is said below the caption of a table that is not printed whole."""
    return f"Printed are {shown:,} of {whole:,} rows; all are attached to the PDF as {file}"


def heads(part: Part, inline: Callable[[str], str]) -> list[tuple[str, bool]]:
    """The heading of each column in HTML with its unit, and whether the column is of numbers."""
    cells: list[tuple[str, bool]] = []
    for name, column in part.columns.items():
        values = part.cells(name)
        unit = common_unit(values)
        text = inline(column.heading) + (f" ({html.escape(unit)})" if unit else "")
        cells.append((text, not isinstance(values[0], str)))
    return cells


def printed(cell: Cell, column: Column, name: str, manner: Manner = ALONE) -> str:
    """A cell's text: mean ± half-width, the label of a word, an en dash for None."""
    if isinstance(cell, str):
        return column.labels.get(cell, cell)
    if isinstance(cell, int | None):
        return plain(cell, column.format)
    if column.format is None:
        raise UserError(f"column '{name}' holds measured numbers: give it a format, as '.3f'")
    number = cell if isinstance(cell, Number) else Number(cell)
    return measured(number, column.format, spread=column.spread, unit=False, manner=manner)


def common_unit(cells: Sequence[Cell]) -> str:
    """The unit of a column's numbers. Raises UserError when they differ."""
    units = sorted({cell.unit for cell in cells if isinstance(cell, Number)})
    if len(units) > 1:
        raise UserError(
            f"the cells of one column have several units: {', '.join(map(repr, units))}"
        )
    return units[0] if units else ""


def best(cells: Sequence[Cell], direction: Literal["min", "max"] | None) -> int | None:
    """The row of the best value, if it can be told apart from the next best."""
    sign = {"min": 1, "max": -1, None: 0}[direction]
    ranked = sorted(_ranked(cells), key=lambda pair: sign * pair[1].value)
    if not sign or len(ranked) < 2 or not told_apart(ranked[0][1], ranked[1][1]):
        return None
    return ranked[0][0]


def _number(cell: Cell) -> Number | None:
    if isinstance(cell, Number):
        return cell
    return Number(float(cell)) if isinstance(cell, int | float) else None


def _ranked(cells: Sequence[Cell]) -> list[tuple[int, Number]]:
    """The cells that have a value, with their rows."""
    numbers = ((index, _number(cell)) for index, cell in enumerate(cells))
    return [(i, n) for i, n in numbers if n is not None and not math.isnan(n.value)]
