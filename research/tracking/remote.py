"""An MLflow server: the record is written here first and uploaded when the run is flushed or ends.

CACHE/<run id>/ is the local copy, of own runs and of those that were fetched to be read.
"""

import shutil
import tempfile
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from research import records
from research.errors import UserError
from research.tracking import folder, mirror
from research.tracking.finding import pick
from research.tracking.heartbeat import SILENCE
from research.tracking.log import Opening, OpenRun, Summary
from research.tracking.record import Lineage, iso, read_lineage
from research.tracking.session import Mirror, open_run

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

ALIVE = "research.alive"
"""Tag: seconds since 1970 at the last sign of life."""
SIGN_EVERY = 30.0


@dataclass(frozen=True)
class RemoteStore:
    uri: str
    cache: Path

    @cached_property
    def client(self) -> "MlflowClient":
        return mirror.connect(self.uri)

    def start(
        self,
        opening: Opening,
        *,
        resume: str | None = None,
        pretrained: Mapping[str, Path] = {},
    ) -> AbstractContextManager[OpenRun]:
        resumed = self.find(resume) if resume else None
        if resumed:
            for child in read_lineage(resumed.folder).children.values():
                with mirror.told_plainly():
                    info = self.client.get_run(child).info
                self.record(child, iso(info.end_time), info.status)
        return open_run(self.of(opening.study), opening, resumed, pretrained)

    def of(self, study: str) -> "Bound":
        return Bound(self, study)

    def runs(self, study: str | None = None) -> list[Summary]:
        found = (
            run
            for run in mirror.runs(self.client, study=study)
            if mirror.PARENT not in run.data.tags
        )
        return [self._summary(run) for run in found if mirror.STUDY in run.data.tags]

    def find(self, prefix: str) -> Summary:
        return pick(self.runs(), prefix, self.uri)

    def attach(self, id: str, path: Path, name: str) -> None:
        run = self.find(id)
        folder.attach(run.folder, path, name)
        with mirror.told_plainly(run.folder):
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
        with tempfile.TemporaryDirectory(dir=self.cache) as fresh, mirror.told_plainly():
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

    @cached_property
    def experiment(self) -> str:
        with mirror.told_plainly():
            return mirror.experiment(self.store.client, self.study, None)

    def create(self, opening: Opening, lineage: Lineage, record: str = "") -> str:
        client = self.store.client
        with mirror.told_plainly():
            return mirror.create_run(client, self.experiment, opening, lineage, record)

    def folder(self, id: str) -> Path:
        return self.store.cache / id

    def lock(self, id: str) -> Path:
        return self.store.cache / ".locks" / id

    def mirror(self, id: str) -> Mirror:
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
            with mirror.told_plainly(self.record):
                self.client.set_tag(self.id, ALIVE, f"{self._signed:.0f}")

    def finish(self) -> None:
        with mirror.told_plainly(self.record):
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


def upload(client: "MlflowClient", id: str, record: Path, path: Path) -> None:
    """Puts a file of the record where it stands in the record."""
    at = path.relative_to(record).parent.as_posix()
    client.log_artifact(id, str(path), None if at == "." else at)
