"""A record returns what was written into it, to the last bit."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from research import records
from research.records import Number, Results, Run, Table

RUN = Run(
    id="1a2b",
    study="ae",
    question="?",
    preset="sample",
    name="ae",
    status="FINISHED",
    started="2026-01-01T00:00:00+00:00",
    ended="2026-01-01T00:01:00+00:00",
    config={"train.lr": 0.1},
    config_digest="d",
    seeds=(0, 1),
    device="cpu",
    data={"name": "photos"},
    commit="",
    dirty=False,
    versions={},
)
NUMBERS = st.builds(
    Number,
    st.floats(allow_nan=False),
    st.text(max_size=3),
    st.none() | st.floats(allow_nan=False),
    st.integers(1, 9),
)
CELLS = st.none() | st.text(max_size=5) | st.integers() | st.floats(allow_nan=False) | NUMBERS


@given(numbers=st.dictionaries(st.text("abc_", min_size=1), NUMBERS, max_size=4))
def test_numbers_return(
    tmp_path_factory: pytest.TempPathFactory, numbers: dict[str, Number]
) -> None:
    folder = tmp_path_factory.getbasetemp()
    records.write_numbers(folder, numbers)
    assert records.read_numbers(folder) == numbers


@given(rows=st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=4))
def test_tables_return(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[records.Cell, ...]]
) -> None:
    folder = tmp_path_factory.getbasetemp()
    table = Table(("a", "b"), tuple(rows))
    records.write_table(folder, "t", table)
    assert records.read_table(folder / "tables/t.json") == table


def test_a_row_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match=r"a row needs 2 cells .* got 1"):
        Table(("a", "b"), (("x",),))


def test_run_and_arrays_return_and_reads_are_noted(tmp_path: Path) -> None:
    records.write_run(tmp_path, RUN)
    records.write_arrays(tmp_path, "curve", {"x": np.arange(3), "y": np.ones((2, 2), np.float32)})
    records.write_numbers(tmp_path, {"a": Number(1.5)})
    record = records.load(tmp_path)
    assert record.run == RUN
    assert record.reads == set()
    arrays = record.arrays("curve")
    assert arrays["x"].tolist() == [0, 1, 2] and arrays["y"].dtype == np.float32
    assert record.numbers["a"].value == 1.5
    assert record.reads == {"arrays/curve.npz", "numbers.json"}


def test_a_record_is_needed(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        records.load(tmp_path)


def test_manifest_lists_every_file_with_its_digest(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/b.txt").write_bytes(b"abc")
    (tmp_path / "report").mkdir()
    (tmp_path / "report/x.pdf").write_bytes(b"later")
    records.write_manifest(tmp_path)
    # the digest of "abc" is the example of FIPS 180-2, appendix B.1
    abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert records.read_manifest(tmp_path) == {"a/b.txt": abc}


def test_names_and_drawings(tmp_path: Path) -> None:
    drawing = records.Drawing("figures/k.svg", "figures/k.png", 86, 40, ("arrays/k.npz",))
    records.write_drawing(tmp_path, "k", drawing)
    record = Results(RUN, tmp_path)
    assert record.figure("k") == drawing
    assert record.names("figures") == ["k"]
    assert record.names("tables") == []


def test_no_half_file_is_left_when_a_value_cannot_be_written(tmp_path: Path) -> None:
    records.write_numbers(tmp_path, {"a": Number(1)})
    before = (tmp_path / "numbers.json").read_text()
    with pytest.raises(TypeError):
        records.write_numbers(tmp_path, {"a": Number(object())})  # type: ignore[arg-type]
    assert json.loads((tmp_path / "numbers.json").read_text()) == json.loads(before)
