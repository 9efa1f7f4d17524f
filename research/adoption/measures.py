"""What the runs logged, as numbers over seeds and as curves."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from research.adoption.choice import Choice, Cohort, Member
from research.adoption.rules import SHARES, Rule, chosen, rule, words_of
from research.errors import UserError
from research.methods.statistics import over_samples, over_seeds
from research.records import Array, Number
from research.records.measured import SHARE, Range
from research.tracking.foreign import Point

APART = re.compile(r"system/.*|epoch")
"""Metrics that are taken only where they are asked for: load of the machine, Lightning's count."""

RESERVED = ("group", "runs")
"""Columns that the table of metrics has beside them."""

Histories = Mapping[str, Mapping[str, Sequence[Point]]]
"""run -> metric -> its points"""


@dataclass
class Measured:
    """What was logged of each metric.

    Attributes:
        rules: how the value of each metric was chosen.
        values: metric -> group -> number over seeds.
        curves: metric -> group -> (steps, values by seed and step).
        notes: what was asked for by nobody and could not be taken, one line each.
    """

    rules: dict[str, Rule] = field(default_factory=dict)
    values: dict[str, dict[str, Number]] = field(default_factory=dict)
    curves: dict[str, dict[str, tuple[Array, Array]]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def histories(choice: Choice, cohort: Cohort) -> Histories:
    """Every point of every metric of the runs that are used."""
    return {one.run.id: choice.experiment.histories(one.run) for one in cohort.members}


def measured(choice: Choice, cohort: Cohort, logged: Histories) -> Measured:
    """The numbers and curves of all metrics, or of those that were asked for.

    Raises:
        UserError: one that was asked for is missing in a run or not finite, or none is left.
    """
    known = sorted({name for metrics in logged.values() for name in metrics})
    wanted = [name for name in known if not APART.fullmatch(name)]
    collected = Measured()
    for entry in [rule(text, known) for text in choice.metrics or wanted]:
        if entry.metric in collected.rules:
            raise UserError(f"--metric {entry.metric} is given twice: it has one rule")
        collected.rules[entry.metric] = entry
        values = {
            group: [chosen(entry, logged[member.run.id]) for member in members]
            for group, members in cohort.groups.items()
        }
        kept, complaint = _whole(entry, cohort, values, strict=bool(choice.metrics))
        collected.notes += complaint
        if kept:
            over = over_seeds if choice.seeds else _over_runs
            within = _range(entry.metric, kept.values())
            collected.values[entry.metric] = {
                group: over(own, range=within) for group, own in kept.items()
            }
            collected.curves[entry.metric] = _curves(entry.metric, cohort, logged)
    if not collected.values:
        raise UserError("; ".join(collected.notes) or "the runs that are used logged no metric")
    return collected


def _over_runs(values: Sequence[float], range: Range | None = None) -> Number:
    """Repetitions that no seed pairs with those of another group; a lone run stays one."""
    return (over_samples if len(values) > 1 else over_seeds)(values, range=range)


def _range(metric: str, values: Iterable[Sequence[float]]) -> Range | None:
    """That of a share, where the metric is one by its name and by all of its values."""
    inside = all(SHARE[0] <= value <= SHARE[1] for own in values for value in own)
    return SHARE if inside and words_of(metric) & SHARES else None


def _whole(
    rule: Rule, cohort: Cohort, values: Mapping[str, Sequence[float | None]], *, strict: bool
) -> tuple[dict[str, list[float]], list[str]]:
    """The groups of which every run has a finite value, and what the others lack."""
    kept: dict[str, list[float]] = {}
    notes = []
    for group, members in cohort.groups.items():
        own = values[group]
        bad = [
            (member, value)
            for member, value in zip(members, own, strict=True)
            if value is None or not math.isfinite(value)
        ]
        if not bad:
            kept[group] = [value for value in own if value is not None]
            continue
        complaint = _lack(rule, *bad[0], len(bad))
        if strict and not _everywhere(bad, members):
            raise UserError(f"{complaint}: {_REMEDY}")
        notes.append(f"{complaint}; it is left out for '{group}'")
    if strict and not kept:
        raise UserError(f"{notes[0].rpartition(';')[0]}, and so in all groups: {_REMEDY}")
    return kept, notes


_REMEDY = "choose another rule with --metric, or leave such runs out with --runs"


def _everywhere(bad: Sequence[tuple[Member, float | None]], members: Sequence[Member]) -> bool:
    """Whether no run of a group logged the metric at all, which is a fact about the group."""
    return len(bad) == len(members) and all(value is None for _, value in bad)


def _lack(rule: Rule, member: Member, value: float | None, count: int) -> str:
    what = "no value" if value is None else "NaN" if math.isnan(value) else "an infinite value"
    more = f" and {count - 1} more have" if count > 1 else " has"
    return (
        f"run {member.run.id[:8]} ('{member.run.name}', group '{member.group}', seed "
        f"{member.seed}){more} {what} of {rule.metric} {rule}"
    )


def _curves(metric: str, cohort: Cohort, logged: Histories) -> dict[str, tuple[Array, Array]]:
    """Of each group the steps that all its runs reached, where those are several."""
    by_group = {}
    for group, members in cohort.groups.items():
        points = [_finite(logged[member.run.id].get(metric, ())) for member in members]
        steps = sorted(set.intersection(*(set(own) for own in points)))
        if len(steps) > 1:
            values = np.array([[own[step] for step in steps] for own in points])
            by_group[group] = np.array(steps), values
    return by_group


def _finite(points: Iterable[Point]) -> dict[int, float]:
    return {point.step: point.value for point in points if math.isfinite(point.value)}


def names(texts: Iterable[str]) -> dict[str, str]:
    """Each text as a name that a write-up can print by: letters, digits and `_`, all different."""
    sides: dict[str, str] = {}
    for text in texts:
        bare = re.sub(r"[^A-Za-z0-9]+", "_", text).strip("_") or "unnamed"
        name, n = bare, 1
        while name in sides.values() or name in RESERVED:
            n += 1
            name = f"{bare}_{n}"
        sides[text] = name
    return sides
