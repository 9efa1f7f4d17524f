import dataclasses
import json
from collections.abc import Callable
from typing import Any

import pikepdf
import pytest

from research.errors import UserError
from research.paths import PACKAGED
from research.provenance.entries import Cut
from research.provenance.reading import trail_of
from research.records import Number, Table
from research.report import Built
from research.report.render import Parts
from research.report.sayings import matching
from research.report.tables import (
    Column,
    Part,
    best,
    common_unit,
    heads,
    printed,
    repetitions,
    rows,
    select,
)
from research.verification.evidence import Evidence, reprinted
from research.verification.verify import verify

TABLE = Table(
    ("arm", "mse", "n"),
    (
        ("a", Number(0.30, half_width=0.02), 1),
        ("b", Number(0.10, half_width=0.05), 2),
        ("c", None, 3),
    ),
)


def body(part: Part) -> str:
    """The table as it is printed, of plain cells."""
    printed = rows(part, lambda column, text, raw, row: text)
    return Parts(PACKAGED)("cells", heads=heads(part, str), rows=printed)


def test_best_is_the_smallest_or_largest_value() -> None:
    cells = TABLE.column("mse")
    assert (best(cells, "min"), best(cells, "max"), best(cells, None)) == (1, 0, None)


def test_no_best_where_intervals_overlap() -> None:
    assert best([Number(1.0, half_width=0.3), Number(1.5, half_width=0.3)], "min") is None
    assert best([Number(1.0, half_width=0.3), Number(1.7, half_width=0.3)], "min") == 0


def over(*values: float) -> Number:
    return Number(sum(values) / len(values), half_width=9.0, n=len(values), values=values)


def test_best_of_the_same_seeds_is_decided_in_pairs() -> None:
    """Seeds differ more than arms, so the intervals overlap, but each seed prefers the first."""
    assert best([over(1.0, 5.0, 9.0), over(1.2, 5.3, 9.2)], "min") == 0
    assert best([over(1.0, 5.0, 9.0), over(1.2, 4.9, 9.2)], "min") is None


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ([over(1.0, 2.0, 3.0), over(1.0, 2.0, 3.0), Number(1.0)], "n = 3 seeds"),
        ([Number(1.0, values=(1.0,)), Number(2.0)], "n = 1 seed†"),
        ([over(1.0, 2.0), over(1.0, 2.0, 3.0)], "n = 2–3 seeds"),
        ([Number(1.0, values=(1.0,)), over(1.0, 2.0)], "n = 2 seeds, † n = 1"),
        ([Number(1.0), Number(0.5, low=0.4, high=0.6, n=100)], ""),
    ],
)
def test_over_how_many_seeds(numbers: list[Number], text: str) -> None:
    table = Table(("x",), tuple((number,) for number in numbers))
    assert repetitions(select(table, "t", {"x": Column("X", ".1f")}, {}).seeds) == text


def test_a_single_seed_among_several_is_marked_in_its_cell() -> None:
    table = Table(("x",), ((Number(1.0, values=(1.0,)),), (over(1.0, 2.0),), (Number(3.0),)))
    part = select(table, "t", {"x": Column("X", ".1f")}, {})
    shown = body(part)
    assert [line.count("†") for line in shown.splitlines()] == [1, 0, 0]


def test_no_best_among_equals_or_alone() -> None:
    assert best([1.0, 1.0, 2.0], "min") is None
    assert best([None, 1.0], "min") is None


def test_rows_are_filtered_and_keep_their_number_in_the_record() -> None:
    part = select(TABLE, "errors", {"n": "N", "arm": "Arm"}, {"arm": ["c", "a"]})
    assert part.rows == ((1, (1, "a")), (3, (3, "c")))


def test_a_row_is_headed_and_only_the_best_is_bold() -> None:
    part = select(TABLE, "errors", {"arm": "Arm", "mse": Column("MSE", ".2f", "min")}, {})
    html = body(part).splitlines()
    assert html[1].startswith('<tr><th scope="row">b</th><td class="number"><b>0.10')
    assert ["<b>" in line for line in html] == [False, True, False]


def test_none_is_an_en_dash_and_words_have_labels() -> None:
    assert printed(None, Column("x", ".2f"), "x") == "–"
    assert printed("a", Column("x", labels={"a": "Arm A"}), "x") == "Arm A"


@pytest.mark.parametrize(
    ("columns", "rows", "message"),
    [
        ({"mes": "MSE"}, {}, "table 'errors' has no column 'mes'. Did you mean 'mse'?"),
        ({"arm": "Arm"}, {"amr": ["a"]}, "Did you mean 'arm'?"),
        ({"arm": "Arm"}, {"arm": ["z"]}, "has no row where"),
    ],
)
def test_select_misses(columns: dict[str, str], rows: dict[str, list[str]], message: str) -> None:
    with pytest.raises(UserError) as error:
        select(TABLE, "errors", columns, rows)
    assert message in str(error.value)


def test_a_star_alone_is_the_last_format_of_a_column() -> None:
    formats = {"*": ".1%", "change*": "+.1f", "errors.p*": ".2f"}
    found = [matching(formats, f"errors.{name}", name) for name in ("change_test", "psnr", "mse")]
    assert found == ["+.1f", ".2f", ".1%"]


def test_measured_numbers_need_a_format() -> None:
    with pytest.raises(UserError, match="give it a format"):
        printed(0.5, Column("x"), "x")


def test_units_of_a_column_agree() -> None:
    assert common_unit([Number(1.0, "dB"), "x", Number(2.0, "dB")]) == "dB"
    with pytest.raises(UserError, match="several units: 'dB', 's'"):
        common_unit([Number(1.0, "dB"), Number(2.0, "s")])


def test_the_best_is_that_of_all_rows_though_few_are_printed() -> None:
    wanted = {"arm": Column("Arm"), "mse": Column("MSE", ".2f", best="min")}
    rows = (("a", Number(0.3, half_width=0.0)), ("b", Number(0.1, half_width=0.0)))
    part = select(Table(("arm", "mse"), rows), "t", wanted, {}, most=1)
    shown = body(part)
    assert shown.count("<tr>") == 2 and "<b>" not in shown
    whole = select(Table(("arm", "mse"), rows), "t", wanted, {})
    assert body(whole).count("<b>") == 1


def test_no_row_is_no_table() -> None:
    with pytest.raises(UserError, match="prints at least 1 row, got most=0"):
        select(TABLE, "t", {"arm": Column("Arm")}, {}, most=0)


CUT = ("{.table name=classes", "{.table name=classes most=4")


def test_a_long_table_is_cut_and_says_so(write: Callable[..., Built]) -> None:
    built = write(replace=CUT)
    said = "Printed are 4 of 10 rows; all are attached to the PDF as tables-classes.json"
    [entry] = [one for one in built.provenance["numbers"] if one["kind"] == "cut"]
    assert (entry["printed"], entry["value"]) == (said, [4, 10])
    verdict = verify(built.pdf)
    assert verdict.problems == ()
    with pikepdf.open(built.pdf) as document:
        content = json.loads(document.attachments[entry["file"]].get_file().read_bytes())
    assert len(content["rows"]) == 10


@pytest.mark.parametrize(
    ("key", "value"), [("value", (4, 9)), ("value", (5, 10)), ("file", "numbers.json")]
)
@pytest.mark.long
def test_a_cut_that_is_told_wrongly_is_found(
    key: str, value: Any, write: Callable[..., Built]
) -> None:
    built = write(replace=CUT)
    with pikepdf.open(built.pdf) as document:
        files = {name: spec.get_file().read_bytes() for name, spec in document.attachments.items()}
    trail = trail_of(files)
    [entry] = [one for one in trail.numbers if isinstance(one, Cut)]
    data = Evidence(trail, files)
    assert data.of(entry) == (True, entry.value) and reprinted(entry) == entry.printed
    changed = dataclasses.replace(entry, **{key: value})
    assert data.of(changed)[1] != changed.value
    assert reprinted(changed) != changed.printed
