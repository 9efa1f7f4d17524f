import pytest

from research.errors import UserError
from research.report.tables import Column, best, body, common_unit, printed, select
from research.results import Number, Table

TABLE = Table(
    ("arm", "mse", "n"),
    (
        ("a", Number(0.30, half_width=0.02), 1),
        ("b", Number(0.10, half_width=0.05), 2),
        ("c", None, 3),
    ),
)


def test_best_is_the_smallest_or_largest_value() -> None:
    cells = TABLE.column("mse")
    assert (best(cells, "min"), best(cells, "max"), best(cells, None)) == (1, 0, None)


def test_no_best_where_intervals_overlap() -> None:
    assert best([Number(1.0, half_width=0.3), Number(1.5, half_width=0.3)], "min") is None
    assert best([Number(1.0, half_width=0.3), Number(1.7, half_width=0.3)], "min") == 0


def test_no_best_among_equals_or_alone() -> None:
    assert best([1.0, 1.0, 2.0], "min") is None
    assert best([None, 1.0], "min") is None


def test_rows_are_filtered_and_keep_their_number_in_the_record() -> None:
    part = select(TABLE, "errors", {"n": "N", "arm": "Arm"}, {"arm": ["c", "a"]})
    assert part.rows == ((1, (1, "a")), (3, (3, "c")))


def test_a_row_is_headed_and_only_the_best_is_bold() -> None:
    part = select(TABLE, "errors", {"arm": "Arm", "mse": Column("MSE", ".2f", "min")}, {})
    html = body(part, lambda column, text, raw, row: text).splitlines()
    assert html[1].startswith('<tr><th scope="row">b</th>')
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


def test_measured_numbers_need_a_format() -> None:
    with pytest.raises(UserError, match="give it a format"):
        printed(0.5, Column("x"), "x")


def test_units_of_a_column_agree() -> None:
    assert common_unit([Number(1.0, "dB"), "x", Number(2.0, "dB")]) == "dB"
    with pytest.raises(UserError, match="several units: 'dB', 's'"):
        common_unit([Number(1.0, "dB"), Number(2.0, "s")])
