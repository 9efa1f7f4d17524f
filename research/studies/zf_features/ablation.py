"""What becomes of the error when layers are removed and widths changed (table 2 of the paper)."""

from collections.abc import Sequence

import numpy as np
from torch import nn

from research.data import Split
from research.methods.comparison import beside
from research.methods.statistics import Direction, claim_of, over_seeds, paired
from research.models import count_parameters
from research.models.inference import predict
from research.records import Cell, Number, Table
from research.records.measured import SHARE
from research.studies.zf_features.networks import Source
from research.studies.zf_features.settings import ARMS, BASELINE, NAMES, NETWORKS
from research.tracking import Log

Errors = dict[str, float]
"""Shares of wrong answers: train and test, and top5 of the test where there are more classes."""
SIDES = ("train", "test")


class Ablation:
    """Errors of every architecture, collected while one network at a time is in memory."""

    def __init__(self) -> None:
        self.errors: dict[str, list[Errors]] = {}
        self.parameters: dict[str, int] = {}

    def add(self, arm: str, model: nn.Module, source: Source) -> None:
        self.errors.setdefault(arm, []).append(errors_of(model, source))
        self.parameters[arm] = count_parameters(model)


def errors_of(model: nn.Module, source: Source) -> Errors:
    """Of the middle crops, so that both sides are seen alike."""
    train, test = wrong_of(model, source.train), wrong_of(model, source.test)
    return {"train": train["top1"], "test": test.pop("top1"), **test}


def wrong_of(model: nn.Module, split: Split) -> Errors:
    logits = predict(model, split)
    found = {"top1": logits.argmax(1) != split.labels}
    if logits.shape[1] > 5:
        found["top5"] = ~(logits.topk(5).indices == split.labels[:, None]).any(1)
    return {name: wrong.double().mean().item() for name, wrong in found.items()}


def measure_ablations(found: Ablation, log: Log) -> None:
    """Errors over seeds, and the change that belongs to each change of the network."""
    log.table("ablations", Table.of([row_of(arm, found) for arm in ARMS]))
    log.table("top5", Table.of([top5_of(arm, found) for arm in ARMS]))
    log.arrays(
        "errors",
        **{
            f"{arm}_{side}": np.array([one[side] for one in errors])
            for arm, errors in found.errors.items()
            for side in SIDES
        },
    )
    for arm, errors in found.errors.items():
        for name in errors[0]:
            log.number(f"{name}_{arm}", over_seeds([one[name] for one in errors], range=SHARE))
        log.number(f"parameters_{arm}", found.parameters[arm])
    counts = {side: counted(side, found) for side in SIDES}
    for side, row in counts.items():
        for name, count in row.items():
            log.number(f"{name}_{side}", count)
    rows: list[dict[str, Cell]] = [{"error": side, **row} for side, row in counts.items()]
    log.table("directions", Table.of(rows))
    log.number("changes", len(ARMS) - 1)
    claim_changes(found, log)


def counted(side: str, found: Ablation) -> dict[str, int]:
    """How many changes of the error go the paper's way or the other, how many of them clearly."""
    words = [
        direction(change_of(arm, side, found), [*printed_changes(arm, side).values()])
        for arm in ARMS
        if arm != BASELINE
    ]
    counts = {}
    for word in ("same", "opposite"):
        counts[word] = sum(word in one for one in words)
        counts[f"{word}_clear"] = words.count(word)
    return counts | {"mixed": words.count("mixed")}


def claim_changes(found: Ablation, log: Log) -> None:
    """What the paper says of two changes: one costs much, the other helps."""
    changes: dict[str, tuple[str, Direction]] = {
        "removal_costs": ("without3467", "greater"),
        "wider_maps_help": ("maps", "less"),
    }
    for name, (arm, direction) in changes.items():
        change = change_of(arm, "test", found)
        log.number(f"change_test_{arm}", change)
        log.claim(name, claim_of(change, direction, test="paired t test over seeds"))


def row_of(arm: str, found: Ablation) -> dict[str, Cell]:
    """A line of the table: ours, the paper's, and whether the changes have the same direction."""
    errors = found.errors[arm]
    row: dict[str, Cell] = {"arm": arm, "parameters": found.parameters[arm]}
    for side in SIDES:
        row[side] = over_seeds([one[side] for one in errors], range=SHARE)
        row |= {f"{one}_{side}": printed_error(arm, one, side) for one in NETWORKS}
    for side in SIDES:
        other = arm != BASELINE
        change, theirs = change_of(arm, side, found), printed_changes(arm, side)
        row[f"change_{side}"] = change if other else None
        row |= {f"{one}_change_{side}": theirs.get(one) if other else None for one in NETWORKS}
        row[f"resolvable_{side}"] = resolvable(change) if other else None
        row[f"direction_{side}"] = direction(change, [*theirs.values()]) if other else "base"
    return row | {"top5": top5_of(arm, found)["test"], "network": NAMES[arm]}


def top5_of(arm: str, found: Ablation) -> dict[str, Cell]:
    """Errors by the five likest classes, where there are more."""
    errors = [one["top5"] for one in found.errors[arm] if "top5" in one]
    row: dict[str, Cell] = {"arm": arm, "test": over_seeds(errors, range=SHARE) if errors else None}
    return row | {f"{network}_test": printed_error(arm, network, "top5") for network in NETWORKS}


def printed_error(arm: str, network: str, name: str) -> float | None:
    """What the paper prints of one of its networks, None where it was not changed so."""
    printed = getattr(ARMS[arm], network)
    return float(getattr(printed, name)) if printed else None


def change_of(arm: str, side: str, found: Ablation) -> Number:
    """From the baseline to an architecture, in percentage points, in pairs of one seed."""
    base, changed = ([100 * one[side] for one in found.errors[name]] for name in (BASELINE, arm))
    return paired(base, changed, "points")


def resolvable(change: Number) -> Number | None:
    """The smallest change of one run, as the paper has one, that ours could have told from none."""
    return beside(change.values, 0.0, change.unit).resolvable


def printed_changes(arm: str, side: str) -> dict[str, float]:
    """Points by which the paper's change moves the error of each network that it changed so."""
    found = {}
    for network in NETWORKS:
        before, after = (getattr(ARMS[name], network) for name in (BASELINE, arm))
        if after:  # both are printed to a tenth
            found[network] = round(100 * (getattr(after, side) - getattr(before, side)), 6)
    return found


def direction(change: Number, printed: Sequence[float]) -> str:
    """Whether a change goes where the paper's goes: same, opposite, none, or mixed.

    Mixed where the paper's own two networks disagree, none where ours does not change at all. In
    parentheses where the interval over seeds holds 0, and for two seeds, which have none; for one
    by the sign alone.
    """
    if len({theirs > 0 for theirs in printed}) > 1:
        return "mixed"
    if change.value == 0:
        return "none"
    word = "same" if (change.value > 0) == (printed[0] > 0) else "opposite"
    low, high = change.bounds or (change.value, change.value)
    return word if (low > 0 or high < 0) and not change.span else f"({word})"
