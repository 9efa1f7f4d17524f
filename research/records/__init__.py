"""What a run left behind: numbers, claims, tables, arrays, figures and the run's own facts.

A *record* is one folder that holds all of it and needs no server to be read:

    run.json            the facts in `Run`
    numbers.json        name -> the fields of `Number`
    origins.json        "number NAME", "claim NAME", … -> the line of code that logged it
    claims.json         name -> the fields of `Claim`, its effect being a number
    claims.csv          the same for a spreadsheet, with the outcomes
    metrics.jsonl       one line a step: {"step", "time", "values": {name: value}}
    tables/NAME.json    {"columns": [...], "rows": [[...]]}, a cell may be a number as above
    tables/NAME.csv     the same for a spreadsheet
    arrays/NAME.npz     named arrays
    figures/NAME.svg    drawn from the above, with .png beside it and .json (see `Drawing`)
    data.json           the files of the data sets that were read, see `research.records.sources`
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
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from research.errors import hidden
from research.records import damage, family
from research.records.measured import Claim as Claim
from research.records.measured import Number as Number
from research.records.measured import Outcome as Outcome

if TYPE_CHECKING:
    import pandas

Array = npt.NDArray[Any]


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
    intervals: dict[str, str] = field(default_factory=dict)
    """means, shares, correlations, claims -> how their intervals are computed, see
    `research.records.measured.INTERVALS`; empty in older records"""


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

    @property
    def printable(self) -> dict[str, Number]:
        """The numbers and, as `NAME.effect`, `NAME.p` and `NAME.adjusted`, those of the claims."""
        return self.numbers | family.numbers(self.claims)

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
    numbers: dict[str, Number] = damage.read_json(path, dict[str, Number]) if path.exists() else {}
    return numbers


def write_claims(folder: Path, claims: Mapping[str, Claim]) -> None:
    """The claims of a run, adjusted together."""
    whole = family.adjusted(claims)
    write_json(folder / "claims.json", {k: dataclasses.asdict(v) for k, v in whole.items()})
    damage.write(folder / "claims.csv", family.as_csv(whole).encode())


def read_claims(folder: Path) -> dict[str, Claim]:
    """Adjusted together, also where the record is of a version that did not."""
    path = folder / "claims.json"
    claims: dict[str, Claim] = damage.read_json(path, dict[str, Claim]) if path.exists() else {}
    return family.adjusted(claims)


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
