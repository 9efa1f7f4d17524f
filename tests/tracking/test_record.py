"""The record: what lands in the files, and what is refused."""

import csv
import hashlib
import json
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from research import records
from research.tracking.curves import Curves, read
from research.tracking.folder import FolderStore

from . import tiny
from .conftest import points


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = FolderStore(tmp_path_factory.mktemp("runs with spaces"))
    with store.start(tiny.OPENING) as log:
        tiny.study(log)
    return log.folder


def test_a_record_reads_back_to_the_last_bit(record: Path) -> None:
    loaded = records.load(record)
    assert loaded.numbers["loss"] == records.Number(2 / 3, "nats", 0.1, 2)
    assert loaded.numbers["share"].value == 1 / 7
    claim = records.Claim(records.Number(-1 / 3, half_width=0.1, n=2), 0.02, 2, "by hand", "less")
    assert loaded.claims == {"falls": replace(claim, adjusted=0.02)}
    assert loaded.table("errors").rows == (("arm", records.Number(1 / 3)), ("b", 2))
    assert np.array_equal(loaded.arrays("curves")["loss"], [1 / 3, np.nan], equal_nan=True)
    with (record / "tables/errors.csv").open() as file:
        assert [float(row["loss"]) for row in csv.DictReader(file)] == [1 / 3, 2]


def test_the_facts_of_the_run(record: Path) -> None:
    run = records.load(record).run
    assert (run.status, run.study, run.seeds) == ("FINISHED", "tiny", (0, 1))
    assert run.started <= run.ended
    assert run.config["data.root"] == "data"
    assert run.data["sha256"] == tiny.DATA["sha256"]
    assert run.findings == ("It does.",)
    assert run.seconds["measuring"] > 0
    assert run.versions["numpy"] == np.__version__


def test_children_are_records_beside_their_parent(record: Path) -> None:
    children = json.loads((record / "tracking/lineage.json").read_text())["children"]
    assert list(children) == list(tiny.CHILDREN)
    for seed, id in enumerate(children.values()):
        child = record.parent / id
        expected = [(step, "train/loss", tiny.loss(seed, step)) for step in (1, 2, 3)]
        assert points(child) == expected
        assert records.load(child).run.config == {"arm": "arm", "seed": seed}


def test_the_manifest_lists_the_sha256_of_every_file(record: Path) -> None:
    files = {p.relative_to(record).as_posix(): p for p in record.rglob("*") if p.is_file()}
    del files["manifest.json"]
    expected = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()}
    assert json.loads((record / "manifest.json").read_text()) == expected
    environment = {"packages.txt", "argv.txt", "git.diff", "git.json", "hardware.json"}
    assert {f"environment/{name}" for name in environment} <= files.keys()


def test_even_a_short_run_knows_the_load_at_its_start_and_end(record: Path) -> None:
    steps = {step for step, name, _ in points(record, "tracking/system.jsonl")}
    assert {0, 1} <= steps


@pytest.mark.parametrize("name", ["", "a b", "../a", "a//b", "/a", "é", "a.b"])
def test_names_of_other_letters_are_refused(name: str, tmp_path: Path) -> None:
    with FolderStore(tmp_path).start(tiny.OPENING) as log:
        with pytest.raises(ValueError, match="a name is made of letters"):
            log.number(name, 1.0)
        with pytest.raises(ValueError, match="a name is made of letters"):
            log.metrics(1, {name: 1.0})


@pytest.mark.parametrize("name", ["../outside.txt", "/etc/passwd", "a/../../b", "."])
def test_no_file_outside_the_record(name: str, tmp_path: Path) -> None:
    opened = FolderStore(tmp_path).start(tiny.OPENING)
    with opened as log, pytest.raises(ValueError, match="a file of the record is named like"):
        log.path(name)


def test_a_name_is_logged_once(tmp_path: Path) -> None:
    with FolderStore(tmp_path).start(tiny.OPENING) as log:
        log.number("a", 1.0)
        log.arrays("a", x=np.zeros(1))
        with pytest.raises(ValueError, match="number is logged once, but 'a'"):
            log.number("a", 2.0)
    assert records.load(log.folder).numbers["a"].value == 1.0


@given(st.lists(st.floats(), max_size=8))
def test_curves_keep_every_bit(
    tmp_path_factory: pytest.TempPathFactory, values: list[float]
) -> None:
    curves = Curves(tmp_path_factory.mktemp("curves") / "metrics.jsonl")
    for step, value in enumerate(values, 1):
        curves.add(step, {"a": value})
    stored = [point.values["a"] for point in read(curves.path)[0]]
    assert [_bits(value) for value in stored] == [_bits(value) for value in values]


@given(cut=st.integers(0, 400))
def test_a_torn_file_goes_on_after_its_last_whole_line(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    path = tmp_path_factory.mktemp("curves") / "metrics.jsonl"
    whole = Curves(path)
    for step in (1, 2, 3, 4):
        whole.add(step, {"a": step / 3})
    path.write_bytes(path.read_bytes()[:cut])
    kept = path.read_bytes().count(b"\n")
    again = Curves(path)
    for step in (1, 2, 3, 4):
        again.add(step, {"a": step / 3 if step > kept else -1.0})  # a step logged twice stays
    assert [(s, v) for s, _, v in points(path.parent)] == [(s, s / 3) for s in (1, 2, 3, 4)]


def _bits(value: float) -> bytes:
    return b"nan" if value != value else struct.pack("d", value)
