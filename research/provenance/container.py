"""The PDF as a container: opened as if a stranger had made it, and what is packed into it."""

import io
import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
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
OUTLINE_LIMIT = 1000

_CHUNK = 1 << 20
_STREAM = re.compile(rb"stream\r?\n")
_CHAINED = re.compile(rb"/Filter\s*\[\s*/[^\s/\]]+\s*/")
_ACTIVE = ("/JavaScript", "/JS", "/Launch", "/SubmitForm", "/ImportData", "/GoToR", "/GoToE",
           "/Rendition", "/RichMedia", "/Movie", "/Sound", "/XFA")  # fmt: skip
_ACTIVE_KEYS = ("/OpenAction", "/AA", "/AcroForm", "/OCProperties", "/XFA", "/JS")
_FILTERS = frozenset({"/FlateDecode", "/DCTDecode", "/JPXDecode", "/ASCIIHexDecode",
                      "/ASCII85Decode"})  # fmt: skip
"""What a stream may be packed with: deflate, whose size is looked at first, what makes data longer,
and the two kinds of photographs. None of the others is ever written by a build."""


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
    whole = memoryview(content)
    _weigh(whole[match.end() :] for match in _STREAM.finditer(content))
    return content


def _weigh(packed: Iterable[memoryview]) -> None:
    """Decompresses every stream a piece at a time, only to see how large it is."""
    total = 0
    for stream in packed:
        size = 0
        for piece in _inflated(stream):
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
        # what has to be repaired first is read otherwise by every program
        document = pikepdf.open(io.BytesIO(content), suppress_warnings=True, attempt_recovery=False)
    except pikepdf.PasswordError:
        raise Refused("it is locked with a password") from None
    except (pikepdf.PdfError, ValueError) as error:
        raise Refused(f"it cannot be read as a PDF ({str(error)[:80]})") from None
    if document.is_encrypted:
        raise Refused("it is encrypted")
    if len(document.objects) > OBJECT_LIMIT:
        raise Refused(f"it has more than {OBJECT_LIMIT:,} objects")
    try:
        _check_packing(document)
        _check_inert(document)
    except (pikepdf.PdfError, RuntimeError, ValueError, TypeError) as error:
        raise Refused(f"it is damaged ({str(error)[:80]})") from None
    return document


def _check_packing(document: pikepdf.Pdf) -> None:
    """Every stream is packed once, in a known way, and not too large; wherever that is written."""
    streams = [item for item in document.objects if isinstance(item, pikepdf.Stream)]
    for stream in streams:
        if any(key in stream for key in ("/F", "/FFilter", "/FDecodeParms")):
            raise Refused("a stream in it lies in another file")
        packed = filters(stream)
        if len(packed) > 1:
            raise Refused("a stream in it is compressed more than once, which may hide its size")
        if not _FILTERS.issuperset(packed):
            raise Refused(f"a stream in it is packed as {packed[0][1:41]}, which no build writes")
    _weigh(
        memoryview(stream.read_raw_bytes())
        for stream in streams
        if "/FlateDecode" in filters(stream)
    )


def filters(stream: Any) -> list[str]:
    """The names of a stream's filters, in the order in which they are undone."""
    named = stream.get("/Filter")
    if named is None:
        return []
    return [str(name) for name in named] if isinstance(named, pikepdf.Array) else [str(named)]


def _check_inert(document: pikepdf.Pdf) -> None:
    """Nothing in it runs, calls, plays or sends when it is opened."""
    names = document.Root.get("/Names")
    if names is not None and "/JavaScript" in names:
        raise Refused("it carries JavaScript")
    for item in document.objects:
        inner = item if isinstance(item, pikepdf.Dictionary) else None
        if inner is None:
            continue
        for key in _ACTIVE_KEYS:
            if key in inner:
                raise Refused(f"it carries {key[1:]}, which acts when the file is opened or filled")
        kind = inner.get("/S", inner.get("/Subtype"))
        if isinstance(kind, pikepdf.Name) and str(kind) in _ACTIVE:
            raise Refused(f"it carries an action {str(kind)[1:]}")


@dataclass(frozen=True)
class Packed:
    """A file inside a PDF; `description` is what a reader shows of it beside its name."""

    content: bytes
    description: str


def packed(document: pikepdf.Pdf) -> dict[str, Packed]:
    """Name -> the files inside. Raises Refused where one has two names, two contents or none."""
    files: dict[str, Packed] = {}
    try:
        for name, spec in named(under(document.Root, "/Names", "/EmbeddedFiles")):
            if name in files:
                raise Refused(f"two files inside it are called {name[:80]}")
            files[name] = _packed(name, spec)
    except (pikepdf.PdfError, KeyError, ValueError, RuntimeError, AttributeError,
            TypeError) as error:  # fmt: skip
        raise Refused(f"an attachment cannot be read ({str(error)[:80]})") from None
    return files


def _packed(name: str, spec: Any) -> Packed:
    if _names(spec) != {name}:
        raise Refused(f"the file {name[:80]} inside it has another name too")
    contents = {bytes(spec.EF[key].read_bytes()) for key in spec.EF.keys()}  # noqa: SIM118
    if len(contents) != 1:
        raise Refused(f"the file {name[:80]} inside it has more than one content, or none")
    [content] = contents
    return Packed(content, str(spec.get("/Desc", "")))


def _names(spec: Any) -> set[str]:
    return {str(spec[key]) for key in ("/F", "/UF") if key in spec}


def associated(document: pikepdf.Pdf) -> Iterator[tuple[str, Packed]]:
    """(name, file) of those that are said to belong to the whole document.

    Raises:
        Refused: one that cannot be read.
    """
    try:
        for spec in document.Root.get("/AF", []):
            if spec is not None:
                name = min(_names(spec), default="")
                yield name, _packed(name, spec)
    except (pikepdf.PdfError, KeyError, ValueError, RuntimeError, AttributeError,
            TypeError) as error:  # fmt: skip
        raise Refused(f"an associated file cannot be read ({str(error)[:80]})") from None


def under(value: Any, *keys: str) -> Any:
    """What lies under some keys, one below the other; None where one is missing."""
    for key in keys:
        value = None if value is None else value.get(key)
    return value


def named(tree: Any) -> list[tuple[str, Any]]:
    """(name, value) of a name tree, or (number, value) of a number tree, in order."""
    pairs: list[tuple[str, Any]] = []
    pending = [] if tree is None else [tree]
    for _ in range(OBJECT_LIMIT):
        if not pending:
            return pairs
        node = pending.pop(0)
        pending = [*node.get("/Kids", []), *pending]
        flat = list(node.get("/Names", node.get("/Nums", [])))
        pairs += [(str(key), value) for key, value in zip(flat[::2], flat[1::2], strict=True)]
    raise Refused("a tree of names in it has no end")


def attachments(document: pikepdf.Pdf) -> dict[str, bytes]:
    """Name -> content of the files inside."""
    return {name: file.content for name, file in packed(document).items()}


def alternatives(document: pikepdf.Pdf) -> list[str]:
    """Alternative and replacement texts, which only assistive technology reads, sorted."""
    texts: list[str] = []
    for item in document.objects:
        if isinstance(item, pikepdf.Dictionary):
            texts += [str(item[key]) for key in ("/Alt", "/ActualText") if key in item]
    return sorted(texts)


def headings(document: pikepdf.Pdf) -> list[str]:
    """Titles of the outline, in order. Raises Refused where it has no end."""
    return [str(item.get("/Title", "")) for _, item in outline(document)]


def outline(document: pikepdf.Pdf) -> list[tuple[int, Any]]:
    """(depth, item) of the outline, in the order in which it is read."""
    items: list[tuple[int, Any]] = []
    root = document.Root.get("/Outlines")
    pending = [] if root is None else [(0, root.get("/First"))]
    while pending:
        depth, item = pending.pop()
        if item is None:
            continue
        items.append((depth, item))
        if len(items) > OUTLINE_LIMIT:
            raise Refused("its outline has no end")
        pending += [(depth, item.get("/Next")), (depth + 1, item.get("/First"))]
    return items
