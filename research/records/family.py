"""The claims of one run as a family: adjusted together, as numbers and as a table."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from research.records.measured import Claim, Number

COLUMNS = (
    "claim", "effect", "low", "high", "unit", "direction", "threshold", "n", "test", "p",
    "p_adjusted", "outcome",
)  # fmt: skip


def holm(p: Sequence[float]) -> list[float]:
    """p values adjusted for their number, in the same order; one below 0.05 may be believed.

    The chance of even one false rejection among all is then at most 0.05, however they depend on
    each other.

    References:
        A Simple Sequentially Rejective Multiple Test Procedure (Holm, 1979).

    Example:
        >>> holm([0.04, 0.01])
        [0.04, 0.02]
    """
    adjusted, least = [0.0] * len(p), 0.0
    for rank, place in enumerate(sorted(range(len(p)), key=p.__getitem__)):
        least = min(1.0, max(least, float(p[place]) * (len(p) - rank)))
        adjusted[place] = least
    return adjusted


def adjusted(claims: Mapping[str, Claim]) -> dict[str, Claim]:
    """The claims with their p adjusted together; one without p takes no part."""
    tested = {
        name: claim.p
        for name, claim in claims.items()
        if claim.p is not None and not math.isnan(claim.p)
    }
    known = dict(zip(tested, holm([*tested.values()]), strict=True))
    return {name: replace(claim, adjusted=known.get(name)) for name, claim in claims.items()}


def numbers(claims: Mapping[str, Claim]) -> dict[str, Number]:
    """What a claim rests on, as numbers: `NAME.effect`, `NAME.p` and `NAME.adjusted`."""
    effects: dict[str, Number] = {}
    for name, claim in claims.items():
        effects[f"{name}.effect"] = claim.effect
        if claim.p is not None:
            effects[f"{name}.p"] = Number(claim.p)
        if claim.adjusted is not None:
            effects[f"{name}.adjusted"] = Number(claim.adjusted)
    return effects


def rows(claims: Mapping[str, Claim]) -> list[tuple[str | int | float | None, ...]]:
    """One row of `COLUMNS` for each claim; what has no value is None."""
    lines: list[tuple[str | int | float | None, ...]] = []
    for name, claim in claims.items():
        low, high = claim.effect.bounds or (None, None)
        effect = (name, claim.effect.value, low, high, claim.effect.unit)
        test = (claim.direction, claim.threshold, claim.n, claim.test)
        lines.append((*effect, *test, claim.p, claim.adjusted, claim.outcome))
    return lines


def as_csv(claims: Mapping[str, Claim]) -> str:
    """The claims for a spreadsheet, at full precision."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(rows(claims))
    return text.getvalue()
