"""The claims of a run: adjusted together, read again, and as a table."""

import csv
import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from research.records import Claim, Number, read_claims, read_numbers, write_claims
from research.records.family import COLUMNS, adjusted, as_csv, holm, numbers


def claim(p: float | None) -> Claim:
    effect = Number(0.4, "dB", half_width=0.1, n=3, values=(0.35, 0.4, 0.45))
    return Claim(effect, p, 3, "paired t test over seeds")


@given(st.lists(st.floats(0, 1), min_size=1, max_size=9))
def test_adjusted_p_are_statsmodels(p: list[float]) -> None:
    assert holm(p) == pytest.approx(multipletests(p, method="holm")[1])


def test_what_holds_alone_may_be_undecided_among_others() -> None:
    assert claim(0.03).outcome == "holds"
    family = adjusted({"a": claim(0.03), "b": claim(0.2), "c": claim(0.001), "d": claim(None)})
    assert {name: one.outcome for name, one in family.items()} == {
        "a": "undecided", "b": "undecided", "c": "holds", "d": "holds"
    }  # fmt: skip
    assert [one.adjusted for one in family.values()] == pytest.approx([0.06, 0.2, 0.003, None])


def test_a_claim_without_a_value_takes_no_part() -> None:
    family = adjusted({"a": claim(0.03), "b": claim(float("nan"))})
    assert family["a"].adjusted == 0.03 and family["b"].adjusted is None


def test_effect_and_p_are_numbers_of_their_own() -> None:
    found = numbers(adjusted({"a": claim(0.03), "b": claim(None)}))
    assert [*found] == ["a.effect", "a.p", "a.adjusted", "b.effect"]
    assert found["a.effect"] == claim(0.03).effect and found["a.p"].value == 0.03


def test_the_table_has_what_was_tested_and_decided(tmp_path: Path) -> None:
    write_claims(tmp_path, {"a": claim(0.03), "b": claim(0.5)})
    written = (tmp_path / "claims.csv").read_text()
    assert written == as_csv(read_claims(tmp_path))
    first, second = csv.DictReader(io.StringIO(written))
    assert tuple(first) == COLUMNS
    told = [float(first[column]) for column in ("effect", "low", "p_adjusted")]
    assert told == pytest.approx([0.4, 0.3, 0.06])
    assert [first["outcome"], second["outcome"]] == ["undecided", "undecided"]


def test_records_of_before_are_read(tmp_path: Path) -> None:
    number = {"value": 0.5, "unit": "", "half_width": 0.2, "n": 2, "low": None, "high": None,
              "values": [0.4, 0.6]}  # fmt: skip
    (tmp_path / "numbers.json").write_text(json.dumps({"x": number}))
    test = {"p": 0.03, "n": 2, "test": "t", "direction": "greater", "threshold": 0.0}
    claims = {name: {"effect": number | {"n": 2}} | test for name in ("a", "b")}
    (tmp_path / "claims.json").write_text(json.dumps(claims))
    assert read_numbers(tmp_path)["x"] == Number(0.5, "", 0.2, 2, values=(0.4, 0.6))
    assert read_claims(tmp_path)["a"].adjusted == 0.06
