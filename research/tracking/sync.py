"""Brings a folder of records into MLflow, each run once however often it is called."""

import dataclasses
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from research import records
from research.errors import UserError
from research.tracking import mirror
from research.tracking.folder import FolderStore
from research.tracking.local import LocalStore
from research.tracking.log import Store, Summary
from research.tracking.record import opening_of, read_lineage
from research.tracking.remote import RemoteStore
from research.tracking.session import mark_killed

if TYPE_CHECKING:
    from mlflow.entities import Run as MlflowEntity

SYNCED = "research.synced"
"""Tag: sha256 of the manifest of the record that was brought over whole."""


def sync(folder: Path, store: Store) -> list[tuple[Summary, str]]:
    """Brings every run that has ended, the oldest first, and says of each what happened.

    Times, parameters, curves with their times and steps, tags, children and files arrive as they
    were logged. A run that went on in the folder since is brought up to date; one that was deleted
    in MLflow stays deleted. Several processes may call this at once.

    Raises:
        UserError: where the folder holds no runs, or the store is itself a folder.
    """
    if not isinstance(store, LocalStore | RemoteStore):
        raise UserError("runs are synced into MLflow, but the store is a folder; give another")
    source = FolderStore(folder.absolute())
    if not source.runs():
        raise UserError(f"a folder with runs is required, but {folder} holds none; check the path")
    with FileLock(source.lock("sync")):
        return [(run, _bring(run, source, store)) for run in reversed(source.runs())]


def _bring(run: Summary, source: FolderStore, store: LocalStore | RemoteStore) -> str:
    if run.status == "RUNNING":
        return "still running, skipped"
    if records.load(run.folder).run.status == "RUNNING":
        mark_killed(source, run)
    return _Importer(source, store, run.study).bring(run.id)


def _digest(folder: Path) -> str:
    """sha256 of the manifest, or of the facts where somebody took the manifest away."""
    manifest = folder / "manifest.json"
    return records.sha256(manifest if manifest.exists() else folder / "run.json")


def _is_same(first: Path, other: Path) -> bool:
    return other.exists() and first.samefile(other)


class _Importer:
    """Brings the records of one study."""

    def __init__(self, source: FolderStore, store: LocalStore | RemoteStore, study: str) -> None:
        self.source, self.client, self.target = source, store.client, store.of(study)

    def bring(self, record: str, parent: str = "") -> str:
        """Brings a run and, under it, its children."""
        folder = self.source.folder(record)
        digest = _digest(folder)
        known = self._known(record)
        if known and known.info.lifecycle_stage == "deleted":
            return "deleted in MLflow, skipped"
        if known and known.data.tags.get(SYNCED) == digest:
            return "there already"
        id = known.info.run_id if known else self._create(folder, parent)
        for child in read_lineage(folder).children.values():
            self.bring(child, id)
        if not _is_same(folder, self.target.folder(id)):
            shutil.copytree(folder, self.target.folder(id), dirs_exist_ok=True)
        self.target.mirror(id).finish()
        # Last, so that a sync that was interrupted is taken up again.
        with mirror.plain_errors(folder):
            self.client.set_tag(id, SYNCED, digest)
        return "brought up to date" if known else "brought in"

    def _known(self, record: str) -> "MlflowEntity | None":
        from mlflow.exceptions import MlflowException

        with mirror.plain_errors():
            shown = mirror.of_record(self.client, self.target.experiment, record)
        if shown:
            return shown
        if not _is_same(self.source.folder(record), self.target.folder(record)):
            return None
        try:  # of this server's own cache, and the run was cut off before it could say so
            return self.client.get_run(record)
        except MlflowException:
            return None

    def _create(self, folder: Path, parent: str) -> str:
        opening, lineage = opening_of(folder)
        lineage = dataclasses.replace(lineage, parent=parent)
        return self.target.create(opening, lineage, records.load(folder).run.id)
