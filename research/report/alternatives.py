"""Alternative texts from data: what a figure was drawn from, for a reader who cannot see it."""

from collections.abc import Iterator

import numpy as np

from research.provenance.formats import decimal
from research.records import Array, Cell, Drawing, Number, Results, Table

MOST = 4
"""Series that are described of each file; of the rest the count is told."""

LIMIT = 8_000_000
"""Bytes of a file of arrays; a larger one is only named."""


def sentence(results: Results, drawing: Drawing) -> str:
    """`Drawn from loss: a, 12 values from 0.01 to 0.4.`, or nothing where no data are known."""
    parts = [part for path in drawing.data if (part := _described(results, path))]
    return f"Drawn from {'; '.join(parts)}." if parts else ""


def joined(said: str, data: str) -> str:
    """The author's words, as a sentence of their own, before those made from the data."""
    stop = "" if not said or not data or said.endswith((".", "!", "?")) else "."
    return f"{said}{stop} {data}".strip()


def _described(results: Results, path: str) -> str:
    kind, _, name = path.partition("/")
    target = results.folder / path
    if not target.is_file():
        return ""
    stem = name.rpartition(".")[0]
    if kind == "arrays":
        if target.stat().st_size > LIMIT:
            return f"the arrays {stem}"
        series = [_array(key, values) for key, values in results.arrays(stem).items()]
        return f"{stem}: {_joined(series)}"
    if kind == "tables":
        table = results.table(stem)
        rows = f"table {stem}, {len(table.rows)} row{'s' * (len(table.rows) != 1)}"
        return f"{rows}: {_joined(list(_columns(table)))}"
    return "the run's numbers" if path == "numbers.json" else ""


def _columns(table: Table) -> Iterator[str]:
    for name in table.columns:
        values = [_value(cell) for cell in table.column(name)]
        known = [value for value in values if value is not None]
        if known:
            yield f"{name} {_range(np.array(known))}"


def _array(name: str, values: Array) -> str:
    if values.size == 1 or not np.issubdtype(values.dtype, np.number):
        return f"{name}, {values.size} value{'s' * (values.size != 1)}"
    shape = " by ".join(map(str, values.shape))
    return f"{name}, {shape} values {_range(values)}".rstrip()


def _range(values: Array) -> str:
    finite = values[np.isfinite(values)]
    if not finite.size:
        return "none of them finite"
    return f"from {decimal(float(finite.min()), '.3g')} to {decimal(float(finite.max()), '.3g')}"


def _value(cell: Cell) -> float | None:
    if isinstance(cell, Number):
        return cell.value
    return float(cell) if isinstance(cell, int | float) else None


def _joined(series: list[str]) -> str:
    more = f", and {len(series) - MOST} more" if len(series) > MOST else ""
    return ", ".join(series[:MOST]) + more
