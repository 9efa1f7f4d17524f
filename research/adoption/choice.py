"""What a user asks to be adopted, and which of the runs that is."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from research.errors import UserError
from research.tracking.foreign import Experiment, Logged

ALL = "all"
"""The group of runs that are not told apart."""

_KEY = re.compile(r"(?:(param|tag|attribute|params|tags|attributes)\.)?(?:`([^`]+)`|(.+))")
_ENDED = {"FAILED": "failed", "KILLED": "stopped", "RUNNING": "still running"}


@dataclass(frozen=True)
class Choice:
    """What is to be adopted.

    Attributes:
        runs: a filter of MLflow's, empty for all runs.
        group: the parameters or tags by which runs are grouped, as `params.model`.
        seeds: the one that holds the seed, empty where there is none.
        metrics: `val_acc=best`, see `research.adoption.rules`; empty for all, at their last step.
        claims: `NAME: A > B on METRIC`, see `research.adoption.claims`.
        shared_seeds: whether runs of seeds that not every group has are left out.
    """

    experiment: Experiment
    slug: str
    runs: str = ""
    group: tuple[str, ...] = ()
    seeds: str = ""
    metrics: tuple[str, ...] = ()
    claims: tuple[str, ...] = ()
    question: str = ""
    shared_seeds: bool = False


@dataclass(frozen=True)
class Member:
    """A run that is used, with the values by which it is grouped."""

    run: Logged
    keys: tuple[str, ...]
    seed: str

    @property
    def group(self) -> str:
        return " ".join(self.keys) or ALL


@dataclass(frozen=True)
class Cohort:
    """The runs of an experiment: those that are used, by group and seed, and why others are not.

    Attributes:
        members: sorted by group, then seed.
        left_out: (run, why).
    """

    members: tuple[Member, ...]
    left_out: tuple[tuple[Logged, str], ...]

    @property
    def groups(self) -> dict[str, list[Member]]:
        groups: dict[str, list[Member]] = {}
        for member in self.members:
            groups.setdefault(member.group, []).append(member)
        return groups

    @property
    def seeds(self) -> tuple[str, ...]:
        return tuple(sorted({member.seed for member in self.members}, key=natural))

    @property
    def selection(self) -> str:
        """'Of 9 runs of the experiment 6 are used; left out: 1 failed, 2 not asked for.'"""
        count = len(self.members) + len(self.left_out)
        whole = f"{count:,} run{'s' * (count != 1)} of the experiment"
        used = len(self.members)
        if not self.left_out:
            return f"All {whole} are used." if count > 1 else "It is the experiment's only run."
        reasons = Counter(why for _, why in self.left_out)
        listed = ", ".join(f"{count:,} {why}" for why, count in sorted(reasons.items()))
        return f"Of {whole} {used:,} {'is' if used == 1 else 'are'} used; left out: {listed}."


def cohort(choice: Choice) -> Cohort:
    """Asks MLflow for the runs, and sorts them.

    Raises:
        UserError: no such experiment, a filter that is none, no finished run, runs without a group
            or seed, one seed twice in a group, or groups of different seeds.
    """
    everything = choice.experiment.runs()
    asked = choice.experiment.runs(choice.runs) if choice.runs else everything
    ids = {run.id for run in asked}
    left_out = [(run, "not asked for") for run in everything if run.id not in ids]
    unfinished = [run for run in asked if run.status != "FINISHED"]
    left_out += [(run, _ENDED.get(run.status, run.status.lower())) for run in unfinished]
    finished = [run for run in asked if run.status == "FINISHED"]
    if not finished:
        raise UserError(_none_finished(choice, everything, asked))
    members = _members(choice, finished)
    if choice.seeds:
        members, apart = _alike(choice, members)
        left_out += [(member.run, "of a seed that not every group has") for member in apart]
    return Cohort(tuple(members), tuple(left_out))


def _none_finished(choice: Choice, everything: Sequence[Logged], asked: Sequence[Logged]) -> str:
    name, count = choice.experiment.name, len(everything)
    if choice.runs and not asked:
        return (
            f"a finished run is required, but none of the {count} runs of '{name}' passes --runs "
            f'"{choice.runs}"; values of params and tags are text in quotes'
        )
    states = Counter(_ENDED.get(run.status, run.status.lower()) for run in asked)
    listed = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
    return f"a finished run is required, but '{name}' has {listed or 'no runs'}"


def _members(choice: Choice, runs: Sequence[Logged]) -> list[Member]:
    keys = [_values(key, runs, "--group") for key in choice.group]
    places = {run.id: tuple(values[run.id] for values in keys) for run in runs}
    # without a seed, runs are repetitions in the order in which they were started
    order: Counter[tuple[str, ...]] = Counter()
    seeds = _values(choice.seeds, runs, "--seeds") if choice.seeds else {}
    members = []
    for run in runs:
        at = places[run.id]
        members.append(Member(run, at, seeds.get(run.id, str(order[at]))))
        order[at] += 1
    return sorted(members, key=lambda member: ([*map(natural, member.keys)], natural(member.seed)))


def _values(key: str, runs: Sequence[Logged], flag: str) -> dict[str, str]:
    """Run -> its value of `params.NAME`, `tags.NAME` or `attributes.run_name`."""
    match = _KEY.fullmatch(key.strip())
    if not match:
        raise UserError(f"{flag} names a parameter or tag, as params.model, got '{key}'")
    kind, name = (match[1] or "params").rstrip("s"), match[2] or match[3]
    values = {run.id: value for run in runs if (value := _value(run, kind, name)) is not None}
    lacking = [run for run in runs if run.id not in values]
    if lacking:
        there = sorted({known for run in runs for known in _all(run, kind)})
        raise UserError(
            f"{flag} {key} must be known of every run, {len(lacking)} of {len(runs)} lack it, as "
            f"'{lacking[0].name}': narrow --runs, or choose from {', '.join(there[:12]) or 'none'}"
        )
    return values


def _all(run: Logged, kind: str) -> Mapping[str, str]:
    if kind == "attribute":
        return {"run_name": run.name}
    if kind == "param":
        return run.params
    return {name: value for name, value in run.tags.items() if not name.startswith("mlflow.")}


def _value(run: Logged, kind: str, name: str) -> str | None:
    return {**(run.tags if kind == "tag" else {}), **_all(run, kind)}.get(name)


def _alike(choice: Choice, members: Sequence[Member]) -> tuple[list[Member], list[Member]]:
    """(the runs of seeds that every group has, the others)."""
    by_group: dict[str, list[Member]] = {}
    for member in members:
        by_group.setdefault(member.group, []).append(member)
    for group, own in by_group.items():
        _once(choice, group, own)
    seeds = {group: {member.seed for member in own} for group, own in by_group.items()}
    shared = set.intersection(*seeds.values())
    apart = [member for member in members if member.seed not in shared]
    if apart and not choice.shared_seeds:
        listed = "; ".join(f"'{group}' has {_listed(own)}" for group, own in seeds.items())
        raise UserError(
            f"groups are compared seed by seed, so each needs the same seeds, but {listed}: run "
            "what is missing, narrow --runs, or leave the others out with --shared-seeds"
        )
    if not shared:
        raise UserError("no seed is in every group, so nothing is left to be compared")
    return [member for member in members if member.seed in shared], apart


def _once(choice: Choice, group: str, members: Sequence[Member]) -> None:
    seed, count = Counter(member.seed for member in members).most_common(1)[0]
    if count > 1:
        twice = ", ".join(m.run.id[:8] for m in members if m.seed == seed)
        raise UserError(
            f"each seed counts once in a group, but '{group}' has {count} runs of seed {seed} "
            f"({twice}): narrow --runs, or group by one more parameter with --group"
        )


def _listed(seeds: set[str]) -> str:
    return " ".join(sorted(seeds, key=natural))


def natural(text: str) -> tuple[bool, float, str]:
    """Sorts numbers by their value, and before words."""
    try:
        return False, float(text), text
    except ValueError:
        return True, 0.0, text
