"""Papers that somebody means to pass off as others: what viewers show, read aloud or list beside
the pages is as it was built."""

import json
from pathlib import Path
from typing import Any

import pytest
from pikepdf import Array, Dictionary, Name, Operator, Pdf, String

from research.provenance import former
from research.provenance import trail as provenance
from research.verification.verdicts import as_text
from research.verification.verify import verify
from tests.verification.forgeries import (
    Edit,
    boxes,
    catalog,
    clipped_away,
    drawn,
    edited,
    file_in_a_note,
    file_listed_twice,
    file_of_catalog,
    file_of_two_contents,
    file_of_two_names,
    file_on_page,
    first,
    first_heading,
    heading_moved,
    heading_removed,
    hidden_layer,
    info,
    inserted,
    key_in_a_key,
    layers_listed,
    link,
    lossy,
    merged,
    name_with_operators,
    nothing,
    page,
    page_shown_twice,
    picture,
    rewritten,
    set_in,
    spec,
    states,
    tag,
    tag_removed,
    tags_exchanged,
    turned_by_its_folder,
    view_of_art_box,
    web_link,
    width_in_the_data,
    xmp,
)

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
