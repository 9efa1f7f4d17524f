"""What changed between two papers, and why."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from research import __main__ as command
from research.provenance.entries import Trail as Checked
from research.provenance.reading import checked
from research.report import Built
from research.verification.difference import difference, lines, printable

Trail = dict[str, Any]


def number_of(trail: Trail) -> Trail:
    return next(one for one in trail["numbers"] if one["kind"] == "number")


def changed(built: Built, *changes: Callable[[Trail], None]) -> Checked:
    trail = copy.deepcopy(built.provenance)
    for change in changes:
        change(trail)
    return checked(trail)


def other_value(trail: Trail) -> None:
    number_of(trail)["value"] *= 2


def test_the_same_paper_has_no_difference(built: Built) -> None:
    found = difference(changed(built), changed(built))
    assert found.equal and not found.changes
    assert list(lines(found)) == ["no result changed"]


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (lambda t: t["run"]["config"].update({"train.lr": 0.5}), "config: train.lr 0.001 → 0.5"),
        (lambda t: t["run"].update(commit="f" * 40), "code"),
        (lambda t: t["run"]["data"].update(sha256="0" * 64), "data"),
        (lambda t: t["run"].update(seeds=[0]), "seeds"),
        (lambda t: t["run"]["versions"].update(torch="9"), "environment"),
        (lambda t: None, "unexplained"),
    ],
)
def test_a_changed_number_has_a_cause(built: Built, change: Any, cause: str) -> None:
    found = difference(changed(built), changed(built, other_value, change))
    one = next(c for c in found.changes if c.name == number_of(built.provenance)["name"])
    assert one.causes == (cause,)
    assert one.relative == pytest.approx(1.0) and not found.equal


def test_another_format_is_no_other_number(built: Built) -> None:
    found = difference(changed(built), changed(built, lambda t: number_of(t).update(printed="1")))
    assert [one.causes for one in found.changes] == [("format",)]


def test_a_number_that_is_no_longer_printed(built: Built) -> None:
    new = changed(built, lambda t: t["numbers"].remove(number_of(t)),
                  lambda t: t["sources"].update({"ae.md": "0" * 64}))  # fmt: skip
    found = difference(changed(built), new)
    assert found.changes[-1].printed[1] is None
    assert "text" in found.changes[-1].causes


def test_the_command_compares_two_files(built: Built, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["diff", str(built.pdf), str(built.pdf)]) == 0
    assert "no result changed" in capsys.readouterr().out
    assert command.main(["diff", str(built.pdf), str(built.pdf), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["equal"]
    assert command.main(["diff", str(built.pdf), "nowhere.pdf"]) == 2
    assert command.main(["reproduce", str(Path(__file__))]) == 2


def test_a_pdf_cannot_steer_the_terminal() -> None:
    assert printable("a\x1b[31mb\u00a0c") == "a?[31mb\u00a0c"
