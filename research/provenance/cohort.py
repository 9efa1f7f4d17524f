"""Cohort and selection: what differs among the runs behind a paper, and which were left out."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from research.records import Run


@dataclass(frozen=True)
class Past:
    """A run of the study that the store knows, the paper's own included."""

    id: str
    preset: str
    status: str
    config_digest: str
    started: str


@dataclass(frozen=True)
class History:
    """What a store knows of the runs around the one that is printed.

    Attributes:
        runs: all of the study; empty where nothing is known.
        lenders: by id, the runs that trained models which the printed one found.
    """

    runs: Sequence[Past] = ()
    lenders: Mapping[str, Run] = field(default_factory=dict)


def differing(run: Run, other: Run) -> list[str]:
    """In what another run departs from the one that is printed: 'commit 0123456', 'torch 2.9'."""
    pairs = {
        "commit": (run.commit[:7], other.commit[:7]),
        "data": (run.data.get("sha256", "")[:12], other.data.get("sha256", "")[:12]),
        "torch": (run.versions.get("torch", ""), other.versions.get("torch", "")),
        "precision": tuple(
            str(either.config.get("train.precision", "")) for either in (run, other)
        ),
        "device": (run.device, other.device),
    }
    differences = [
        f"{name} {there or 'unknown'}" for name, (here, there) in pairs.items() if here != there
    ]
    return differences + ["a modified tree"] * bool(other.dirty and not run.dirty)


def cohort(run: Run, lenders: Mapping[str, Run]) -> str:
    """Which of the found models come from other conditions, and which; empty where none does.

    '2 of them with commit 0123456; 1 by a run that is gone'
    """
    counted: Counter[str] = Counter()
    for model in run.models.values():
        if model["origin"] != "found" or model["run"] == run.id:
            continue
        lender = lenders.get(model["run"])
        apart = ", ".join(differing(run, lender)) if lender else ""
        where = f"with {apart}" if apart else "" if lender else "by a run that is gone"
        counted[where] += 1
    return "; ".join(f"{n} of them {where}" for where, n in sorted(counted.items()) if where)


def selection(run: Run, history: History) -> str:
    """How many runs of the study exist, which are used, and why the others are not.

    'Of 4 runs of this study 1 is printed and 1 lent models; left out: 1 failed, 1 older.'
    Of adopted runs it was counted when they were frozen.
    """
    if run.adopted:
        return str(run.adopted.get("selection", ""))
    others = [past for past in history.runs if past.id != run.id]
    if not others:
        return "It is the study's only run." if history.runs else ""
    lent = sum(other.id in history.lenders for other in others)
    reasons = Counter(_reason(other, run) for other in others if other.id not in history.lenders)
    used = "1 is printed" + (f" and {lent} lent models" if lent else "")
    listed = ", ".join(f"{count} {why}" for why, count in sorted(reasons.items()))
    rest = f"; left out: {listed}" if listed else ""
    return f"Of {len(others) + 1} runs of this study {used}{rest}."


def _reason(past: Past, run: Run) -> str:
    if past.status != "FINISHED":
        unfinished = {"FAILED": "failed", "KILLED": "stopped", "RUNNING": "still running"}
        return unfinished.get(past.status, past.status.lower())
    if past.preset != run.preset:
        return f"of preset {past.preset}"
    if past.config_digest != run.config_digest:
        return "of other settings"
    return "older" if past.started <= run.started else "newer"
