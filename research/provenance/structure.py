"""The parts of a PDF beside its pages' drawing: which there may be, and what each of them says.

What a viewer shows or reads aloud need not stand on a page: the outline, the tags, the title in the
metadata, the name of an attached file, a layer or a view that hides half of a page. So the keys of
everything that hangs below the catalog are those that a build writes, and no others; and what they
hold is digested, part by part.
"""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from xml.etree import ElementTree
from xml.parsers import expat

import pikepdf

from research.provenance import container
from research.provenance.container import Refused
from research.provenance.drawing import Walk

LIMIT = 100_000
"""Elements of the tags at most."""

_STREAM = "/Type /Subtype /Length /Filter /DecodeParms"
KEYS = {
    name: frozenset(keys.split())
    for name, keys in {
        "file": "/Root /Info /ID /Size /Prev /XRefStm /Type /W /Index /Length /Filter /DecodeParms",
        "catalog": "/Type /Version /Pages /AF /Lang /MarkInfo /Metadata /Names /Outlines "
                   "/OutputIntents /StructTreeRoot /ViewerPreferences",
        "folder of pages": "/Type /Parent /Kids /Count /Resources /MediaBox /CropBox /Rotate",
        "page": "/Type /Parent /MediaBox /CropBox /BleedBox /TrimBox /Rotate /UserUnit /Annots "
                "/Contents /Resources /StructParents /Tabs",
        "annotation": "/Type /Subtype /Rect /BS /F /A /Dest /Contents /StructParent /P",
        "action": "/Type /S /URI",
        "names": "/Dests /EmbeddedFiles",
        "tree": "/Names /Nums /Kids /Limits",
        "attached file": "/Type /F /UF /Desc /EF /AFRelationship",
        "attached content": "/F /UF",
        "content of a file": f"{_STREAM} /Params",
        "facts of a file": "/CheckSum /CreationDate /ModDate /Size",
        "outline": "/Type /First /Last /Count",
        "outline's item": "/Title /Parent /Prev /Next /First /Last /Count /Dest",
        "output intent": "/Type /S /OutputConditionIdentifier /Info /DestOutputProfile",
        "marking": "/Marked",
        "viewing": "/DisplayDocTitle",
        "metadata": _STREAM,
        "tags": "/Type /K /ParentTree",
        "tag": "/Type /S /P /ID /Pg /K /A /Alt",
        "tagged content": "/Type /Pg /MCID /Obj",
        "attributes of a tag": "/O /BBox /Headers /ColSpan /RowSpan",
    }.items()
}  # fmt: skip
"""Kind of thing -> the keys that a build writes, and those that other programs add without harm."""

_PASSING = ("Producer", "ModDate", "XMP pdf:Producer", "XMP xmp:ModifyDate", "XMP xmp:MetadataDate")
"""Metadata that whoever saves a file may renew."""
_PREFIXES = {
    "http://purl.org/dc/elements/1.1/": "dc",
    "http://ns.adobe.com/pdf/1.3/": "pdf",
    "http://ns.adobe.com/xap/1.0/": "xmp",
    "http://www.aiim.org/pdfa/ns/id/": "pdfaid",
}
_RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"


@contextmanager
def readable() -> Iterator[None]:
    """Turns what comes of a thing that is another kind of thing than it should be into Refused."""
    try:
        yield
    except (TypeError, AttributeError, LookupError, ValueError, ArithmeticError, RuntimeError,
            pikepdf.PdfError) as error:  # fmt: skip
        reason = f"{type(error).__name__}: {str(error)[:80]}"
        raise Refused(f"its parts are not of the form that a build writes ({reason})") from None


def strange(document: pikepdf.Pdf) -> Iterator[tuple[str, str]]:
    """(where, what) for everything in a document that no build writes, see `KEYS`."""
    for where, kind, dictionary in _things(document):
        for key in sorted(set(dictionary.keys()) - KEYS[kind]):
            yield where, f"the {kind} has {key[:40]}, which no build writes"


def _things(document: pikepdf.Pdf) -> Iterator[tuple[str, str, Any]]:
    """(where, kind, dictionary) for everything that `KEYS` speaks of."""
    root = document.Root
    yield "", "file", document.trailer
    yield "", "catalog", root
    for key, kind in (("/MarkInfo", "marking"), ("/ViewerPreferences", "viewing"),
                      ("/Metadata", "metadata"), ("/Outlines", "outline"), ("/Names", "names"),
                      ("/StructTreeRoot", "tags")):  # fmt: skip
        if key in root:
            yield "", kind, root[key]
    yield from (("outline", "outline's item", item) for _, item in container.outline(document))
    yield from (("", "output intent", intent) for intent in root.get("/OutputIntents", []))
    yield from _pages(document)
    for tree in (_embedded(document), _links(document), _parents(document)):
        yield from (("", "tree", node) for node in _nodes(tree))
    yield from _files(document)
    yield from (("tags", kind, tag) for kind, tag in tags(document))


def _pages(document: pikepdf.Pdf) -> Iterator[tuple[str, str, Any]]:
    for number, page in enumerate(document.pages, start=1):
        where = f"page {number}"
        yield where, "page", page.obj
        folder = page.obj.get("/Parent")
        for _ in range(20):
            if folder is not None:
                yield where, "folder of pages", folder
                folder = folder.get("/Parent")
        for note in page.obj.get("/Annots", []):
            yield where, "annotation", note
            if "/A" in note:
                yield where, "action", note.A


def _files(document: pikepdf.Pdf) -> Iterator[tuple[str, str, Any]]:
    specs = [*container.named(_embedded(document))]
    specs += [("attached files", spec) for spec in document.Root.get("/AF", []) if spec is not None]
    for name, spec in specs:
        yield name[:80], "attached file", spec
        yield name[:80], "attached content", spec.EF
        for key in spec.EF.keys():  # noqa: SIM118 - not a mapping of Python's
            yield name[:80], "content of a file", spec.EF[key]
            yield name[:80], "facts of a file", spec.EF[key].get("/Params", pikepdf.Dictionary())


def _embedded(document: pikepdf.Pdf) -> Any:
    return container.under(document.Root, "/Names", "/EmbeddedFiles")


def _links(document: pikepdf.Pdf) -> Any:
    return container.under(document.Root, "/Names", "/Dests")


def _parents(document: pikepdf.Pdf) -> Any:
    return container.under(document.Root, "/StructTreeRoot", "/ParentTree")


def _nodes(tree: Any) -> Iterator[Any]:
    container.named(tree)  # refuses a tree without end
    pending = [] if tree is None else [tree]
    while pending:
        node = pending.pop()
        yield node
        pending.extend(node.get("/Kids", []))


def tags(document: pikepdf.Pdf) -> Iterator[tuple[str, Any]]:
    """(kind, dictionary) of the tree of tags, in the order in which it is read aloud.

    Raises:
        Refused: it has no end.
    """
    root = document.Root.get("/StructTreeRoot")
    pending = [] if root is None else _listed(root.get("/K"))[::-1]
    for _ in range(LIMIT):
        if not pending:
            return
        item = pending.pop()
        if not isinstance(item, pikepdf.Dictionary):
            continue  # the number of a piece of a page
        kind = "tag" if "/S" in item else "tagged content"
        yield kind, item
        yield from (("attributes of a tag", facts) for facts in _listed(item.get("/A")))
        pending += _listed(item.get("/K"))[::-1]
    raise Refused("its tags have no end")


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, pikepdf.Array) else [value]


# --- what the parts say --------------------------------------------------------------------------


def parts(document: pikepdf.Pdf) -> dict[str, str]:
    """Part -> digest of what it says, for those that a reader meets beside the pages."""
    walk, root = Walk(document), document.Root
    settings = ("/Lang", "/MarkInfo", "/ViewerPreferences")
    contents: dict[str, list[str]] = {
        "outline": [
            f"{depth} {walk.digest(item.get('/Title'))} {walk.digest(item.get('/Dest'))}"
            for depth, item in container.outline(document)
        ],
        "tags": [walk.digest(container.under(root, "/StructTreeRoot", "/K"))],
        "places of tags": _of_tree(walk, _parents(document)),
        "places of links": sorted(_of_tree(walk, _links(document))),
        "settings": [walk.digest(root.get(key)) for key in settings],
        "colours": [walk.digest(root.get("/OutputIntents"))],
        "numbers of pages": [
            walk.digest(page.obj.get("/StructParents")) for page in document.pages
        ],
    }
    return {
        name: hashlib.sha256("\n".join(lines).encode()).hexdigest()
        for name, lines in contents.items()
    }


def _of_tree(walk: Walk, tree: Any) -> list[str]:
    return [f"{key} {walk.digest(value)}" for key, value in container.named(tree)]


def metadata(document: pikepdf.Pdf) -> dict[str, list[str]]:
    """What the document says of itself: `Title`, `XMP dc:title` …, but for what saving renews.

    Raises:
        Refused: the metadata are no XML, or define entities.
    """
    info: Any = document.trailer.get("/Info", pikepdf.Dictionary())
    facts = {str(key)[1:]: [str(info[key])] for key in sorted(info.keys())}
    stream = document.Root.get("/Metadata")
    if stream is not None:
        for key, value in _xmp(bytes(stream.read_bytes())):
            facts.setdefault(f"XMP {key}", []).append(value)
    return {key: values for key, values in facts.items() if key not in _PASSING}


def _xmp(content: bytes) -> Iterator[tuple[str, str]]:
    """(name, text) of each statement of an XMP packet, whether attribute or element."""
    for node in (node for whole in _parsed(content).iter(f"{_RDF}RDF") for node in whole):
        if node.tag != f"{_RDF}Description":
            yield "statements", _short(node.tag)
        for name, text in node.attrib.items():
            if text or name != f"{_RDF}about":
                yield _short(name), text
        for element in node:
            yield from ((_short(element.tag), _text(item)) for item in _items(element))


def _items(element: ElementTree.Element) -> list[ElementTree.Element]:
    return list(element.iter(f"{_RDF}li")) or [element]


def _text(item: ElementTree.Element) -> str:
    """The text, and before it whatever the element says of itself but for the usual language."""
    said = [f"{_short(name)} {value}" for name, value in sorted(item.attrib.items())
            if (name, value) != (_LANGUAGE, "x-default")]  # fmt: skip
    return ": ".join([*said, "".join(item.itertext()).strip()])


def _parsed(content: bytes) -> ElementTree.Element:
    def refuse(*args: Any) -> None:
        raise Refused("its metadata define a document type, which no build writes")

    reader = expat.ParserCreate()
    reader.StartDoctypeDeclHandler = refuse
    try:
        reader.Parse(content, True)
        return ElementTree.fromstring(content)
    except (expat.ExpatError, ElementTree.ParseError, ValueError, LookupError) as error:
        raise Refused(f"its metadata are not XML ({str(error)[:80]})") from None


def _short(name: str) -> str:
    space, _, own = name.rpartition("}")
    return f"{_PREFIXES.get(space[1:], space[1:])}:{own}" if space else own


def differences(built: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """The names under which two mappings hold something else."""
    yield from (name for name in sorted({*built, *now}) if built.get(name) != now.get(name))
