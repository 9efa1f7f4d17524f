"""Agreement: whether a number that was measured again is the one that was printed.

Identical, within its tolerance, or another. The tolerance comes from the number's own interval; a
number without one may differ by rounding, where the second run added in another order.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from research.provenance.entries import Measured, Printed, TableCell
from research.records import Number, Results, Run
from research.records.measured import FISHER, LOGIT, SPAN

IDENTICAL, WITHIN, DIFFERS, ELSEWHERE = (
    "identical", "within tolerance", "differs", "of another run",
)  # fmt: skip
ROUNDING = 1e-6
"""Relative difference that sums in another order may leave in a number that has no spread."""


@dataclass(frozen=True)
class Compared:
    """One printed number, then and now; `why` is where the tolerance comes from."""

    name: str
    page: int
    printed: str
    old: Any
    new: Any
    verdict: str
    tolerance: float
    why: str


def compare(
    numbers: Iterable[Printed],
    runs: Mapping[str, Results],
    recorded: Mapping[str, Run] = {},
) -> list[Compared]:
    """Every measured number of a paper against the new record of its run.

    Arguments:
        numbers: what the paper prints.
        runs: id of a recorded run -> the record of the same experiment run again.
        recorded: id -> the recorded run.
    """
    measured = [entry for entry in numbers if isinstance(entry, Measured | TableCell)]
    orders = {id: other_order(recorded[id], new) for id, new in runs.items() if id in recorded}
    return [_compared(entry, runs.get(entry.run), orders.get(entry.run, "")) for entry in measured]


def other_order(old: Run, new: Results) -> str:
    """Why the second run may have added in another order than the first; empty if it did not."""
    then, now = old.compute, new.run.compute
    if old.device != new.run.device:
        return f"device {old.device} then, {new.run.device} now"
    if then.get("threads") != now.get("threads"):
        return f"threads {then.get('threads', 'unknown')} then, {now.get('threads')} now"
    if then.get("hardware") != now.get("hardware", then.get("hardware")):
        return "hardware of another kind"
    return ""


def _compared(entry: Measured | TableCell, record: Results | None, order: str = "") -> Compared:
    row = f", row {entry.row}" if isinstance(entry, TableCell) else ""
    old = _number(entry)
    new = _found(entry, record) if record else None
    verdict, tolerance, why = (
        judge(old, new, order) if record else (ELSEWHERE, 0.0, "not run again")
    )
    then, now = (cell.value if isinstance(cell, Number) else cell for cell in (old, new))
    name = f"{entry.name}{row}"
    return Compared(name, entry.page, entry.printed, then, now, verdict, tolerance, why)


def _number(entry: Measured | TableCell) -> Any:
    """The recorded value, with its interval where it is a number."""
    value = entry.value
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    return replace(entry.number(value), unit="", values=(), range=None)


def _found(entry: Measured | TableCell, record: Results) -> Any:
    """The same number of the new record; None where it has none."""
    if isinstance(entry, Measured):
        return record.printable.get(entry.name)
    name, _, column = entry.name.rpartition(".")
    if name not in record.names("tables"):
        return None
    table = record.table(name)
    if column not in table.columns or entry.row > len(table.rows):
        return None
    cell = table.column(column)[entry.row - 1]
    return Number(cell) if isinstance(cell, int | float) else cell


def judge(old: Any, new: Any, order: str = "") -> tuple[str, float, str]:
    """The verdict on two values, the tolerance, and where that comes from.

    The tolerance is half the width of the narrower of both 95 % intervals, since the one that the
    PDF prints may have been edited too. What has no interval is to be the same bit for bit, or to
    `ROUNDING` where the second run added in another order.

    Arguments:
        order: why it did; empty if it did not.
    """
    if not isinstance(old, Number) or not isinstance(new, Number):
        return (IDENTICAL if old == new else DIFFERS), 0.0, "0: a word or an empty cell"
    tolerance, why = _tolerance(old, new)
    if _bits(old) == _bits(new):
        return IDENTICAL, tolerance, why
    if order and _is_rounding(old, new):
        return WITHIN, ROUNDING * abs(old.value), f"rounding: {order}"
    if old.n != new.n or old.value == new.value:
        return DIFFERS, tolerance, f"{why}; the interval is another"
    near = math.isfinite(new.value) and abs(new.value - old.value) <= tolerance
    return (WITHIN if near else DIFFERS), tolerance, why


def _is_rounding(old: Number, new: Number) -> bool:
    """Whether value and interval differ by no more than another order of adding may leave."""
    pairs = zip(_ends(old), _ends(new), strict=True)
    return old.n == new.n and all(
        then == now
        or (then is not None and now is not None and math.isclose(then, now, rel_tol=ROUNDING))
        for then, now in pairs
    )


def _ends(number: Number) -> tuple[float | None, ...]:
    return number.value, number.half_width, number.low, number.high


def _tolerance(old: Number, new: Number) -> tuple[float, str]:
    ends = [number.bounds or number.span for number in (old, new)]
    widths = [both[1] - both[0] for both in ends if both]
    if len(widths) < 2:
        return 0.0, "0: no spread, so it is deterministic"
    over_seeds = new.half_width is not None or new.interval in (LOGIT, FISHER, SPAN)
    kind = "seeds" if over_seeds else "trials"
    return max(0.0, min(widths) / 2), f"spread over {new.n} {kind}"


def _bits(number: Number) -> tuple[str, ...]:
    """As text, in which one nan is like another and 1 is like 1.0."""
    return (*(str(None if v is None else float(v)) for v in _ends(number)), str(number.n))
