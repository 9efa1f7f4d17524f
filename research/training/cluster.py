"""Models of one study that are trained by a cluster, each in a job of its own.

Children first, then the study, as `training.workers` does it on one machine: jobs train the models
and keep them under their digests, then the study is run once and finds them all, with the bits that
they would have had here. The run's process alone writes to its record and to the store.
"""

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from research.config import Slurm
from research.errors import UserError
from research.machine import threads
from research.records import write_json
from research.tracking import Log, OpenRun
from research.tracking.ending import undisturbed
from research.training import slurm as queue
from research.training.cache import Recipe, expected
from research.training.jobs import Job, Reader
from research.training.loop import Epoch
from research.training.plan import planned
from research.training.progress import Board

FOLDER = "checkpoints/cluster"
"""of a record: what jobs and submitit write"""

LOOK = 2.0
"""Seconds between two looks at the queue; at the jobs' own files it is every half second."""

GRACE = 5.0
"""Seconds after a job's end in which what it last wrote may still come, over a network."""

VISIBLE = 60.0
"""Seconds in which a model that a job has kept may still come into sight, over a network."""


@dataclass(frozen=True)
class Task:
    """A job in the queue.

    Attributes:
        name: of the model, which has this digest.
        job: SLURM's id.
        news: the file in which it says how far it is; `log`, what it prints.
    """

    name: str
    digest: str
    job: str
    news: Path
    log: Path


def train_beforehand(
    study: Callable[[Any, Log], None],
    config: Any,
    children: Iterable[str],
    log: OpenRun,
    slurm: Slurm,
    given: Mapping[str, Path],
) -> None:
    """Trains in jobs what a study is going to train and is not kept; waits for their end.

    A model that follows from another is planned anew, and trained, once that one is there.

    Arguments:
        children: names of the models that are not given.
        given: by name, weights in place of training.

    Raises:
        UserError: a model failed. The others are kept.
    """
    names, tried = [*children], set[str]()
    while names:
        recipes = planned(study, config, log.id, names, given)
        open_ones = [one for one in recipes if one.name in names and one.found(log.id) is None]
        wanted = [one for one in open_ones if one.digest not in tried]
        if not wanted:
            return
        tried |= {one.digest for one in wanted}
        with log.part("training"):
            _train(study, config, wanted, log, slurm, given)


def _train(
    study: Callable[[Any, Log], None],
    config: Any,
    wanted: Sequence[Recipe[Any]],
    log: OpenRun,
    slurm: Slurm,
    given: Mapping[str, Path],
) -> None:
    folder = log.folder / FOLDER
    digests = {one.name: one.digest for one in wanted}
    going = [task for task in still_going(folder) if digests.get(task.name) == task.digest]
    left = [one for one in wanted if one.name not in {task.name for task in going}]
    cores = slurm.cpus or max(one.threads for one in wanted)
    jobs = {
        one.name: Job(study, config, one.name, log.id, log.folder, given, news(folder, one.name))
        for one in left
    }
    tasks = [*going, *submit(jobs, digests, folder, slurm, log.id[:8], cores)]
    log.workers(min(len(tasks), slurm.at_once))
    with Board({one.name: one.settings.epochs for one in wanted}, expected(wanted)) as board:
        failed = follow(tasks, board)
    if failed:
        raise UserError(told(failed, len(tasks)))
    deadline = time.monotonic() + VISIBLE
    while any(one.found(log.id) is None for one in wanted) and time.monotonic() < deadline:
        time.sleep(LOOK)


def submit(
    jobs: Mapping[str, Job],
    digests: Mapping[str, str],
    folder: Path,
    slurm: Slurm,
    name: str,
    cores: int,
) -> list[Task]:
    """Puts models into the queue as one array, and notes its jobs in the folder."""
    if not jobs:
        return []
    folder.mkdir(parents=True, exist_ok=True)
    # whoever starts this decides how many threads a large network has, whose digest holds them
    ids = queue.submit(
        [*jobs.values()], folder, slurm, f"research {name}", cores, threads.AVAILABLE
    )
    tasks = [
        Task(job.name, digests.get(job.name, ""), id, job.news, folder / f"{id}_0_log.out")
        for id, job in zip(ids, jobs.values(), strict=True)
    ]
    rows = [asdict(task) | {"news": str(task.news), "log": str(task.log)} for task in tasks]
    write_json(folder / "tasks.json", rows)
    return tasks


def still_going(folder: Path) -> list[Task]:
    """Jobs of an array that was noted in a folder and that the queue still has."""
    file = folder / "tasks.json"
    if not file.exists():
        return []
    rows = json.loads(file.read_text(encoding="utf-8"))
    tasks = [Task(**row | {"news": Path(row["news"]), "log": Path(row["log"])}) for row in rows]
    seen = queue.seen(task.job for task in tasks) or {}
    return [task for task in tasks if task.job in seen and not seen[task.job].ended]


def follow(tasks: Iterable[Task], board: Board) -> dict[str, str]:
    """Shows how far jobs are until all have ended; by name, why some failed.

    However this is left, no job stays in the queue.
    """
    running = [_Followed(task, Reader(task.news)) for task in tasks]
    failed: dict[str, str] = {}
    looked = -LOOK
    try:
        while running:
            if time.monotonic() - looked >= LOOK:
                looked, seen = time.monotonic(), queue.seen(one.task.job for one in running)
                for one in running if seen else ():
                    one.see(seen[one.task.job])  # type: ignore[index]
            for one in tuple(running):
                if (why := one.told(board)) is not None:
                    running.remove(one)
                    failed |= {one.task.name: why} if why else {}
            board.draw()
            time.sleep(0.5 if running else 0)
    finally:
        with undisturbed():
            queue.cancel(one.task.job for one in running)
    return failed


@dataclass
class _Followed:
    """A job as the run's process sees it.

    Attributes:
        seen: what the queue said last.
        ended: when the queue first said that it had ended, on the monotonic clock.
    """

    task: Task
    reader: Reader
    seen: queue.Seen = queue.Seen("PENDING")  # noqa: RUF009  frozen
    ended: float | None = None
    begun: bool = False

    def see(self, seen: queue.Seen) -> None:
        self.seen = seen
        self.ended = (self.ended or time.monotonic()) if seen.ended else None

    def told(self, board: Board) -> str | None:
        """Shows what is new; None while it goes on, then why it failed, or nothing."""
        name = self.task.name
        for item in self.reader.fresh():
            if isinstance(item, Epoch):
                board.epoch(name, item)
            elif item["state"] == "trains":
                board.begin(name)
            elif item["state"] == "kept":
                board.kept(name)
                return ""
            else:
                board.failed(name, item["why"], "and are kept")
                return item["why"]
        if self.seen.waits:
            board.waits(name, self.seen.reason)
        if self.ended is None or time.monotonic() - self.ended < GRACE:
            return None
        why = f"its job {self.task.job} ended without a word ({self._end()}), see {self.task.log}"
        board.failed(name, why, "and are kept")
        return why

    def _end(self) -> str:
        if self.seen == queue.GONE:
            return self.seen.reason
        return self.seen.state.lower().replace("_", " ")


def told(failed: Mapping[str, str], count: int) -> str:
    """The one line of a run of which some models failed."""
    name, why = next(iter(failed.items()))
    more = f" (and {len(failed) - 1} more: {', '.join([*failed][1:])})" if len(failed) > 1 else ""
    return (
        f"all {count} models must be trained, but {name} failed: {why}{more}; mend it, then the "
        "same command with --resume trains what is missing"
    )


def news(folder: Path, name: str) -> Path:
    """A new file in which a job says how far a model is."""
    return folder / f"{name.replace('/', '-')}-{time.time_ns()}.jsonl"
