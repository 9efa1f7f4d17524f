"""Digests of what a PDF shows: of its pages' drawing, and of any other part that readers see.

A page's *drawing* is the digest of everything that decides how it looks: its operators, fonts,
images, colours, boxes and annotations, decoded and without object numbers. Another compression,
another order of objects or a linearised file leave it alone; a moved glyph does not.

Everything is hashed with its kind and its length before it, so that no two different things are
hashed as the same bytes. Viewers pass over an operator that they do not know, and over one with
operands of another kind, each in its own way; so a page that has one is refused.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

import pikepdf

from research.provenance import container
from research.provenance.container import Refused

DIGITS = 6
"""Significant digits of a coordinate: what a build writes, and what survives in 32-bit floats."""

_WHOLE = 10**DIGITS

DEPTH = 100
"""How deep one thing may lie in another."""

KEPT = 32
"""Pages whose operations need not be read again."""

_HASHED: dict[tuple[bytes, ...], Any] = {}
"""Digests of a page's streams -> sha256 of its operations."""

_STORAGE = frozenset({"/Length", "/Filter", "/DecodeParms", "/DL", "/Parent", "/P", "/Type"})
"""Keys that say how something is stored or where it belongs, not what it looks like."""

_INHERITED = ("/Resources", "/MediaBox", "/CropBox", "/Rotate")

_OPERANDS = {
    **dict.fromkeys(["q", "Q", "h", "S", "s", "f", "F", "f*", "B", "B*", "b", "b*", "n"], ""),
    **dict.fromkeys(["W", "W*", "BT", "ET", "T*", "EMC"], ""),
    **dict.fromkeys(["w", "J", "j", "M", "i", "Tc", "Tw", "Tz", "TL", "Tr", "Ts", "G", "g"], "n"),
    **dict.fromkeys(["m", "l", "Td", "TD"], "nn"),
    **dict.fromkeys(["v", "y", "re", "K", "k"], "nnnn"),
    **dict.fromkeys(["c", "cm", "Tm"], "nnnnnn"),
    **dict.fromkeys(["RG", "rg"], "nnn"),
    **dict.fromkeys(["ri", "gs", "CS", "cs", "sh", "Do", "BMC", "MP"], "/"),
    "d": "an", "Tf": "/n", "Tj": "s", "'": "s", '"': "nns", "TJ": "a",
}  # fmt: skip
"""Operator -> the kinds of its operands: number, name, string, array."""

_NUMBERS = (int, float, Decimal)
_COLOURS = re.compile("n{1,4}/?|/")
_NAME = re.compile(r"/[A-Za-z0-9._+:-]*")


def drawings(document: pikepdf.Pdf) -> list[str]:
    """A sha256 for each page of everything that decides how it looks.

    Raises:
        Refused: a page holds what no page of ours does, see `operations`.
    """
    walk = Walk(document)
    return [walk.page(page.obj) for page in document.pages]


def operations(page: Any) -> Iterator[tuple[str, list[Any], str]]:
    """(kinds of its operands, operands, operator) for each operation of a page.

    Raises:
        Refused: an operator that is unknown or has other operands than it takes.
    """
    try:
        operators: Any = pikepdf.parse_content_stream(page)
    except (pikepdf.PdfError, ValueError, TypeError) as error:
        raise Refused(f"a page's drawing cannot be read ({str(error)[:80]})") from None
    for operands, operator in operators:
        name, given = str(operator), list(operands)
        kinds = "".join(map(_kind, given))
        if _OPERANDS.get(name) != kinds and not _takes(name, kinds):
            raise Refused(
                f"a page is drawn with '{name[:20]}' and {len(given)} operands, which no build "
                "writes and viewers pass over"
            )
        yield kinds, given, name


def _takes(operator: str, kinds: str) -> bool:
    if operator in ("SC", "sc", "SCN", "scn"):
        return _COLOURS.fullmatch(kinds) is not None
    return operator in ("BDC", "DP") and kinds in ("//", "/d")


def _kind(value: Any) -> str:
    """n for a number, / for a name, s, a, d for string, array and dictionary, ? for the rest."""
    if type(value) in _NUMBERS:
        return "n"
    if isinstance(value, pikepdf.Name):
        return "/" if _NAME.fullmatch(str(value)) else "?"
    for kind, letter in ((pikepdf.String, "s"), (pikepdf.Array, "a"), (pikepdf.Dictionary, "d")):
        if isinstance(value, kind):
            return letter
    return "?"


class Walk:
    """Digests of objects by what they hold, each shared one computed once."""

    def __init__(self, document: pikepdf.Pdf) -> None:
        pages = enumerate(document.pages)
        self._pages = {page.obj.objgen: b"%d" % number for number, page in pages}
        self._known: dict[tuple[int, int], bytes] = {}
        self._depth = 0

    def page(self, page: Any) -> str:
        """Of a page's drawing."""
        hashed = self._operations(page)
        facts = {key: inherited(page, key) for key in ("/Resources", "/Annots", "/Tabs")}
        for key, value in {**facts, **boxes(page)}.items():
            hashed.update(_framed(b"k", key.encode(), self.of(value)))
        return str(hashed.hexdigest())

    def _operations(self, page: Any) -> Any:
        """A sha256 of a page's operations, to go on with.

        They follow from the page's content alone, which a paper has in common with the one that it
        is compared with, and take longest: those of the last pages are kept.
        """
        content = _contents(page)
        if content not in _HASHED:
            hashed = hashlib.sha256()
            for kinds, operands, operator in operations(page):
                if kinds.strip("n"):
                    said = [self.of(operand) for operand in operands]
                else:  # most of them, and faster: no number holds a space
                    said = [b" ".join(map(number, operands))]
                hashed.update(_framed(b"o", operator.encode(), *said))
            _HASHED[content] = hashed
            for former in list(_HASHED)[:-KEPT]:
                del _HASHED[former]
        return _HASHED[content].copy()

    def digest(self, value: Any) -> str:
        """Of anything else that a PDF holds."""
        return hashlib.sha256(self.of(value)).hexdigest()

    def of(self, value: Any) -> bytes:
        """A short digest of a value; of an indirect one remembered."""
        number = getattr(value, "objgen", (0, 0))
        if number == (0, 0):
            return self._made(value)
        if number in self._pages:
            return _framed(b"p", self._pages[number])
        if number not in self._known:
            self._known[number] = _framed(b"i")  # what points back to it from inside
            self._known[number] = self._made(value)
        return self._known[number]

    def _made(self, value: Any) -> bytes:
        if isinstance(value, bool | None):
            return _framed(b"b", str(value).encode())
        if isinstance(value, int | float | Decimal):
            return _framed(b"n", number(value))
        if isinstance(value, pikepdf.String):
            return _short(_framed(b"s", bytes(value)))
        if isinstance(value, pikepdf.Name):
            return _framed(b"/", str(value).encode())
        self._depth += 1
        if self._depth > DEPTH:
            raise Refused("things in it lie too deep in each other")
        try:
            return self._whole(value)
        finally:
            self._depth -= 1

    def _whole(self, value: Any) -> bytes:
        if isinstance(value, pikepdf.Stream):
            how, content = _content(value)
            lossy = self.of(value.get("/DecodeParms")) if how else b""
            return _short(_framed(b"t", *self._pairs(value), how, lossy, content))
        if isinstance(value, pikepdf.Dictionary):
            return _short(_framed(b"d", *self._pairs(value)))
        if isinstance(value, pikepdf.Array):
            return _short(_framed(b"a", *map(self.of, value)))
        raise Refused(f"it holds a {type(value).__name__}, which no build writes")

    def _pairs(self, value: Any) -> Iterator[bytes]:
        for key in sorted(value.keys()):
            if key not in _STORAGE:
                yield key.encode()
                yield self.of(value[key])


def _contents(page: Any) -> tuple[bytes, ...]:
    """Digests of the streams that a page's content is written in."""
    found = page.get("/Contents")
    streams = [found] if isinstance(found, pikepdf.Stream) else list(found or ())
    try:
        return tuple(hashlib.sha256(stream.read_bytes()).digest() for stream in streams)
    except (pikepdf.PdfError, RuntimeError, AttributeError) as error:
        raise Refused(f"a page's drawing cannot be read ({str(error)[:80]})") from None


def number(value: float | Decimal) -> bytes:
    """As it is hashed: a whole one as it is, any other to `DIGITS` significant digits."""
    if isinstance(value, int) or (abs(value) >= _WHOLE and value == int(value)):
        return b"%d" % value
    return b"%.*g" % (DIGITS, value)


def inherited(page: Any, key: str) -> Any:
    """What a page says of itself, or the nearest folder of pages that it lies in."""
    node = page
    for _ in range(DEPTH if key in _INHERITED else 1):
        if node is None or key in node:
            break
        node = node.get("/Parent")
    return None if node is None else node.get(key)


def boxes(page: Any) -> Mapping[str, Any]:
    """A page's boxes, its turn and unit; what it does not say is what the standard says."""
    whole = inherited(page, "/MediaBox")
    crop = inherited(page, "/CropBox")
    crop = whole if crop is None else crop
    return {
        "/MediaBox": whole,
        "/CropBox": crop,
        **{key: page.get(key, crop) for key in ("/BleedBox", "/TrimBox", "/ArtBox")},
        "/Rotate": int(inherited(page, "/Rotate") or 0),
        "/UserUnit": page.get("/UserUnit", 1),
    }


def _framed(kind: bytes, *parts: bytes) -> bytes:
    return b"%b%d:" % (kind, len(parts)) + b"".join(b"%d:%b" % (len(part), part) for part in parts)


def _short(framed: bytes) -> bytes:
    """The thing itself where it is short, else its digest, of another length than any of those."""
    return framed if len(framed) < 32 else b"#" + hashlib.sha256(framed).digest()


def _content(stream: Any) -> tuple[bytes, bytes]:
    """How a stream is packed, where unpacking it is not without loss, and what it holds."""
    packed = container.filters(stream)
    try:
        if not packed or packed[0] not in ("/DCTDecode", "/JPXDecode"):
            return b"", stream.read_bytes()
        return packed[0].encode(), stream.read_raw_bytes()
    except (pikepdf.PdfError, RuntimeError) as error:
        raise Refused(f"a stream in it cannot be unpacked ({str(error)[:80]})") from None
