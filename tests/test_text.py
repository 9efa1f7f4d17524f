"""Text files as people have them."""

from pathlib import Path

import pytest

from research.errors import UserError
from research.text import decoded, lines, read

TEXT = "Grüße\nsecond \u2028 line \x85\n"


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "utf-16-le", "utf-16-be"]
)
def test_unicode_with_its_mark_is_read(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "text.md"
    mark = {"utf-16-le": b"\xff\xfe", "utf-16-be": b"\xfe\xff"}.get(encoding, b"")
    file.write_bytes(mark + TEXT.replace("\n", "\r\n").encode(encoding))
    assert read(file) == TEXT
    assert lines(read(file)) == ["Grüße", "second \u2028 line \x85"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (TEXT.encode("latin-1", "replace"), "a.bib:1: text must be UTF-8, got the byte 0xFC at "
                                            "offset 2; save the file as UTF-8"),
        (b"ab\r\ncd\r\n\xe9", "a.bib:3: text must be UTF-8, got the byte 0xE9 at offset 8"),
        ("ab".encode("utf-16-le"), "a.bib:1: text must be UTF-8, got the byte 0x00 at offset 1"),
        (b"\xff\xfea\x00\n\x00b", "a.bib:2: text must be UTF-16-LE, got the byte 0x62 at "),
        (b"\xef\xbb\xbfab\x80", "a.bib:1: text must be UTF-8, got the byte 0x80 at offset 5"),
    ],
)  # fmt: skip
def test_other_bytes_are_named(content: bytes, message: str) -> None:
    with pytest.raises(UserError) as caught:
        decoded(content, "a.bib")
    assert str(caught.value).startswith(message)


def test_a_line_ends_with_a_line_feed_alone() -> None:
    assert lines("") == [] and lines("\n") == [""] and lines("a\n\nb\n") == ["a", "", "b"]
    assert lines("a\rb\x0bc\x0cd\x1ce\x85f\u2028g") == ["a\rb\x0bc\x0cd\x1ce\x85f\u2028g"]
    assert decoded(b"a\rb\r\n", "f") == "a\rb\n"
