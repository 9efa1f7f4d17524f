"""An MLflow server: the record is written here first and uploaded when the run is flushed or ends.

CACHE/<run id>/ is the local copy, of own runs and of those that were fetched to be read.
"""

import shutil
import tempfile
import time
import uuid
import warnings
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlparse

from research import records
from research.errors import UserError
from research.tracking import folder, mirror
from research.tracking.finding import pick
from research.tracking.heartbeat import SILENCE
from research.tracking.log import Opening, OpenRun, Summary
from research.tracking.record import Lineage, iso, opening_of, read_lineage
from research.tracking.session import Mirror, open_run

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

ALIVE = "research.alive"
"""Tag: seconds since 1970 at the last sign of life."""
SIGN_EVERY = 30.0
OWNED = 3.0
"""Seconds after which a server surely knows whose a new experiment is."""


@dataclass(frozen=True)
class RemoteStore:
    """
    Attributes:
        named: experiment of all runs; without it each study has one of its name, to which, on a
            server that asks for a password, the user's is added: others may not write to it.
    """

    uri: str
    cache: Path
    named: str = ""

    @cached_property
    def client(self) -> "MlflowClient":
        return mirror.connect(self.uri)

    def experiment(self, study: str) -> str:
        """The name of the experiment to which a study's runs belong."""
        from mlflow.utils.credentials import read_mlflow_creds

        user = read_mlflow_creds().username or urlparse(self.uri).username
        return self.named or (f"{study}-{user}" if user else study)

    def start(
        self,
        opening: Opening,
        *,
        resume: str | None = None,
        pretrained: Mapping[str, Path] = {},
    ) -> AbstractContextManager[OpenRun]:
        resumed = self.find(resume) if resume else None
        place = self.of(opening.study)
        if resumed:
            for child in read_lineage(resumed.folder).children.values():
                self._bring(child, place)
        return open_run(place, opening, resumed, pretrained)

    def _bring(self, child: str, place: "Bound") -> None:
        """Makes a child run's record one that can be gone on with."""
        with mirror.plain_errors():
            info = mirror.info_of(self.client, child)
        if info:
            self.record(child, iso(info.end_time), info.status)
        else:
            place.late.add(child)

    def of(self, study: str) -> "Bound":
        return Bound(self, study)

    def runs(self, study: str | None = None) -> list[Summary]:
        client = self.client
        name = self.experiment(study) if study else None
        shown = (
            run
            for run in mirror.runs(client, experiment=name)
            if mirror.PARENT not in run.data.tags and mirror.STUDY in run.data.tags
        )
        return [self._summary(run) for run in shown if study in (None, run.data.tags[mirror.STUDY])]

    def find(self, prefix: str) -> Summary:
        return pick(self.runs(), prefix, self.uri)

    def attach(self, id: str, path: Path, name: str) -> None:
        run = self.find(id)
        folder.attach(run.folder, path, name)
        with mirror.plain_errors(run.folder):
            upload(self.client, run.id, run.folder, run.folder / name)

    def record(self, id: str, ended: str, status: str) -> Path:
        """The record of a run that ended then and so, downloaded unless it is here already.

        Both count: a run that was resumed may end anew within the same second.
        """
        here = self.cache / id
        if (here / "run.json").exists():
            known = records.load(here).run
            if (known.ended, known.status) == (ended, status):
                return here
        self.cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.cache) as fresh, mirror.plain_errors():
            self.client.download_artifacts(id, "", fresh)
            if not (Path(fresh) / "run.json").exists():
                raise UserError(f"run {id} has no record at {self.uri}; it ended before its upload")
            shutil.copytree(fresh, here, dirs_exist_ok=True)
        return here

    def _summary(self, run: "Run") -> Summary:
        tags, info = run.data.tags, run.info
        silent = time.time() - float(tags.get(ALIVE, info.start_time / 1000)) > SILENCE
        ended = iso(info.end_time)
        return Summary(
            id=info.run_id,
            study=tags[mirror.STUDY],
            preset=tags.get(mirror.PRESET, ""),
            status="KILLED" if info.status == "RUNNING" and silent else info.status,
            name=info.run_name,
            started=iso(info.start_time),
            ended=ended,
            config_digest=tags.get(mirror.DIGEST, ""),
            record_id=tags.get(mirror.RECORD, info.run_id),
            locate=partial(self.record, info.run_id, ended, info.status),
        )


@dataclass(frozen=True)
class Bound:
    """The server as the place of one study's records."""

    store: RemoteStore
    study: str
    late: set[str] = field(default_factory=set, compare=False)
    """child runs of which the server does not know yet"""

    @cached_property
    def experiment(self) -> str:
        with mirror.plain_errors():
            client = self.store.client  # it reads who the user is
            return mirror.experiment(client, self.store.experiment(self.study), None)

    def create(self, opening: Opening, lineage: Lineage, record: str = "") -> str:
        try:
            return self._create(opening, lineage, record)
        except mirror.RefusedError:
            # of an experiment that another process of the same user makes just now, the server
            # learns a moment later whose it is
            time.sleep(OWNED)
            return self._create(opening, lineage, record)
        except UserError as trouble:
            # a server that is away stops no run that has begun: it learns of the child later
            if not lineage.parent or record:
                raise
            warnings.warn(f"{trouble} The run goes on without.", stacklevel=2)
            id = uuid.uuid4().hex
            self.late.add(id)
            return id

    def _create(self, opening: Opening, lineage: Lineage, record: str) -> str:
        client = self.store.client
        name = self.store.experiment(self.study)
        with mirror.plain_errors(), mirror.allowed(name):
            return mirror.create_run(client, self.experiment, opening, lineage, record)

    def folder(self, id: str) -> Path:
        return self.store.cache / id

    def lock(self, id: str) -> Path:
        return self.store.cache / ".locks" / id

    def mirror(self, id: str) -> Mirror:
        if id in self.late:
            return LateRun(self, id)
        return UploadedRun(self.store.client, id, self.folder(id))


class UploadedRun(mirror.MlflowRun):
    """A mirror that also carries the files, each again whenever it changed."""

    def __init__(self, client: "MlflowClient", id: str, record: Path) -> None:
        super().__init__(client, id, record)
        self._signed = 0.0
        self._uploaded: dict[Path, tuple[int, int]] = {}

    def push(self) -> None:
        super().push()
        if time.time() - self._signed > SIGN_EVERY:
            self._signed = time.time()
            with mirror.plain_errors(self.record):
                self.client.set_tag(self.id, ALIVE, f"{self._signed:.0f}")

    def finish(self) -> None:
        with mirror.plain_errors(self.record):
            self._upload_changed()
        super().finish()

    def _upload_changed(self) -> None:
        for path in sorted(self.record.rglob("*")):
            if path.is_file():
                stat = path.stat()
                stamp = (stat.st_mtime_ns, stat.st_size)
                if self._uploaded.get(path) != stamp:
                    upload(self.client, self.id, self.record, path)
                    self._uploaded[path] = stamp


class LateRun:
    """The mirror of a child run that began while the server was away, made once it is there.

    Where it never comes back, the child is brought in with its parent, by `sync`.
    """

    def __init__(self, place: Bound, id: str) -> None:
        self._place, self._id = place, id
        self._mirror: Mirror | None = None

    def push(self) -> None:
        self._made().push()

    def reopen(self) -> None: ...

    def finish(self) -> None:
        self._made().finish()

    def _made(self) -> Mirror:
        if self._mirror is None:
            place, record = self._place, self._place.folder(self._id)
            client = place.store.client
            with mirror.plain_errors(record):
                known = mirror.of_record(client, place.experiment, self._id)
            id = known.info.run_id if known else place.create(*opening_of(record), self._id)
            self._mirror = UploadedRun(client, id, record)
        return self._mirror


def upload(client: "MlflowClient", id: str, record: Path, path: Path) -> None:
    """Puts a file of the record where it stands in the record."""
    at = path.relative_to(record).parent.as_posix()
    client.log_artifact(id, str(path), None if at == "." else at)
