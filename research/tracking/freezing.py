"""A record that is written in one go, of what has ended elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager

from research.machine import environment
from research.records import Run
from research.records.measured import INTERVALS
from research.tracking.folder import FolderStore
from research.tracking.local import LocalStore
from research.tracking.log import Opening
from research.tracking.record import Lineage, Record, iso, now
from research.tracking.remote import RemoteStore
from research.tracking.session import held


@contextmanager
def frozen(store: FolderStore | LocalStore | RemoteStore, opening: Opening) -> Iterator[Record]:
    """A new record of the store, whole and FINISHED when the block ends without an error.

    It knows no code, device or versions: they were those of another program.
    """
    backend = store if isinstance(store, FolderStore) else store.of(opening.study)
    lineage = Lineage(started=now())
    id = backend.create(opening, lineage)
    with held(backend.lock(id)):
        run = _facts(id, opening, lineage.started)
        record = Record.create(backend.folder(id), run, lineage)
        try:
            yield record
        except BaseException:
            record.close("FAILED")
            backend.mirror(id).finish()
            raise
        record.close("FINISHED")
        backend.mirror(id).finish()


def _facts(id: str, opening: Opening, started: int) -> Run:
    return Run(
        id=id,
        study=opening.study,
        question=opening.question,
        preset=opening.preset,
        name=opening.name,
        status="RUNNING",
        started=iso(started),
        ended="",
        config=dict(opening.config),
        config_digest=opening.config_digest,
        seeds=opening.seeds,
        device=opening.device,
        data={},
        commit=environment.UNKNOWN,
        dirty=None,
        versions={},
        intervals=dict(INTERVALS),
    )
