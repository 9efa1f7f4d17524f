"""Submit and leave: a study whose models and analysis are all jobs of a cluster.

    RUNS/cluster/<id>/submission.json    what was asked for
    RUNS/cluster/<id>/checkpoints/       of the models, and what the jobs write
    RUNS/cluster/<id>/run                id of the run that took all this over

The job of the analysis, which begins after the models' jobs, opens the run and is the only one that
writes to the store. Where a model failed it never begins; `--resume` does its work then.
"""

import dataclasses
import json
import shutil
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from research import launch, paths, studies
from research.config import Slurm, digest
from research.errors import UserError
from research.launch import Options
from research.machine import threads
from research.records import write_json
from research.studies import Entry
from research.tracking import OpenRun, Store, open_store
from research.training import cluster, loop
from research.training import slurm as queue
from research.training.cache import Recipe
from research.training.jobs import Job
from research.training.kept import adopt
from research.training.plan import planned


@dataclass(frozen=True)
class Submission:
    """What lies in the cluster's hands, or did."""

    folder: Path

    @property
    def id(self) -> str:
        return self.folder.name

    @property
    def jobs(self) -> Path:
        return self.folder / cluster.FOLDER

    def take_over(self, recipes: Sequence[Recipe[Any]], log: OpenRun) -> None:
        """Makes models and checkpoints those of a run."""
        for recipe in recipes:
            if kept := recipe.found(self.id):
                adopt(kept.folder.name, self.id, log.id)
        for path in sorted((self.folder / "checkpoints").glob("*.*")):
            target = log.path(f"checkpoints/{path.name}")
            if not target.exists():
                shutil.copy(path, target)
        (self.folder / "run").write_text(log.id, encoding="utf-8")


def submit(entry: Entry, config: Any, options: Options, store: Store) -> tuple[Submission, str]:
    """Puts a study into the queue; the submission, and the id of the job of the analysis.

    Raises:
        UserError: a mistake in the settings, or the cluster does not take the jobs.
    """
    study = launch.study_of(entry)
    config, options = launch.named(config, options)
    launch.check(config)
    queue.check(options.slurm)
    given = launch.find_weights(options.weights, study.children(config), store)
    names = [name for name in study.children(config) if name not in given]
    former = unfinished(entry, config, options, store) if options.resume else None
    submission = former or Submission(paths.RUNS / "cluster" / uuid.uuid4().hex)
    recipes = _planned(study, config, submission.id, names, given)
    missing = [
        name for name in names if name not in recipes or not recipes[name].found(submission.id)
    ]
    submission.jobs.mkdir(parents=True, exist_ok=True)
    asked = {"study": entry.slug, "digest": _digest(config, given), "models": missing}
    write_json(submission.folder / "submission.json", asked)
    cores = options.slurm.cpus or max((each.threads for each in recipes.values()), default=1)
    jobs = {
        name: Job(
            study.study,
            config,
            name,
            submission.id,
            submission.folder,
            given,
            cluster.news(submission.jobs, name),
        )
        for name in missing
    }
    tasks = cluster.submit(jobs, {}, submission.jobs, options.slurm, entry.slug, cores)
    array = tasks[0].job.partition("_")[0] if tasks else ""
    analysis = Analysis(
        entry.slug, config, dataclasses.replace(options, detach=False), submission.folder
    )
    try:
        [job] = queue.submit(
            [analysis], submission.jobs, options.slurm, entry.slug, cores, threads.AVAILABLE, array
        )
    except UserError:
        queue.cancel([array] if array else [])
        raise
    write_json(submission.folder / "submission.json", asked | {"analysis": job})
    return submission, job


def _planned(
    study: Any, config: Any, id: str, names: list[str], given: Mapping[str, Path]
) -> dict[str, Recipe[Any]]:
    """What is to be trained, by name; nothing where this machine lacks the jobs' device.

    Raises:
        UserError: a mistake that the study finds before it trains.
    """
    try:
        config = dataclasses.replace(config, train=loop.resolve(config.train))
    except UserError:  # of the jobs' machines
        return {}
    recipes = planned(study.study, config, id, names, given, tell=True)
    return {recipe.name: recipe for recipe in recipes if recipe.name in names}


@dataclass(frozen=True)
class Analysis:
    """The job after the models': opens the run, finds them all, and measures."""

    study: str
    config: Any
    options: Options
    folder: Path

    def __call__(self) -> None:
        import signal

        for number in (signal.SIGTERM, signal.SIGUSR2):  # the run writes down that it was stopped
            signal.signal(number, signal.SIG_DFL)
        begun = (self.folder / "run").exists()  # by an earlier job, which was stopped
        options = dataclasses.replace(self.options, cluster=None, slurm=Slurm(), resume=begun)
        before = None if begun else Submission(self.folder)
        store, entry = open_store(options.log, options.experiment), studies.entry(self.study)
        launch.launch(entry, self.config, options, store, before)


def unfinished(entry: Entry, config: Any, options: Options, store: Store) -> Submission | None:
    """The newest submission with these settings that is to be collected, or submitted again.

    Raises:
        UserError: its jobs are still in the queue.
    """
    study = launch.study_of(entry)
    config, options = launch.named(config, options)
    given = launch.find_weights(options.weights, study.children(config), store)
    wanted = _digest(config, given)
    files = sorted(
        (paths.RUNS / "cluster").glob("*/submission.json"),
        key=lambda path: path.stat().st_mtime,
        reverse=True,
    )
    for file in files:
        asked = json.loads(file.read_text(encoding="utf-8"))
        if (asked["study"], asked["digest"]) == (entry.slug, wanted):
            submission = Submission(file.parent)
            if _is_open(submission, store, options.detach):
                _check_ended(submission, asked.get("analysis", ""))
                return submission
    return None


def _is_open(submission: Submission, store: Store, detach: bool) -> bool:
    """Whether no run took a submission over; to submit it again, whether that run was stopped."""
    mark = submission.folder / "run"
    if not mark.exists():
        return True
    runs = {run.id: run.status for run in store.runs()} if detach else {}
    return runs.get(mark.read_text(encoding="utf-8")) in ("FAILED", "KILLED")


def _check_ended(submission: Submission, analysis: str) -> None:
    ids = [task.job for task in cluster.still_going(submission.jobs)]
    seen = queue.seen([analysis]) if analysis else {}
    if seen and not seen[analysis].ended:
        ids.append(analysis)
    if ids:
        raise UserError(
            f"a submission is collected once its jobs have ended, but {', '.join(ids)} are in the "
            f"queue: wait for them, or end them with scancel {' '.join(ids)}"
        )


def _digest(config: Any, given: Mapping[str, Path]) -> str:
    """Of the settings as they were given: which device `auto` means, the jobs' machine decides."""
    return digest(config, ", ".join(sorted(f"{name} {path}" for name, path in given.items())))
