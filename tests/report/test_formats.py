import math
from decimal import ROUND_HALF_EVEN, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from research.errors import UserError
from research.report.formats import apart, decimal, measured, plain
from research.results import Number


@given(st.floats(-1e6, 1e6), st.integers(0, 6))
def test_decimal_rounds_as_decimal_arithmetic_does(value: float, digits: int) -> None:
    exact = Decimal(value).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_EVEN)
    assert Decimal(decimal(value, f".{digits}f").replace("−", "-")) == exact


@pytest.mark.parametrize(
    ("number", "spec", "text"),
    [
        (Number(0.01234, half_width=0.00041), ".4f", "0.0123 ± 0.0004"),
        (Number(0.612, half_width=0.014), ".1%", "61.2 ± 1.4%"),
        (Number(21.5, "dB", 0.25), ".1f", "21.5 ± 0.2 dB"),
        (Number(-0.25, "dB"), ".2f", "−0.25 dB"),
        (Number(1.5, "dB", 2.25), "+.1f", "+1.5 ± 2.2 dB"),
        (Number(1495.0), ",.0f", "1,495"),
        (Number(0.00123), ".1e", "1.2 × 10⁻³"),
        (Number(0.971, low=0.9601, high=0.979), ".1%", "97.1 [96.0, 97.9]%"),
        (Number(-1.5, "dB", low=-2.0, high=0.25), "+.2f", "−1.50 [−2.00, +0.25] dB"),
    ],
)
def test_measured(number: Number, spec: str, text: str) -> None:
    assert measured(number, spec).replace("\u00a0", " ") == text


def test_spread_and_unit_can_be_left_out() -> None:
    assert measured(Number(1.5, "dB", 0.1), ".1f", spread=False, unit=False) == "1.5"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_not_finite_is_refused(value: float) -> None:
    with pytest.raises(UserError, match="cannot be printed"):
        decimal(value, ".2f")


def test_a_wrong_format_is_refused() -> None:
    with pytest.raises(UserError, match=r"'\.4q' is no format"):
        decimal(1.0, ".4q")


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (True, "yes"), (4000, "4,000"), (1e-3, "0.001"), ("cpu", "cpu")],
)
def test_plain(value: object, text: str) -> None:
    assert plain(value) == text


@given(*[st.floats(-10, 10) for _ in range(2)], *[st.floats(0, 5) for _ in range(2)])
def test_apart_means_that_no_point_lies_in_both_intervals(
    a: float, b: float, half_a: float, half_b: float
) -> None:
    low, high = max(a - half_a, b - half_b), min(a + half_a, b + half_b)
    if abs(high - low) > 1e-9:  # at the very edge rounding decides
        assert apart(Number(a, "", half_a), Number(b, "", half_b)) == (low > high)
