"""Writes a record: everything a study logs lands here first, as files (see `research.records`).

Beside the files of every record, tracking keeps

    metrics.jsonl             the curves
    tracking/numbers.jsonl    the numbers again, with the time at which each was logged
    tracking/system.jsonl     load of the machine; its age tells whether the run is alive
    tracking/lineage.json     start and end in milliseconds, the parent's id, the children's ids
    environment/              packages, command line, git branch and diff, hardware, lock file
"""

import dataclasses
import re
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from types import FrameType
from typing import Any, Self

from research import fonts, records
from research.machine import environment, hardware
from research.paths import PACKAGE, ROOT, SOURCE
from research.records import Array, Claim, Number, Run, Table
from research.records.damage import read_json
from research.records.measured import INTERVALS
from research.tracking import staleness
from research.tracking.curves import Curves
from research.tracking.log import Opening

METRICS = "metrics.jsonl"
NUMBERS = "tracking/numbers.jsonl"
SYSTEM = "tracking/system.jsonl"
CURVES = (METRICS, NUMBERS, SYSTEM)
LINEAGE = "tracking/lineage.json"


@dataclass(frozen=True)
class Lineage:
    """Where a run stands among others, and when it ran, in milliseconds since 1970."""

    started: int
    ended: int = 0
    parent: str = ""
    children: dict[str, str] = field(default_factory=dict)
    """name -> id"""


class Record:
    """The part of `Log` that needs nothing but a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.run = records.load(folder).run
        self.lineage = read_lineage(folder)
        self._metrics, self._numbers, self._system = (Curves(folder / name) for name in CURVES)
        self._values = records.read_numbers(folder)
        self._claims = records.read_claims(folder)
        self._origins = records.read_origins(folder)
        self._logged: set[str] = set()

    @classmethod
    def create(cls, folder: Path, run: Run, lineage: Lineage) -> Self:
        # run.json comes last: whoever finds it finds a record
        write_lineage(folder, lineage)
        records.write_run(folder, run)
        return cls(folder)

    @property
    def id(self) -> str:
        return self.run.id

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        for name in values:
            _check_name(name)
        self._metrics.add(step, values)

    def number(self, name: str, value: Number | float, unit: str = "") -> None:
        self._claim("number", name)
        number = value if isinstance(value, Number) else Number(float(value), unit)
        self._values[name] = _builtin(number)
        records.write_numbers(self.folder, self._values)
        step = 0  # a resumed run that measures another value than before adds it as a later step
        while self._numbers.value(step, name) not in (None, number.value):
            step += 1
        self._numbers.add(step, {name: number.value})

    def claim(self, name: str, claim: Claim) -> None:
        self._claim("claim", name)
        p = None if claim.p is None else float(claim.p)
        effect = _builtin(claim.effect)
        self._claims[name] = dataclasses.replace(claim, effect=effect, p=p, n=int(claim.n))
        records.write_claims(self.folder, self._claims)

    def table(self, name: str, table: Table) -> None:
        self._claim("table", name)
        records.write_table(self.folder, name, _plain_table(table))

    def arrays(self, name: str, **arrays: Array) -> None:
        self._claim("arrays", name)
        records.write_arrays(self.folder, name, arrays)

    def finding(self, text: str) -> None:
        if text not in self.run.findings:
            self.update(findings=(*self.run.findings, text))

    def dataset(self, facts: Mapping[str, Any]) -> None:
        # figures and paper show these: a letter that no font has is told now, not after training
        fonts.require(map(str, facts.get("classes", ())), "the names of the classes")
        files = staleness.files(self.run.config)
        known = {"files": files} if files else {}
        self.update(data={key: plain(value) for key, value in facts.items()} | known)

    def model(self, name: str, facts: Mapping[str, Any]) -> None:
        self.update(models=self.run.models | {name: plain(facts)})

    def path(self, name: str) -> Path:
        relative = PurePosixPath(name)
        if relative.is_absolute() or ".." in relative.parts or not relative.name:
            raise ValueError(f"a file of the record is named like kernels/conv1.npy, got {name!r}")
        path = self.folder / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        finally:
            seconds = self.run.seconds.get(name, 0.0) + time.perf_counter() - began
            self.update(seconds=self.run.seconds | {name: seconds})

    def system(self, values: Mapping[str, float]) -> None:
        """One reading of the machine's load."""
        self._system.add(self._system.next_step, values)

    def update(self, **facts: Any) -> None:
        """Replaces facts in run.json."""
        self.run = dataclasses.replace(self.run, **facts)
        records.write_run(self.folder, self.run)

    def adopt(self, name: str, id: str) -> None:
        """Notes a child."""
        self._relate(children=self.lineage.children | {name: id})

    def reopen(self) -> None:
        """Goes on with a run that was interrupted, or passes again through one that finished.

        The interrupted one states its findings anew; the finished one stays as it ended.
        """
        (self.folder / "manifest.json").unlink(missing_ok=True)
        if self.run.status != "FINISHED":
            self._relate(ended=0)
            self.update(status="RUNNING", ended="", findings=(), models={})

    def close(self, status: str, ended: int | None = None) -> None:
        """Writes how and when, in milliseconds, the run ended, and the manifest.

        The status comes last: a run that is killed meanwhile is still RUNNING, and is closed again.
        """
        if self.run.status != "RUNNING":
            records.write_manifest(self.folder)
            return
        self._relate(ended=ended or now())
        done = dataclasses.replace(self.run, status=status, ended=iso(self.lineage.ended))
        records.write_manifest(self.folder, done)
        self.update(status=done.status, ended=done.ended)

    def _relate(self, **facts: Any) -> None:
        self.lineage = dataclasses.replace(self.lineage, **facts)
        write_lineage(self.folder, self.lineage)

    def _claim(self, kind: str, name: str) -> None:
        """A name is logged once per process; a resumed run logs again what it had logged."""
        _check_name(name)
        if f"{kind} {name}" in self._logged:
            raise ValueError(f"each {kind} is logged once, but {name!r} was logged already")
        self._logged.add(f"{kind} {name}")
        self._origins[f"{kind} {name}"] = _caller()
        records.write_origins(self.folder, self._origins)


def _caller() -> str:
    """The line of code that logs, as `research/studies/ae/measures.py:42`.

    Of a file outside package and project only its name is told.
    """
    frame: FrameType | None = sys._getframe(1)
    own = __name__.rpartition(".")[0]
    while frame and frame.f_globals.get("__name__", "").startswith((own, "contextlib")):
        frame = frame.f_back
    if frame is None:
        return ""
    path = Path(frame.f_code.co_filename)
    # the package first: its environment may lie in the project
    base = SOURCE if path.is_relative_to(PACKAGE) else ROOT
    shown = path.relative_to(base).as_posix() if path.is_relative_to(base) else path.name
    return f"{shown}:{frame.f_lineno}"


def first_facts(id: str, opening: Opening, started: int, code: environment.Checkout) -> Run:
    """The facts of a run that has just started, at `started` milliseconds."""
    return Run(
        id=id,
        study=opening.study,
        question=opening.question,
        preset=opening.preset,
        name=opening.name,
        status="RUNNING",
        started=iso(started),
        ended="",
        config={key: plain(value) for key, value in opening.config.items()},
        config_digest=opening.config_digest,
        seeds=opening.seeds,
        device=opening.device,
        data={},
        commit=code.commit,
        dirty=code.dirty,
        versions=environment.versions(),
        changed={key: plain(value) for key, value in opening.changed.items()},
        code=dict(opening.code),
        local=tuple(opening.local),
        intervals=dict(INTERVALS),
    )


def opening_of(folder: Path) -> tuple[Opening, Lineage]:
    """What a run was opened with, of its record: to show it in a store that does not know it."""
    run, lineage = records.load(folder).run, read_lineage(folder)
    facts = {field.name: getattr(run, field.name) for field in dataclasses.fields(Opening)}
    return Opening(**facts), Lineage(lineage.started, parent=lineage.parent)


def save_environment(folder: Path, code: environment.Checkout) -> None:
    """Fills environment/; a resumed run keeps what the first start wrote."""
    target = folder / "environment"
    if not (target / "git.json").exists():  # which is written last
        environment.save(target, code)
        records.write_json(target / "hardware.json", hardware.facts())
        records.write_json(target / "git.json", {"commit": code.commit, "branch": code.branch})


def branch(folder: Path) -> str:
    """The git branch of the code; empty for a child, which shares its parent's environment."""
    path = folder / "environment/git.json"
    return str(read_json(path, dict[str, str])["branch"]) if path.exists() else ""


def read_lineage(folder: Path) -> Lineage:
    """Raises DamagedError for a file that is not what tracking wrote."""
    lineage: Lineage = read_json(folder / LINEAGE, Lineage)
    return lineage


def write_lineage(folder: Path, lineage: Lineage) -> None:
    records.write_json(folder / LINEAGE, dataclasses.asdict(lineage))


def now() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def iso(milliseconds: int | None) -> str:
    """ISO 8601, UTC, to the second; empty for a time that is not known."""
    if not milliseconds:
        return ""
    return datetime.fromtimestamp(milliseconds // 1000, UTC).isoformat()


def plain(value: Any) -> Any:
    """What JSON can hold: paths and the like become text."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(inner) for inner in value]
    return value.item() if hasattr(value, "item") else str(value)


def _builtin(number: Number) -> Number:
    """The number without NumPy's types, which JSON does not take."""
    half_width, low, high = (
        None if end is None else float(end) for end in (number.half_width, number.low, number.high)
    )
    values = tuple(map(float, number.values))
    return dataclasses.replace(
        number, value=float(number.value), half_width=half_width, n=int(number.n), low=low,
        high=high, values=values,
    )  # fmt: skip


def _plain_table(table: Table) -> Table:
    rows = (
        tuple(_builtin(cell) if isinstance(cell, Number) else plain(cell) for cell in row)
        for row in table.rows
    )
    return Table(table.columns, tuple(rows))


def _check_name(name: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9_\-]+(/[A-Za-z0-9_\-]+)*", name):
        raise ValueError(f"a name is made of letters, digits, '_', '-' and '/', got {name!r}")
