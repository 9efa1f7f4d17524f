"""Files of somebody who means harm are refused."""

import tracemalloc
import zlib
from pathlib import Path

import pikepdf
import pytest
from pikepdf import Array, Dictionary, Name, Pdf, Stream, String

from research.provenance.reading import read_trail
from research.records import (
    Results,
)
from research.verification.verdicts import as_text
from research.verification.verify import against, verify
from tests.verification.edits import Edit, Trail, attach, edited, number_in, record_edit, untouched


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
