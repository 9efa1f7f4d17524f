"""What stands between braces, taken apart: values, and what a span rests on."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

from research.errors import UserError
from research.records import Outcome
from research.report.marks import NAME, OWN
from research.report.misses import miss
from research.report.source import FORMATS, is_format
from research.report.values import Order

_OPTIONS = ("no interval", "no unit")


@dataclass(frozen=True)
class Value:
    """A value to be printed.

    Attributes:
        name: with the study before it, where it is another's.
        spec: a format of Python's; empty for the usual one.
        noun: one and several of what is counted; both empty without a noun.
    """

    name: str
    spec: str = ""
    noun: tuple[str, str] = ("", "")
    spread: bool = True
    unit: bool = True


def value(text: str, reads: Sequence[str]) -> Value:
    """`name`, `name:.2f`, `study:name:.2f`, `name:# noun`, `name:.2f|no interval`.

    Raises:
        UserError: no format, or no option.
    """
    said, _, options = text.replace("\\|", "|").partition("|")  # as within a table
    name, spec = _name_of(said.strip(), reads)
    spec, _, noun = " ".join(spec.split()).partition(" ")
    spec = "" if spec == "#" else spec
    if not is_format(spec):
        raise UserError(
            f"'{spec}' is no format of a number in {{{text}}}: use one as {FORMATS}, or '# noun'"
        )
    several = noun.split("/", 1) if "/" in noun else (noun, f"{noun}s" if noun else "")
    chosen = [" ".join(part.split()) for part in options.split(",")] if options.strip() else []
    for part in chosen:
        if part not in _OPTIONS:
            raise miss("a value has no option", part, _OPTIONS)
    shows = [option not in chosen for option in _OPTIONS]
    return Value(name, spec, (several[0], several[1]), *shows)


def _name_of(said: str, reads: Sequence[str]) -> tuple[str, str]:
    """The name, with its study, and the rest, which is a format."""
    first, _, rest = said.partition(":")
    second, _, third = rest.partition(":")
    # a format of one letter, as d, is no name; of longer ones none is
    foreign = re.fullmatch(NAME, second.strip()) and (first in reads or len(second.strip()) > 1)
    return (f"{first}:{second.strip()}", third) if foreign else (first.strip(), rest)


@dataclass(frozen=True)
class Quoted:
    key: str


@dataclass(frozen=True)
class Stated:
    reason: str


@dataclass(frozen=True)
class Claimed:
    """Words that rest on a claim; `outcome` is None where all three are given."""

    name: str
    outcome: Outcome | None


@dataclass(frozen=True)
class Compared:
    """Words that rest on two values; `order` is None where all three are given."""

    a: str
    b: str | float
    order: Order | None


Basis = Quoted | Stated | Claimed | Compared
_OUTCOMES: tuple[Outcome, ...] = ("holds", "fails", "undecided")
_ORDERS: Mapping[str, Order | None] = {"<": "less", ">": "greater", "~": "tie", "<>": None}
_COMPARED = re.compile(rf"({OWN})\s*(<>|<|>|~)\s*(\S+)")


def basis(text: str) -> Basis:
    """What a span rests on.

    Raises:
        UserError: an outcome that no claim has, or no name or number to compare with.
    """
    if text.startswith("@"):
        return Quoted(text[1:])
    if text.startswith("by="):
        reason: str = text[4:-1].strip()
        if not reason:
            raise UserError('a number of your own needs its reason: [95 %]{by="convention"}')
        return Stated(reason)
    if compared := _COMPARED.fullmatch(text):
        return Compared(compared[1], _other(compared[3]), _ORDERS[compared[2]])
    name, sign, outcome = text.partition("=")
    known = next((word for word in _OUTCOMES if word == outcome), None)
    if sign and known is None:
        raise miss(f"claim '{name}' cannot come out as", outcome, _OUTCOMES)
    return Claimed(name, known)


def _other(text: str) -> str | float:
    try:
        return float(text)
    except ValueError:
        if re.fullmatch(OWN, text):
            return text
        raise UserError(f"a value is compared with a name or a number, got '{text}'") from None


def floating(spec: str) -> str:
    """The format as one of a measured number: `,d` is one without decimals."""
    return f"{spec[:-1]}.0f" if spec.endswith("d") else spec


def matching(patterns: Mapping[str, str], *names: str) -> str:
    """What is said of the first of these names, by the longest pattern that fits; or nothing.

    `*` fits every name, so it is what is said where nothing else fits any of them: else `*` would
    fit a table's column before `change*` could.
    """
    for name in names:
        fits = [pattern for pattern in patterns if pattern != "*" and fnmatchcase(name, pattern)]
        if fits:
            return patterns[max(fits, key=lambda known: (known == name, len(known)))]
    return patterns.get("*", "") if names else ""


# --- conditions ----------------------------------------------------------------------------------

Given = str | float | None
_BEYOND: Mapping[str, Literal[-1, 0, 1]] = {"<": -1, ">": 1}


def met(condition: str, given: Given, shown: str) -> bool:
    """Whether a value is one of `a|b`, or beyond `>1`.

    Arguments:
        given: the value; None where there is none.
        shown: the value as it would be printed.

    Raises:
        UserError: no number behind the sign.
    """
    if condition[:1] in _BEYOND:
        return isinstance(given, int | float) and _beyond(condition, given)
    return any(_same(choice.strip(), given, shown) for choice in condition.split("|"))


def _beyond(condition: str, given: float) -> bool:
    sign, rest = condition[0], condition[1:]
    equal, number = rest.startswith("="), rest.removeprefix("=")
    try:
        limit = float(number)
    except ValueError:
        raise UserError(f"a condition '{condition}' needs a number behind its sign") from None
    return (given == limit and equal) or (given > limit if sign == ">" else given < limit)


def _same(condition: str, given: Given, shown: str) -> bool:
    if condition == "none":
        return given is False or (not given and not isinstance(given, int | float))
    if isinstance(given, bool):
        return condition in (("true", "yes", "on") if given else ("false", "no", "off"))
    if isinstance(given, int | float):
        try:
            return given == float(condition) or condition == shown
        except ValueError:
            return condition == shown
    return given is not None and condition in (given, shown)
