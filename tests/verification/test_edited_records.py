"""Edits of a paper's record and attachments are found."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pypdf
import pytest
from pikepdf import Pdf

from research.provenance import trail as provenance
from research.report import Built
from research.verification.evidence import reprinted
from research.verification.verdicts import as_text
from research.verification.verify import verify
from tests.verification.edits import (
    Edit,
    Trail,
    attach,
    edited,
    number_in,
    record_edit,
    typed,
    value_changed,
)


def value_hardly_changed(trail: Trail) -> None:
    number_in(trail)["value"] += 1e-12


def print_changed(trail: Trail) -> None:
    number_in(trail)["printed"] += "1"


def number_changed(trail: Trail) -> None:
    """In value and in print, as someone would who wants another result."""
    entry = next(one for one in trail["numbers"] if one["kind"] == "number" and one["half_width"])
    entry["value"] *= 0.5
    entry["printed"] = reprinted(typed(entry))


def number_forgotten(trail: Trail) -> None:
    trail["numbers"].remove(number_in(trail))


def numbers_swapped(trail: Trail) -> None:
    first, second = [one for one in trail["numbers"] if one["kind"] == "cell"][1:3]
    first["rectangle"], second["rectangle"] = second["rectangle"], first["rectangle"]


def figure_forgotten(trail: Trail) -> None:
    del trail["figures"][0]


def other(path: str, value: Any) -> Callable[[Trail], None]:
    """Sets one fact: run.commit."""

    def change(trail: Trail) -> None:
        *folders, last = path.split("/")
        inner = trail
        for name in folders:
            inner = inner[name]
        inner[last] = value

    return change


def outcome_turned(trail: Trail) -> None:
    one = trail["comparisons"][0]
    one["outcome"] = "greater" if one["outcome"] != "greater" else "less"


RECORDS: dict[str, tuple[Edit, str]] = {
    "a value": (record_edit(value_changed), "seal"),
    "a value in its last digits": (record_edit(value_hardly_changed), "seal"),
    "a value, sealed": (record_edit(value_changed, True), "its data say"),
    "last digits, sealed": (record_edit(value_hardly_changed, True), "its data say"),
    "a print": (record_edit(print_changed), "seal"),
    "a print, sealed": (record_edit(print_changed, True), "is not its value"),
    "a number and its print, sealed": (record_edit(number_changed, True), "is recorded"),
    "a format, sealed": (
        record_edit(lambda t: number_in(t).update(format=".9f"), True), "not its value"),
    "an interval, sealed": (
        record_edit(lambda t: next(e for e in t["numbers"] if e.get("half_width")).update(
            half_width=1e-9), True), "is not its value"),
    "a number forgotten, sealed": (record_edit(number_forgotten, True), "nothing vouches for it"),
    "two places swapped, sealed": (record_edit(numbers_swapped, True), "is recorded"),
    "a page, sealed": (record_edit(lambda t: number_in(t).update(page=9), True), "no such page"),
    "a quotation, sealed": (
        record_edit(lambda t: number_in(t, "quoted").update(value="99", printed="99"), True),
        "is recorded"),
    "a result called a choice, sealed": (
        record_edit(lambda t: number_in(t, "stated").update(value="0.312", printed="0.312"), True),
        "'0.312' is called a choice"),
    "a figure forgotten, sealed": (record_edit(figure_forgotten, True), "not named in the record"),
    "the commit": (record_edit(other("run/commit", "f" * 40)), "seal"),
    "the commit, sealed": (record_edit(other("run/commit", "f" * 40), True), "its data say"),
    "a setting, sealed": (record_edit(other("run/config/train.epochs", 500), True), "its data say"),
    "a fact, sealed": (record_edit(other("run/data/train", 60_000), True), "its data say"),
    "a version": (record_edit(other("run/versions/torch", "1.0")), "seal"),
    "the data's sha256": (record_edit(other("run/data/sha256", "0" * 64)), "seal"),
    "the seeds": (record_edit(other("run/seeds", [0])), "seal"),
    "a comparison, sealed": (record_edit(outcome_turned, True), "its numbers say"),
    "a page's text, sealed": (
        record_edit(lambda t: t["pages"][0].update(text="Nothing"), True), "was built 'Nothing'"),
    "a page's drawing, sealed": (
        record_edit(lambda t: t["pages"][0].update(drawing="0" * 64), True), "is not drawn as"),
    "no seal": (record_edit(lambda t: t.pop("seal")), "seal"),
    "no numbers": (record_edit(lambda t: t.pop("numbers")), "numbers: required"),
    "numbers of another form": (record_edit(other("numbers", [7])), "numbers[0]: got 7, an object"),
}  # fmt: skip


@pytest.mark.parametrize("name", RECORDS)
def test_an_edit_of_the_record_is_found(name: str, original: bytes, tmp_path: Path) -> None:
    edit, told = RECORDS[name]
    assert told in as_text({"a": verify(edited(original, edit, tmp_path / "a.pdf"))})


def dropped(name: str) -> Edit:
    def edit(document: Pdf) -> None:
        del document.attachments[name]

    return edit


def altered(name: str) -> Edit:
    def edit(document: Pdf) -> None:
        content = document.attachments[name].get_file().read_bytes()
        attach(document, name, content.replace(b"0.0", b"0.1", 1))

    return edit


def exchanged(document: Pdf) -> None:
    names = ("tables-errors.json", "tables-classes.json")
    first, second = (document.attachments[name].get_file().read_bytes() for name in names)
    attach(document, names[0], second)
    attach(document, names[1], first)


def data_and_record(document: Pdf) -> None:
    """All numbers are half of what they were, and the record knows the new file's sha256."""
    name = "numbers.json"
    numbers = json.loads(document.attachments[name].get_file().read_bytes())
    for one in numbers.values():
        one["value"] /= 2
    content = json.dumps(numbers).encode()
    attach(document, name, content)
    digest = provenance.sha256_of(content)
    record_edit(lambda trail: trail["files"][0].update(sha256=digest), True)(document)


ATTACHMENTS: dict[str, tuple[Edit, str]] = {
    "the record dropped": (dropped("provenance.json"), "its record was removed"),
    "the numbers dropped": (dropped("numbers.json"), "numbers.json: is named in the record"),
    "a table dropped": (dropped("tables-errors.json"), "tables-errors.json: is named"),
    "a figure's data dropped": (dropped("arrays-maps.npz"), "arrays-maps.npz: is named"),
    "the numbers altered": (altered("numbers.json"), "numbers.json: is not the file"),
    "a table altered": (altered("tables-errors.json"), "tables-errors.json: is not the file"),
    "two tables exchanged": (exchanged, "tables-errors.json: is not the file"),
    "a file added": (lambda d: attach(d, "more.json", b"{}"), "more.json: is attached but not"),
    "numbers and record together": (data_and_record, "its data say"),
    "a record that is none": (lambda d: attach(d, "provenance.json", b"7"), "not of format"),
    "a record that is cut": (lambda d: attach(d, "provenance.json", b'{"format"'), "not JSON"),
}


@pytest.mark.parametrize("name", ATTACHMENTS)
def test_an_edit_of_the_attachments_is_found(name: str, original: bytes, tmp_path: Path) -> None:
    edit, told = ATTACHMENTS[name]
    assert told in as_text({"a": verify(edited(original, edit, tmp_path / "a.pdf"))})


def test_a_library_that_drops_the_attachments_is_found(built: Built, tmp_path: Path) -> None:
    writer = pypdf.PdfWriter()
    for page in pypdf.PdfReader(built.pdf).pages:
        writer.add_page(page)
    writer.write(tmp_path / "a.pdf")
    [problem] = verify(tmp_path / "a.pdf").problems
    assert problem.kind == "refused" and "its record was removed" in problem.message
