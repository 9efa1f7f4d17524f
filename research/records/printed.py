"""Numbers that a source prints, and the place in a record of ours where the same is measured.

Each study has its table of them in `research/studies/STUDY/printed.py`, as `PRINTED`; beside it
`UNMEASURED` tells in words what its sources print and nobody measures here.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from research.errors import UserError
from research.records import Cell, Number, Results, Run


@dataclass(frozen=True)
class Place:
    """Where a number stands in a record.

    Attributes:
        name: of a number; or of a table, where a column is given.
        column: of that table.
        row: column -> value, by which one of its rows is found.
    """

    name: str
    column: str = ""
    row: Mapping[str, str | int | float] = field(default_factory=dict)

    def find(self, record: Results) -> Number | str | None:
        """The number, or the word, there; None where the run has not measured it.

        Raises:
            UserError: more than one row answers to the description.
        """
        if not self.column:
            return record.numbers.get(self.name)
        if self.name not in record.names("tables"):
            return None
        table = record.table(self.name)
        if not {self.column, *self.row} <= set(table.columns):
            return None
        cells = [
            row[table.columns.index(self.column)]
            for row in table.rows
            if all(_same(row[table.columns.index(key)], value) for key, value in self.row.items())
        ]
        if len(cells) > 1:
            raise UserError(f"{self} must name one cell, the table has {len(cells)}")
        return _number(cells[0]) if cells else None

    def __str__(self) -> str:
        row = ", ".join(f"{key} = {value}" for key, value in self.row.items())
        return f"{self.name}.{self.column} where {row}" if self.column else self.name


@dataclass(frozen=True)
class Why:
    """A reason, written by hand, for which a number of ours may differ from the source's.

    Attributes:
        kind: what it has to do with.
        text: the reason.
        settings: it counts only where the run departs from its preset in one of these settings;
            without any it always does.
    """

    kind: Literal["size", "data set", "definition"]
    text: str
    settings: tuple[str, ...] = ()

    def counts(self, run: Run) -> bool:
        return not self.settings or any(name in run.changed for name in self.settings)


@dataclass(frozen=True)
class Printed:
    """A number that a source prints.

    Attributes:
        what: the quantity, in words.
        value: as printed, shares in [0, 1]; or a word, such as a shape.
        source: its key in `templates/references.bib`.
        where: the table, section or output in it.
        ours: where the same stands in our record.
        format: for both, as in a write-up.
        why: reasons for a difference; those that count are told where there is one.
    """

    what: str
    value: float | str
    source: str
    where: str
    ours: Place
    format: str = ".3g"
    why: tuple[Why, ...] = ()

    def reasons(self, run: Run) -> list[str]:
        """Those that count for a run, each with its kind before it."""
        return [f"{one.kind}: {one.text}" for one in self.why if one.counts(run)]


def _same(cell: Cell, value: str | int | float) -> bool:
    if isinstance(cell, float) and not isinstance(value, str):
        return math.isclose(cell, value, abs_tol=1e-9)
    return cell == value


def _number(cell: Cell) -> Number | str | None:
    return Number(float(cell)) if isinstance(cell, int | float) else cell
