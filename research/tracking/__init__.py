"""Where runs are kept: MLflow, or a plain folder that can be synced into MLflow later.

A study sees only `Log`. What it logs lands in a *record* (see `research.results`), one folder per
run that is complete by itself; MLflow gets the same parameters, curves, tags and files.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from research.results import Array, Number, Table


class Log(Protocol):
    """What a study may tell of itself. Names are letters, digits, `_`, `-` and `/`."""

    @property
    def pretrained(self) -> Path | None:
        """Weights to use in place of training, where the user gave some for this child."""

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """One point of each curve, all in one call per epoch; `step` counts from 1."""

    def number(self, name: str, value: Number | float, unit: str = "") -> None:
        """A value for the write-up; logging a name twice is an error."""

    def table(self, name: str, table: Table) -> None: ...

    def arrays(self, name: str, **arrays: Array) -> None:
        """The numerical data behind a figure."""

    def finding(self, text: str) -> None:
        """One sentence that the run established, shown in the tracking UI's description."""

    def dataset(self, facts: Mapping[str, Any]) -> None:
        """name, source, licence, sha256, train, test, classes, shape of the data that were used."""

    def path(self, name: str) -> Path:
        """Where to write a further file of the record, as `kernels/conv1.npy`; its folder exists."""

    def part(self, name: str) -> AbstractContextManager[None]:
        """Adds the wall time of the block to the part's: data, training, measuring, …"""

    def child(self, name: str, params: Mapping[str, Any]) -> "AbstractContextManager[Log]":
        """The nested run of one arm and seed; with a resumed run, the child that already exists."""
