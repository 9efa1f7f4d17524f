"""What a study may tell of itself, and what a store offers to those who start or read runs."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from research.errors import UserError
from research.records import Array, Claim, Number, Table

ADOPTED = "adopted"
"""What stands in the place of a preset where runs that another program logged were adopted."""


class Log(Protocol):
    """What a study may tell of itself. Names are letters, digits, `_`, `-` and `/`."""

    @property
    def id(self) -> str: ...

    @property
    def pretrained(self) -> Path | None:
        """Weights to use in place of training, where the user gave some for this child."""

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """One point of each curve, all in one call per epoch; `step` counts from 1."""

    def number(self, name: str, value: Number | float, unit: str = "") -> None:
        """A value for the write-up; logging a name twice is an error."""

    def claim(self, name: str, claim: Claim) -> None:
        """A statement for the write-up with the test that decides it; named once, as a number."""

    def table(self, name: str, table: Table) -> None: ...

    def arrays(self, name: str, **arrays: Array) -> None:
        """The numerical data behind a figure."""

    def finding(self, text: str) -> None:
        """One sentence that the run established, shown in the tracking UI's description."""

    def dataset(self, facts: Mapping[str, Any]) -> None:
        """name, source, licence, sha256, train, test, classes, shape of the data that were used.

        Raises:
            UserError: a letter in the name of a class that no font here has.
        """

    def model(self, name: str, facts: Mapping[str, Any]) -> None:
        """Where a trained model came from: origin (trained, found, given), run, seconds, sha256;
        on a GPU also how its steps were carried out."""

    def path(self, name: str) -> Path:
        """Where to write a file of the record, as `kernels/conv1.npy`; its folder is there."""

    def part(self, name: str) -> AbstractContextManager[None]:
        """Adds the wall time of the block to the part's: data, training, measuring, …"""

    def child(self, name: str, params: Mapping[str, Any]) -> "AbstractContextManager[Log]":
        """The nested run of one arm and seed; with a resumed run, the child that already exists."""


class OpenRun(Log, Protocol):
    """A run in progress, as the launcher sees it."""

    @property
    def folder(self) -> Path:
        """The record; what is written there before the run closes belongs to it."""

    def flush(self) -> None:
        """Brings what was logged so far to the store. Raises UserError where it cannot."""

    def workers(self, count: int) -> None:
        """Notes how many processes train at once."""


@dataclass(frozen=True)
class Opening:
    """What is known of a run before it starts; see `research.records.Run` for each field."""

    study: str
    question: str
    preset: str
    name: str
    config: Mapping[str, Any]
    config_digest: str
    seeds: tuple[int, ...]
    device: str
    changed: Mapping[str, Any] = field(default_factory=dict)
    code: Mapping[str, str] = field(default_factory=dict)
    local: tuple[str, ...] = ()


@dataclass(frozen=True)
class Summary:
    """One line of a list of runs.

    Attributes:
        status: RUNNING, FINISHED, FAILED or KILLED; a run whose process is gone is KILLED,
            whatever the store believes.
        started: ISO 8601, UTC; so is `ended`, which is empty while the end is not known.
        record_id: the id under which the record was written; differs from `id` after a sync.
        locate: finds the record, which may mean downloading it.
    """

    id: str
    study: str
    preset: str
    status: str
    name: str
    started: str
    ended: str
    config_digest: str
    record_id: str
    locate: Callable[[], Path] = field(repr=False, compare=False)

    @property
    def folder(self) -> Path:
        """The record. Raises UserError where it is gone, saying where it was expected."""
        return self.locate()

    @property
    def is_whole(self) -> bool:
        """Whether it has a record: one that was killed at its very start has none."""
        try:
            return (self.folder / "run.json").exists()
        except UserError:
            return False


class Store(Protocol):
    """Where runs are kept."""

    def start(
        self,
        opening: Opening,
        *,
        resume: str | None = None,
        pretrained: Mapping[str, Path] = {},
    ) -> AbstractContextManager[OpenRun]:
        """Opens a run that ends with the block.

        It ends FINISHED, also by `sys.exit(0)`; KILLED by SIGTERM, SIGHUP or Ctrl-C; FAILED by any
        other exception. All that was logged is kept.

        Args:
            resume: id, or its beginning, of an interrupted run with the same settings to continue.
            pretrained: child name -> weights to use in place of training.

        Raises:
            UserError: where `resume` names no run, or one that is running, finished or of other
                settings.
        """

    def runs(self, study: str | None = None) -> list[Summary]:
        """Runs that are not children, the newest first; quick, and without importing MLflow."""

    def find(self, prefix: str) -> Summary:
        """The run whose id begins so. Raises UserError where there is none, or several."""

    def attach(self, id: str, path: Path, name: str) -> None:
        """Adds a file to a finished run under `name`, as `report/ae.pdf`."""
