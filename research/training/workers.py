"""Models of one study that are trained at once on a CPU, each on one thread of its own process.

Children first, then the study: a worker trains one model and keeps it under its digest; then the
study is run once and finds them all, with the bits that they would have had in its own process.
The run's process alone writes to its record and to the store; of a worker there are the model, and
the checkpoints from which a resumed run goes on.

A worker is a fork of the run's process, made after the study was planned: it has the data, the
networks and their first weights, and begins at once. A fork is safe where no thread computes beside
it, which is so on a CPU: until a large network is met, all is done on one.
"""

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

import torch

from research.config import Jobs
from research.errors import UserError, hidden, in_a_line
from research.machine import hardware, threads
from research.tracking import Log, OpenRun
from research.tracking.ending import undisturbed
from research.training.cache import Recipe, expected, trained
from research.training.loop import Epoch
from research.training.plan import planned
from research.training.progress import Board

PATIENCE = 5.0
"""Seconds that a worker has to end by itself."""

REDRAW = 1.0
"""Seconds after which the times left are shown anew."""


def check(jobs: Jobs) -> None:
    """Raises UserError for less than one worker."""
    if jobs != "auto" and jobs < 1:
        raise UserError(f"--jobs must be auto or at least 1, got {jobs}")


def train_beforehand(
    study: Callable[[Any, Log], None],
    config: Any,
    children: Iterable[str],
    log: OpenRun,
    jobs: Jobs,
) -> None:
    """Trains at once the small networks that a study is going to train, where that is faster.

    What fails is left to the study, which goes on from its last epoch and meets the same.

    Arguments:
        children: names of the models that are not given.
        jobs: the most workers; auto is one per core.
    """
    names = [*children]
    if min(most(jobs, config.train.device), len(names)) < 2:
        return
    recipes = planned(study, config, log.id, names)
    wanted = [one for one in recipes if one.name in names and is_open(one, log)]
    count = min(most(jobs, config.train.device), len(wanted))
    if count < 2:
        return
    log.workers(count)
    totals = {one.name: one.settings.epochs for one in wanted}
    with log.part("training"), Board(totals, expected(wanted)) as board:
        train(wanted, count, log, board)


def most(jobs: Jobs, device: str) -> int:
    """How many workers there may be.

    One where a GPU is: its models train side by side in one process, and a process that has looked
    at one cannot be forked. One on other systems than Linux, whose own libraries forbid it.
    """
    if not device.startswith("cpu") or torch.cuda.is_available() or sys.platform != "linux":
        return 1
    return hardware.granted_cores() if jobs == "auto" else jobs


def is_open(recipe: Recipe[Any], log: Log) -> bool:
    """Whether a model is not kept and trains on one thread; a large one has all of them alone."""
    return recipe.threads == 1 and recipe.found(log.id) is None


def train(recipes: Iterable[Recipe[Any]], count: int, log: Log, board: Board) -> None:
    """Trains each model in a process of its own, `count` at a time; all are gone at the end."""
    waiting, running = [*recipes], list[_Worker]()
    try:
        while waiting or running:
            while waiting and len(running) < count:
                with undisturbed():  # an interruption that comes while Python forks would be lost
                    running.append(_Worker.start(waiting.pop(0), log))
                board.begin(running[-1].name)
            wait([end for worker in running for end in worker.ends], REDRAW)
            board.draw()
            for worker in tuple(running):
                if worker.told(board):
                    running.remove(worker)
    finally:
        with undisturbed():
            end(worker.process for worker in running)


@dataclass
class _Worker:
    """A process that trains one model, as its parent sees it.

    Attributes:
        news: what it sends: epochs, and at last why it failed, if it says so.
        why: this, once it came.
    """

    name: str
    process: BaseProcess
    news: Connection
    why: str = ""

    @classmethod
    def start(cls, recipe: Recipe[Any], log: Log) -> "_Worker":
        forks = multiprocessing.get_context("fork")
        news, out = forks.Pipe(duplex=False)
        process = forks.Process(target=_work, args=(recipe, log, out), name=recipe.name)
        process.start()
        out.close()  # the pipe ends with the worker
        return cls(recipe.name, process, news)

    @property
    def ends(self) -> tuple[Connection, int]:
        return self.news, self.process.sentinel

    def told(self, board: Board) -> bool:
        """Shows what is new; whether the worker has ended."""
        over = not self.process.is_alive()  # asked first: what it sent before its end is there
        for item in self._sent():
            if isinstance(item, Epoch):
                board.epoch(self.name, item)
            else:
                self.why = item
        if not over:
            return False
        self.process.join()
        if self.process.exitcode == 0:
            board.kept(self.name)
        else:
            board.failed(self.name, self.why or ended(self.process.exitcode))
        self.news.close()
        return True

    def _sent(self) -> Iterator[Epoch | str]:
        with contextlib.suppress(EOFError, OSError):
            while self.news.poll():
                yield self.news.recv()


def end(processes: Iterable[BaseProcess]) -> None:
    """Ends processes: they are asked to, and made to where they do not."""
    ours = [*processes]
    for process in ours:
        process.terminate()
    for process in ours:
        process.join(PATIENCE)
        if process.is_alive():
            process.kill()
            process.join()


def ended(code: int | None) -> str:
    """How a process ended that said nothing."""
    if code is None or code >= 0:
        return f"its process ended with exit code {code}"
    name = signal.Signals(-code).name
    hint = ", as the system does when the memory is full" if name == "SIGKILL" else ""
    return f"its process was ended by {name}{hint}"


# --- in the worker -------------------------------------------------------------------------------


def _work(recipe: Recipe[Any], log: Log, out: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent has it too, and ends its workers
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        with threads.limited(1):
            for [epoch] in trained([recipe], log):
                out.send(epoch)
    except Exception as error:
        out.send(reason(error))
        sys.exit(1)


def reason(error: Exception) -> str:
    """What a failure is called in a line."""
    if isinstance(error, OSError):
        return in_a_line(error)
    said = hidden((str(error).strip().splitlines() or [""])[0])
    return said if isinstance(error, UserError) else f"{type(error).__name__} {said}".strip()


def _end_with_parent() -> None:
    """Ends this process when the run's process is gone, however that ended."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
