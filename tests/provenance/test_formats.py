import math
from decimal import ROUND_HALF_EVEN, Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from research.errors import UserError
from research.methods.statistics import over_samples, over_seeds, wilson
from research.provenance.formats import (
    Manner,
    apart,
    decimal,
    manner_of,
    measured,
    outcome,
    plain,
    told_apart,
)
from research.records import Number
from research.report.tables import best


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


@pytest.mark.parametrize(
    ("number", "spec", "text"),
    [
        (Number(97.1234, half_width=13.7), ".4f", "97 ± 14"),
        (Number(1495.2, half_width=136.9), ",.1f", "1,500 ± 140"),
        (Number(0.012341, half_width=0.000412), ".6f", "0.01234 ± 0.00041"),
        (Number(0.5, half_width=0.0996), ".4f", "0.50 ± 0.10"),
        (Number(0.9712, half_width=0.137), ".2%", "97 ± 14%"),
        (Number(2.345, half_width=1.37), ".1%", "230 ± 140%"),
        (Number(0.9712, half_width=0.0137), ".3%", "97.1 ± 1.4%"),
        (Number(1.23456e-3, half_width=4.1e-5), ".4e", "1.235 × 10⁻³ ± 4.1 × 10⁻⁵"),
        (Number(12.3456, half_width=0.5), ".5g", "12.35 ± 0.5"),
        (Number(12.3456, half_width=0.5), ".1f", "12.3 ± 0.5"),
        (Number(0.97123, low=0.9, high=0.97623), ".4f", "0.9712 [0.9000, 0.9762]"),
        (Number(1.2345, half_width=0.0), ".4f", "1.2345 (all equal)"),
        (Number(29.1, "", 0.001, 3), ".2f", "29.10 ± 0.01"),
        (Number(0.291, "", 0.00001, 3), ".2%", "29.10 ± 0.01%"),
        (Number(1500.0, half_width=1e-6), ",.0f", "1,500 ± 1"),
        (Number(29.1, low=29.099, high=29.1002), ".2f", "29.10 ± 0.01"),
        (Number(0.5, low=0.38, high=0.64), ".1f", "0.5 ± 0.1"),
        (Number(0.99996, low=0.9, high=1.0, range=(0, 1)), ".2f", "1.00 [0.90, 1.00]"),
    ],
)
def test_the_interval_limits_the_digits(number: Number, spec: str, text: str) -> None:
    """By hand: the shorter arm keeps at most two digits, and no format is made longer."""
    assert measured(number, spec).replace("\u00a0", " ") == text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (over_seeds([0.304, 0.345]), "0.304 and 0.345"),
        (over_seeds([0.5, 0.5]), "0.5000 (both equal)"),
        (over_seeds([0.5, 0.5, 0.5], "dB"), "0.5000 (all equal) dB"),
        (over_samples([0.30, 0.34]), "0.300 and 0.340"),
        (over_seeds([1, 1 + 1e-9]), "1.0000 (both)"),
        (Number(0.5, half_width=0.2, n=2), "0.50"),  # of an older run, which keeps no values
        (Number(0.5, half_width=0.2, n=2, values=(0.4, 0.6)), "0.40 and 0.60"),
        (wilson(2, 2), "1.00 [0.34, 1.00]"),
    ],
)
def test_fewer_than_three_repetitions_have_no_plus_minus(number: Number, text: str) -> None:
    assert measured(number, ".4f").replace("\u00a0", " ") == text


def test_a_paper_of_before_is_printed_as_it_was() -> None:
    former = Manner(edition=1)
    pair = Number(0.5, half_width=0.2, n=2, values=(0.4, 0.6))
    assert measured(pair, ".2f", manner=former) == "0.50\u00a0±\u00a00.20"
    assert measured(Number(1.5, half_width=0.0), ".1f", manner=former) == "1.5\u00a0±\u00a00.0"
    near = Number(0.5, low=0.38, high=0.64)
    assert measured(near, ".1f", manner=former) == "0.5\u00a0[0.4,\u00a00.6]"


@given(st.lists(st.floats(0.01, 0.99), min_size=3, max_size=5), st.integers(0, 5), st.booleans())
def test_no_interval_is_printed_as_nothing(values: list[float], digits: int, share: bool) -> None:
    number = over_seeds(values, range=(0, 1) if share else None)
    text = measured(number, f".{digits}f")
    if number.equal:
        assert text.endswith("(all equal)")
    else:
        _, ends = text.split("\u00a0", 1)
        arm = ends.removeprefix("±\u00a0")
        printed = {text.split("\u00a0")[0], *ends.strip("[]").split(",\u00a0")}
        assert len(printed) > 1 if arm == ends else any(digit in arm for digit in "123456789")


def test_a_column_has_equally_many_decimals_and_one_kind_of_interval() -> None:
    column = [Number(51.2, "", 18.3, 3), Number(0.1234, "", 0.0411, 3), Number(7.0)]
    manner = manner_of(column, ".4f")
    printed = [measured(one, ".4f", manner=manner).replace("\u00a0", " ") for one in column]
    assert printed == ["51.200 ± 18.300", "0.123 ± 0.041", "7.000"]
    lopsided = [Number(0.5, "", 0.1, 3), Number(0.9, low=0.6, high=0.97)]
    manner = manner_of(lopsided, ".2f")
    printed = [measured(one, ".2f", manner=manner).replace("\u00a0", " ") for one in lopsided]
    assert printed == ["0.50 [0.40, 0.60]", "0.90 [0.60, 0.97]"]


def test_of_two_seeds_nothing_is_told_apart() -> None:
    assert not told_apart(over_seeds([1.0, 1.01]), over_seeds([9.0, 9.01]))
    assert outcome(over_seeds([1.0, 1.01]), over_seeds([9.0, 9.01])) == "tie"
    assert told_apart(over_seeds([1.0, 1.01, 1.02]), over_seeds([9.0, 9.01, 9.0]))


def test_without_its_spread_a_value_has_no_more_digits() -> None:
    assert measured(Number(97.1234, half_width=13.7), ".4f", spread=False) == "97"


@given(
    st.lists(st.tuples(st.floats(-5, 5), st.floats(-5, 5)), min_size=3, max_size=6),
    st.floats(0, 3),
)
def test_values_of_the_same_seeds_are_told_apart_by_scipys_paired_test(
    pairs: list[tuple[float, float]], shift: float
) -> None:
    a, b = [x for x, _ in pairs], [y + shift for _, y in pairs]
    gaps = np.subtract(a, b)
    if gaps.std() < 1e-6:
        return
    p = float(stats.ttest_rel(a, b).pvalue)
    if abs(p - 0.05) > 1e-6:
        told = told_apart(Number(float(np.mean(a)), values=tuple(a)),
                          Number(float(np.mean(b)), values=tuple(b)))  # fmt: skip
        assert told == (p < 0.05)


def test_single_seeds_are_not_told_apart_and_other_numbers_by_their_intervals() -> None:
    assert not told_apart(Number(1.0, values=(1.0,)), Number(2.0))
    # nor two, though a t test of these gaps has p = 0.04
    assert not told_apart(Number(0.625, values=(0.0, 1.25)), Number(2.5, values=(2.0, 3.0)))
    wide, far = Number(1.0, half_width=0.5, values=(0.8, 1.2, 1)), Number(2.0, half_width=0.4)
    assert told_apart(wide, far)
    assert not told_apart(wide, Number(1.4))


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


def test_what_has_no_value_is_printed_in_words() -> None:
    assert measured(Number(math.nan, "dB", 0.1, 3), ".2f") == "undefined"
    assert measured(Number(math.inf, "dB"), ".2f") == "∞"
    assert measured(Number(-math.inf, n=2), ".2f") == "−∞"
    assert measured(Number(0.5, low=0.25, high=math.inf), ".2f") == "0.50"
    assert measured(Number(0.5, half_width=math.nan, n=2), ".2f") == "0.50"


def test_what_has_no_value_is_never_the_best() -> None:
    lost = Number(math.nan, n=3, values=(math.nan, 1.0, 1.0))
    near, far = over_seeds([0.99, 1.01, 1.0]), over_seeds([9.0, 9.1, 9.05])
    for cells in ([lost, near, far], [near, lost, far], [far, near, lost]):
        assert best(cells, "min") == cells.index(near)
        assert best(cells, "max") == cells.index(far)
    assert best([lost, near], "min") is None
    assert not told_apart(lost, near) and not told_apart(near, lost)
