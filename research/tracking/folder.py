"""A plain folder of records: DIR/<run id>/ each, child runs beside their parents.

It needs no MLflow, so that a study can run on a node without it; see `research.tracking.sync`.
Locks of running runs are under DIR/.locks/.
"""

import uuid
import warnings
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from research import records
from research.errors import UserError, in_a_line
from research.records import damage
from research.tracking.finding import pick
from research.tracking.heartbeat import is_alive, last_write
from research.tracking.log import Opening, OpenRun, Summary
from research.tracking.record import SYSTEM, Lineage, read_lineage
from research.tracking.session import Mirror, open_run


class Unmirrored:
    """The mirror of a store that is its records."""

    def push(self) -> None: ...

    def reopen(self) -> None: ...

    def finish(self) -> None: ...


@dataclass(frozen=True)
class FolderStore:
    root: Path

    def start(
        self,
        opening: Opening,
        *,
        resume: str | None = None,
        pretrained: Mapping[str, Path] = {},
    ) -> AbstractContextManager[OpenRun]:
        return open_run(self, opening, self.find(resume) if resume else None, pretrained)

    def runs(self, study: str | None = None) -> list[Summary]:
        summaries = listed([path.parent for path in self.root.glob("*/run.json")], self._summary)
        return [run for run in summaries if study in (None, run.study)]

    def find(self, prefix: str) -> Summary:
        return pick(self.runs(), prefix, str(self.root))

    def attach(self, id: str, path: Path, name: str) -> None:
        attach(self.find(id).folder, path, name)

    def create(self, opening: Opening, lineage: Lineage) -> str:
        return uuid.uuid4().hex

    def folder(self, id: str) -> Path:
        return self.root / id

    def lock(self, id: str) -> Path:
        return self.root / ".locks" / id

    def mirror(self, id: str) -> Mirror:
        return Unmirrored()

    def _summary(self, folder: Path) -> Summary:
        return summary(folder, self.lock(folder.name))


def listed(records: Iterable[Path], summary: Callable[[Path], Summary]) -> list[Summary]:
    """The runs of these records that are not children, the newest first.

    A damaged record is passed over with a warning. Raises UserError where that leaves none, which
    is not the same as that there is none.
    """
    children: list[tuple[int, Summary]] = []
    damaged: list[UserError] = []
    for folder in records:
        try:
            lineage = read_lineage(folder)
            if not lineage.parent:
                children.append((lineage.started, summary(folder)))
        except UserError as trouble:
            damaged.append(trouble)
        except OSError as trouble:
            damaged.append(UserError(in_a_line(trouble)))
    if damaged and not children:
        raise damaged[0]
    for reason in damaged:
        warnings.warn(f"a run is passed over: {reason}", stacklevel=3)
    children.sort(key=lambda pair: pair[0], reverse=True)
    return [run for _, run in children]


def summary(folder: Path, lock: Path, id: str = "") -> Summary:
    """What a record says of its run; `id` is that of the store, where it has one of its own."""
    run = records.load(folder).run
    alive = run.status != "RUNNING" or is_alive(lock, partial(last_write, folder / SYSTEM))
    return Summary(
        id=id or run.id,
        study=run.study,
        preset=run.preset,
        status=run.status if alive else "KILLED",
        name=run.name,
        started=run.started,
        ended=run.ended,
        config_digest=run.config_digest,
        record_id=run.id,
        locate=lambda: folder,
    )


def attach(folder: Path, path: Path, name: str) -> None:
    """Copies a file into a record, whole or not at all."""
    damage.write(folder / name, path.read_bytes())
