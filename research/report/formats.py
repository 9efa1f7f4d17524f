"""Formats: how a raw value is printed, and what counts as different."""

import math
import re
from typing import Any

from research.errors import UserError
from research.results import Number

_EXPONENT = re.compile(r"e([+-])0*(\d+)")
_SUPERSCRIPTS = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
SPACE = "\u00a0"


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

    '0.0123 ± 0.0004', '97.1 [96.0, 97.9]%', '21.5 dB'.
    """
    text = decimal(number.value, spec)
    if spread and number.bounds:
        text = text.removesuffix("%")  # the sign once, at the end
        text = f"{text}{SPACE}{_spread(number, spec)}"
    return f"{text}{SPACE}{number.unit}" if unit and number.unit else text


def _spread(number: Number, spec: str) -> str:
    if number.half_width is not None:
        return f"±{SPACE}{decimal(number.half_width, spec.lstrip('+'))}"  # no direction of its own
    low, high = (decimal(end, spec) for end in number.bounds or ())
    sign = "%" if high.endswith("%") else ""
    return f"[{low.removesuffix('%')},{SPACE}{high.removesuffix('%')}]{sign}"


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
