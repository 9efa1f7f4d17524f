"""Formats: how a raw value is printed, and what counts as different."""

import math
import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any, Literal

from research.errors import UserError
from research.records import Number
from research.records.measured import FEWEST, SPAN

_SPEC = re.compile(r"(?P<head>[+ ,]*)(?:\.(?P<digits>\d+))?(?P<kind>[fFeEgG%])")
_EXPONENT = re.compile(r"e([+-])0*(\d+)")
_SUPERSCRIPTS = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
SPACE = "\u00a0"
UNDEFINED = "undefined"
DAGGER = "†"
"""Marks the value of a single seed."""
EQUAL = "‡"
"""Marks, in a table, a value that all repetitions had."""
EDITION = 2
"""Of the rules by which numbers are printed, see `Manner`."""


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


@dataclass(frozen=True)
class Manner:
    """How a number prints beside others.

    Attributes:
        place: the power of ten of the last digit in its column; None where it has its own.
        ends: whether its column prints the ends of intervals, [low, high], in place of ±.
        noted: whether a mark is explained elsewhere, so that no words are needed.
        edition: of these rules. The first, of older papers, printed ± whatever the number of
            repetitions and however small.
    """

    place: int | None = None
    ends: bool = False
    noted: bool = False
    edition: int = EDITION


ALONE = Manner()


def measured(
    number: Number, spec: str, *, spread: bool = True, unit: bool = True, manner: Manner = ALONE
) -> str:
    """`value ± half-width unit`, or `value [low, high] unit`, or as much of it as there is.

    '0.0123 ± 0.0004', '97.1 [96.0, 97.9]%', '21.5 dB'. The interval limits the digits: its
    shorter arm has at most two that count, 1495.2 ± 136.9 is printed as 1,500 ± 140. It is ±
    where both arms print alike, and never ± 0.00: what is narrower than the last digit is widened
    to it. Of two repetitions both are printed, '0.30 and 0.34'; equal ones are said to be equal,
    '0.30 (all equal)'. What was measured and has no value, as 0 / 0, is printed 'undefined'.
    """
    if math.isnan(number.value):
        return UNDEFINED
    if math.isinf(number.value):
        return "∞" if number.value > 0 else "\u2212∞"
    text = _limited(number.value, number, spec, manner)
    if spread:
        text = _with_spread(text, number, spec, manner)
    return f"{text}{SPACE}{number.unit}" if unit and number.unit else text


def is_marked(number: Number, manner: Manner) -> bool:
    """Whether `EQUAL` stands beside a number, because its repetitions are equal and a note says
    so."""
    return manner.noted and manner.edition > 1 and number.equal and math.isfinite(number.value)


def _with_spread(text: str, number: Number, spec: str, manner: Manner) -> str:
    if manner.edition > 1 and number.equal:
        several = "both" if number.n == 2 else "all"
        return text + (EQUAL if manner.noted else f" ({several} equal)")
    if manner.edition > 1 and number.few:
        return _both(number, spec, manner) if number.span else text
    if not number.bounds or not all(map(math.isfinite, number.bounds)):
        return text
    # the sign once, at the end
    return f"{text.removesuffix('%')}{SPACE}{_spread(number, spec, manner)}"


def _both(number: Number, spec: str, manner: Manner) -> str:
    """Two repetitions, in the order of their seeds; once where they print alike."""
    pair = number.values or number.span or ()
    first, second = (_limited(value, number, spec, manner) for value in pair)
    if first == second:
        return f"{first} (both)"
    return f"{first.removesuffix('%')} and {second}"


def _spread(number: Number, spec: str, manner: Manner) -> str:
    arm = None if manner.ends else _arm(number, spec, manner)
    if arm is not None:
        return f"±{SPACE}{arm}"
    low, high = (_end(end, number, spec, manner) for end in number.bounds or ())
    sign = "%" if high.endswith("%") else ""
    return f"[{low.removesuffix('%')},{SPACE}{high.removesuffix('%')}]{sign}"


def _arm(number: Number, spec: str, manner: Manner) -> str | None:
    """The half-width as printed; None where both arms print differently."""
    bare = spec.lstrip("+")  # it has no direction
    if number.half_width is not None:
        arms = {number.half_width}
    elif manner.edition == 1:
        return None
    else:
        low, high = number.bounds or (number.value, number.value)
        arms = {number.value - low, high - number.value}
    texts = {_limited(arm, number, bare, manner) for arm in arms}
    if len(texts) > 1:
        return None
    shown = texts.pop()
    wide = manner.edition == 1 or any(digit in shown for digit in "123456789")
    return shown if wide else _widened(max(arms), 0.0, number, bare, manner)


def _end(end: float, number: Number, spec: str, manner: Manner) -> str:
    """An end of the interval; one that is printed as the value is, is printed further out."""
    shown = _limited(end, number, spec, manner)
    if manner.edition == 1 or shown != _limited(number.value, number, spec, manner):
        return shown
    return _widened(end, number.value, number, spec, manner)


def _widened(end: float, value: float, number: Number, spec: str, manner: Manner) -> str:
    """The end rounded away from the value, but not out of the number's range."""
    last = _printed_place(number, spec, manner)
    if last is None or end == value:
        return _limited(end, number, spec, manner)
    rounding = ROUND_CEILING if end > value else ROUND_FLOOR
    wide = float(Decimal(end).quantize(Decimal(1).scaleb(last), rounding))
    if number.range and value == number.value:
        wide = min(max(wide, number.range[0]), number.range[1])
    return _limited(wide, number, spec, manner)


def manner_of(numbers: Sequence[Number], spec: str) -> Manner:
    """How the numbers of one column print: with equally many decimals, and all of them with ± or
    all with the ends of their intervals."""
    with_ends = [
        number for number in numbers
        if math.isfinite(number.value) and not number.equal and not number.few
        and number.bounds and all(map(math.isfinite, number.bounds))
    ]  # fmt: skip
    places = [place for place in map(_last_place, numbers) if place is not None]
    manner = Manner(min(places, default=None), noted=True)
    return replace(manner, ends=any(_arm(end, spec, manner) is None for end in with_ends))


def _limited(value: float, number: Number, spec: str, manner: Manner) -> str:
    """A value with no digit below the second that counts in the number's interval."""
    match, place = _SPEC.fullmatch(spec), _last_place(number)
    if match and match["kind"] in "fF%" and manner.place is not None:
        place = manner.place
    if not match or place is None or not math.isfinite(value):
        return decimal(value, spec)
    kind, asked = match["kind"], int(match["digits"] or 6)
    if kind in "fF%":
        allowed = -place - (2 if kind == "%" else 0)
        short = round(value, allowed + (2 if kind == "%" else 0)) if allowed < 0 else value
        return decimal(short, f"{match['head']}.{max(0, min(asked, allowed))}{kind}")
    # digits behind the first one that counts
    allowed = max(0, (_exponent(value) if value else place) - place)
    digits = min(asked, allowed if kind in "eE" else allowed + 1)
    return decimal(value, f"{match['head']}.{digits}{kind}")


def _printed_place(number: Number, spec: str, manner: Manner) -> int | None:
    """The power of ten of the last digit that is printed; None in a format with an exponent."""
    match = _SPEC.fullmatch(spec)
    if not match or match["kind"] not in "fF%":
        return None
    asked = -int(match["digits"] or 6) - (2 if match["kind"] == "%" else 0)
    place = _last_place(number) if manner.place is None else manner.place
    return asked if place is None else max(asked, place)


def _last_place(number: Number) -> int | None:
    """The power of ten of the second digit of the interval's shorter arm; None without one."""
    low, high = number.bounds or number.span or (number.value, number.value)
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
    """Whether the 95 % intervals of two values share no point; without an interval, a point.

    Nothing is told of what was repeated only twice.
    """
    if SPAN in (a.interval, b.interval):
        return False
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
    intervals share no point. Of fewer than three seeds nothing is told.
    """
    few = any(0 < len(number.values) < FEWEST for number in (a, b))
    if few or not all(map(math.isfinite, (a.value, b.value, *a.values, *b.values))):
        return False
    if not a.values or len(a.values) != len(b.values):
        return apart(a, b)
    gaps = [own - other for own, other in zip(a.values, b.values, strict=True)]
    return abs(statistics.mean(gaps)) > _half_width(gaps)


def _half_width(values: Sequence[float]) -> float:
    """Of the 95 % interval of a mean, by Student's t."""
    from scipy.special import stdtrit  # only where a column has a best: scipy takes its time

    n = len(values)
    return float(stdtrit(n - 1, 0.975)) * statistics.stdev(values) / math.sqrt(n)
