"""Models of one study that are trained at once on several GPUs, a process for each GPU.

As with `training.cluster`, each process trains one model and keeps it under its digest, and the
study finds them all. On one GPU models train side by side in one process, see `training.ensemble`.
"""

import multiprocessing
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch

from research.config import Jobs
from research.tracking import Log, OpenRun
from research.tracking.ending import undisturbed
from research.training import workers
from research.training.cache import expected
from research.training.jobs import Job, Reader
from research.training.loop import Epoch
from research.training.plan import planned
from research.training.progress import Board

LOOK = 0.5
"""Seconds between two looks at what the processes say."""


def train_beforehand(
    study: Callable[[Any, Log], None],
    config: Any,
    children: Iterable[str],
    log: OpenRun,
    jobs: Jobs,
    given: Mapping[str, Path],
) -> None:
    """Trains what a study is going to train, where there are several GPUs and models.

    What fails is left to the study, which goes on from its last epoch and meets the same.

    Arguments:
        children: names of the models that are not given.
        jobs: the most processes; auto is one per GPU.
        given: by name, weights in place of training.
    """
    names, gpus = [*children], visible(jobs, config.train.device)
    if min(len(gpus), len(names)) < 2:
        return
    recipes = planned(study, config, log.id, names, given)
    wanted = [one for one in recipes if one.name in names and one.found(log.id) is None]
    if len(wanted) < 2:
        return
    log.workers(min(len(gpus), len(wanted)))
    folder = log.path("checkpoints/gpus/news").parent
    waiting = [
        Job(study, config, one.name, log.id, log.folder, given, folder / f"{time.time_ns()}.jsonl")
        for one in wanted
    ]
    totals = {one.name: one.settings.epochs for one in wanted}
    with log.part("training"), Board(totals, expected(wanted)) as board:
        train(waiting, gpus, board)


def visible(jobs: Jobs, device: str) -> list[str]:
    """The GPUs for a process each, as CUDA_VISIBLE_DEVICES names them; none where one is named."""
    if device != "cuda" or not torch.cuda.is_available():
        return []
    count = torch.cuda.device_count()
    named = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    gpus = named.split(",")[:count] if named else [*map(str, range(count))]
    return gpus if jobs == "auto" else gpus[:jobs]


def train(waiting: Sequence[Job], gpus: Sequence[str], board: Board) -> None:
    """Trains each model in a process of its own, one on a GPU; all are gone at the end."""
    left, free, running = [*waiting], [*gpus], list[_Process]()
    try:
        while left or running:
            while left and free:
                with undisturbed():
                    running.append(_Process.start(left.pop(0), free.pop(0)))
            time.sleep(LOOK)
            board.draw()
            for one in tuple(running):
                if one.told(board):
                    running.remove(one)
                    free.append(one.gpu)
    finally:
        with undisturbed():
            workers.end(one.process for one in running)


@dataclass
class _Process:
    """A process that trains one model on one GPU, as its parent sees it."""

    job: Job
    gpu: str
    process: BaseProcess
    news: Reader

    @classmethod
    def start(cls, job: Job, gpu: str) -> "_Process":
        # not forked: a process that has looked at a GPU cannot be
        process = multiprocessing.get_context("spawn").Process(target=job, name=job.name)
        with _environment(CUDA_VISIBLE_DEVICES=gpu, OMP_NUM_THREADS="1"):
            process.start()
        return cls(job, gpu, process, Reader(job.news))

    def told(self, board: Board) -> bool:
        """Shows what is new; whether the process has ended."""
        over, said = not self.process.is_alive(), False
        for item in self.news.fresh():
            if isinstance(item, Epoch):
                board.epoch(self.job.name, item)
            elif item["state"] == "trains":
                board.begin(self.job.name)
            elif item["state"] == "kept":
                board.kept(self.job.name)
                said = True
            else:
                board.failed(self.job.name, item["why"])
                said = True
        if said:
            self.process.join()
        elif over:
            board.failed(self.job.name, workers.ended(self.process.exitcode))
        return said or over


@contextmanager
def _environment(**values: str) -> Iterator[None]:
    """What a process that is started within the block finds before it imports anything."""
    former = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in former.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
