"""Each file in a process of its own: what happens to one happens to none of the others."""

import io
import os
import signal
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pikepdf
import pytest
from pikepdf import Array, Dictionary, Name, Stream

from research import __main__ as command
from research.errors import UserError
from research.grading import audit
from research.verification import apart, verdicts
from research.verification.verdicts import as_text

MIB = 1 << 20


def worked(how: str) -> str:
    """What a library may do that is given a hostile file."""
    match how:
        case "loops":
            while True:
                pass
        case "grows":
            return str(len([bytearray(64 * MIB) for _ in range(100)]))
        case "aborts":
            os.abort()
        case "is killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case "leaves":
            os._exit(7)
        case "fails":
            raise ZeroDivisionError
        case "is mistaken":
            raise UserError("no such file")
    return f"{how} well"


def test_what_one_does_is_told_and_costs_none_of_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(apart, "SECONDS", 1)
    monkeypatch.setattr(apart, "MEMORY", 512 * MIB)
    hows = ["ends", "loops", "ends", "grows", "aborts", "is killed", "leaves", "fails",
            "is mistaken", "ends"]  # fmt: skip
    found = apart.each(worked, hows)
    assert [one.result for one in found if one.result] == ["ends well"] * 3
    assert [found[place].result for place in (0, 2, 9)] == ["ends well"] * 3
    assert [one.reason for one in found] == [
        "", "reading it takes more than 1 s", "", "reading it takes more than 512 MiB",
        "reading it takes more than 512 MiB", "reading it takes more than 512 MiB",
        "reading it ends in a crash (exit status 7)", "reading it ends in a crash (exit status 1)",
        "no such file", "",
    ]  # fmt: skip
    assert [one.mistaken for one in found].index(True) == 8


def test_what_only_waits_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart, "WALL", 1)
    assert apart.run(_waiting, "").reason == f"reading it takes more than {apart.SECONDS} s"


def _waiting(_: str) -> None:
    signal.pause()


# --- bombs ---------------------------------------------------------------------------------------


def packed_twice(document: pikepdf.Pdf) -> None:
    """4 GB of zeros, deflated twice, and the names of the filters kept elsewhere."""
    inner = zlib.compressobj(9)
    chunk = bytes(MIB)
    content = b"".join([*(inner.compress(chunk) for _ in range(64)), inner.flush()])
    stream = Stream(document, b"")
    stream.write(zlib.compress(content, 9), filter=Array([Name.FlateDecode, Name.FlateDecode]))
    stream.Filter = document.make_indirect(Array([Name.FlateDecode, Name.FlateDecode]))
    document.pages[0].obj.Contents = document.make_indirect(stream)


def runs(document: pikepdf.Pdf) -> None:
    """A filter whose output no one has weighed before."""
    stream = Stream(document, b"")
    stream.write(b"\x81\0" * MIB + b"\x80", filter=Name.RunLengthDecode)
    document.pages[0].obj.Contents = document.make_indirect(stream)


def drawn_in_itself(document: pikepdf.Pdf) -> None:
    """Forms that draw one another ten times, eight deep: 10^9 lines."""
    form: dict[str, Any] = {"Type": Name.XObject, "Subtype": Name.Form,
                            "BBox": Array([0, 0, 500, 800])}  # fmt: skip
    inner: Any = Stream(document, b"0 0 m 400 700 l S " * 10, Dictionary(**form))
    for _ in range(8):
        held = Dictionary(XObject=Dictionary(A=document.make_indirect(inner)))
        inner = Stream(document, b"/A Do " * 10, Dictionary(**form, Resources=held))
    page = document.pages[0]
    page.Resources.XObject["/Bomb"] = document.make_indirect(inner)
    page.contents_add(b"/Bomb Do")


def bomb(paper: Path, edit: Any, out: Path) -> Path:
    with pikepdf.open(io.BytesIO(paper.read_bytes())) as document:
        edit(document)
        document.save(out, compress_streams=False,
                      stream_decode_level=pikepdf.StreamDecodeLevel.none)  # fmt: skip
    return out


@pytest.mark.long
def test_a_batch_with_bombs_is_judged_to_its_end(
    light: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apart, "SECONDS", 5)
    bombs = [bomb(light, edit, tmp_path / f"{edit.__name__}.pdf")
             for edit in (packed_twice, runs, drawn_in_itself)]  # fmt: skip
    paths = [light, *bombs, light]
    told = [as_text({"a": verdict}) for verdict in verdicts.batch(paths)]
    assert "a: verified" in told[0] and "a: verified" in told[4]
    assert "compressed more than once" in told[1]
    assert "packed as RunLengthDecode" in told[2]
    assert "takes more than" in told[3]


def test_an_audit_goes_on_after_a_bomb(
    light: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "examined", lambda path, signers: os.abort())
    [ended] = audit.audits([light], {})
    told = "reading it takes more than 1,024 MiB"
    assert [str(one) for one in ended.verdict.problems] == [f"refused: {told}"]
    [page] = audit.write([ended], tmp_path)
    assert told in page.read_text()


def test_the_verbs_that_read_one_record_bound_it_too(
    light: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(verdicts, "read_trail", lambda path: os.abort())
    for args in (["diff", str(light), str(light)], ["reproduce", str(light)]):
        assert command.main(args) == 2
        told = capsys.readouterr().err
        assert told.count("\n") == 1 and "must be a PDF that was built here, but" in told


# --- fuzz ----------------------------------------------------------------------------------------

WORDS = (
    "verify", "audit", "diff", "sign", "reproduce", "--json", "--store", "--signers", "--key",
    "--out", "--log", "--help=", "-", "--", "", "\0", "a.pdf", "nowhere.pdf", ".", "/dev/null",
    "é\udcff", "1", "--no-json", "=", "--signers=", "'", "{}", "%s", "-h1", "x" * 300,
)  # fmt: skip


@pytest.mark.long
def test_no_command_line_ends_in_a_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.pdf").write_bytes(b"%PDF-1.7\n")
    rng = np.random.default_rng(0)
    for _ in range(int(os.environ.get("FUZZ_LINES", "150"))):
        verb = WORDS[rng.integers(5)]
        args = [verb, *(WORDS[i] for i in rng.integers(len(WORDS), size=rng.integers(5)))]
        assert command.main(args) in (1, 2), args
        assert "Traceback" not in capsys.readouterr().err, args


def damaged(content: bytes, rng: np.random.Generator) -> bytes:
    """A file as a disk, a mailer or somebody who tries things leaves it."""
    out = bytearray(content)
    for _ in range(rng.integers(1, 4)):
        place, length = int(rng.integers(len(out))), int(rng.integers(1, 2000))
        match rng.integers(5):
            case 0:
                out[place] ^= 1 << int(rng.integers(8))
            case 1:
                del out[place : place + length]
            case 2:
                out[place : place + length] = rng.bytes(length)
            case 3:
                out[place:place] = out[:length]
            case 4:
                del out[max(place, 10) :]
    return bytes(out)


@pytest.mark.long
def test_no_damaged_file_ends_in_a_traceback(
    light: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng, whole = np.random.default_rng(1), light.read_bytes()
    paths = [tmp_path / f"{n}.pdf" for n in range(int(os.environ.get("FUZZ_FILES", "20")))]
    for path in paths:
        path.write_bytes(damaged(whole, rng))
    for args in (["verify"], ["audit", "--out", str(tmp_path / "out")]):
        assert command.main([*args, *map(str, paths)]) in (0, 1)
        told = capsys.readouterr()
        assert "Traceback" not in told.err
        assert told.out.count("verified") >= len(paths)
        assert "exit status" not in told.out
    for path in paths[: len(paths) // 2]:
        assert command.main(["diff", str(light), str(path)]) in (0, 1, 2)
        assert "Traceback" not in capsys.readouterr().err
