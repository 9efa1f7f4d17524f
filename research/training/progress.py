"""Telling a person how far the training is."""

import sys
from collections.abc import Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

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


def _lines(epochs: Iterator[Epoch], label: str, total: int) -> Iterator[Epoch]:
    for epoch in epochs:
        print(
            f"{label}  epoch {epoch.number}/{total}  {_state(epoch)}", file=sys.stderr, flush=True
        )
        yield epoch


def _state(epoch: Epoch) -> str:
    values = {"train": epoch.loss, **{k.removeprefix("loss/"): v for k, v in epoch.metrics.items()}}
    text = "  ".join(f"{name} {value:.4f}" for name, value in values.items())
    return f"{text}  {'restored' if epoch.restored else f'{epoch.images_per_second:.0f} samples/s'}"
