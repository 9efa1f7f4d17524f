"""MLflow on SQLite: ROOT/mlflow.db, and each run's record where MLflow keeps its artifacts.

    ROOT/artifacts/<study>/<run id>/artifacts/    the record
    ROOT/artifacts/<study>/<run id>/running       locked while the run lives

Runs are listed and read without importing MLflow, which takes seconds.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlparse

from filelock import FileLock

from research.errors import UserError
from research.tracking import database, mirror
from research.tracking.finding import pick
from research.tracking.folder import attach
from research.tracking.heartbeat import SILENCE, is_alive, last_write
from research.tracking.log import Opening, OpenRun, Summary
from research.tracking.record import SYSTEM, Lineage, iso
from research.tracking.session import Mirror, mark_killed, open_run

if TYPE_CHECKING:
    from mlflow import MlflowClient


@dataclass(frozen=True)
class LocalStore:
    """Safe to be opened by several processes at once, also when it does not exist yet."""

    path: Path
    """the SQLite file"""

    def __post_init__(self) -> None:
        """Raises UserError for a database that is damaged, or gone while the runs' files are there.

        A store that cannot be written is read as it is.
        """
        if not self.path.exists() or not database.is_ready(self.path):
            self._check_new()
        elif database.is_writable(self.path) and database.is_moved(self.path, self.artifacts):
            with self.exclusive():
                database.rehome(self.path, self.artifacts)

    def _check_new(self) -> None:
        """A store without its database is no new one: its runs would be trained anew and lost."""
        left = sum(1 for _ in self.artifacts.glob("*/*/artifacts/run.json"))
        if left:
            state = "holds no runs" if self.path.exists() else "is gone"
            count = f"{left} run{'s' * (left > 1)}"
            raise UserError(
                f"{self.path} {state}, but {self.artifacts} has the files of {count}: bring the "
                f"database back from a copy, or move {self.artifacts.name}/ away to begin anew"
            )

    @property
    def uri(self) -> str:
        """The address as SQLAlchemy reads it, for which % and ? are signs of its own."""
        return f"sqlite:///{str(self.path).replace('%', '%25').replace('?', '%3F')}"

    @contextmanager
    def tidy(self) -> Iterator[None]:
        """Takes away the empty folders that MLflow makes of `uri` where its path is spelt else."""
        strays = [Path(self.uri.removeprefix("sqlite:///")).parent]
        strays = [path for path in (*strays, *strays[0].parents) if not path.exists()]
        try:
            yield
        finally:
            for path in strays:
                with suppress(OSError):
                    path.rmdir()

    @property
    def artifacts(self) -> Path:
        return self.path.parent / "artifacts"

    @cached_property
    def client(self) -> "MlflowClient":
        """MLflow's own; several processes that create its tables at once would fail."""
        with self.exclusive(), self.tidy():
            return mirror.connect(self.uri)

    def exclusive(self) -> FileLock:
        """Held while the store itself, and not only one run, is changed."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        return FileLock(self.path.with_suffix(".lock"))

    def start(
        self,
        opening: Opening,
        *,
        resume: str | None = None,
        pretrained: Mapping[str, Path] = {},
    ) -> AbstractContextManager[OpenRun]:
        resumed = self.find(resume) if resume else None
        self.mark_dead_as_killed()
        return open_run(self.of(opening.study), opening, resumed, pretrained)

    def of(self, study: str) -> "Bound":
        return Bound(self, study)

    def mark_dead_as_killed(self) -> None:
        """Marks runs whose process is gone as KILLED, so that MLflow's UI tells the truth."""
        rows = self._rows()
        for row in rows:
            run = self._summary(row)
            if row.status != "RUNNING" or run.status != "KILLED" or mirror.PARENT in row.tags:
                continue
            if run.is_whole:
                mark_killed(self.of(run.study), run)
            elif time.time() - row.started / 1000 > SILENCE:  # else it may be just beginning
                self._end(row)
        self._bury_orphans(rows)

    def _bury_orphans(self, rows: list[database.Row]) -> None:
        """Ends children of which their dead parent knows nothing: it was killed as they began."""
        alive = {row.id for row in rows if self._summary(row).status == "RUNNING"}
        now = {row.id: row.status for row in self._rows()} if rows else {}
        for row in rows:
            parent = row.tags.get(mirror.PARENT)
            if parent and parent not in alive and now.get(row.id) == "RUNNING":
                self._end(row)

    def _end(self, row: database.Row) -> None:
        """Ends a run in MLflow that was killed before it had a record."""
        with mirror.told_plainly():
            self.client.set_terminated(row.id, "KILLED", row.started)

    def runs(self, study: str | None = None) -> list[Summary]:
        top = (row for row in self._rows() if mirror.PARENT not in row.tags)
        return [self._summary(row) for row in top if study in (None, row.experiment)]

    def find(self, prefix: str) -> Summary:
        return pick(self.runs(), prefix, str(self.path))

    def attach(self, id: str, path: Path, name: str) -> None:
        attach(self.find(id).folder, path, name)

    def _rows(self) -> list[database.Row]:
        """The runs of this package; others may share the store."""
        if not self.path.exists():
            return []
        return [row for row in database.rows(self.path) if mirror.STUDY in row.tags]

    def _summary(self, row: database.Row) -> Summary:
        here = self.of(row.experiment)
        sign = partial(last_write, here.folder(row.id) / SYSTEM)
        dead = row.status == "RUNNING" and not is_alive(here.lock(row.id), sign)
        return Summary(
            id=row.id,
            study=row.experiment,
            preset=row.tags.get(mirror.PRESET, ""),
            status="KILLED" if dead else row.status,
            name=row.name,
            started=iso(row.started),
            ended=iso(row.ended),
            config_digest=row.tags.get(mirror.DIGEST, ""),
            record_id=row.tags.get(mirror.RECORD, row.id),
            locate=partial(_locate, row, here.folder(row.id)),
        )


@dataclass(frozen=True)
class Bound:
    """The store as the place of one study's records."""

    store: LocalStore
    study: str

    @cached_property
    def experiment(self) -> str:
        client = self.store.client
        with self.store.exclusive(), mirror.told_plainly():
            location = (self.store.artifacts / self.study).as_uri()
            return mirror.experiment(client, self.study, location)

    def create(self, opening: Opening, lineage: Lineage, record: str = "") -> str:
        client = self.store.client
        with mirror.told_plainly():
            return mirror.create_run(client, self.experiment, opening, lineage, record)

    def folder(self, id: str) -> Path:
        return self.store.artifacts / self.study / id / "artifacts"

    def lock(self, id: str) -> Path:
        return self.store.artifacts / self.study / id / "running"

    def mirror(self, id: str) -> Mirror:
        return mirror.MlflowRun(self.store.client, id, self.folder(id))


def _locate(row: database.Row, expected: Path) -> Path:
    recorded = Path(unquote(urlparse(row.artifact_uri).path))
    for folder in (expected, recorded):
        if (folder / "run.json").exists():
            return folder
    places = " or ".join(dict.fromkeys((str(expected), str(recorded))))
    raise UserError(
        f"the files of run {row.id} must be in {places}, but are not; move runs/artifacts along "
        f"with runs/mlflow.db"
    )
