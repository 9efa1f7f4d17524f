"""What a run left behind: numbers, claims, tables, arrays, figures and the run's own facts.

A *record* is one folder that holds all of it and needs no server to be read:

    run.json            the facts in `Run`
    numbers.json        name -> {"value", "unit", "half_width", "n", "low", "high", "values"}
    origins.json        "number NAME", "claim NAME", … -> the line of code that logged it
    claims.json         name -> {"effect": a number, "p", "n", "test", "direction", "threshold"}
    metrics.jsonl       one line a step: {"step", "time", "values": {name: value}}
    tables/NAME.json    {"columns": [...], "rows": [[...]]}, a cell may be a number as above
    tables/NAME.csv     the same for a spreadsheet
    arrays/NAME.npz     named arrays
    figures/NAME.svg    drawn from the above, with .png beside it and .json (see `Drawing`)
    manifest.json       relative path -> sha256, for every file above

Values are stored at full precision; headings, units in print and formats belong to the write-up.
"""

import csv
import dataclasses
import hashlib
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from research.passwords import hidden
from research.records import damage

if TYPE_CHECKING:
    import pandas

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Number:
    """A measured value.

    Attributes:
        value: the mean over `n` independent repetitions (seeds), or the single measurement.
        unit: its unit as printed, empty for a pure number.
        half_width: half the width of its 95 % confidence interval, where that is symmetric.
        n: independent repetitions: seeds, or trials of a share.
        low, high: the ends of its 95 % interval, where that is not symmetric.
        values: the repetitions, in the order of the run's seeds; empty for what has no seed.
    """

    value: float
    unit: str = ""
    half_width: float | None = None
    n: int = 1
    low: float | None = None
    high: float | None = None
    values: tuple[float, ...] = ()

    @property
    def lone(self) -> bool:
        """Whether this is the value of a single seed, which says nothing of others."""
        return len(self.values) == 1

    @property
    def bounds(self) -> tuple[float, float] | None:
        """The ends of the 95 % interval, None where there is none."""
        if self.half_width is not None:
            return self.value - self.half_width, self.value + self.half_width
        return None if self.low is None or self.high is None else (self.low, self.high)


Outcome = Literal["holds", "fails", "undecided"]


@dataclass(frozen=True)
class Claim:
    """A statement about the result, and the test that decides it.

    Attributes:
        effect: what was measured, with its 95 % interval.
        p: of the test, two-sided; None where there is none.
        n: how many repetitions, images or pairs the test rests on.
        test: its name, with what it was taken over.
        direction: the side of the threshold on which the effect is claimed to lie.
    """

    effect: Number
    p: float | None
    n: int
    test: str
    direction: Literal["greater", "less"] = "greater"
    threshold: float = 0.0

    @property
    def outcome(self) -> Outcome:
        """Holds or fails where the interval lies wholly on one side of the threshold.

        Undecided otherwise, without an interval, and for a single seed.
        """
        if self.effect.bounds is None or self.effect.lone:
            return "undecided"
        low, high = self.effect.bounds
        sides = {"greater": low > self.threshold, "less": high < self.threshold}
        if any(sides.values()):
            return "holds" if sides[self.direction] else "fails"
        return "undecided"

    def __str__(self) -> str:
        """'holds: 0.31 [0.25, 0.37] dB greater than 0, p = 0.002, n = 3, paired t test'"""
        ends = " [{:.4g}, {:.4g}]".format(*self.effect.bounds) if self.effect.bounds else ""
        unit = f" {self.effect.unit}" if self.effect.unit else ""
        p = "" if self.p is None else f", p = {self.p:.2g}"
        return (
            f"{self.outcome}: {self.effect.value:.4g}{ends}{unit} {self.direction} than "
            f"{self.threshold:g}{p}, n = {self.n}, {self.test}"
        )


Cell = str | int | float | Number | None


@dataclass(frozen=True)
class Table:
    """Named columns and rows of raw values; None is a cell for which no value exists."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(
                    f"a row needs {len(self.columns)} cells {self.columns}, got {len(row)}: {row}"
                )

    @classmethod
    def of(cls, rows: Sequence[Mapping[str, Cell]]) -> "Table":
        """A table from one mapping per row; the first row's keys are the columns."""
        columns = tuple(rows[0])
        return cls(columns, tuple(tuple(row[name] for name in columns) for row in rows))

    def column(self, name: str) -> tuple[Cell, ...]:
        return tuple(row[self.columns.index(name)] for row in self.rows)


@dataclass(frozen=True)
class Drawing:
    """A drawn figure: paths relative to the record, and the record's files it was drawn from."""

    svg: str
    png: str
    width_mm: float
    height_mm: float
    data: tuple[str, ...] = ()


@dataclass(frozen=True)
class Run:
    """The facts of a run that a reader needs in order to trust or repeat it."""

    id: str
    study: str
    question: str
    preset: str
    name: str
    status: str
    """RUNNING, FINISHED, FAILED or KILLED"""
    started: str
    """ISO 8601, UTC, to the second"""
    ended: str
    config: dict[str, Any]
    """flattened settings, spelt like the flags"""
    config_digest: str
    seeds: tuple[int, ...]
    device: str
    data: dict[str, Any]
    """name, source, licence, sha256, train, test, classes, shape"""
    commit: str
    """git commit of the code, `unknown` where git could not tell"""
    dirty: bool | None
    """whether the tree differed from that commit; None where git could not tell"""
    versions: dict[str, str]
    """python, torch, … as they ran"""
    seconds: dict[str, float] = field(default_factory=dict)
    """wall time of each part: data, training, …"""
    findings: tuple[str, ...] = ()
    changed: dict[str, Any] = field(default_factory=dict)
    """the settings in which the run departs from its preset"""
    models: dict[str, dict[str, Any]] = field(default_factory=dict)
    """name -> origin (trained, found or given), digest, sha256; the run that trained it, seconds;
    parameters, optimiser, lr, epochs, batch, threads, read off the objects that were used"""
    code: dict[str, str] = field(default_factory=dict)
    """module -> digest of its syntax tree, see `tracking.staleness`; empty in older records"""
    compute: dict[str, Any] = field(default_factory=dict)
    """hardware, wall_seconds, device_hours, threads, workers, peak_mib, peak_device_mib, see
    `hardware.compute`"""
    local: tuple[str, ...] = ()
    """the settings that name a place on the machine, see `research.config.LOCAL`"""
    adopted: dict[str, Any] = field(default_factory=dict)
    """of runs that another program logged: source, experiment, filter, rules, runs, selection, see
    `research.adoption`; empty for a study's own"""


@dataclass
class Results:
    """A record that was read; `arrays(name)` are opened when asked for.

    `reads` collects the record's files that were looked at, so that a figure knows its data.
    """

    run: Run
    folder: Path
    reads: set[str] = field(default_factory=set)

    @property
    def numbers(self) -> dict[str, Number]:
        self.reads.add("numbers.json")
        return read_numbers(self.folder)

    @property
    def claims(self) -> dict[str, Claim]:
        self.reads.add("claims.json")
        return read_claims(self.folder)

    def table(self, name: str) -> Table:
        self.reads.add(f"tables/{name}.json")
        return read_table(self.folder / f"tables/{name}.json")

    def frame(self, name: str) -> "pandas.DataFrame":
        """A table as a DataFrame: numbers by their values, with a column `NAME ±` for half-widths.

        A column has one where any of its cells has an interval of that kind.
        """
        import pandas as pd

        table = self.table(name)
        columns: dict[str, list[Any]] = {}
        for column in table.columns:
            cells = table.column(column)
            columns[column] = [cell.value if isinstance(cell, Number) else cell for cell in cells]
            widths = [cell.half_width if isinstance(cell, Number) else None for cell in cells]
            if any(width is not None for width in widths):
                columns[f"{column} ±"] = widths
        return pd.DataFrame(columns)

    def picture(self, name: str) -> Path:
        """Where a figure lies as SVG; the same with the ending .png lies beside it."""
        return self.folder / self.figure(name).svg

    def arrays(self, name: str) -> dict[str, Array]:
        self.reads.add(f"arrays/{name}.npz")
        return read_arrays(self.folder / f"arrays/{name}.npz")

    def figure(self, name: str) -> Drawing:
        drawing: Drawing = damage.read_json(self.folder / f"figures/{name}.json", Drawing)
        return drawing

    def names(self, kind: str) -> list[str]:
        """What the record holds of a kind: tables, arrays or figures."""
        suffix = {"tables": ".json", "arrays": ".npz", "figures": ".json"}[kind]
        return sorted(path.stem for path in (self.folder / kind).glob(f"*{suffix}"))


def load(folder: Path) -> Results:
    """Reads a record.

    Raises:
        FileNotFoundError: there is none.
        DamagedError: its facts are not what a run wrote.
    """
    return Results(damage.read_json(folder / "run.json", Run), folder)


# --- the files of a record -----------------------------------------------------------------------


def write_json(path: Path, value: Any) -> None:
    damage.write(path, damage.as_bytes(value))


def write_run(folder: Path, run: Run) -> None:
    write_json(folder / "run.json", dataclasses.asdict(run))


def write_numbers(folder: Path, numbers: Mapping[str, Number]) -> None:
    write_json(folder / "numbers.json", {k: dataclasses.asdict(v) for k, v in numbers.items()})


def read_numbers(folder: Path) -> dict[str, Number]:
    path = folder / "numbers.json"
    found: dict[str, Number] = damage.read_json(path, dict[str, Number]) if path.exists() else {}
    return found


def write_claims(folder: Path, claims: Mapping[str, Claim]) -> None:
    write_json(folder / "claims.json", {k: dataclasses.asdict(v) for k, v in claims.items()})


def read_claims(folder: Path) -> dict[str, Claim]:
    path = folder / "claims.json"
    found: dict[str, Claim] = damage.read_json(path, dict[str, Claim]) if path.exists() else {}
    return found


def write_origins(folder: Path, origins: Mapping[str, str]) -> None:
    """Which line of code logged what: `number mse_pca` -> `research/studies/ae/measures.py:42`."""
    write_json(folder / "origins.json", dict(origins))


def read_origins(folder: Path) -> dict[str, str]:
    """Empty where the record is of an older version."""
    path = folder / "origins.json"
    return dict(damage.read_json(path)) if path.exists() else {}


def write_table(folder: Path, name: str, table: Table) -> None:
    rows = [[_plain(cell) for cell in row] for row in table.rows]
    write_json(folder / f"tables/{name}.json", {"columns": list(table.columns), "rows": rows})
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table.columns)
    for row in table.rows:
        writer.writerow([cell.value if isinstance(cell, Number) else cell for cell in row])
    damage.write(folder / f"tables/{name}.csv", hidden(text.getvalue()).encode())


def read_table(path: Path) -> Table:
    table: Table = damage.read_json(path, Table)
    return table


def write_arrays(folder: Path, name: str, arrays: Mapping[str, Array]) -> None:
    packed = io.BytesIO()
    np.savez_compressed(packed, allow_pickle=False, **arrays)
    damage.write(folder / f"arrays/{name}.npz", packed.getvalue())


def read_arrays(path: Path) -> dict[str, Array]:
    """Raises DamagedError for a file that is not what a run wrote."""
    with damage.told(path), np.load(path, allow_pickle=False) as file:
        return {key: file[key] for key in file.files}


def write_drawing(folder: Path, name: str, drawing: Drawing) -> None:
    write_json(folder / f"figures/{name}.json", dataclasses.asdict(drawing))


def write_manifest(folder: Path, run: Run | None = None) -> None:
    """Lists every file's sha256 but its own, and those in report/, which come after the run.

    Arguments:
        run: facts that are about to be written, listed in place of those that still stand.
    """
    digests = {path: sha256(folder / path) for path in _files(folder, ("manifest.json", "report"))}
    if run:
        soon = damage.as_bytes(dataclasses.asdict(run))
        digests["run.json"] = hashlib.sha256(soon).hexdigest()
    write_json(folder / "manifest.json", digests)


def read_manifest(folder: Path) -> dict[str, str]:
    """Relative path -> sha256. Raises FileNotFoundError where the record has none."""
    listed: dict[str, str] = damage.read_json(folder / "manifest.json", dict[str, str])
    return listed


def sha256(path: Path) -> str:
    with damage.named(path), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _files(folder: Path, leave_out: Sequence[str]) -> Iterator[str]:
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if path.is_file() and relative.parts[0] not in leave_out:
            yield relative.as_posix()


def _plain(cell: Cell) -> Any:
    return dataclasses.asdict(cell) if isinstance(cell, Number) else cell
