"""Claims about groups, as a user types them: `resnet_beats_mlp: resnet > mlp on val_acc`."""

import re
from collections.abc import Mapping
from typing import TypeVar

from research.errors import UserError
from research.methods.statistics import claim_of, claim_pairs
from research.records import Claim, Number

T = TypeVar("T")
_CLAIM = re.compile(r"\s*(\w+)\s*:\s*(.+?)\s*([<>])\s*(.+?)\s+on\s+(.+?)\s*")

Values = Mapping[str, Mapping[str, Number]]
"""metric -> group -> number over seeds"""


def claims(texts: tuple[str, ...], values: Values, *, seeded: bool) -> dict[str, Claim]:
    """Each claim by its name, decided by a t test over pairs of equal seed.

    The right side may be a number, which the mean over seeds is then compared with.

    Raises:
        UserError: it is written in another way, or names what is not there.
    """
    if texts and not seeded:
        raise UserError(
            "--claim compares groups seed by seed: say which parameter holds the seed, as --seeds "
            "params.seed"
        )
    decided: dict[str, Claim] = {}
    for text in texts:
        name, claim = _claim(text, values)
        if name in decided:
            raise UserError(f"two claims are called '{name}': give each its own name")
        decided[name] = claim
    return decided


def _claim(text: str, values: Values) -> tuple[str, Claim]:
    match = _CLAIM.fullmatch(text)
    if not match:
        raise UserError(f"--claim is 'NAME: GROUP > GROUP on METRIC', or < for less, got '{text}'")
    name, left, sign, right, metric = match.groups()
    numbers = _known("metric", metric, values)
    more = _known("group", left, numbers)
    if right not in numbers and (known := _number(right)) is not None:
        return name, claim_of(more, "greater" if sign == ">" else "less", known)
    less = _known("group", right, numbers)
    return name, claim_pairs(less, more, "greater" if sign == ">" else "less")


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _known(kind: str, name: str, there: Mapping[str, T]) -> T:
    if name not in there:
        raise UserError(f"--claim names a {kind} '{name}', there is {', '.join(there) or 'none'}")
    return there[name]
