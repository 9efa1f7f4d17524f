"""A run in progress: a record that is written, and a store that is kept informed."""

import dataclasses
import itertools
import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from filelock import FileLock, Timeout

from research import records
from research.errors import UserError, in_a_line
from research.machine import environment, hardware
from research.machine.hardware import Meter
from research.tracking import arms
from research.tracking.ending import status_of, terminable, undisturbed
from research.tracking.heartbeat import last_write
from research.tracking.log import Log, Opening, Summary
from research.tracking.record import (
    METRICS,
    SYSTEM,
    Lineage,
    Record,
    first_facts,
    now,
    plain,
    read_lineage,
    save_environment,
)

INTERVAL = 1.0
"""Seconds between two readings of the machine's load."""

PUSH_EVERY = 10
"""Readings after which the store gets what is new, all in one batch."""


class Mirror(Protocol):
    """One run of the store, which shows what its record holds."""

    def push(self) -> None:
        """Brings over what is new. Raises UserError where the store does not take it."""

    def reopen(self) -> None: ...

    def finish(self) -> None:
        """Brings over what is new, the status and the end."""


class Backend(Protocol):
    """Where a store keeps its records."""

    def create(self, opening: Opening, lineage: Lineage) -> str:
        """Reserves a run, of the parent that the lineage names; its id."""

    def folder(self, id: str) -> Path:
        """The record of a run of this study."""

    def lock(self, id: str) -> Path: ...

    def mirror(self, id: str) -> Mirror: ...


class Session(Record):
    """A run or child run in progress; entered once."""

    def __init__(
        self, backend: Backend, id: str, opening: Opening, pretrained: Mapping[str, Path]
    ) -> None:
        super().__init__(backend.folder(id))
        self._backend, self._opening, self._pretrained = backend, opening, pretrained
        self._mirror = backend.mirror(id)
        self._carrying = threading.Lock()
        self._open_children: list[Session] = []
        self._owed: list[Mirror] = []
        self._began = time.perf_counter()

    @property
    def pretrained(self) -> Path | None:
        return self._pretrained.get(self.run.name) if self.lineage.parent else None

    @contextmanager
    def child(self, name: str, params: Mapping[str, Any]) -> Iterator[Log]:
        self._claim("child", name)
        id = self.lineage.children.get(name) or self._create_child(name, params)
        with Session(self._backend, id, self._opening, self._pretrained) as session:
            self._open_children.append(session)
            try:
                yield session
            finally:
                self._open_children.remove(session)
                self._owed += session._owed

    def flush(self) -> None:
        with self._carrying:
            self._mirror.push()
        for child in tuple(self._open_children):
            child.flush()

    def workers(self, count: int) -> None:
        most = max(count, self.run.compute.get("workers", 0))
        self.update(compute={**self.run.compute, "workers": most})

    def __enter__(self) -> Self:
        if self.run.status in ("FAILED", "KILLED"):
            self._mirror.reopen()
        self.reopen()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        with undisturbed():
            if not self.lineage.parent:
                spent = time.perf_counter() - self._began
                self.update(compute=hardware.compute(self.run.device, spent, self.run.compute))
                self._summarise_children()
            self.close(status_of(error))
            try:
                with self._carrying:
                    for mirror in self._owed:
                        mirror.finish()
                    self._mirror.finish()
            except UserError as trouble:
                if error is None and not self.lineage.parent:
                    raise
                # the error on its way matters more; and a child is told of with its parent
                self._owed.append(self._mirror)
                warnings.warn(str(trouble), stacklevel=2)

    def _summarise_children(self) -> None:
        """Adds the curves of each arm to the run's own."""
        children = self.lineage.children.items()
        files = {name: self._backend.folder(id) / METRICS for name, id in children}
        try:
            for step, values in sorted(arms.means(files).items()):
                self.metrics(step, values)
        except UserError as trouble:  # what was measured is there all the same
            warnings.warn(str(trouble), stacklevel=2)

    def _create_child(self, name: str, params: Mapping[str, Any]) -> str:
        opening = dataclasses.replace(
            self._opening, name=name, config=params, changed={}, code={}, local=()
        )
        code = environment.Checkout(self.run.commit, dirty=self.run.dirty)
        lineage = Lineage(started=now(), parent=self.id)
        id = self._backend.create(opening, lineage)
        _begin(self._backend, id, opening, code, lineage, self.run.data)
        self.adopt(name, id)
        return id


class Heartbeat(threading.Thread):
    """Reads the machine's load into the record and keeps the store informed, in the background.

    The study itself only ever appends to files, so tracking costs it next to nothing, and a store
    that is slow or away for a while does not hold it up.
    """

    def __init__(self, session: Session) -> None:
        super().__init__(name="tracking", daemon=True)
        self._session = session
        self._stop_asked = threading.Event()
        self._warned = False

    def run(self) -> None:
        meter = Meter()
        for reading in itertools.count():
            self._read(meter)
            if self._stop_asked.is_set():
                return
            if reading % PUSH_EVERY == 0:
                self._inform()
            self._stop_asked.wait(INTERVAL)

    def __enter__(self) -> None:
        self.start()

    def __exit__(self, *error: object) -> None:
        with undisturbed():
            self._stop_asked.set()
            self.join()

    def _read(self, meter: Meter) -> None:
        try:
            self._session.system(meter.read())
        except OSError as trouble:  # a full disk, say, which stops the study where it matters
            self._warn(in_a_line(trouble))

    def _inform(self) -> None:
        try:
            self._session.flush()
        except UserError as trouble:
            self._warn(f"{trouble} Trying again meanwhile.")
        except OSError as trouble:
            self._warn(in_a_line(trouble))

    def _warn(self, text: str) -> None:
        if not self._warned:
            warnings.warn(text, stacklevel=2)
        self._warned = True


@contextmanager
def open_run(
    backend: Backend,
    opening: Opening,
    resumed: Summary | None,
    pretrained: Mapping[str, Path],
) -> Iterator[Session]:
    """The body of every store's `start`."""
    with terminable(), ExitStack() as stack:
        code = environment.checkout()
        if resumed:
            _check_resumable(resumed, opening)
        lineage = Lineage(started=now())
        id = resumed.id if resumed else backend.create(opening, lineage)
        # before there is a record: one without a lock is taken for that of a dead run
        stack.enter_context(held(backend.lock(id)))
        if not resumed:
            _begin(backend, id, opening, code, lineage)
        session = stack.enter_context(Session(backend, id, opening, pretrained))
        save_environment(session.folder, code)
        stack.enter_context(Heartbeat(session))
        yield session


def _begin(
    backend: Backend,
    id: str,
    opening: Opening,
    code: environment.Checkout,
    lineage: Lineage,
    data: Mapping[str, Any] = {},
) -> None:
    """Writes the record of a run that was just reserved; `data` are those of a child's parent."""
    facts = first_facts(id, opening, lineage.started, code)
    Record.create(backend.folder(id), dataclasses.replace(facts, data=dict(data)), lineage)


def mark_killed(backend: Backend, run: Summary) -> None:
    """Writes down that a run is dead, and when it last gave a sign, for all to see."""
    lock = backend.lock(run.id)
    try:
        with held(lock):
            ended = int(1000 * last_write(run.folder / SYSTEM))
            for id in (*read_lineage(run.folder).children.values(), run.id):
                record = Record(backend.folder(id))
                record.close("KILLED", ended)
                backend.mirror(id).finish()
    except UserError as trouble:
        warnings.warn(str(trouble), stacklevel=2)  # resumed meanwhile, or its files are damaged
    except OSError as trouble:
        warnings.warn(in_a_line(trouble), stacklevel=2)


def held(lock: Path) -> AbstractContextManager[object]:
    """The lock by which others see that the run lives."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    try:
        return FileLock(lock).acquire(timeout=0)
    except Timeout:
        raise UserError(
            f"only one process can continue a run, and another holds {lock.name}; wait for it"
        ) from None


def _check_resumable(run: Summary, opening: Opening) -> None:
    if run.study != opening.study:
        raise UserError(f"run {run.id} is of the study {run.study!r}, not of {opening.study!r}")
    if run.record_id != run.id:
        raise UserError(f"run {run.id} came from a folder; resume {run.record_id} there, then sync")
    if run.status == "RUNNING":
        raise UserError(f"run {run.id} is still running; stop it before it can be resumed")
    if run.status == "FINISHED":
        raise UserError(f"run {run.id} has finished, so nothing is left to resume; start a new one")
    stored = records.load(run.folder).run.config
    if run.config_digest == opening.config_digest:
        return
    asked = {key: plain(value) for key, value in opening.config.items()}
    changed = [
        f"{key} was {stored.get(key)}, now {asked.get(key)}"
        for key in sorted(stored.keys() | asked)
        if stored.get(key) != asked.get(key)
    ]
    raise UserError(
        f"a run is resumed with its own settings, but {'; '.join(changed) or 'the study changed'}; "
        f"give those of run {run.id}, or start a new one"
    )
