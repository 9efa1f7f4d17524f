"""Runs a paper's experiment again from what its PDF says of it, and compares number by number.

    PDF ─▶ settings, commit, data digest ─▶ the same code, trained anew ─▶ record ─▶ verdicts

The PDF is taken at its word, and the new record decides: a setting that was changed in the PDF
afterwards gives other numbers than it prints. What it names is not trusted otherwise; settings
become flags of `research run` and nothing else.
"""

import hashlib
import math
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from research import studies
from research.config import MACHINE
from research.errors import UserError
from research.machine import environment
from research.paths import DATA, ROOT
from research.provenance.trail import as_json
from research.records import Number, Results, load
from research.tracking import open_store

IDENTICAL, WITHIN, DIFFERS, ELSEWHERE = (
    "identical", "within tolerance", "differs", "of another run",
)  # fmt: skip
UNITS = {"s": 1, "m": 60, "h": 3600}
STDERR = 2
"""Where the run tells of its progress: what is printed here is the result."""

UNSTEADY = (
    "commit, data, versions, device and hardware are the same, and yet numbers are only within "
    "tolerance: something in the run is not determined by its seed"
)

GRACE = 30.0
"""Seconds that a run has to put its record in order after it was told to stop."""

_KEY = re.compile(r"[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)*")
_COMMIT = re.compile("[0-9a-f]{40}")
_OURS = frozenset({"log", "preset", "resume", "weights"})


@dataclass(frozen=True)
class Reproduce:
    """What to take for what a PDF cannot carry, and how much to spend."""

    sample: str = "10"
    """How many of the printed numbers are shown, drawn at random, or all; all are compared."""
    seed: int = 0
    """Draws another sample."""
    budget: str = "1h"
    """Wall time that the run may take, as 90s, 10m or 2h."""
    force: bool = False
    """Start although the recorded run took longer than the budget; it is stopped at its end."""
    beside: bool = False
    """Run the studies again too that the paper reads beside its own."""
    keep: Path | None = None
    """Folder in which the new run stays; without it nothing is kept."""
    data_root: Path | None = None
    """Folder of the data, where the recorded set is a folder or lies elsewhere than usual."""
    parts_root: Path | None = None
    """Folder of the images with parts, likewise."""
    target_root: Path | None = None
    """Folder of the other images, likewise."""
    imagenet: Path | None = None
    """File of ImageNet's weights, where the run used one."""
    weights: tuple[str, ...] = ()
    """Files or ids of runs, where the recorded run was given its weights."""
    model: str | None = None
    """FILE.py:CLASS, where the run looked at a network of its author's."""
    device: str | None = None
    """Another device than the recorded one."""


@dataclass(frozen=True)
class Code:
    """The code that runs again; `doubt` says why it may not be that of the paper."""

    folder: Path
    words: str
    doubt: str = ""


@dataclass(frozen=True)
class Compared:
    """One printed number, then and now; `why` is where the tolerance comes from."""

    name: str
    page: int
    printed: str
    old: Any
    new: Any
    verdict: str
    tolerance: float
    why: str


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
        differing = any(one.verdict == DIFFERS for one in self.compared)
        return self.finished and not self.faults and not differing


def reproduce(trail: Mapping[str, Any], given: Reproduce) -> Outcome:
    """Runs a paper's experiment again and compares all its numbers.

    Arguments:
        trail: the PDF's provenance.

    Raises:
        UserError: something is needed that a PDF cannot carry, or the run failed.
    """
    begun, limit = time.monotonic(), seconds_of(given.budget)
    wanted = [trail["run"], *(trail.get("reads", {}).values() if given.beside else ())]
    records: dict[str, Results] = {}
    notes: list[str] = []
    faults: list[str] = []
    alike = True
    with tempfile.TemporaryDirectory() as spare:
        for run in wanted:
            with code_of(run) as code:
                notes += _told(run, code)
                left = limit - (time.monotonic() - begun)
                record = again(run, code, given, given.keep or Path(spare), left)
            if record is None:
                return Outcome([], [*notes, f"not finished within {given.budget}"], finished=False)
            records[run["id"]] = record
            around = surroundings(run, record)
            alike = alike and not around and not code.doubt
            notes += around
            faults += other_inputs(run, record)
        compared = compare(trail, records)
        if alike and any(one.verdict == WITHIN for one in compared):
            notes.append(UNSTEADY)
        return Outcome(compared, notes, tuple(faults))


def _told(run: Mapping[str, Any], code: Code) -> list[str]:
    doubt = f"; {code.doubt}, so differences may come from the code" if code.doubt else ""
    return [f"{run['study']} {run['preset']}: {code.words}{doubt}", *contradictions(run)]


# --- what to run ---------------------------------------------------------------------------------


def seconds_of(text: str) -> float:
    """`90s`, `10m` or `2h` in seconds. Raises UserError for anything else."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh])", text.strip())
    if not match or not float(match[1]):
        raise UserError(f"--budget must be a time as 90s, 10m or 2h, got '{text}'")
    return float(match[1]) * UNITS[match[2]]


def recorded_seconds(run: Mapping[str, Any]) -> float:
    """Wall time of the run, with the training of the models that it found and did not train."""
    found = [m for m in run.get("models", {}).values() if m.get("origin") == "found"]
    return float(sum(run["seconds"].values()) + sum(m.get("seconds", 0.0) for m in found))


def command(run: Mapping[str, Any], given: Reproduce, log: Path) -> list[str]:
    """The arguments of `research` that run the recorded experiment again.

    Raises:
        UserError: the PDF cannot carry what the run needs, and it was not given.
    """
    study, config = studies.entry(run["study"]).slug, run["config"]
    start = ["run", study, f"--preset={run['preset']}", *flags(config), *_places(config, given)]
    device = given.device or config.get("train.device", "auto")
    return [*start, f"--train.device={device}", "--train.again", f"--log=folder:{log}"]


def flags(config: Mapping[str, Any]) -> list[str]:
    """The recorded settings, but for those that say where and how the run happened, as flags."""
    what = {key: value for key, value in config.items() if key not in MACHINE | {"weights"}}
    return [word for key, value in what.items() for word in _flag(key, value)]


def _flag(key: str, value: Any) -> list[str]:
    if not _KEY.fullmatch(key) or key in _OURS:
        raise UserError(f"the PDF names a setting '{key}', which no study has: it was edited")
    group, dot, name = key.replace("_", "-").rpartition(".")
    if isinstance(value, bool):
        return [f"--{group}{dot}{'' if value else 'no-'}{name}"]
    if not isinstance(value, list):
        return [f"--{group}{dot}{name}={value}"]
    words = list(_words(value))
    if any(isinstance(word, str) and word.startswith("-") for word in words):
        raise UserError(
            f"the PDF's setting '{key}' holds a flag, which no study has: it was edited"
        )
    return [f"--{group}{dot}{name}", *map(str, words)]


def _words(values: Sequence[Any]) -> Iterator[Any]:
    for value in values:
        yield from _words(value) if isinstance(value, list) else [value]


def _places(config: Mapping[str, Any], given: Reproduce) -> list[str]:
    """Flags for what lies on the user's machine."""
    roots = {"data": given.data_root, "parts": given.parts_root, "target": given.target_root}
    for group, root in roots.items():
        if config.get(f"{group}.name") == "folder" and not root:
            raise UserError(
                f"the run read a folder of images, '{config.get(f'{group}.root')}', which a PDF "
                f"cannot carry; give --{group}-root DIR"
            )
    places = [f"--{group}.root={root.absolute()}" for group, root in roots.items() if root]
    return [*places, *_weights(config, given)]


def _weights(config: Mapping[str, Any], given: Reproduce) -> list[str]:
    needed = {
        "imagenet": (config.get("imagenet"), given.imagenet),
        "weights": (config.get("weights"), given.weights),
        "model": (".py" in str(config.get("model", "")) and config["model"], given.model),
    }
    for name, (recorded, mine) in needed.items():
        if recorded and not mine:
            raise UserError(
                f"the run was given its {name}, {recorded}, which a PDF cannot carry; give --{name}"
            )
    found = [f"--imagenet={given.imagenet.absolute()}"] if given.imagenet else []
    found += [f"--model={_absolute(given.model)}"] if given.model else []
    return found + (["--weights", *map(_absolute, given.weights)] if given.weights else [])


def _absolute(name: str) -> str:
    """A file as seen from any folder; a run's id as it is."""
    path = Path(name.rpartition(":")[0] or name)
    return str(Path(name).absolute()) if path.exists() else name


# --- with which code -----------------------------------------------------------------------------


@contextmanager
def code_of(run: Mapping[str, Any], root: Path = ROOT) -> Iterator[Code]:
    """The checkout where it is the recorded commit, else a clone at that commit for the while.

    Where there is neither the checkout serves, and `doubt` says so.
    """
    commit, here = str(run["commit"]), environment.checkout(root)
    if not _COMMIT.fullmatch(commit):
        yield Code(root, "this checkout", "the PDF names no commit")
    elif run["dirty"]:
        yield Code(root, "this checkout", f"the run's code differed from commit {commit[:7]}")
    elif here.commit == commit and not here.dirty:
        yield Code(root, f"this checkout, which is commit {commit[:7]}")
    elif not _git(root, "cat-file", "-e", f"{commit}^{{commit}}"):
        yield Code(root, "this checkout", f"commit {commit[:7]} is not at hand: git fetch it")
    else:
        with tempfile.TemporaryDirectory() as folder:
            clone = Path(folder) / "code"
            done = _git(root, "clone", "--quiet", "--shared", "--no-checkout", ".", str(clone))
            if not done or not _git(clone, "checkout", "--quiet", "--detach", commit):
                raise UserError(f"a clone at commit {commit[:7]} is needed and cannot be made")
            yield Code(clone, f"a clone at commit {commit[:7]}")


def _git(root: Path, *arguments: str) -> bool:
    done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, check=False)
    return done.returncode == 0


def again(
    run: Mapping[str, Any], code: Code, given: Reproduce, log: Path, limit: float
) -> Results | None:
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
            f"the run took {took:.0f} s on {run['device']}, more than the {limit:.0f} s that are "
            f"left of the budget; give a larger --budget, or --force to be stopped at its end"
        )
    store = open_store(f"folder:{log}")
    before = {one.id for one in store.runs()}
    ended = execute(command(run, given, log.absolute()), code.folder, limit)
    if ended is None:
        return None
    fresh = [one for one in store.runs(run["study"]) if one.id not in before]
    if ended or not fresh or fresh[0].status != "FINISHED":
        raise UserError("the run did not come to its end; what it said stands above")
    return load(fresh[0].folder)


def execute(arguments: list[str], folder: Path, limit: float) -> int | None:
    """The exit code of `research` with the code of a folder; None if it was stopped at the limit.

    Models are neither found nor left in the user's store; data are read where they always are.
    """
    with tempfile.TemporaryDirectory() as runs:
        around = {**os.environ, "RESEARCH_RUNS": runs, "RESEARCH_DATA": str(DATA)}
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


def compare(trail: Mapping[str, Any], runs: Mapping[str, Results]) -> list[Compared]:
    """Every measured number of a paper against the new record of its run.

    Arguments:
        trail: the PDF's provenance.
        runs: id of a recorded run -> the record of the same experiment run again.
    """
    measured = [entry for entry in trail["numbers"] if entry["kind"] in ("number", "cell")]
    return [_compared(entry, runs.get(entry["run"])) for entry in measured]


def _compared(entry: Mapping[str, Any], record: Results | None) -> Compared:
    row = f", row {entry['row']}" if "row" in entry else ""
    old = _number(entry)
    new = _found(entry, record) if record else None
    verdict, tolerance, why = judge(old, new) if record else (ELSEWHERE, 0.0, "not run again")
    then, now = (one.value if isinstance(one, Number) else one for one in (old, new))
    name, page = f"{entry['name']}{row}", entry["page"]
    return Compared(name, page, entry["printed"], then, now, verdict, tolerance, why)


def _number(entry: Mapping[str, Any]) -> Any:
    """The recorded value, with its interval where it is a number."""
    value = entry["value"]
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    parts = (entry.get(key) for key in ("half_width", "low", "high"))
    half_width, low, high = parts
    return Number(value, "", half_width, entry.get("n", 1), low, high)


def _found(entry: Mapping[str, Any], record: Results) -> Any:
    """The same number of the new record; None where it has none."""
    if entry["kind"] == "number":
        return record.numbers.get(entry["name"])
    name, _, column = entry["name"].rpartition(".")
    if name not in record.names("tables"):
        return None
    table = record.table(name)
    if column not in table.columns or not 1 <= entry["row"] <= len(table.rows):
        return None
    cell = table.column(column)[entry["row"] - 1]
    return Number(cell) if isinstance(cell, int | float) else cell


def judge(old: Any, new: Any) -> tuple[str, float, str]:
    """The verdict on two values, the tolerance, and where that comes from.

    The tolerance is half the width of the narrower of both 95 % intervals, since the one that the
    PDF prints may have been edited too. What has no interval is to be the same bit for bit.
    """
    if not isinstance(old, Number) or not isinstance(new, Number):
        return (IDENTICAL if old == new else DIFFERS), 0.0, "0: a word or an empty cell"
    tolerance, why = _tolerance(old, new)
    if _bits(old) == _bits(new):
        return IDENTICAL, tolerance, why
    if old.n != new.n or old.value == new.value:
        return DIFFERS, tolerance, f"{why}; the interval is another"
    near = math.isfinite(new.value) and abs(new.value - old.value) <= tolerance
    return (WITHIN if near else DIFFERS), tolerance, why


def _tolerance(old: Number, new: Number) -> tuple[float, str]:
    if not (old.bounds and new.bounds):
        return 0.0, "0: no spread, so it is deterministic"
    widths = [high - low for low, high in (old.bounds, new.bounds)]
    kind = "seeds" if new.half_width is not None else "trials"
    return max(0.0, min(widths) / 2), f"spread over {new.n} {kind}"


def _bits(number: Number) -> tuple[str, ...]:
    """As text, in which one nan is like another and 1 is like 1.0."""
    values = (number.value, number.half_width, number.low, number.high)
    return (*(str(None if v is None else float(v)) for v in values), str(number.n))


def drawn(
    compared: Sequence[Compared], trail: Mapping[str, Any], given: Reproduce
) -> list[Compared]:
    """The sample to show, the same for the same PDF and seed, in the paper's order.

    Raises:
        UserError: `--sample` is neither a number nor `all`.
    """
    if given.sample == "all":
        return list(compared)
    if not given.sample.isdigit() or not int(given.sample):
        raise UserError(f"--sample must be a number or all, got '{given.sample}'")
    digest = hashlib.sha256(as_json(trail).encode()).hexdigest()
    count = min(int(given.sample), len(compared))
    chosen = random.Random(f"{digest} {given.seed}").sample(range(len(compared)), count)
    return [compared[index] for index in sorted(chosen)]


def contradictions(run: Mapping[str, Any]) -> list[str]:
    """Where the PDF's settings do not agree with each other."""
    config = run["config"]
    return [
        f"the PDF says {key} {value} where it lists what was changed, and {config.get(key)} else"
        for key, value in run["changed"].items()
        if key in config and config[key] != value
    ]


def surroundings(old: Mapping[str, Any], new: Results) -> list[str]:
    """In what the second run was unlike the first, beside its numbers."""
    run, used = new.run, old.get("compute", {})
    pairs = {
        "device": (old["device"], run.device),
        "hardware": (used.get("hardware"), run.compute.get("hardware", used.get("hardware"))),
        "weights": (old["config"].get("weights"), run.config.get("weights")),
        **{name: (old["versions"].get(name), new) for name, new in run.versions.items()},
    }
    return [f"{name} {then} then, {now} now" for name, (then, now) in pairs.items() if then != now]


def other_inputs(old: Mapping[str, Any], new: Results) -> list[str]:
    """Where the second run read other data than the PDF names, so that it repeats nothing."""
    then, now = (str(data.get("sha256"))[:12] for data in (old["data"], new.run.data))
    if then == now:
        return []
    return [f"no reproduction: the data of {old['study']} were {then}, here they are {now}"]


# --- in words ------------------------------------------------------------------------------------


def lines(outcome: Outcome, shown: Sequence[Compared]) -> Iterator[str]:
    """The outcome for a terminal: what was run, the sample, and every number that differs."""
    yield from outcome.notes
    if not outcome.finished:
        return
    differing = [one for one in outcome.compared if one.verdict == DIFFERS]
    listed = [*shown, *(one for one in differing if one not in shown)]
    width = max((len(one.name) for one in listed), default=0)
    for one in listed:
        yield f"{one.verdict:16} {one.name:{width}}  p. {one.page}  {one.printed}{_change(one)}"
    yield from outcome.faults
    yield tally(outcome.compared)


def _change(one: Compared) -> str:
    if one.verdict in (IDENTICAL, ELSEWHERE):
        return f"  (tolerance {one.why})" if one.verdict == IDENTICAL else ""
    both = isinstance(one.old, int | float) and isinstance(one.new, int | float)
    by = f", by {abs(one.new - one.old):.2g}" if both else ""
    size = f"{one.tolerance:.2g}, " if one.tolerance else ""
    return f"  {one.old} → {one.new}{by}  (tolerance {size}{one.why})"


def tally(compared: Sequence[Compared]) -> str:
    """`61 numbers: 60 identical, 1 differs`."""
    counts = Counter(one.verdict for one in compared)
    order = (IDENTICAL, WITHIN, DIFFERS, ELSEWHERE)
    parts = [f"{counts[verdict]} {verdict}" for verdict in order if counts[verdict]]
    return f"{len(compared)} numbers: {', '.join(parts) or 'none was measured'}"
