"""SLURM: jobs that submitit puts into its queue, and what the queue says of them.

How far a job is, its own file tells (`training.jobs`). Of the queue only `squeue` is asked, for
`sacct` needs a database that many clusters do not have, and without which submitit waits forever
for a job that was cancelled.
"""

import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from research import paths
from research.config import Slurm
from research.errors import UserError
from research.machine import packages

REQUEUES = 1000
"""Times that a job may go on after its time limit; each time it has come further."""

ENDED = frozenset(
    {"COMPLETED", "CANCELLED", "FAILED", "TIMEOUT", "PREEMPTED", "NODE_FAIL", "BOOT_FAIL"}
    | {"DEADLINE", "OUT_OF_MEMORY", "REVOKED"}
)
ANSWER = 60.0
"""Seconds that a command of SLURM may take."""

WAITS = frozenset(["PENDING", "CONFIGURING", "REQUEUED", "SUSPENDED", "REQUEUE_HOLD"])


@dataclass(frozen=True)
class Seen:
    """What the queue says of a job: its state, and why it waits or ended."""

    state: str
    reason: str = ""

    @property
    def ended(self) -> bool:
        return self.state in ENDED

    @property
    def waits(self) -> bool:
        return self.state in WAITS


GONE = Seen("COMPLETED", "it is not in the queue any more")


def check(slurm: Slurm) -> None:
    """Raises UserError where the cluster's commands or submitit are missing, or a setting is none.

    Looked at before anything is read or trained.
    """
    lacking = [name for name in ("sbatch", "srun", "squeue", "scancel") if not shutil.which(name)]
    if lacking:
        raise UserError(
            f"--cluster slurm needs SLURM's commands, this machine has no {', '.join(lacking)}; "
            "start the run on a login node of the cluster"
        )
    packages.need(packages.CLUSTER, "--cluster slurm")
    minutes(slurm.time)
    counts = {"gpus": slurm.gpus, "cpus": slurm.cpus, "at-once": slurm.at_once}
    for name, value in counts.items():
        if value is not None and value < 1:
            raise UserError(f"--slurm.{name} must be at least 1, got {value}")


def minutes(text: str) -> int:
    """A time limit as sbatch takes it, rounded up. Raises UserError for anything else."""
    match = re.fullmatch(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?", text.strip())
    if not match:
        raise UserError(f"--slurm.time must be minutes, H:M:S or D-H:M:S, got '{text}'")
    days, *rest = match.groups()
    first, second, third = (int(part or 0) for part in rest)
    if days is not None:
        seconds = 86400 * int(days) + 3600 * first + 60 * second + third
    elif match[4] is not None:
        seconds = 3600 * first + 60 * second + third
    else:
        seconds = 60 * first + second
    if not seconds:
        raise UserError(f"--slurm.time must be longer than nothing, got '{text}'")
    return -(-seconds // 60)


def submit(
    works: Sequence[Callable[[], None]],
    folder: Path,
    slurm: Slurm,
    name: str,
    cpus: int,
    threads: int,
    after: str = "",
) -> list[str]:
    """Puts functions into the queue as one array; the id of each one's job.

    Arguments:
        folder: for what submitit and the jobs write.
        name: of the array, as the queue shows it.
        cpus: cores of a job.
        threads: that PyTorch finds there when it is loaded: the digest of a large network has them.
        after: id of a job, or of an array, that must have ended well before these begin.

    Raises:
        UserError: the cluster does not take them.
    """
    from submitit import SlurmExecutor
    from submitit.core.utils import FailedJobError, FailedSubmissionError

    executor = SlurmExecutor(folder, max_num_timeout=REQUEUES)
    executor.update_parameters(**_parameters(slurm, name, cpus, threads, after))
    try:
        return [str(job.job_id) for job in executor.submit_array(works)]
    except (FailedJobError, FailedSubmissionError) as error:
        said = [line for line in str(error).splitlines() if "error: " in line] or [str(error)]
        raise UserError(
            f"SLURM must take the jobs, but sbatch says: {said[0].rpartition('error: ')[2]}; "
            "check --slurm.partition and its like"
        ) from None


def _parameters(slurm: Slurm, name: str, cpus: int, threads: int, after: str) -> dict[str, Any]:
    asked = {
        "partition": slurm.partition,
        "account": slurm.account,
        "gpus_per_node": slurm.gpus,
        "mem": slurm.memory,
        "dependency": f"afterok:{after}" if after else None,
    }
    # a job that can never begin would stay in the queue for ever
    more = {"additional_parameters": {"kill-on-invalid-dep": "yes"}} if after else {}
    return {
        **{key: value for key, value in asked.items() if value is not None},
        **more,
        "job_name": name,
        "time": minutes(slurm.time),
        "cpus_per_task": cpus,
        "array_parallelism": slurm.at_once,
        "setup": _environment(threads),
        "stderr_to_stdout": True,
        "wckey": None,  # submitit's own, which a cluster may refuse
    }


def _environment(threads: int) -> list[str]:
    """What a job has to know before its Python starts, whatever the cluster hands on."""
    values = {
        "OMP_NUM_THREADS": str(threads),
        "RESEARCH_RUNS": str(paths.RUNS),
        "RESEARCH_DATA": str(paths.DATA),
        "RESEARCH_ROOT": str(paths.ROOT),
    }
    lines = [f"export {name}={shlex.quote(value)}" for name, value in values.items()]
    return [
        *lines,
        f'export PYTHONPATH={shlex.quote(str(paths.SOURCE))}"${{PYTHONPATH:+:$PYTHONPATH}}"',
    ]


def seen(jobs: Iterable[str]) -> dict[str, Seen] | None:
    """What the queue says of each job; None where it does not answer just now."""
    wanted = [*jobs]
    arrays = ",".join(sorted({job.partition("_")[0] for job in wanted}))
    command = ["squeue", "--noheader", "--array", "--states=all", "--format=%i|%T|%r"]
    try:
        done = subprocess.run(
            [*command, f"--jobs={arrays}"],
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=ANSWER,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    if done.returncode and "Invalid job id" not in done.stderr:
        return None
    rows = [line.split("|", 2) for line in done.stdout.splitlines() if line.count("|") >= 2]
    states = {id: Seen(state, reason if reason != "None" else "") for id, state, reason in rows}
    return {job: states.get(job, GONE) for job in wanted}


def cancel(jobs: Iterable[str]) -> None:
    """Takes jobs out of the queue, or ends them; those that have ended stay as they are."""
    wanted = [*jobs]
    if wanted:
        subprocess.run(["scancel", *wanted], capture_output=True, timeout=ANSWER, check=False)
