"""Runs a paper's experiment again from what its PDF says of it, and compares number by number.

    PDF ─▶ settings, commit, data digest ─▶ the same code, trained anew ─▶ record ─▶ verdicts

The PDF is taken at its word, and the new record decides: a setting that was changed in the PDF
afterwards gives other numbers than it prints. What it names is not trusted otherwise; settings
become flags of `research run` and nothing else.
"""

import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from research.errors import UserError
from research.machine import environment
from research.paths import DATA, ROOT
from research.provenance.entries import Trail
from research.records import Results, Run, load
from research.tracking import open_store
from research.verification.agreement import DIFFERS, ELSEWHERE, IDENTICAL, WITHIN, Compared, compare
from research.verification.recipe import Reproduce, command, seconds_of

STDERR = 2
"""Where the run tells of its progress: what is printed here is the result."""

UNSTEADY = (
    "commit, data, versions, device and hardware are the same, and yet numbers are only within "
    "tolerance: something in the run is not determined by its seed"
)

GRACE = 30.0
"""Seconds that a run has to put its record in order after it was told to stop."""

HEADROOM = 3.0
"""How much longer than the recorded run one may take without a --budget: machines differ."""

MOST_THREADS = 1024

_COMMIT = re.compile("[0-9a-f]{40}")


@dataclass(frozen=True)
class Code:
    """The code that runs again; `doubt` says why it may not be that of the paper."""

    folder: Path
    words: str
    doubt: str = ""


@dataclass(frozen=True)
class Outcome:
    """All numbers of a paper, and what else there is to say.

    Attributes:
        faults: why this is no reproduction, whatever the numbers are.
        finished: in time, or not.
    """

    compared: list[Compared]
    notes: list[str]
    faults: tuple[str, ...] = ()
    finished: bool = True

    @property
    def ok(self) -> bool:
        differing = any(value.verdict == DIFFERS for value in self.compared)
        return self.finished and not self.faults and not differing


def reproduce(trail: Trail, given: Reproduce) -> Outcome:
    """Runs a paper's experiment again and compares all its numbers.

    Arguments:
        trail: the PDF's provenance.

    Raises:
        UserError: something is needed that a PDF cannot carry, or the run failed.
    """
    asked = trail.runs if given.beside else [trail.run]
    if foreign := [run for run in asked if run.adopted]:
        raise UserError(
            f"'{foreign[0].study}' cannot be run again: its runs were logged by another program, "
            "which research did not start; run that program, then research adopt"
        )
    begun, limit = time.monotonic(), budget(asked, given)
    records: dict[str, Results] = {}
    notes: list[str] = []
    faults: list[str] = []
    alike = True
    with tempfile.TemporaryDirectory() as spare:
        for run in asked:
            with code_of(run) as code:
                notes += _told(run, code)
                left = limit - (time.monotonic() - begun)
                record = again(run, code, given, given.keep or Path(spare), left)
            if record is None:
                late = f"not finished within {limit:.0f} s; give a larger --budget"
                return Outcome([], [*notes, late], finished=False)
            records[run.id] = record
            around = surroundings(run, record)
            alike = alike and not around and not code.doubt
            notes += around
            faults += other_inputs(run, record)
        compared = compare(trail.numbers, records, {run.id: run for run in asked})
        if alike and any(value.verdict == WITHIN for value in compared):
            notes.append(UNSTEADY)
        return Outcome(compared, notes, tuple(faults))


def _told(run: Run, code: Code) -> list[str]:
    doubt = f"; {code.doubt}, so differences may come from the code" if code.doubt else ""
    return [f"{run.study} {run.preset}: {code.words}{doubt}", *contradictions(run)]


# --- what to run ---------------------------------------------------------------------------------


def recorded_seconds(run: Run) -> float:
    """Wall time of the run, with the training of the models that it found and did not train."""
    borrowed = [m for m in run.models.values() if m["origin"] == "found"]
    return float(sum(run.seconds.values()) + sum(m.get("seconds", 0.0) for m in borrowed))


def budget(runs: Sequence[Run], given: Reproduce) -> float:
    """Seconds that the runs may take, from what the recorded ones took; told before they start."""
    took = sum(map(recorded_seconds, runs))
    limit = seconds_of(given.budget) if given.budget else HEADROOM * took + GRACE
    parts = Counter[str]()
    for run in runs:
        parts.update(run.seconds)
    times = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in parts.most_common(4))
    print(
        f"the recorded run took {took:.0f} s ({times or 'no part was timed'}) on "
        f"{runs[0].device}; this one is stopped after {limit:.0f} s",
        file=sys.stderr,
        flush=True,
    )
    return limit


# --- with which code -----------------------------------------------------------------------------


@contextmanager
def code_of(run: Run, root: Path = ROOT) -> Iterator[Code]:
    """The checkout where it is the recorded commit, else a clone at that commit for the while.

    Where there is neither the checkout serves, and `doubt` says so.
    """
    commit, here = run.commit, environment.checkout(root)
    if not _COMMIT.fullmatch(commit):
        yield Code(root, "this checkout", "the PDF names no commit")
    elif run.dirty:
        yield Code(root, "this checkout", f"the run's code differed from commit {commit[:7]}")
    elif here.commit == commit and not here.dirty:
        yield Code(root, f"this checkout, which is commit {commit[:7]}")
    elif not _git(root, "cat-file", "-e", f"{commit}^{{commit}}"):
        yield Code(root, "this checkout", f"commit {commit[:7]} is not at hand: git fetch it")
    else:
        with tempfile.TemporaryDirectory() as folder:
            clone = Path(folder) / "code"
            within = environment.below(root)  # a project may be a folder of its repository
            top = root.joinpath(*[".."] * len(Path(within).parts))
            ways = ("--quiet", "--shared", "--no-checkout")
            done = _git(root, "clone", *ways, str(top.resolve()), str(clone))
            if not done or not _git(clone, "checkout", "--quiet", "--detach", commit):
                raise UserError(f"a clone at commit {commit[:7]} is needed and cannot be made")
            yield Code(clone / within, f"a clone at commit {commit[:7]}")


def _git(root: Path, *arguments: str) -> bool:
    done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, check=False)
    return done.returncode == 0


def again(run: Run, code: Code, given: Reproduce, log: Path, limit: float) -> Results | None:
    """Runs the experiment again; None where the time was over before it ended.

    Arguments:
        log: folder for the new record.
        limit: seconds.

    Raises:
        UserError: it takes longer by its record, or it failed.
    """
    took = recorded_seconds(run)
    if took > limit and not given.force:
        raise UserError(
            f"the run took {took:.0f} s on {run.device}, more than the {limit:.0f} s that are "
            f"left of the budget; give a larger --budget, or --force to be stopped at its end"
        )
    store = open_store(f"folder:{log}")
    before = {known.id for known in store.runs()}
    threads = given.threads or run.compute.get("threads")
    ended = execute(command(run, given, log.absolute()), code.folder, limit, threads)
    if ended is None:
        return None
    fresh = [new for new in store.runs(run.study) if new.id not in before]
    if ended or not fresh or fresh[0].status != "FINISHED":
        raise UserError("the run did not come to its end; what it said stands above")
    return load(fresh[0].folder)


def execute(arguments: list[str], folder: Path, limit: float, threads: Any = None) -> int | None:
    """The exit code of `research` with the code of a folder; None if it was stopped at the limit.

    Models are neither found nor left in the user's store; data are read where they always are.

    Arguments:
        threads: of the recorded run, as a PDF says: another number adds in another order.
    """
    with tempfile.TemporaryDirectory() as runs:
        around = {**os.environ, "RESEARCH_RUNS": runs, "RESEARCH_DATA": str(DATA)}
        around["RESEARCH_ROOT"] = str(folder)
        if isinstance(threads, int) and 0 < threads <= MOST_THREADS:
            around |= dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
        start = [sys.executable, "-m", "research", *arguments]
        child = subprocess.Popen(start, cwd=folder, env=around, stdout=STDERR)
        try:
            return child.wait(limit)
        except subprocess.TimeoutExpired:
            return None
        finally:
            _stop(child)


def _stop(child: "subprocess.Popen[bytes]") -> None:
    child.terminate()
    try:
        child.wait(GRACE)
    except subprocess.TimeoutExpired:
        child.kill()


# --- what came out -------------------------------------------------------------------------------


def drawn(compared: Sequence[Compared], digest: str, given: Reproduce) -> list[Compared]:
    """The sample to show, the same for the same PDF and seed, in the paper's order.

    Arguments:
        digest: of the PDF's trail.

    Raises:
        UserError: `--sample` is neither a number nor `all`.
    """
    if given.sample == "all":
        return list(compared)
    if not given.sample.isdigit() or not int(given.sample):
        raise UserError(f"--sample must be a number or all, got '{given.sample}'")
    count = min(int(given.sample), len(compared))
    chosen = random.Random(f"{digest} {given.seed}").sample(range(len(compared)), count)
    return [compared[index] for index in sorted(chosen)]


def contradictions(run: Run) -> list[str]:
    """Where the PDF's settings do not agree with each other."""
    config = run.config
    return [
        f"the PDF says {key} {value} where it lists what was changed, and {config.get(key)} else"
        for key, value in run.changed.items()
        if key in config and config[key] != value
    ]


def surroundings(old: Run, new: Results) -> list[str]:
    """In what the second run was unlike the first, beside its numbers."""
    run, used = new.run, old.compute
    pairs = {
        "device": (old.device, run.device),
        "hardware": (used.get("hardware"), run.compute.get("hardware", used.get("hardware"))),
        "threads": (used.get("threads"), run.compute.get("threads", used.get("threads"))),
        "weights": (old.config.get("weights"), run.config.get("weights")),
        **{name: (old.versions.get(name), new) for name, new in run.versions.items()},
    }
    return [f"{name} {then} then, {now} now" for name, (then, now) in pairs.items() if then != now]


def other_inputs(old: Run, new: Results) -> list[str]:
    """Where the second run read other data than the PDF names, so that it repeats nothing."""
    then, now = (str(data.get("sha256"))[:12] for data in (old.data, new.run.data))
    if then == now:
        return []
    return [f"no reproduction: the data of {old.study} were {then}, here they are {now}"]


# --- in words ------------------------------------------------------------------------------------


def lines(outcome: Outcome, shown: Sequence[Compared]) -> Iterator[str]:
    """The outcome for a terminal: what was run, the sample, and every number that differs."""
    yield from outcome.notes
    if not outcome.finished:
        return
    differing = [value for value in outcome.compared if value.verdict == DIFFERS]
    listed = [*shown, *(value for value in differing if value not in shown)]
    width = max((len(value.name) for value in listed), default=0)
    for value in listed:
        place = f"p. {value.page}"
        yield f"{value.verdict:16} {value.name:{width}}  {place}  {value.printed}{_change(value)}"
    yield from outcome.faults
    yield tally(outcome.compared)


def _change(value: Compared) -> str:
    if value.verdict in (IDENTICAL, ELSEWHERE):
        return f"  (tolerance {value.why})" if value.verdict == IDENTICAL else ""
    both = isinstance(value.old, int | float) and isinstance(value.new, int | float)
    by = f", by {abs(value.new - value.old):.2g}" if both else ""
    size = f"{value.tolerance:.2g}, " if value.tolerance else ""
    return f"  {value.old} → {value.new}{by}  (tolerance {size}{value.why})"


def tally(compared: Sequence[Compared]) -> str:
    """`61 numbers: 60 identical, 1 differs`."""
    counts = Counter(value.verdict for value in compared)
    order = (IDENTICAL, WITHIN, DIFFERS, ELSEWHERE)
    parts = [f"{counts[verdict]} {verdict}" for verdict in order if counts[verdict]]
    return f"{len(compared)} numbers: {', '.join(parts) or 'none was measured'}"
