"""Edits of a built PDF: every harmful one is found and named, no harmless one is."""

import dataclasses
import io
import json
import sys
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pikepdf
import pypdf
import pytest
from pikepdf import Array, Dictionary, Name, Operator, Pdf, Stream, String
from pydantic import TypeAdapter

from research import __main__ as command
from research.errors import UserError
from research.paths import TEMPLATES
from research.provenance import container, page_text
from research.provenance import trail as provenance
from research.provenance.entries import Printed
from research.provenance.reading import read_trail
from research.records import (
    Claim,
    Number,
    Results,
    Table,
    read_manifest,
    write_claims,
    write_json,
    write_manifest,
    write_table,
)
from research.report import Built, build
from research.tracking import Summary
from research.tracking.record import Lineage, write_lineage
from research.verification.evidence import reprinted
from research.verification.verdicts import as_json, as_text, checked
from research.verification.verify import Problem, Verdict, against, verify
from tests.samples import SAMPLE

Trail = dict[str, Any]
Edit = Callable[[Pdf], None]


@pytest.fixture(scope="session")
def original(built: Built) -> bytes:
    return built.pdf.read_bytes()


def edited(original: bytes, edit: Edit, out: Path, **how: Any) -> Path:
    """The paper after an edit, saved by another library than the one that wrote it."""
    with pikepdf.open(io.BytesIO(original)) as document:
        edit(document)
        document.save(out, **how)
    return out


def test_the_paper_as_built_is_verified(built: Built) -> None:
    verdict = verify(built.pdf)
    assert verdict.problems == ()
    assert verdict.run == "1a2b3c4d5e6f70819203a4b5c6d7e8f9"
    assert verdict.counts["numbers"] == len(built.provenance["numbers"]) > 80
    assert verdict.counts["pages"] == built.pages


# --- what changes nothing ------------------------------------------------------------------------


def untouched(document: Pdf) -> None:
    """Only saves it again."""


def new_producer(document: Pdf) -> None:
    document.docinfo["/Producer"] = "Another library"
    document.docinfo["/ModDate"] = "D:20300101000000Z"


HARMLESS: dict[str, tuple[Edit, dict[str, Any]]] = {
    "saved again": (untouched, {}),
    "linearised": (untouched, {"linearize": True}),
    "compressed anew": (untouched, {"recompress_flate": True}),
    "uncompressed": (
        untouched,
        {"compress_streams": False, "stream_decode_level": pikepdf.StreamDecodeLevel.generalized},
    ),
    "objects in streams": (
        untouched, {"object_stream_mode": pikepdf.ObjectStreamMode.generate}),
    "objects apart": (untouched, {"object_stream_mode": pikepdf.ObjectStreamMode.disable}),
    "operators laid out": (untouched, {"normalize_content": True}),
    "another producer": (new_producer, {}),
}  # fmt: skip


@pytest.mark.parametrize("name", HARMLESS)
def test_what_changes_nothing_is_verified(name: str, original: bytes, tmp_path: Path) -> None:
    edit, how = HARMLESS[name]
    out = edited(original, edit, tmp_path / "a.pdf", **how)
    assert out.read_bytes() != original
    assert verify(out).problems == ()


@pytest.mark.parametrize("compress", [False, True])
def test_another_library_may_save_it(built: Built, tmp_path: Path, compress: bool) -> None:
    writer = pypdf.PdfWriter(clone_from=built.pdf)
    if compress:
        for page in writer.pages:
            page.compress_content_streams()
    writer.write(tmp_path / "a.pdf")
    assert verify(tmp_path / "a.pdf").problems == ()


# --- edits of the pages --------------------------------------------------------------------------


def operators(document: Pdf, change: Callable[[list[Any]], None], page: int = 0) -> None:
    """Changes the operators of a page."""
    found: list[Any] = list(pikepdf.parse_content_stream(document.pages[page]))
    change(found)
    content = pikepdf.unparse_content_stream(found)
    document.pages[page].obj.Contents = document.make_stream(content)


def shows(found: list[Any]) -> list[int]:
    """The places of the operators that show more than three letters."""
    return [i for i, (operands, operator) in enumerate(found)
            if str(operator) == "TJ" and len(operands[0]) > 6]  # fmt: skip


def letters_swapped(found: list[Any]) -> None:
    first, second = shows(found)[5], shows(found)[9]
    found[first], found[second] = found[second], found[first]


def letter_changed(found: list[Any]) -> None:
    place = shows(found)[12]
    line = list(found[place].operands[0])
    glyphs = [i for i, one in enumerate(line) if isinstance(one, String)]
    line[glyphs[0]], line[glyphs[2]] = line[glyphs[2]], line[glyphs[0]]
    found[place] = ([Array(line)], Operator("TJ"))


def line_removed(found: list[Any]) -> None:
    del found[shows(found)[8]]


def line_doubled(found: list[Any]) -> None:
    place = shows(found)[8]
    found.insert(place, found[place])


def line_moved(found: list[Any]) -> None:
    place = next(i for i, (_, one) in enumerate(found) if str(one) == "Tm")
    *rest, y = found[place].operands
    found[place] = ([*rest, float(y) + 30], Operator("Tm"))


def made_white(found: list[Any]) -> None:
    place = next(i for i, (_, one) in enumerate(found) if str(one) == "rg")
    found[place] = ([1, 1, 1], Operator("rg"))


def covered(found: list[Any]) -> None:
    white = [([1, 1, 1], Operator("rg")), ([60, 60, 200, 200], Operator("re"))]
    found += [*white, ([], Operator("f"))]


def picture_removed(found: list[Any]) -> None:
    del found[next(i for i, (_, one) in enumerate(found) if str(one) == "Do")]


def path_changed(found: list[Any]) -> None:
    places = [i for i, (_, one) in enumerate(found) if str(one) == "l"]
    x, y = found[places[-1]].operands
    found[places[-1]] = ([float(x) + 5, y], Operator("l"))


def page_with(document: Pdf, operator: str) -> int:
    """The first page that uses an operator."""
    return next(
        number for number, page in enumerate(document.pages)
        if any(str(one.operator) == operator for one in pikepdf.parse_content_stream(page))
    )  # fmt: skip


def text_added(document: Pdf) -> None:
    page = document.pages[0]
    font = next(iter(page.obj.Resources.Font.keys()))
    page.contents_add(f"BT {font} 12 Tf 100 100 Td <0014> Tj ET".encode())


def page_removed(document: Pdf) -> None:
    del document.pages[-1]


def page_added(document: Pdf) -> None:
    document.add_blank_page()


def pages_swapped(document: Pdf) -> None:
    document.pages.insert(0, document.pages[1])
    del document.pages[2]


def turned(document: Pdf) -> None:
    document.pages[0].rotate(180, relative=True)


def cropped(document: Pdf) -> None:
    document.pages[1].cropbox = Array([0, 400, 595, 842])


def pictures(document: Pdf) -> list[Any]:
    return [one for one in document.objects
            if isinstance(one, Stream) and one.get("/Subtype") == Name.Image
            and "/SMask" in one]  # fmt: skip


def picture_changed(document: Pdf) -> None:
    picture = pictures(document)[0]
    pixels = bytearray(picture.read_bytes())
    pixels[len(pixels) // 2] ^= 0x40
    picture.write(bytes(pixels))


def pictures_swapped(document: Pdf) -> None:
    page = document.pages[page_with(document, "Do")]
    inner = page.obj.Resources.XObject
    first, second = list(inner.keys())[:2]
    inner[first], inner[second] = inner[second], inner[first]


def fonts(document: Pdf) -> list[Any]:
    return [one for one in document.objects
            if isinstance(one, Dictionary) and one.get("/Subtype") == Name.Type0]  # fmt: skip


def glyphs_changed(document: Pdf) -> None:
    """The letters stay the same for a reader of text and look otherwise."""
    kinds = ("/FontFile2", "/FontFile3")
    found = [(one, key) for one in document.objects for key in kinds
             if isinstance(one, Dictionary) and key in one]  # fmt: skip
    (first, key), (second, other) = found[:2]
    first[key] = second[other]


def letters_renamed(document: Pdf) -> None:
    """The letters look the same and are others for a reader of text."""
    font = fonts(document)[0]
    font.ToUnicode.write(font.ToUnicode.read_bytes().replace(b"0031", b"0037"))


def alt_changed(document: Pdf) -> None:
    holder = next(one for one in document.objects
                  if isinstance(one, Dictionary) and "/Alt" in one)  # fmt: skip
    holder.Alt = String("All is well")


def replaced_for_readers(document: Pdf) -> None:
    holder = next(one for one in document.objects
                  if isinstance(one, Dictionary) and one.get("/S") == Name.P)  # fmt: skip
    holder.ActualText = String("Our error is 0.")


def note_added(document: Pdf) -> None:
    note = Dictionary(Type=Name.Annot, Subtype=Name.FreeText, Rect=[100, 100, 200, 120],
                      Contents=String("0.999"), DA=String("/F 12 Tf"))  # fmt: skip
    page = document.pages[0].obj
    page.Annots = Array([*page.get("/Annots", []), document.make_indirect(note)])


def link_changed(document: Pdf) -> None:
    for page in document.pages:
        for link in page.obj.get("/Annots", []):
            if "/Dest" in link:
                link.Dest = String("elsewhere")
                return


def see_through(document: Pdf) -> None:
    states = document.pages[0].obj.Resources.ExtGState
    for key in states.keys():  # noqa: SIM118
        states[key].ca = 0


def retitled(document: Pdf) -> None:
    document.docinfo["/Title"] = "A better title"


def by_another(document: Pdf) -> None:
    document.docinfo["/Author"] = "Somebody else"


PAGES: dict[str, tuple[Edit, str]] = {
    "two lines swapped": (lambda d: operators(d, letters_swapped), "page 1"),
    "letters of a word swapped": (lambda d: operators(d, letter_changed), "page 1"),
    "a line removed": (lambda d: operators(d, line_removed), "page 1"),
    "a line doubled": (lambda d: operators(d, line_doubled), "page 1"),
    "a line moved": (lambda d: operators(d, line_moved), "page 1"),
    "text made white": (lambda d: operators(d, made_white), "page 1"),
    "a part covered": (lambda d: operators(d, covered), "page 1"),
    "a picture removed": (
        lambda d: operators(d, picture_removed, page_with(d, "Do")), "is not drawn as"),
    "a curve changed": (
        lambda d: operators(d, path_changed, page_with(d, "l")), "is not drawn as"),
    "text added": (text_added, "page 1"),
    "a page removed": (page_removed, "were built"),
    "a page added": (page_added, "were built"),
    "pages swapped": (pages_swapped, "page 2"),
    "a page turned": (turned, "page 1"),
    "a page cropped": (cropped, "page 2"),
    "a pixel changed": (picture_changed, "is not drawn as"),
    "two pictures swapped": (pictures_swapped, "is not drawn as"),
    "other glyphs": (glyphs_changed, "is not drawn as"),
    "other letters for readers": (letters_renamed, "text"),
    "alternative text changed": (alt_changed, "alternative texts"),
    "replacement text added": (replaced_for_readers, "alternative texts"),
    "a note added": (note_added, "page 1"),
    "a link changed": (link_changed, "is not drawn as"),
    "text made transparent": (see_through, "is not drawn as"),
    "another title": (retitled, "metadata Title"),
    "another author": (by_another, "metadata Author"),
}  # fmt: skip


@pytest.mark.parametrize("name", PAGES)
def test_an_edit_of_the_pages_is_found(name: str, original: bytes, tmp_path: Path) -> None:
    edit, told = PAGES[name]
    verdict = verify(edited(original, edit, tmp_path / "a.pdf"))
    assert told in as_text({"a.pdf": verdict})


def test_a_changed_word_is_named(original: bytes, tmp_path: Path) -> None:
    out = edited(original, lambda d: operators(d, line_removed), tmp_path / "a.pdf")
    changes = [p for p in verify(out).problems if p.kind == "text" and "was built" in p.message]
    assert changes and all(change.where == "page 1" for change in changes)
    assert all(change.message.count("'") == 6 for change in changes), "after, built, stands"


# --- edits of the record -------------------------------------------------------------------------


def number_in(trail: Trail, kind: str = "number") -> Trail:
    return next(one for one in trail["numbers"] if one["kind"] == kind)


def record_edit(change: Callable[[Trail], None], sealed: bool = False) -> Edit:
    """Changes the record; `sealed` as someone who knows of the seal would."""

    def edit(document: Pdf) -> None:
        trail = json.loads(document.attachments["provenance.json"].get_file().read_bytes())
        change(trail)
        if sealed:
            trail["seal"] = provenance.seal(trail)
        attach(document, "provenance.json", json.dumps(trail).encode())

    return edit


def attach(document: Pdf, name: str, content: bytes) -> None:
    document.attachments[name] = pikepdf.AttachedFileSpec(
        document,
        content,
        filename=name,
        description="",
        mime_type="",
        creation_date="",
        mod_date="",
    )


def value_changed(trail: Trail) -> None:
    number_in(trail)["value"] *= 1.01


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


# --- edits of the attachments --------------------------------------------------------------------


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


# --- files of somebody who means harm ------------------------------------------------------------


def javascript(document: Pdf) -> None:
    action = Dictionary(S=Name.JavaScript, JS=String("app.alert(1)"))
    document.Root.Names.JavaScript = Dictionary(Names=[String("a"), document.make_indirect(action)])


def opened(document: Pdf) -> None:
    document.Root.OpenAction = Dictionary(S=Name.URI, URI=String("http://localhost/"))


def launched(document: Pdf) -> None:
    action = document.make_indirect(Dictionary(S=Name.Launch, F=String("/bin/sh")))
    document.pages[0].obj.Annots[0].A = action


def form(document: Pdf) -> None:
    document.Root.AcroForm = Dictionary(Fields=[])


def deep(document: Pdf) -> None:
    attach(document, "provenance.json", b"[" * 100_000)


def numerous(document: Pdf) -> None:
    numbers = b"0," * 1_000_000
    attach(document, "provenance.json", b'{"format": 2, "numbers": [' + numbers + b"0]}")


HOSTILE: dict[str, tuple[Edit, str]] = {
    "JavaScript": (javascript, "carries JavaScript"),
    "an action on opening": (opened, "carries OpenAction"),
    "a program to launch": (launched, "carries an action Launch"),
    "a form": (form, "carries AcroForm"),
    "a record without bottom": (deep, "not JSON"),
    "a million numbers": (numerous, "lists more than 20,000 numbers"),
    "a value beyond all numbers": (
        record_edit(lambda t: number_in(t).update(value=1e999), True), "is not its value"),
    "a rectangle of words": (
        record_edit(lambda t: number_in(t).update(rectangle="abcd"), True),
        "numbers[0].rectangle: got 'abcd', a list is required"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_harmful_file_is_refused(name: str, original: bytes, tmp_path: Path) -> None:
    edit, told = HOSTILE[name]
    assert told in as_text({"a": verify(edited(original, edit, tmp_path / "a.pdf"))})


def bomb(size: int) -> bytes:
    packer = zlib.compressobj(9)
    return b"".join([packer.compress(bytes(size)), packer.flush()])


@pytest.mark.parametrize("where", ["attachment", "page"])
def test_a_bomb_does_not_unpack(where: str, original: bytes, tmp_path: Path) -> None:
    def edit(document: Pdf) -> None:
        stream = Stream(document, b"")
        stream.write(bomb(300_000_000), filter=Name.FlateDecode)
        if where == "page":
            document.pages[0].obj.Contents = document.make_indirect(stream)
        else:
            attach(document, "tables-errors.json", b"{}")
            spec = document.attachments["tables-errors.json"].obj
            spec.EF.F = document.make_indirect(stream)

    out = edited(original, edit, tmp_path / "a.pdf", recompress_flate=False)
    tracemalloc.start()
    verdict = verify(out)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "unpacks to more than" in as_text({"a": verdict})
    assert peak < 50_000_000


def test_a_stream_packed_twice_is_refused(original: bytes, tmp_path: Path) -> None:
    def edit(document: Pdf) -> None:
        content = zlib.compress(zlib.compress(b"q Q"))
        stream = Stream(document, b"")
        stream.write(content, filter=Array([Name.FlateDecode, Name.FlateDecode]))
        document.pages[0].obj.Contents = document.make_indirect(stream)

    out = edited(original, edit, tmp_path / "a.pdf", compress_streams=False,
                 stream_decode_level=pikepdf.StreamDecodeLevel.none)  # fmt: skip
    assert "compressed more than once" in as_text({"a": verify(out)})


def test_a_locked_file_is_refused(original: bytes, tmp_path: Path) -> None:
    lock = pikepdf.Encryption(owner="a", user="b")
    out = edited(original, untouched, tmp_path / "a.pdf", encryption=lock)
    assert "locked with a password" in as_text({"a": verify(out)})


@pytest.mark.parametrize("content", [b"", b"%PDF-1.7", b"GIF89a", b"%PDF-1.7\n" + bytes(5000)])
def test_what_is_no_pdf_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.pdf"
    path.write_bytes(content)
    [problem] = verify(path).problems
    assert problem.kind == "refused"


def test_half_a_file_is_not_verified(original: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.pdf"
    path.write_bytes(original[: len(original) // 2])
    assert not verify(path).ok


def test_a_record_that_points_outside_itself_opens_nothing(
    original: bytes, record: Results, tmp_path: Path
) -> None:  # fmt: skip
    def outside(trail: Trail) -> None:
        trail["tables"][0]["artifact"] = "../../../../etc/passwd"
        trail["tables"][0]["data"][0] |= {"path": "/etc/passwd", "attachment": "/etc/passwd"}

    out = edited(original, record_edit(outside, True), tmp_path / "a.pdf")
    verdict = verify(out)
    assert "/etc/passwd: is named in the record but not attached" in as_text({"a": verdict})
    assert not [p for p in against(read_trail(out), record) if "passwd" in p.where]


# --- a number printed again ----------------------------------------------------------------------


def typed(raw: Trail) -> Printed:
    """An entry of a trail as a reader has it."""
    found: Printed = TypeAdapter(Printed).validate_json(json.dumps(raw), strict=True)
    return found


def entry(kind: str = "number", **facts: Any) -> Printed:
    plain = {"kind": kind, "id": "v-1", "name": "a", "printed": "", "page": 1,
             "rectangle": [0, 0, 1, 1], "value": 0.5}  # fmt: skip
    if kind not in ("quoted", "stated"):
        plain["run"] = "1"
    if kind in ("number", "cell"):
        plain |= {"unit": "", "half_width": None, "n": 1, "low": None, "high": None, "values": []}
        plain |= {"lone": False, "format": ".2f", "shows": {"spread": True, "unit": True}}
    if kind == "cell":
        plain["row"] = 1
    return typed(plain | facts)


@pytest.mark.parametrize(
    ("facts", "printed"),
    [
        ({}, "0.50"),
        ({"half_width": 0.04}, "0.50\u00a0±\u00a00.04"),
        ({"half_width": 0.04, "shows": {"spread": False, "unit": True}}, "0.50"),
        ({"low": 0.4, "high": 0.6, "format": ".0%"}, "50\u00a0[40,\u00a060]%"),
        ({"unit": "dB"}, "0.50\u00a0dB"),
        ({"unit": "dB", "shows": {"spread": True, "unit": False}}, "0.50"),
        ({"kind": "setting", "value": 1000, "format": None}, "1,000"),
        ({"kind": "fact", "value": True, "format": None}, "yes"),
        ({"kind": "quoted", "value": "97.7 %"}, "97.7 %"),
        ({"kind": "cell", "value": 12, "format": None}, "12"),
        ({"kind": "cell", "value": None}, "–"),
        ({"kind": "cell", "value": "transpose"}, None),
    ],
)
def test_a_value_is_printed_again(facts: Trail, printed: str | None) -> None:
    assert reprinted(entry(**facts)) == printed


@pytest.mark.parametrize(
    ("facts", "printed"),
    [
        ({"values": [0.5]}, "0.50†"),
        ({"values": [0.4, 0.6], "half_width": 0.2, "n": 2}, "0.50\u00a0±\u00a00.20"),
        ({"kind": "cell", "values": [0.5], "lone": False}, "0.50"),
        ({"kind": "cell", "values": [0.5], "lone": True}, "0.50†"),
        ({"kind": "count", "value": [1]}, "n = 1 seed†"),
        ({"kind": "count", "value": [1, 3]}, "n = 3 seeds, † n = 1"),
    ],
)
def test_a_single_seed_is_marked_again(facts: Trail, printed: str) -> None:
    assert reprinted(entry(**facts)) == printed


# --- claims and counts ---------------------------------------------------------------------------


@pytest.fixture
def claiming(record: Results, write: Callable[..., Built]) -> Built:
    """A paper with a claim that holds, and a table over seeds."""
    over = Number(0.31, half_width=0.06, n=3, values=(0.30, 0.29, 0.34))
    write_claims(record.folder, {"sharper": Claim(over, 0.002, 3, "paired t test")})
    table = record.table("errors")
    arm, _, *rest = table.rows[0]
    rows = ((arm, dataclasses.replace(over, value=0.0123, half_width=0.0004), *rest),)
    write_table(record.folder, "errors", Table(table.columns, rows + table.rows[1:]))
    write_manifest(record.folder)
    words = "[It is sharper.]{sharper=holds}"
    return write(replace=("## Abstract\n", f"## Abstract\n\n{words} "))


def test_claims_and_counts_are_verified(claiming: Built) -> None:
    assert verify(claiming.pdf).problems == ()
    [claim] = claiming.provenance["claims"]
    assert claim["outcome"] == "holds"
    counts = [one for one in claiming.provenance["numbers"] if one["kind"] == "count"]
    assert [(one["printed"], one["value"]) for one in counts] == [("n = 3 seeds", [3])]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda t: t["claims"][0].update(outcome="fails"), "its test says 'holds'"),
        (lambda t: t["claims"][0].update(low=-1.0), "not the claim of the data"),
        (lambda t: t["claims"][0].update(effect=0.9), "is not the claim of the data"),
        (lambda t: t["claims"][0].update(p=1e-9), "is not the claim of the data"),
        (lambda t: t["claims"][0].update(name="blunter"), "is not the claim of the data"),
        (lambda t: number_in(t, "count").update(value=[9], printed="n = 9 seeds"),
         "its data say [3]"),
    ],
)  # fmt: skip
def test_an_edited_claim_or_count_is_found(
    claiming: Built, tmp_path: Path, change: Callable[[Trail], None], told: str
) -> None:  # fmt: skip
    out = edited(claiming.pdf.read_bytes(), record_edit(change, True), tmp_path / "a.pdf")
    assert told in as_text({"a": verify(out)})


def test_what_looks_like_a_path_is_kept_and_a_drawn_formula_is_passed_over(
    record: Results, write: Callable[..., Built]
) -> None:  # fmt: skip
    table = record.table("errors")
    rows = tuple(("loss" if row[0] == "pca" else row[0], *row[1:]) for row in table.rows)
    write_table(record.folder, "errors", Table(table.columns, rows))
    write_manifest(record.folder)
    text = (SAMPLE / "ae.md").read_text()
    text = text.replace("## Abstract\n", '## Abstract\n\n[/255]{by="levels"} ', 1)
    assert text.count("pca: PCA") == 1
    text = text.replace("pca: PCA", "loss: Ascent on $L$, pca: PCA", 1)
    built = write(text)
    assert verify(built.pdf).problems == ()
    printed = [one["printed"] for one in built.provenance["numbers"]]
    assert "/255" in printed and "Ascent on L" in printed


def test_a_draft_is_no_submission(record: Results, tmp_path: Path) -> None:
    text = (SAMPLE / "ae.md").read_text().replace("{parameters:", "{paramters:", 1)
    (tmp_path / "ae.md").write_text(text)
    built = build(record, tmp_path / "ae.md", tmp_path / "ae.pdf", author=SAMPLE / "author.toml",
                  templates=TEMPLATES, draft=True)  # fmt: skip
    assert "draft: lacks 1" in as_text({"a": verify(built.pdf)})


def test_what_changed_since_the_run_is_vouched_for(record: Results, tmp_path: Path) -> None:
    built = build(record, SAMPLE / "ae.md", tmp_path / "ae.pdf", author=SAMPLE / "author.toml",
                  templates=TEMPLATES, stale=["environment: torch 2.15.0 → 2.16.1"])  # fmt: skip
    assert verify(built.pdf).problems == ()
    stated = [one for one in built.provenance["numbers"] if one["name"] == "stale"]
    assert [one["printed"] for one in stated] == ["environment: torch 2.15.0 → 2.16.1"]


# --- the store -----------------------------------------------------------------------------------


def test_the_run_that_it_was_built_from_agrees(built: Built, record: Results) -> None:
    assert against(read_trail(built.pdf), record) == []


def test_a_run_that_is_gone(built: Built) -> None:
    [problem] = against(read_trail(built.pdf), None)
    assert problem == Problem("store", "1a2b3c4d", "the store holds no such run")


def test_a_run_that_was_drawn_anew(built: Built, record: Results) -> None:
    manifest = read_manifest(record.folder) | {"figures/maps.svg": "0" * 64}
    write_json(record.folder / "manifest.json", manifest)
    [problem] = against(read_trail(built.pdf), record)
    assert problem == Problem("store", "figures/maps.svg", "is not what the PDF was built from")


def test_a_run_that_was_changed_after_its_end(built: Built, record: Results) -> None:
    """The alarm itself is tested with `research.tracking.mutations`; here that it is heard."""
    run = record.run
    write_lineage(record.folder, Lineage(started=0))
    write_manifest(record.folder)
    (record.folder / "numbers.json").write_text("{}")
    summary = Summary(run.id, run.study, run.preset, run.status, run.name, run.started, run.ended,
                      run.config_digest, run.id, lambda: record.folder)  # fmt: skip
    store = MagicMock(find=MagicMock(return_value=summary))
    told = as_text({"a": checked(built.pdf, store)})
    assert "numbers.json was changed after its end" in told
    assert "number parameters: printed from 1495.0, the run has none" in told


def test_a_run_that_tells_other_numbers(built: Built, record: Results) -> None:
    target = record.folder / "numbers.json"
    target.write_text(target.read_text().replace("1495.0", "1496.0"))
    found = [p for p in against(read_trail(built.pdf), record) if p.where == "number parameters"]
    assert {p.message for p in found} == {"printed from 1495.0, the run has 1496.0"}


# --- the command ---------------------------------------------------------------------------------


def test_the_command_says_it_in_a_line(
    built: Built, original: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["verify", str(built.pdf)]) == 0
    assert "verified: " in capsys.readouterr().out
    bad = edited(original, record_edit(value_changed), tmp_path / "bad.pdf")
    assert command.main(["verify", str(built.pdf), str(bad), "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told[str(built.pdf)]["ok"] and not told[str(bad)]["ok"]
    assert told[str(bad)]["problems"][0]["kind"] == "record"


def test_a_missing_file_is_a_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["verify", "nowhere.pdf"]) == 2
    assert "a PDF is required" in capsys.readouterr().err
    assert command.main(["verify"]) == 2


def test_verification_needs_neither_torch_nor_mlflow(built: Built) -> None:
    import subprocess

    script = (
        "import sys; from research.__main__ import main; code = main(['verify', sys.argv[1]]); "
        "assert not {'torch', 'mlflow', 'weasyprint', 'matplotlib'} & sys.modules.keys(); "
        "sys.exit(code)"
    )
    subprocess.run([sys.executable, "-c", script, str(built.pdf)], check=True)


def test_a_verdict_as_json_names_everything() -> None:
    verdict = Verdict((Problem("text", "page 1", "a"),), "run", {"pages": 2})
    [told] = json.loads(as_json({"a.pdf": verdict})).values()
    assert told == {"ok": False, "run": "run", "counts": {"pages": 2},
                    "problems": [{"kind": "text", "where": "page 1", "message": "a"}]}  # fmt: skip


def test_too_large_a_file_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(container, "FILE_LIMIT", 10)
    path = tmp_path / "a.pdf"
    path.write_bytes(b"%PDF-1.7 long enough")
    assert "is larger than" in as_text({"a": checked(path, None)})
    with pytest.raises(UserError, match="is larger than"):
        read_trail(path)


def test_the_reader_knows_what_it_cannot_place() -> None:
    assert page_text.bare("auto‐\nencoder a-b") == "autoencoderab"
    assert page_text.collapsed("10\u207b\u00b3  ½") == "10\u22123 1\u20442"


def test_names_in_scripts_that_readers_reorder_are_vouched_for(
    record: Results, tmp_path: Path
) -> None:
    """A vowel sign that is drawn before its letter has no place in the text of a PDF."""
    built = build(record, SAMPLE / "ae.md", tmp_path / "ae.pdf", author=SAMPLE / "author.toml",
                  templates=TEMPLATES)  # fmt: skip
    [entry, *_] = [one for one in built.provenance["numbers"] if one["name"] == "classes.class"]
    told = [dict(entry) | {"printed": "क्रिकेट"}, dict(entry)]
    page_text.note_reordered(told, built.pdf.read_bytes())
    assert told[0]["stands"] == entry["printed"] and "stands" not in told[1]


def test_letters_in_two_halves_are_one() -> None:
    assert page_text._whole(["a", "\ud83c", "\udf4e", "b", "\ud83c"]) == [
        "a",
        "🍎",
        "",
        "b",
        "\ufffd",
    ]
