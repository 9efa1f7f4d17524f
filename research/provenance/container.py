"""The PDF as a container: opened as if a stranger had made it, and digested as what it shows.

A page's *drawing* is the digest of everything that decides how it looks: its operators, fonts,
images, colours, boxes and annotations, decoded and without object numbers. Another compression,
another order of objects or a linearised file leave it alone; a moved glyph does not.
"""

import hashlib
import io
import re
import zlib
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pikepdf

from research.errors import UserError

FILE_LIMIT = 100_000_000
"""Bytes of a PDF at most."""
STREAM_LIMIT = 64_000_000
"""Bytes of a decompressed stream at most."""
TOTAL_LIMIT = 256_000_000
"""Bytes of all decompressed streams at most."""
OBJECT_LIMIT = 200_000

_CHUNK = 1 << 20
_STREAM = re.compile(rb"stream\r?\n")
_CHAINED = re.compile(rb"/Filter\s*\[\s*/[^\s/\]]+\s*/")
_ACTIVE = ("/JavaScript", "/JS", "/Launch", "/SubmitForm", "/ImportData", "/GoToR", "/GoToE",
           "/Rendition", "/RichMedia", "/Movie", "/Sound", "/XFA")  # fmt: skip
_ACTIVE_KEYS = ("/OpenAction", "/AA", "/AcroForm", "/OCProperties", "/XFA", "/JS")
_PASSING = {"/Length", "/Filter", "/DecodeParms", "/DL", "/Parent", "/P", "/StructParent",
            "/StructParents", "/Type", "/Metadata", "/PieceInfo", "/LastModified"}  # fmt: skip
"""Keys that say how something is stored or where it belongs, not what it looks like."""


class Refused(UserError):  # noqa: N818 - a verdict, which callers report like any other
    """A file that is not opened any further, since reading it might do harm."""


def read(path: Path) -> bytes:
    """A file's bytes, which may safely be given to a reader of PDFs.

    Raises:
        Refused: no PDF, too large, or streams that grow beyond the limits.
    """
    if path.stat().st_size > FILE_LIMIT:
        raise Refused(f"it is larger than {FILE_LIMIT // 1_000_000} MB")
    content = path.read_bytes()
    if b"%PDF-" not in content[:1024]:
        raise Refused("it does not begin as a PDF does")
    if _CHAINED.search(content):
        raise Refused("a stream in it is compressed more than once, which may hide its size")
    _weigh(content)
    return content


def _weigh(content: bytes) -> None:
    """Decompresses every stream a piece at a time, only to see how large it is."""
    total = 0
    for match in _STREAM.finditer(content):
        size = 0
        for piece in _inflated(memoryview(content)[match.end() :]):
            size += piece
            if size > STREAM_LIMIT or total + size > TOTAL_LIMIT:
                raise Refused(f"a stream in it unpacks to more than {STREAM_LIMIT // 10**6} MB")
        total += size


def _inflated(packed: memoryview) -> Iterator[int]:
    """Sizes of the pieces of a deflated stream; what is none ends at once."""
    reader = zlib.decompressobj()
    pending: bytes | memoryview = packed[:_CHUNK]
    position = len(pending)
    try:
        while len(pending):
            yield len(reader.decompress(pending, _CHUNK))
            if reader.eof:
                return
            pending = reader.unconsumed_tail
            if not pending:
                pending = packed[position : position + _CHUNK]
                position += len(pending)
    except zlib.error:
        return


def open_safely(content: bytes) -> pikepdf.Pdf:
    """The document. Raises Refused where it is damaged, locked, huge or would act on its reader."""
    try:
        document = pikepdf.open(io.BytesIO(content), suppress_warnings=True)
    except pikepdf.PasswordError:
        raise Refused("it is locked with a password") from None
    except (pikepdf.PdfError, ValueError) as error:
        raise Refused(f"it cannot be read as a PDF ({str(error)[:80]})") from None
    if document.is_encrypted:
        raise Refused("it is encrypted")
    if len(document.objects) > OBJECT_LIMIT:
        raise Refused(f"it has more than {OBJECT_LIMIT:,} objects")
    _check_inert(document)
    return document


def _check_inert(document: pikepdf.Pdf) -> None:
    """Nothing in it runs, calls, plays or sends when it is opened."""
    names = document.Root.get("/Names")
    if names is not None and "/JavaScript" in names:
        raise Refused("it carries JavaScript")
    for one in document.objects:
        inner = one if isinstance(one, pikepdf.Dictionary) else None
        if inner is None:
            continue
        for key in _ACTIVE_KEYS:
            if key in inner:
                raise Refused(f"it carries {key[1:]}, which acts when the file is opened or filled")
        kind = inner.get("/S", inner.get("/Subtype"))
        if isinstance(kind, pikepdf.Name) and str(kind) in _ACTIVE:
            raise Refused(f"it carries an action {str(kind)[1:]}")


def attachments(document: pikepdf.Pdf) -> dict[str, bytes]:
    """Name -> content of the files inside."""
    try:
        return {
            name: bytes(one.get_file().read_bytes()) for name, one in document.attachments.items()
        }
    except (pikepdf.PdfError, KeyError, ValueError, RuntimeError) as error:
        raise Refused(f"an attachment cannot be read ({str(error)[:80]})") from None


def alternatives(document: pikepdf.Pdf) -> list[str]:
    """Alternative and replacement texts, which only assistive technology reads, sorted."""
    found: list[str] = []
    for one in document.objects:
        if isinstance(one, pikepdf.Dictionary):
            found += [str(one[key]) for key in ("/Alt", "/ActualText") if key in one]
    return sorted(found)


def headings(document: pikepdf.Pdf) -> list[str]:
    """Titles of the outline, in order."""
    found: list[str] = []

    def walk(items: Any, depth: int) -> None:
        for item in items:
            found.append(str(item.title))
            if depth < 6:
                walk(item.children, depth + 1)

    with document.open_outline() as outline:
        walk(outline.root, 0)
    return found


# --- what pages look like ------------------------------------------------------------------------


def drawings(document: pikepdf.Pdf) -> list[str]:
    """A sha256 for each page of everything that decides how it looks."""
    walk = _Walk({page.obj.objgen: number for number, page in enumerate(document.pages)})
    return [walk.page(page) for page in document.pages]


class _Walk:
    """Digests of objects by what they hold, each shared one computed once."""

    def __init__(self, pages: Mapping[tuple[int, int], int]) -> None:
        self._pages = pages
        self._known: dict[tuple[int, int], bytes] = {}

    def page(self, page: pikepdf.Page) -> str:
        hashed = hashlib.sha256()
        self._content(pikepdf.parse_content_stream(page), hashed)
        for key in ("/MediaBox", "/CropBox", "/Rotate", "/UserUnit", "/Resources", "/Annots"):
            value = page.obj.get(key, page.get(key))
            hashed.update(key.encode())
            if value is not None:
                hashed.update(self._of(value))
        return hashed.hexdigest()

    def _content(self, operations: Any, hashed: Any) -> None:
        for operands, operator in operations:
            for operand in operands:
                hashed.update(self._of(operand))
            hashed.update(bytes(operator))

    def _of(self, value: Any) -> bytes:
        """A digest of a value; of an indirect one remembered."""
        number = getattr(value, "objgen", (0, 0))
        if number == (0, 0):
            return self._made(value)
        if number in self._pages:
            return b"page %d" % self._pages[number]
        if number not in self._known:
            self._known[number] = b"itself"  # what points back to it from inside
            self._known[number] = self._made(value)
        return self._known[number]

    def _made(self, value: Any) -> bytes:
        if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
            return b"%.5f " % float(value)
        if isinstance(value, pikepdf.Stream):
            inner = hashlib.sha256(self._pairs(value))
            inner.update(value.read_bytes() if _is_plain(value) else value.read_raw_bytes())
            return inner.digest()
        if isinstance(value, pikepdf.Dictionary):
            return hashlib.sha256(self._pairs(value)).digest()
        if isinstance(value, pikepdf.Array):
            return hashlib.sha256(b"[" + b"".join(map(self._of, value))).digest()
        if isinstance(value, pikepdf.String):
            return b"(" + bytes(value) + b")"
        if isinstance(value, pikepdf.PdfInlineImage):
            return hashlib.sha256(bytes(value.unparse())).digest()
        return str(value).encode() + b" "

    def _pairs(self, value: Any) -> bytes:
        keys = sorted(key for key in value.keys() if key not in _PASSING)  # noqa: SIM118
        return b"".join(key.encode() + self._of(value[key]) for key in keys)


def _is_plain(stream: Any) -> bool:
    """Whether it is stored without loss, so that decoding it is independent of how."""
    filters = stream.get("/Filter")
    return filters is None or str(filters) not in ("/DCTDecode", "/JPXDecode")
