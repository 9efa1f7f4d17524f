"""Papers of format 2, which older versions built: how their drawing was digested.

That digest ran operators, operands and keys together, so that two drawings may have the same one
(`Do Q` and `DoQ`, two keys and one key whose name holds both). A paper of that format is still
verified, but what such a collision needs, a name or a string that holds what stands between two
others, is refused, as are unknown operators. Its record says nothing of outline, tags and metadata;
they are held to what they follow from instead.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

import pikepdf

from research.provenance import container, drawing
from research.provenance.container import Refused
from research.provenance.entries import Trail
from research.provenance.page_text import Page, bare

NOTE = (
    "its record is of format 2, of an older version: its drawing is held to a weaker digest, and "
    "its pages are not compared as pictures; build it again"
)

_PASSING = {"/Length", "/Filter", "/DecodeParms", "/DL", "/Parent", "/P", "/StructParent",
            "/StructParents", "/Type", "/Metadata", "/PieceInfo", "/LastModified"}  # fmt: skip
_NAME = re.compile(r"/[A-Za-z0-9._+:-]*")
_RUN_ON = re.compile(rb"\)[-0-9/(\[<TJj'\"]")
"""In a string: what would end it, and what follows it in the digest."""
_KEY = re.compile(rb"/(?:Width|Height|Subtype|SMask|Resources|Matrix|Group|Interpolate|Intent|Mask|"
                  rb"ImageMask|Decode|BitsPerComponent|ColorSpace|BBox|FormType|Length\d|N\d|"
                  rb"Alternate|Range|PatternType|PaintType|TilingType|[XY]Step|Name)")  # fmt: skip
"""At the start of a stream: what would be a key of its dictionary."""


def drawings(document: pikepdf.Pdf) -> list[str]:
    """As format 2 digested each page. Raises Refused where that digest cannot be trusted."""
    walk = _Walk({page.obj.objgen: number for number, page in enumerate(document.pages)})
    return [walk.page(page) for page in document.pages]


class _Walk:
    def __init__(self, pages: Mapping[tuple[int, int], int]) -> None:
        self._pages = pages
        self._known: dict[tuple[int, int], bytes] = {}

    def page(self, page: pikepdf.Page) -> str:
        whole, *others = (
            [float(edge) for edge in drawing.boxes(page.obj)[key]]
            for key in ("/MediaBox", "/BleedBox", "/TrimBox", "/ArtBox")
        )
        if any(other != whole for other in others):
            raise Refused("a page has boxes of more than one size, which no build writes")
        hashed = hashlib.sha256()
        for _, operands, operator in drawing.operations(page.obj):
            for operand in operands:
                hashed.update(self._of(operand))
            hashed.update(operator.encode())
        for key in ("/MediaBox", "/CropBox", "/Rotate", "/UserUnit", "/Resources", "/Annots"):
            value = page.obj.get(key, page.get(key))
            hashed.update(key.encode())
            if value is not None:
                hashed.update(self._of(value))
        return hashed.hexdigest()

    def _of(self, value: Any) -> bytes:
        number = getattr(value, "objgen", (0, 0))
        if number == (0, 0):
            return self._made(value)
        if number in self._pages:
            return b"page %d" % self._pages[number]
        if number not in self._known:
            self._known[number] = b"itself"
            self._known[number] = self._made(value)
        return self._known[number]

    def _made(self, value: Any) -> bytes:
        if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
            return b"%.5f " % float(value)
        if isinstance(value, pikepdf.Stream):
            return self._stream(value)
        if isinstance(value, pikepdf.Dictionary):
            return hashlib.sha256(self._pairs(value)).digest()
        if isinstance(value, pikepdf.Array):
            return hashlib.sha256(b"[" + b"".join(map(self._of, value))).digest()
        if isinstance(value, pikepdf.String):
            if _RUN_ON.search(bytes(value)):
                raise Refused("a string in it may stand for more than one, see format 2")
            return b"(" + bytes(value) + b")"
        if isinstance(value, pikepdf.Name):
            return _regular(str(value)).encode() + b" "
        if isinstance(value, bool | None):
            return str(value).encode() + b" "
        raise Refused(f"it holds a {type(value).__name__}, which no build writes")

    def _stream(self, value: Any) -> bytes:
        inner = hashlib.sha256(self._pairs(value))
        packed = container.filters(value)
        lossy = bool(packed) and packed[0] in ("/DCTDecode", "/JPXDecode")
        content = value.read_raw_bytes() if lossy else value.read_bytes()
        if _KEY.match(content):
            raise Refused("a stream in it begins as its own dictionary might end, see format 2")
        inner.update(content)
        return inner.digest()

    def _pairs(self, value: Any) -> bytes:
        keys = sorted(_regular(key) for key in value.keys() if key not in _PASSING)  # noqa: SIM118
        return b"".join(key.encode() + self._of(value[key]) for key in keys)


def _regular(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise Refused(f"the name {name[:40]} in it may stand for more than one, see format 2")
    return name


def contradictions(
    trail: Trail, metadata: Mapping[str, list[str]], headings: Sequence[str],
    pages: Sequence[Page],
) -> Iterator[tuple[str, str]]:  # fmt: skip
    """(what, what is wrong) with the metadata and outline of a paper that does not record them."""
    author = [trail.author["name"]]
    follows = {
        "Title": [trail.title], "Author": author,
        "XMP dc:title": [trail.title], "XMP dc:creator": author,
        "Keywords": metadata.get("XMP pdf:Keywords", []),
        "XMP pdf:Keywords": metadata.get("Keywords", []),
        "XMP pdfaid:part": ["3"], "XMP pdfaid:conformance": ["A"],
    }  # fmt: skip
    for key, values in metadata.items():
        if not key.endswith(("CreationDate", "CreateDate")) and follows.get(key) != values:
            yield f"metadata {key}", f"is '{'; '.join(values)[:60]}', which no build writes"
    for key in ("Title", "Author"):
        if key not in metadata:
            yield f"metadata {key}", f"is not the built '{follows[key][0][:60]}'"
    written = bare(" ".join(page.text for page in pages))
    for title in headings:
        if bare(title) not in written:
            yield "outline", f"'{title[:60]}' stands on no page"
