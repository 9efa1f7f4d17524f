"""Formats: how a raw value is printed, and what counts as different."""

import math
import re
import statistics
from collections.abc import Sequence
from typing import Any, Literal

from research.errors import UserError
from research.records import Number

_SPEC = re.compile(r"(?P<head>[+ ,]*)(?:\.(?P<digits>\d+))?(?P<kind>[fFeEgG%])")
_EXPONENT = re.compile(r"e([+-])0*(\d+)")
_SUPERSCRIPTS = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
SPACE = "\u00a0"
UNDEFINED = "undefined"
DAGGER = "†"
"""Marks the value of a single seed."""


def decimal(value: float, spec: str) -> str:
    """One value in a format of Python's: `.4f`, `,.0f`, `.1%`, `.2e` (printed as 1.2 × 10⁻³).

    Raises:
        UserError: the format is no format of a number, or the value is not finite.
    """
    if not math.isfinite(value):
        raise UserError(f"a value of {value} cannot be printed: log None where there is no value")
    try:
        text = format(value, spec)
    except ValueError:
        raise UserError(
            f"'{spec}' is no format of a number: use one as '.4f', ',.0f', '.1%'"
        ) from None
    return _EXPONENT.sub(_power, text).replace("-", "\u2212")


def _power(match: re.Match[str]) -> str:
    power = match[2] if match[1] == "+" else "-" + match[2]
    return f"{SPACE}×{SPACE}10" + power.translate(_SUPERSCRIPTS)


def measured(number: Number, spec: str, *, spread: bool = True, unit: bool = True) -> str:
    """`value ± half-width unit`, or `value [low, high] unit`, or as much of it as there is.

    '0.0123 ± 0.0004', '97.1 [96.0, 97.9]%', '21.5 dB'. The interval limits the digits: its
    shorter arm has at most two that count, 1495.2 ± 136.9 is printed as 1,500 ± 140. What was
    measured and has no value, as 0 / 0, is printed 'undefined'.
    """
    if math.isnan(number.value):
        return UNDEFINED
    if math.isinf(number.value):
        return "∞" if number.value > 0 else "\u2212∞"
    text = _limited(number.value, number, spec)
    if spread and number.bounds and all(map(math.isfinite, number.bounds)):
        text = text.removesuffix("%")  # the sign once, at the end
        text = f"{text}{SPACE}{_spread(number, spec)}"
    return f"{text}{SPACE}{number.unit}" if unit and number.unit else text


def _spread(number: Number, spec: str) -> str:
    if number.half_width is not None:  # it has no direction of its own
        return f"±{SPACE}{_limited(number.half_width, number, spec.lstrip('+'))}"
    low, high = (_limited(end, number, spec) for end in number.bounds or ())
    sign = "%" if high.endswith("%") else ""
    return f"[{low.removesuffix('%')},{SPACE}{high.removesuffix('%')}]{sign}"


def _limited(value: float, number: Number, spec: str) -> str:
    """A value with no digit below the second that counts in the number's interval."""
    match, place = _SPEC.fullmatch(spec), _last_place(number)
    if not match or place is None or not math.isfinite(value):
        return decimal(value, spec)
    kind, wanted = match["kind"], int(match["digits"] or 6)
    if kind in "fF%":
        allowed = -place - (2 if kind == "%" else 0)
        short = round(value, allowed + (2 if kind == "%" else 0)) if allowed < 0 else value
        return decimal(short, f"{match['head']}.{max(0, min(wanted, allowed))}{kind}")
    # digits behind the first one that counts
    allowed = max(0, (_exponent(value) if value else place) - place)
    digits = min(wanted, allowed if kind in "eE" else allowed + 1)
    return decimal(value, f"{match['head']}.{digits}{kind}")


def _last_place(number: Number) -> int | None:
    """The power of ten of the second digit of the interval's shorter arm; None without one."""
    low, high = number.bounds or (number.value, number.value)
    arms = [arm for arm in (number.value - low, high - number.value) if 0 < arm < math.inf]
    return _exponent(float(f"{min(arms):.1e}")) - 1 if arms else None


def _exponent(value: float) -> int:
    return int(f"{value:e}".split("e")[1])


def plain(value: Any, spec: str | None = None) -> str:
    """A setting or fact as printed: 0.001, 4,000, on, '3 × 32 × 32'; None is an en dash."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return decimal(value, spec or ("," if isinstance(value, int) else ".6g"))
    return str(value)


def apart(a: Number, b: Number) -> bool:
    """Whether the 95 % intervals of two values share no point; without an interval, a point."""
    low, high = sorted((a.bounds or (a.value, a.value), b.bounds or (b.value, b.value)))
    return low[1] < high[0]


def outcome(a: Number, b: Number) -> Literal["less", "greater", "tie"]:
    """less or greater where two values are apart, else tie."""
    if not apart(a, b):
        return "tie"
    return "less" if a.value < b.value else "greater"


def told_apart(a: Number, b: Number) -> bool:
    """Whether two values differ at the 5 % level.

    By a paired t test where both were measured with the same number of seeds, else where their
    intervals share no point. Of single seeds nothing is told.
    """
    if a.lone or b.lone or not all(map(math.isfinite, (a.value, b.value, *a.values, *b.values))):
        return False
    if not a.values or len(a.values) != len(b.values):
        return apart(a, b)
    gaps = [one - other for one, other in zip(a.values, b.values, strict=True)]
    return abs(statistics.mean(gaps)) > _half_width(gaps)


def _half_width(values: Sequence[float]) -> float:
    """Of the 95 % interval of a mean, by Student's t."""
    from scipy.special import stdtrit  # only where a column has a best: scipy takes its time

    n = len(values)
    return float(stdtrit(n - 1, 0.975)) * statistics.stdev(values) / math.sqrt(n)
