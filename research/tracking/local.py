"""Records where MLflow keeps its artifacts, and beside them ROOT/mlflow.db, which mirrors them.

    ROOT/artifacts/<study>/<run id>/artifacts/    the record
    ROOT/artifacts/<study>/<run id>/running       locked while the run lives
    ROOT/artifacts/<study>/<run id>/deleted       there while the run is deleted in MLflow

Runs are listed and read from their records alone; MLflow, whose import takes seconds, is asked
where it is imported anyway: as a run starts, and beside its UI.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from research.tracking import arms, database, mirror, views
from research.tracking.finding import pick
from research.tracking.folder import attach, listed, summary
from research.tracking.heartbeat import SILENCE, is_alive, last_write
from research.tracking.log import Opening, OpenRun, Summary
from research.tracking.record import SYSTEM, Lineage
from research.tracking.session import Mirror, mark_killed, open_run

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

LOCK, DELETED = "running", "deleted"


@dataclass(frozen=True)
class LocalStore:
    """Safe to be opened by several processes at once, also when it does not exist yet."""

    path: Path
    """the SQLite file"""

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
        self.settle()
        with self.exclusive(), self.tidy():
            return mirror.connect(self.uri)

    def settle(self) -> None:
        """Makes a store that was moved fit for MLflow. Raises UserError where it is damaged."""
        if self.path.exists() and database.is_writable(self.path):
            with self.exclusive():
                database.rehome(self.path, self.artifacts)

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
        self.exchange()
        return open_run(self.of(opening.study), opening, resumed, pretrained)

    def of(self, study: str) -> "Bound":
        return Bound(self, study)

    def exchange(self) -> None:
        """Tells MLflow which runs are dead, and notes which ones were deleted there."""
        running = [*mirror.runs(self.client, "attributes.status = 'RUNNING'")]
        for run in reversed(running):  # parents first: they know how their children ended
            if mirror.STUDY in run.data.tags:
                self._mark_if_dead(run)
        deleted = {run.info.run_id for run in mirror.runs(self.client, deleted=True)}
        for folder in self._records():
            mark = folder.parent / DELETED
            if folder.parent.name in deleted:
                mark.touch()
            elif mark.exists():
                mark.unlink(missing_ok=True)
        self._introduce()

    def _introduce(self) -> None:
        """Puts each study's question and its newest paper at the head of its experiment."""
        with mirror.plain_errors():
            experiments = {
                shown.name: shown.experiment_id for shown in self.client.search_experiments()
            }
        latest = {run.study: run for run in reversed(self.runs()) if run.status == "FINISHED"}
        for study, run in latest.items():
            if study in experiments and mirror.is_known(self.client, run.id):
                mirror.introduce(self.client, experiments[study], run.id, run.folder)

    def _compared(self, run: Summary) -> set[str]:
        """The curves by which the arms of a run are compared; none where it has no arms."""
        query = f"tags.`{mirror.PARENT}` = '{run.id}'"
        children = [*mirror.runs(self.client, query, run.study)]
        armed = [child for child in children if "arm" in child.data.params]
        return {
            name for network in armed for name in network.data.metrics if arms.is_of_network(name)
        }

    def prepared(self, run: Summary) -> str:
        """Where in MLflow's page a run's curves are, side by side; empty where it has no run."""
        if not mirror.is_known(self.client, run.id):
            return ""
        names = self._compared(run)
        with mirror.plain_errors():
            id = str(self.client.get_run(run.id).info.experiment_id)
            if not names:
                return views.run(id, run.id)
            views.share(self.client, id, run.study, run.id, names)
        return views.curves(id, run.study)

    def _mark_if_dead(self, run: "Run") -> None:
        id, here = run.info.run_id, self.of(run.data.tags[mirror.STUDY])
        top = run.data.tags.get(mirror.PARENT, id)
        if is_alive(here.lock(top), partial(last_write, here.folder(top) / SYSTEM)):
            return
        if top == id and (here.folder(id) / "run.json").exists():
            mark_killed(here, self._summary(here.folder(id)))
        elif top != id or time.time() - run.info.start_time / 1000 > SILENCE:
            # it had no record, which may still come, or is a child of which its parent knows not
            with mirror.plain_errors():
                if self.client.get_run(id).info.status == "RUNNING":
                    self.client.set_terminated(id, "KILLED", run.info.start_time)

    def runs(self, study: str | None = None) -> list[Summary]:
        folders = (path for path in self._records() if study in (None, path.parts[-3]))
        kept = (folder for folder in folders if not (folder.parent / DELETED).exists())
        return listed(kept, self._summary)

    def find(self, prefix: str) -> Summary:
        return pick(self.runs(), prefix, str(self.artifacts))

    def attach(self, id: str, path: Path, name: str) -> None:
        attach(self.find(id).folder, path, name)

    def _records(self) -> list[Path]:
        return [path.parent for path in self.artifacts.glob("*/*/artifacts/run.json")]

    def _summary(self, folder: Path) -> Summary:
        return summary(folder, folder.parent / LOCK, folder.parent.name)


@dataclass(frozen=True)
class Bound:
    """The store as the place of one study's records."""

    store: LocalStore
    study: str

    @cached_property
    def experiment(self) -> str:
        client = self.store.client
        with self.store.exclusive(), mirror.plain_errors():
            location = (self.store.artifacts / self.study).as_uri()
            return mirror.experiment(client, self.study, location)

    def create(self, opening: Opening, lineage: Lineage, record: str = "") -> str:
        client = self.store.client
        with mirror.plain_errors():
            return mirror.create_run(client, self.experiment, opening, lineage, record)

    def folder(self, id: str) -> Path:
        return self.store.artifacts / self.study / id / "artifacts"

    def lock(self, id: str) -> Path:
        return self.store.artifacts / self.study / id / LOCK

    def mirror(self, id: str) -> Mirror:
        return mirror.MlflowRun(self.store.client, id, self.folder(id))
