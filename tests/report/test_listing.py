"""What may be printed is listed with its value and the line of code that measured it."""

from pathlib import Path

import pytest

from research import __main__ as command
from research.records import Claim, Number, Results, Table, read_origins
from research.report import listing
from research.report.listing import Item
from research.tracking import Opening, open_run, open_store
from research.tracking.record import Lineage, write_lineage

OPENING = Opening("ae", "?", "sample", "ae sample", {"train.lr": 0.1}, "d", (0,), "cpu")


def line_of(text: str) -> int:
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    return 1 + next(place for place, line in enumerate(lines) if line.lstrip().startswith(text))


def test_each_thing_is_told_with_the_line_that_logged_it(tmp_path: Path) -> None:
    store = f"folder:{tmp_path}"
    with open_store(store).start(OPENING) as log:
        log.number("mse", Number(0.25, "dB", half_width=0.5, n=3))
        log.number("share", Number(0.5, low=0.25, high=0.75, n=8))
        log.claim("better", Claim(Number(1.0, half_width=0.5, n=3), 0.01, 3, "t test"))
        log.table("errors", Table(("arm", "mse"), (("a", 1.0), ("b", 2.0))))
    found = {(one.kind, one.name): one for one in listing.items(open_run("ae", store))}
    at = "tests/report/test_listing.py:{}".format
    wanted = [
        Item("number", "mse", "0.25 ± 0.5 dB (n = 3)", at(line_of('log.number("mse"'))),
        Item("number", "share", "0.5 [0.25, 0.75] (n = 8)", at(line_of('log.number("share"'))),
        Item("table", "errors", "2 rows of arm, mse", at(line_of('log.table("errors"'))),
        Item("setting", "config.train.lr", "0.1"),
    ]
    assert [found[one.kind, one.name] for one in wanted] == wanted
    assert found["claim", "better"].value.startswith("holds: 1 [0.5, 1.5] greater than 0")
    assert found["claim", "better"].origin == at(line_of('log.claim("better"'))
    assert found["fact", "run.preset"].value == "sample"


def test_the_command_lists_a_record_of_before(
    record: Results, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert read_origins(record.folder) == {}
    write_lineage(record.folder, Lineage(started=1, ended=2))
    (tmp_path / "store").mkdir()
    record.folder.rename(tmp_path / "store" / record.run.id)
    assert command.main(["show", "ae", "--log", f"folder:{tmp_path / 'store'}"]) == 0
    lines = capsys.readouterr().out.splitlines()
    [number] = [line for line in lines if line.split()[:2] == ["number", "mse_transpose"]]
    assert "0.012341 ± 0.00041 (n = 3)" in number
    assert any(line.split()[:2] == ["figure", "map"] for line in lines)
    assert command.main(["show", "cnn", "--log", f"folder:{tmp_path / 'store'}"]) == 2
    assert "there is no finished run of 'cnn': make run-cnn" in capsys.readouterr().err
