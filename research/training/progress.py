"""Telling a person how far the training is."""

import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from research.training.loop import Epoch
from research.training.pace import hms


def shown(epochs: Iterator[Epoch], label: str, total: int) -> Iterator[Epoch]:
    """Passes epochs through: a bar with the time left on a terminal, plain lines elsewhere."""
    console = Console(file=sys.stderr)
    if not console.is_terminal:
        yield from _lines(epochs, label, total)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[state]}"),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(label, total=total, state="")
        for epoch in epochs:
            progress.update(task, completed=epoch.number, state=_state(epoch))
            yield epoch


@dataclass
class _Row:
    """One model of a board.

    Attributes:
        expected: seconds for all epochs by earlier runs; None where there was none like it.
        since: when its last epoch ended, or it began, on the monotonic clock.
        fresh: epochs that were trained now, and not read from a checkpoint; they took `paced`.
    """

    total: int
    expected: float | None = None
    state: str = "waits"
    since: float = 0.0
    number: int = 0
    fresh: int = 0
    paced: float = 0.0
    values: str = ""

    def see(self, epoch: Epoch) -> None:
        now = time.monotonic()
        if not epoch.restored:
            self.fresh += 1
            self.paced += now - self.since
        self.number, self.since, self.values = epoch.number, now, _state(epoch)

    def left(self) -> str:
        """The time that it still trains, evaluation included: at its own pace once there is one,
        before that by earlier runs."""
        if self.state not in ("trains", "waits"):
            return ""
        if self.fresh:
            epoch = self.paced / self.fresh
        elif self.expected is not None:
            epoch = self.expected / self.total
        else:
            return ""
        gone = time.monotonic() - self.since if self.state == "trains" else 0.0
        # an epoch that takes longer than it should is about to end
        return hms(epoch * (self.total - self.number) - min(gone, epoch))


class Board:
    """Several trainings at once: a table on a terminal, plain lines elsewhere.

    It is drawn by the calls below and by no thread of its own, for processes are forked meanwhile.
    """

    ORDER = ("trains", "failed", "waits", "kept")

    def __init__(self, totals: Mapping[str, int], expected: Mapping[str, float] = {}) -> None:
        """
        Arguments:
            totals: by name, the epochs that each is trained.
            expected: by name, the seconds that they will take by earlier runs, where known.
        """
        self._rows = {name: _Row(total, expected.get(name)) for name, total in totals.items()}
        self._console = Console(file=sys.stderr)
        self._live = Live(console=self._console, auto_refresh=False)

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.draw()
        self._live.stop()

    def begin(self, name: str) -> None:
        self._rows[name].state, self._rows[name].since = "trains", time.monotonic()
        self.draw()

    def epoch(self, name: str, epoch: Epoch) -> None:
        row = self._rows[name]
        row.see(epoch)
        self.draw()
        if not self._live.is_started:
            print(_line(epoch, name, row.total), file=sys.stderr, flush=True)

    def waits(self, name: str, why: str) -> None:
        """It does not train now, as one that has not begun or is to go on."""
        row = self._rows[name]
        if row.state != "waits" or row.values != why:
            row.state, row.values = "waits", why
            self.draw()

    def kept(self, name: str) -> None:
        self._rows[name].state = "kept"
        self.draw()

    def failed(self, name: str, why: str, then: str = "then the run takes it up again") -> None:
        self._rows[name].state = "failed"
        text = f"{name}  failed: {why}; the others go on, {then}"
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)
        self.draw()

    def draw(self) -> None:
        if self._live.is_started:
            self._live.update(self._table(), refresh=True)

    def _table(self) -> Table:
        table = Table("model", "state", "epoch", "ETA", "")
        # a long table is cut at its end
        for name, row in sorted(
            self._rows.items(), key=lambda item: self.ORDER.index(item[1].state)
        ):
            table.add_row(name, row.state, f"{row.number}/{row.total}", row.left(), row.values)
        return table


def _lines(epochs: Iterator[Epoch], label: str, total: int) -> Iterator[Epoch]:
    for epoch in epochs:
        print(_line(epoch, label, total), file=sys.stderr, flush=True)
        yield epoch


def _line(epoch: Epoch, label: str, total: int) -> str:
    return f"{label}  epoch {epoch.number}/{total}  {_state(epoch)}"


def _state(epoch: Epoch) -> str:
    values = {"train": epoch.loss, **{k.removeprefix("loss/"): v for k, v in epoch.metrics.items()}}
    text = "  ".join(f"{name} {value:.4f}" for name, value in values.items())
    return f"{text}  {'restored' if epoch.restored else f'{epoch.images_per_second:.0f} samples/s'}"
