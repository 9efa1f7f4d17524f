"""Text that people wrote: which bytes are read, and what ends a line."""

import codecs
from pathlib import Path

from research.errors import UserError

_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32-le",  # before UTF-16, whose mark it begins with
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
"""A byte order mark and the encoding that it tells of."""


def read(path: Path) -> str:
    """The text of a file in UTF-8, or in the Unicode encoding that its byte order mark names.

    `\\r\\n` becomes `\\n`; a lone `\\r` is a character like any other and ends no line.

    Raises:
        UserError: bytes that are no such text; the message names the first of them.
        OSError: the file cannot be read.
    """
    return decoded(path.read_bytes(), path.name)


def decoded(content: bytes, name: str) -> str:
    """As `read`; `name` is what the message calls the file."""
    mark = next((mark for mark in _MARKS if content.startswith(mark)), b"")
    encoding = _MARKS.get(mark, "utf-8")
    try:
        text = content[len(mark) :].decode(encoding)
        place = text.find("\0")
        if place < 0:
            return text.replace("\r\n", "\n")
        before = text[:place].encode(encoding)
    except UnicodeDecodeError as error:
        before = error.object[: error.start]
    at = len(mark) + len(before)
    line = 1 + before.decode(encoding, "replace").count("\n")
    raise UserError(
        f"{name}:{line}: text must be {encoding.upper()}, got the byte 0x{content[at]:02X} at "
        f"offset {at}; save the file as UTF-8"
    )


def lines(text: str) -> list[str]:
    """The lines of a text, each ended by `\\n` alone: `str.splitlines` breaks at ten other signs.

    What follows the last `\\n` is a line only if there is something.
    """
    return text.removesuffix("\n").split("\n") if text else []
