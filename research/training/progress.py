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
        fresh: epochs that were trained now, and not read from a checkpoint.
    """

    total: int
    state: str = "waits"
    began: float = 0.0
    number: int = 0
    fresh: int = 0
    values: str = ""

    def left(self) -> str:
        """The time to its end at the pace so far, evaluation included."""
        if self.state != "trains" or not self.fresh:
            return ""
        seconds = (time.monotonic() - self.began) / self.fresh * (self.total - self.number)
        return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


class Board:
    """Several trainings at once: a table on a terminal, plain lines elsewhere.

    It is drawn by the calls below and by no thread of its own, for processes are forked meanwhile.
    """

    ORDER = ("trains", "failed", "waits", "kept")

    def __init__(self, totals: Mapping[str, int]) -> None:
        self._rows = {name: _Row(total) for name, total in totals.items()}
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
        self._rows[name].state, self._rows[name].began = "trains", time.monotonic()
        self.draw()

    def epoch(self, name: str, epoch: Epoch) -> None:
        row = self._rows[name]
        row.number, row.values = epoch.number, _state(epoch)
        if epoch.restored:
            row.began = time.monotonic()
        row.fresh += not epoch.restored
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
        table = Table("model", "state", "epoch", "left", "")
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
