"""Papers that somebody means to pass off as others: what viewers show, read aloud or list beside
the pages is as it was built, and what programs do to a file without changing it is let pass."""

import io
import itertools
import json
import shutil
import subprocess
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import pikepdf
import pypdf
import pytest
from pikepdf import Array, Dictionary, Name, Operator, Pdf, Stream, String

from research.provenance import former, raster
from research.provenance import trail as provenance
from research.provenance.container import Refused
from research.verification.verdicts import as_text
from research.verification.verify import verify

Edit = Callable[[Pdf], None]


@pytest.fixture(scope="module")
def paper(light: Path) -> bytes:
    return light.read_bytes()


def edited(paper: bytes, edit: Edit, out: Path, **how: Any) -> Path:
    with pikepdf.open(io.BytesIO(paper)) as document:
        edit(document)
        document.save(out, fix_metadata_version=False, **how)
    return out


def nothing(document: Pdf) -> None:
    """Only saves it again."""


# --- what a page shows ---------------------------------------------------------------------------


def page_of(document: Pdf, operator: str) -> pikepdf.Page:
    return next(
        page for page in document.pages
        if any(str(one.operator) == operator for one in pikepdf.parse_content_stream(page))
    )  # fmt: skip


def rewritten(old: bytes, new: bytes, operator: str = "Do") -> Edit:
    """Replaces text in the operators of a page."""

    def edit(document: Pdf) -> None:
        page = page_of(document, operator)
        content = page.Contents.read_bytes()
        assert old in content
        page.Contents.write(content.replace(old, new))

    return edit


def drawn(change: Callable[[list[Any]], None], operator: str = "Do") -> Edit:
    def edit(document: Pdf) -> None:
        page = page_of(document, operator)
        found: list[Any] = list(pikepdf.parse_content_stream(page))
        change(found)
        page.Contents.write(pikepdf.unparse_content_stream(found))

    return edit


def first(found: list[Any], operator: str) -> int:
    return next(i for i, one in enumerate(found) if str(one[1]) == operator)


def merged(first_one: str, second: str) -> Edit:
    """Two operators as one word, which viewers do not know and pass over."""

    def change(found: list[Any]) -> None:
        pairs = itertools.pairwise(found)
        place = next(i for i, (a, b) in enumerate(pairs)
                     if (str(a[1]), str(b[1])) == (first_one, second))  # fmt: skip
        found[place : place + 2] = [([*found[place][0]], Operator(first_one + second))]

    return drawn(change)


def inserted(*what: tuple[list[Any], str]) -> Edit:
    def change(found: list[Any]) -> None:
        found[:0] = [(operands, Operator(operator)) for operands, operator in what]

    return drawn(change)


def name_with_operators(found: list[Any]) -> None:
    """A name that holds what follows it: the picture that it names does not exist."""
    place = first(found, "gs")
    after = next(i for i in range(place, len(found)) if str(found[i][1]) == "Do")
    name = f"{found[place][0][0]}#20gs{found[after][0][0]}"
    found[after] = ([Name(name.replace("#20", " "))], Operator("Do"))


def clipped_away(found: list[Any]) -> None:
    found.insert(0, ([0, 0, 1, 1], Operator("re")))
    found.insert(1, ([], Operator("W")))
    found.insert(2, ([], Operator("n")))


def hidden_layer(document: Pdf) -> None:
    page = page_of(document, "Do")
    layer = document.make_indirect(Dictionary(Type=Name.OCG, Name=String("a")))
    page.Resources.Properties = Dictionary(L=layer)
    page.contents_add(b"/OC /L BDC", prepend=True)
    page.contents_add(b"EMC")


def layers_listed(document: Pdf) -> None:
    layer = document.make_indirect(Dictionary(Type=Name.OCG, Name=String("a")))
    document.Root.OCProperties = Dictionary(OCGs=[layer], D=Dictionary(OFF=[layer]))


def picture(document: Pdf) -> Any:
    return next(one for one in document.objects
                if isinstance(one, Stream) and one.get("/Subtype") == Name.Image)  # fmt: skip


def set_in(find: Callable[[Pdf], Any], key: str, value: Any) -> Edit:
    def edit(document: Pdf) -> None:
        find(document)[key] = value

    return edit


def states(document: Pdf) -> Any:
    found = page_of(document, "Do").Resources.ExtGState
    return found[next(iter(found.keys()))]


def page(number: int = 0) -> Callable[[Pdf], Any]:
    return lambda document: document.pages[number].obj


def catalog(document: Pdf) -> Any:
    return document.Root


def folder(document: Pdf) -> Any:
    return document.Root.Pages


def link(document: Pdf) -> Any:
    return next(note for one in document.pages for note in one.obj.get("/Annots", []))


def web_link(document: Pdf) -> Any:
    return next(note for one in document.pages for note in one.obj.get("/Annots", [])
                if "/A" in note)  # fmt: skip


def tag(kind: str = "/P") -> Callable[[Pdf], Any]:
    return lambda document: next(
        one for one in document.objects
        if isinstance(one, Dictionary) and str(one.get("/S", "")) == kind and "/Pg" in one
    )  # fmt: skip


def tags_exchanged(document: Pdf) -> None:
    """Read aloud, two paragraphs have changed places."""
    parent = tag("/P")(document).P
    while len(parent.K) < 3:
        parent = parent.P
    parent.K[0], parent.K[1] = parent.K[1], parent.K[0]


def tag_removed(document: Pdf) -> None:
    parent = tag("/P")(document).P
    while len(parent.K) < 3:
        parent = parent.P
    del parent.K[1]


def first_heading(document: Pdf) -> Any:
    return document.Root.Outlines.First


def heading_removed(document: Pdf) -> None:
    first_heading(document).First = first_heading(document).First.Next


def heading_moved(document: Pdf) -> None:
    first_heading(document).First.Dest = first_heading(document).Last.Dest


def xmp(old: bytes, new: bytes) -> Edit:
    def edit(document: Pdf) -> None:
        content = document.Root.Metadata.read_bytes()
        assert old in content
        document.Root.Metadata.write(content.replace(old, new, 1))

    return edit


def info(key: str, value: str) -> Edit:
    def edit(document: Pdf) -> None:
        document.docinfo[key] = value

    return edit


def files(document: Pdf) -> Any:
    return document.Root.Names.EmbeddedFiles.Names


def spec(document: Pdf, name: str = "numbers.json") -> Any:
    names = list(files(document))
    return names[[str(one) for one in names[::2]].index(name) * 2 + 1]


def other_file(document: Pdf, name: str = "more.json") -> Any:
    made = pikepdf.AttachedFileSpec(document, b"{}", filename=name, description="", mime_type="",
                                    creation_date="", mod_date="").obj  # fmt: skip
    return document.make_indirect(made)


def file_on_page(document: Pdf) -> None:
    document.pages[0].obj.AF = Array([other_file(document)])


def file_of_catalog(document: Pdf) -> None:
    document.Root.AF.append(other_file(document))


def file_listed_twice(document: Pdf) -> None:
    names = files(document)
    names.append(String("numbers.json"))
    names.append(other_file(document, "numbers.json"))


def file_of_two_contents(document: Pdf) -> None:
    spec(document).EF.UF = Stream(document, b'{"mse": 0}')


def file_of_two_names(document: Pdf) -> None:
    spec(document).UF = String("results.json")


def file_in_a_note(document: Pdf) -> None:
    note = Dictionary(Type=Name.Annot, Subtype=Name.FileAttachment, Rect=[9, 9, 30, 30],
                      FS=other_file(document))  # fmt: skip
    document.pages[0].obj.Annots.append(document.make_indirect(note))


def boxes(**edges: list[int]) -> Edit:
    def edit(document: Pdf) -> None:
        for name, value in edges.items():
            document.pages[0].obj[f"/{name}"] = Array(value)

    return edit


def view_of_art_box(document: Pdf) -> None:
    document.pages[0].obj.ArtBox = Array([0, 400, 595, 842])
    document.Root.ViewerPreferences.ViewArea = Name.ArtBox
    document.Root.ViewerPreferences.ViewClip = Name.ArtBox


def lossy(document: Pdf) -> None:
    """A picture that says that it is packed in another way, and so is not drawn."""
    one = picture(document)
    one.write(one.read_bytes()[:400], filter=Name.DCTDecode)


def width_in_the_data(document: Pdf) -> None:
    one = picture(document)
    data = b"/Width%.5f " % one.Width + one.read_bytes()
    del one["/Width"]
    one.write(data)


def key_in_a_key(document: Pdf) -> None:
    """One key of the name of two: its values are passed over."""
    state = states(document)
    [key] = state.keys()
    state[f"{key}{float(state[key]):.5f} /SA"] = True
    del state[key]


def page_shown_twice(document: Pdf) -> None:
    document.pages.append(document.pages[0])


def turned_by_its_folder(document: Pdf) -> None:
    document.Root.Pages.Rotate = 180


HARMFUL: dict[str, tuple[Edit, str]] = {
    # drawing
    "picture and state merged": (merged("Do", "Q"), "drawn with 'DoQ'"),
    "state and state merged": (merged("q", "q"), "drawn with 'qq'"),
    "an operator that nobody knows": (inserted(([], "XX")), "drawn with 'XX'"),
    "an operator in a compatibility section": (
        inserted(([], "BX"), ([], "EX")), "drawn with 'BX'"),
    "an operator without its operands": (inserted(([1], "re")), "'re' and 1 operands"),
    "an operator with too many": (inserted(([1, 2], "w")), "'w' and 2 operands"),
    "an operator with operands of another kind": (
        inserted(([Name("/a")], "w")), "'w' and 1 operands"),
    "a name that holds operators": (drawn(name_with_operators), "drawn with 'Do'"),
    "a picture that is not there": (
        drawn(lambda f: f.__setitem__(first(f, "Do"), ([Name("/none")], Operator("Do")))),
        "is not drawn as"),
    "a picture within the text": (
        rewritten(b"BT\n", b"BI /W 1 /H 1 /CS /G /BPC 8 ID x EI\nBT\n", "Do"), "INLINE IMAGE"),
    "all but a point clipped": (drawn(clipped_away), "does not look as it was built"),
    "text that is not drawn": (inserted(([3], "Tr")), "is not drawn as"),
    "a hidden layer": (hidden_layer, "is not drawn as"),
    "layers in the catalog": (layers_listed, "OCProperties"),
    "a picture packed otherwise": (lossy, "is not drawn as"),
    "a picture without width": (width_in_the_data, "is not drawn as"),
    "a picture with a mask": (
        set_in(picture, "/Mask", Array([0, 255, 0, 255, 0, 255])), "is not drawn as"),
    "a picture upside down": (
        set_in(picture, "/Decode", Array([1, 0, 1, 0, 1, 0])), "is not drawn as"),
    "a picture with other content for print": (
        set_in(picture, "/Alternates", Array([])), "is not drawn as"),
    "a key within a key": (key_in_a_key, "is not drawn as"),
    "blended away": (set_in(states, "/BM", Name.Lighten), "is not drawn as"),
    "a group of its own": (
        set_in(page(), "/Group", Dictionary(S=Name.Transparency)), "page has /Group"),
    "shown for a second": (set_in(page(), "/Dur", 1), "page has /Dur"),
    "a thumbnail": (set_in(page(), "/Thumb", Dictionary()), "page has /Thumb"),
    "articles": (set_in(page(), "/B", Array([])), "page has /B,"),
    "notes of another program": (set_in(page(), "/PieceInfo", Dictionary()), "page has /PieceInfo"),
    "metadata of a page": (set_in(page(), "/Metadata", Dictionary()), "page has /Metadata"),
    "another unit": (set_in(page(), "/UserUnit", 2), "page 1"),
    "another order of tabs": (set_in(page(), "/Tabs", Name.R), "is not drawn as"),
    "boxes for print": (boxes(TrimBox=[0, 400, 595, 842]), "is not drawn as"),
    "a box for bleeding": (boxes(BleedBox=[0, 0, 5, 8]), "is not drawn as"),
    "half a page viewed": (view_of_art_box, "ViewArea"),
    "turned by its folder": (turned_by_its_folder, "page 1"),
    "a page shown twice": (page_shown_twice, "there are"),
    "a page that others name": (
        set_in(page(), "/StructParents", 1), "numbers of pages: are not those"),
    # what is read aloud
    "expansion of a text": (set_in(tag(), "/E", String("0.1")), "tag has /E"),
    "text in place of a text": (set_in(tag(), "/ActualText", String("0.1")), "tag has /ActualText"),
    "alternative of a paragraph": (set_in(tag(), "/Alt", String("0.1")), "alternative texts"),
    "title of a paragraph": (set_in(tag(), "/T", String("0.1")), "tag has /T"),
    "language of a paragraph": (set_in(tag(), "/Lang", String("fr")), "tag has /Lang"),
    "a paragraph as a heading": (set_in(tag(), "/S", Name.H1), "tags: are not those"),
    "summary of a table": (
        set_in(tag("/TD"), "/A", Dictionary(O=Name.Table, Summary=String("0"))), "/Summary"),
    "paragraphs exchanged": (tags_exchanged, "tags: are not those"),
    "a paragraph not read": (tag_removed, "tags: are not those"),
    "roles": (
        set_in(lambda d: d.Root.StructTreeRoot, "/RoleMap", Dictionary(P=Name.Artifact)),
        "tags has /RoleMap"),
    "pronunciation": (
        set_in(lambda d: d.Root.StructTreeRoot, "/PronunciationLexicon", Array([])),
        "tags has /Pronunciation"),
    "another language": (set_in(catalog, "/Lang", String("fr")), "settings: are not those"),
    "not marked": (set_in(catalog, "/MarkInfo", Dictionary(Marked=False)), "settings: are not"),
    # what is listed beside the pages
    "title of a heading": (set_in(first_heading, "/Title", String("99 %")), "outline: are not"),
    "a heading elsewhere": (heading_moved, "outline: are not those"),
    "a heading removed": (heading_removed, "outline: are not those"),
    "a heading that acts": (
        set_in(first_heading, "/A", Dictionary(S=Name.URI, URI=String("x:"))), "item has /A"),
    "title in XMP": (xmp(b"<rdf:li xml:lang", b"<rdf:li xml:lang='x-default'>A</rdf:li>"
                         b"<rdf:li xml:lang"), "metadata XMP dc:title"),
    "creator in XMP": (xmp(b"<rdf:Seq><rdf:li>", b"<rdf:Seq><rdf:li>Dr. "), "XMP dc:creator"),
    "keywords in XMP": (xmp(b"<pdf:Keywords>", b"<pdf:Keywords>best, "), "XMP pdf:Keywords"),
    "description in XMP": (
        xmp(b"<dc:title>", b"<dc:description>0.1</dc:description><dc:title>"), "dc:description"),
    "no PDF/A": (xmp(b'pdfaid:part="3"', b'pdfaid:part="2"'), "XMP pdfaid:part"),
    "entities in XMP": (
        xmp(b"<x:xmpmeta", b'<!DOCTYPE x [<!ENTITY a "b">]><x:xmpmeta'), "document type"),
    "XMP that is none": (xmp(b"</x:xmpmeta>", b""), "not XML"),
    "subject": (info("/Subject", "Accuracy of 99.9 %"), "metadata Subject"),
    "keywords": (info("/Keywords", "state of the art"), "metadata Keywords"),
    "creator": (info("/Creator", "a university"), "metadata Creator"),
    "date": (info("/CreationDate", "D:20200101000000Z"), "metadata CreationDate"),
    "a key of one's own": (info("/Grade", "A"), "metadata Grade"),
    "a file of a page": (file_on_page, "page has /AF"),
    "a file of the catalog": (file_of_catalog, "more.json: belongs to the paper and is not listed"),
    "a file in a note": (file_in_a_note, "annotation has /FS"),
    "a file listed twice": (file_listed_twice, "two files inside it are called numbers.json"),
    "a file of two contents": (file_of_two_contents, "more than one content"),
    "a file of two names": (file_of_two_names, "has another name too"),
    "description of a file": (
        set_in(spec, "/Desc", String("checked by the dean")), "described as 'checked by the dean'"),
    "a file that is related otherwise": (set_in(spec, "/RF", Dictionary()), "file has /RF"),
    "a portfolio": (set_in(catalog, "/Collection", Dictionary()), "catalog has /Collection"),
    "names of pages": (
        set_in(catalog, "/PageLabels", Dictionary(Nums=[0, Dictionary(P=String("9"))])),
        "catalog has /PageLabels"),
    "a base of addresses": (
        set_in(catalog, "/URI", Dictionary(Base=String("http://localhost/"))), "catalog has /URI"),
    "a mode of showing": (set_in(catalog, "/PageMode", Name.FullScreen), "catalog has /PageMode"),
    "permissions": (set_in(catalog, "/Perms", Dictionary()), "catalog has /Perms"),
    "threads": (set_in(catalog, "/Threads", Array([])), "catalog has /Threads"),
    "another address of a link": (
        set_in(lambda d: web_link(d).A, "/URI", String("http://localhost/")), "is not drawn as"),
    "a link and then another": (
        set_in(lambda d: web_link(d).A, "/Next", Dictionary(S=Name.URI, URI=String("x:"))),
        "action has /Next"),
    "a link with a look of its own": (set_in(link, "/AP", Dictionary()), "annotation has /AP"),
    "a link of a layer": (set_in(link, "/OC", Dictionary()), "annotation has /OC"),
    "places of links": (
        lambda d: d.Root.Names.Dests.Names.__setitem__(1, d.Root.Names.Dests.Names[5]),
        "places of links: are not"),
    "colours of another device": (
        set_in(lambda d: d.Root.OutputIntents[0], "/Info", String("a")), "colours: are not"),
    "colours of two devices": (
        lambda d: d.Root.OutputIntents.append(d.Root.OutputIntents[0]), "colours: are not"),
}  # fmt: skip


def test_there_are_more_than_sixty() -> None:
    assert len(HARMFUL) >= 60


@pytest.mark.parametrize("name", HARMFUL)
def test_a_forged_paper_is_found_out(name: str, paper: bytes, tmp_path: Path) -> None:
    edit, told = HARMFUL[name]
    verdict = verify(edited(paper, edit, tmp_path / "a.pdf"))
    assert told in as_text({"a": verdict})


# --- papers of an older format -------------------------------------------------------------------


def as_former(document: Pdf) -> None:
    """What an older version would have made of the paper: record and seal are right for it."""
    trail = json.loads(document.attachments["provenance.json"].get_file().read_bytes())
    trail = {key: value for key, value in trail.items() if key not in ("parts", "metadata")}
    looks = former.drawings(document)
    trail["pages"] = [{"text": page["text"], "drawing": look}
                      for page, look in zip(trail["pages"], looks, strict=True)]  # fmt: skip
    trail["format"] = 2
    trail["seal"] = provenance.seal(trail)
    file = spec(document, "provenance.json").EF
    content = document.make_stream(json.dumps(trail).encode())
    file.F, file.UF = content, content


def test_an_older_paper_is_verified_and_told_apart(paper: bytes, tmp_path: Path) -> None:
    verdict = verify(edited(paper, as_former, tmp_path / "a.pdf"))
    assert verdict.ok
    assert "of format 2, of an older version" in as_text({"a": verdict})
    assert "format 2" not in as_text({"a": verify(edited(paper, nothing, tmp_path / "b.pdf"))})


def two_strings_in_one(found: list[Any]) -> None:
    """Two pieces of a line as one string that holds what stands between them in the digest."""
    place = next(i for i, one in enumerate(found) if str(one[1]) == "TJ" and len(one[0][0]) > 2)
    line = list(found[place][0][0])
    joined = bytes(line[0]) + b")%.5f (" % float(line[1]) + bytes(line[2])
    found[place] = ([Array([String(joined), *line[3:]])], Operator("TJ"))


def drawn_by_name(document: Pdf) -> None:
    """A picture's width in the name of the key before it."""
    one = picture(document)
    one["/Type"] = Name.XObject
    key = f"/Subtype/Image /Width{float(one.Width):.5f} /X"
    del one["/Width"]
    one[key] = 0


COLLIDING: dict[str, tuple[Edit, str]] = {
    "operators merged": (merged("Do", "Q"), "drawn with 'DoQ'"),
    "a name that holds operators": (drawn(name_with_operators), "drawn with 'Do'"),
    "two strings in one": (drawn(two_strings_in_one), "may stand for more than one"),
    "a width in the data": (width_in_the_data, "as its own dictionary might end"),
    "a key within a key": (key_in_a_key, "may stand for more than one"),
    "a name as a key": (drawn_by_name, "may stand for more than one"),
    "title in XMP": (HARMFUL["creator in XMP"][0], "XMP dc:creator"),
    "title of a heading": (HARMFUL["title of a heading"][0], "outline: '99 %' stands on no page"),
    "boxes": (HARMFUL["boxes for print"][0], "boxes of more than one size"),
    "expansion of a text": (HARMFUL["expansion of a text"][0], "tag has /E"),
    "subject": (HARMFUL["subject"][0], "metadata Subject"),
}  # fmt: skip


@pytest.mark.parametrize("name", COLLIDING)
def test_an_older_paper_is_not_forged_by_a_collision(
    name: str, paper: bytes, tmp_path: Path
) -> None:
    old = edited(paper, as_former, tmp_path / "old.pdf").read_bytes()
    edit, told = COLLIDING[name]
    assert told in as_text({"a": verify(edited(old, edit, tmp_path / "a.pdf"))})


# --- what changes nothing ------------------------------------------------------------------------

QPDF = {
    "linearised": ["--linearize"],
    "objects in streams": ["--object-streams=generate"],
    "objects apart": ["--object-streams=disable"],
    "packed anew": ["--recompress-flate", "--compression-level=9"],
    "unpacked": ["--stream-data=uncompress"],
    "for an editor": ["--qdf"],
    "contents in one": ["--coalesce-contents"],
    "operators laid out": ["--normalize-content=y"],
    "a newline before the end": ["--newline-before-endstream"],
    "nothing that is unused": ["--remove-unreferenced-resources=yes"],
    "what is unused too": ["--preserve-unreferenced"],
    "another version": ["--force-version=1.7"],
    "no turned pages": ["--flatten-rotation"],
    "smaller pictures": ["--optimize-images"],
}
MUTOOL = {
    "cleaned": [], "cleaned of doubles": ["-gggg"], "cleaned and packed": ["-z"],
    "cleaned and unpacked": ["-d"], "cleaned, objects in streams": ["-Z"],
}  # fmt: skip


@pytest.mark.parametrize("name", QPDF)
def test_qpdf_may_rewrite_it(name: str, paper: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(paper)
    pikepdf.Job(["qpdf", *QPDF[name], str(tmp_path / "a.pdf"), str(tmp_path / "b.pdf")]).run()
    pikepdf.settings.set_flate_compression_level(-1)  # a job's level holds for the whole process
    assert verify(tmp_path / "b.pdf").problems == ()


@pytest.mark.parametrize("name", MUTOOL)
def test_mutool_may_clean_it(name: str, paper: bytes, tmp_path: Path) -> None:
    if shutil.which("mutool") is None:
        pytest.skip("needs mutool, of mupdf-tools")
    (tmp_path / "a.pdf").write_bytes(paper)
    done = subprocess.run(
        ["mutool", "clean", *MUTOOL[name], "a.pdf", "b.pdf"], cwd=tmp_path, capture_output=True
    )
    if done.returncode:
        pytest.skip(f"this mutool has no {MUTOOL[name]}")
    assert verify(tmp_path / "b.pdf").problems == ()


def in_short_floats(document: Pdf) -> None:
    """Coordinates as a program prints them that holds them in 32 bits, as MuPDF does."""

    def walk(value: Any) -> None:
        if isinstance(value, Array):
            for place, inner in enumerate(value):
                if isinstance(inner, Decimal):
                    value[place] = Decimal(np.format_float_positional(np.float32(inner)))
                elif not inner_is_indirect(inner):
                    walk(inner)
        elif isinstance(value, Dictionary):
            for key in value.keys():  # noqa: SIM118 - not a mapping of Python's
                if not inner_is_indirect(value[key]):
                    walk(value[key])

    for one in document.objects:
        walk(one)


def inner_is_indirect(value: Any) -> bool:
    return bool(getattr(value, "is_indirect", False))


def renewed(document: Pdf) -> None:
    with document.open_metadata() as metadata:
        metadata["xmp:ModifyDate"] = "2030-01-01T00:00:00"
        metadata["pdf:Producer"] = "another"
    document.docinfo["/Producer"] = "another"


def said_aloud(document: Pdf) -> None:
    """Boxes and turn that are what they are by default."""
    for one in document.pages:
        one.obj.CropBox = one.obj.MediaBox
        one.obj.Rotate = 0
        one.obj.UserUnit = 1


def inherited(document: Pdf) -> None:
    box = document.pages[0].obj.MediaBox
    for one in document.pages:
        del one.obj["/MediaBox"]
    document.Root.Pages.MediaBox = box


@pytest.mark.parametrize("edit", [nothing, in_short_floats, renewed, said_aloud, inherited])
def test_pikepdf_may_save_it(edit: Edit, paper: bytes, tmp_path: Path) -> None:
    assert verify(edited(paper, edit, tmp_path / "a.pdf")).problems == ()


def test_pypdf_may_save_it(paper: bytes, tmp_path: Path) -> None:
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(paper))
    writer.compress_identical_objects()
    writer.write(tmp_path / "a.pdf")
    assert verify(tmp_path / "a.pdf").problems == ()


# --- pages as pictures ---------------------------------------------------------------------------


def test_a_page_is_the_same_picture_when_edges_are_smoothed_otherwise(paper: bytes) -> None:
    import pypdfium2

    [drawn_page, *_] = raster.pictures(paper)
    page = pypdfium2.PdfDocument(paper)[0]
    for how in ({"no_smoothtext": True}, {"no_smoothpath": True}, {"no_smoothimage": True}):
        hard = MagicMock(get_size=page.get_size,
                         render=lambda how=how, **more: page.render(**more, **how))  # fmt: skip
        other = raster._greys(hard, 1)
        assert list(raster.changes([raster.packed(drawn_page)], [other])) == []
        assert not np.array_equal(drawn_page, other)


@pytest.mark.parametrize("operator", ["TJ", "Do"])
def test_a_line_or_a_picture_less_is_another_picture(operator: str, paper: bytes) -> None:
    built = [raster.packed(one) for one in raster.pictures(paper)]
    (_, told), *_ = raster.changes(built, raster.pictures(without(paper, operator)))
    assert "does not look as it was built" in told


def without(paper: bytes, operator: str) -> bytes:
    """The paper without the longest line of text, or without the pictures, of a page."""
    with pikepdf.open(io.BytesIO(paper)) as document:
        page = page_of(document, operator)
        found: list[Any] = list(pikepdf.parse_content_stream(page))
        places = [i for i, one in enumerate(found) if str(one[1]) == operator]
        if operator == "TJ":
            places = [max(places, key=lambda i: len(found[i][0][0]))]
        kept = [one for i, one in enumerate(found) if i not in places]
        page.Contents.write(pikepdf.unparse_content_stream(kept))
        out = io.BytesIO()
        document.save(out)
        return out.getvalue()


@pytest.mark.parametrize("text", ["", "1 2", "0 0 ", "9 9 AAAA", "a b c", "99999 99999 AAAA"])
def test_a_picture_of_another_form_is_none(text: str) -> None:
    with pytest.raises(Refused, match="cannot be unpacked"):
        raster.unpacked(text)
