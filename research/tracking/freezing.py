"""A record that is written in one go, of what has ended elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from research.machine import environment
from research.records import Run
from research.tracking.folder import FolderStore
from research.tracking.local import LocalStore
from research.tracking.log import Opening
from research.tracking.record import Lineage, Record, first_facts, now
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
    nowhere = environment.Checkout(environment.UNKNOWN, dirty=None)
    return replace(first_facts(id, opening, started, nowhere), versions={})
