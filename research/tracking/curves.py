"""Curves in a file: one JSON line per step, at full precision, appended as they come."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from research.records.damage import named, shaped, told


@dataclass(frozen=True)
class Point:
    """The values of one step; `time` is in seconds since 1970, to the millisecond."""

    step: int
    time: float
    values: dict[str, float]


class Curves:
    """Writes points; a resumed run adds to the file it left.

    A step that stands already is kept as it was first logged: the epoch that was running when the
    run was interrupted is trained again and would appear twice.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        _drop_torn_line(path)
        self._values = {
            (point.step, name): value
            for point in read(path)[0]
            for name, value in point.values.items()
        }

    @property
    def next_step(self) -> int:
        return max((step for step, _ in self._values), default=-1) + 1

    def value(self, step: int, name: str) -> float | None:
        return self._values.get((step, name))

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Appends what is new of the values; they become plain floats."""
        new = {k: float(v) for k, v in values.items() if (step, k) not in self._values}
        if not new:
            return
        point = {"step": int(step), "time": round(time.time(), 3), "values": new}
        with named(self.path), self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(point) + "\n")
        self._values |= {(step, name): value for name, value in new.items()}


def read(path: Path, start: int = 0) -> tuple[list[Point], int]:
    """The points from byte `start` on, and where the next ones will begin.

    Raises:
        DamagedError: a line is none that `Curves` wrote.
    """
    if not path.exists():
        return [], start
    with path.open("rb") as file:
        file.seek(start)
        whole = file.read().rpartition(b"\n")[0]
    with told(path):
        points = [shaped(Point, json.loads(line)) for line in whole.splitlines()]
    return points, start + len(whole) + bool(whole)


def _drop_torn_line(path: Path) -> None:
    """A killed process may leave half a line, to which the next one would be glued."""
    if path.exists():
        size = read(path)[1]
        with path.open("r+b") as file:
            file.truncate(size)
