"""Edits of a paper's pages are found."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pikepdf
import pytest
from pikepdf import Array, Dictionary, Name, Operator, Pdf, Stream, String

from research.verification.verdicts import as_text
from research.verification.verify import verify
from tests.verification.edits import Edit, edited


def operators(document: Pdf, change: Callable[[list[Any]], None], page: int = 0) -> None:
    """Changes the operators of a page."""
    found: list[Any] = list(pikepdf.parse_content_stream(document.pages[page]))
    change(found)
    content = pikepdf.unparse_content_stream(found)
    document.pages[page].obj.Contents = document.make_stream(content)


def shows(found: list[Any]) -> list[int]:
    """The places of the operators that show more than three letters."""
    return [i for i, (operands, operator) in enumerate(found)
            if str(operator) == "TJ" and len(operands[0]) > 6]  # fmt: skip


def letters_swapped(found: list[Any]) -> None:
    first, second = shows(found)[5], shows(found)[9]
    found[first], found[second] = found[second], found[first]


def letter_changed(found: list[Any]) -> None:
    place = shows(found)[12]
    line = list(found[place].operands[0])
    glyphs = [i for i, one in enumerate(line) if isinstance(one, String)]
    line[glyphs[0]], line[glyphs[2]] = line[glyphs[2]], line[glyphs[0]]
    found[place] = ([Array(line)], Operator("TJ"))


def line_removed(found: list[Any]) -> None:
    del found[shows(found)[8]]


def line_doubled(found: list[Any]) -> None:
    place = shows(found)[8]
    found.insert(place, found[place])


def line_moved(found: list[Any]) -> None:
    place = next(i for i, (_, one) in enumerate(found) if str(one) == "Tm")
    *rest, y = found[place].operands
    found[place] = ([*rest, float(y) + 30], Operator("Tm"))


def made_white(found: list[Any]) -> None:
    place = next(i for i, (_, one) in enumerate(found) if str(one) == "rg")
    found[place] = ([1, 1, 1], Operator("rg"))


def covered(found: list[Any]) -> None:
    white = [([1, 1, 1], Operator("rg")), ([60, 60, 200, 200], Operator("re"))]
    found += [*white, ([], Operator("f"))]


def picture_removed(found: list[Any]) -> None:
    del found[next(i for i, (_, one) in enumerate(found) if str(one) == "Do")]


def path_changed(found: list[Any]) -> None:
    places = [i for i, (_, one) in enumerate(found) if str(one) == "l"]
    x, y = found[places[-1]].operands
    found[places[-1]] = ([float(x) + 5, y], Operator("l"))


def page_with(document: Pdf, operator: str) -> int:
    """The first page that uses an operator."""
    return next(
        number for number, page in enumerate(document.pages)
        if any(str(one.operator) == operator for one in pikepdf.parse_content_stream(page))
    )  # fmt: skip


def text_added(document: Pdf) -> None:
    page = document.pages[0]
    font = next(iter(page.obj.Resources.Font.keys()))
    page.contents_add(f"BT {font} 12 Tf 100 100 Td <0014> Tj ET".encode())


def page_removed(document: Pdf) -> None:
    del document.pages[-1]


def page_added(document: Pdf) -> None:
    document.add_blank_page()


def pages_swapped(document: Pdf) -> None:
    document.pages.insert(0, document.pages[1])
    del document.pages[2]


def turned(document: Pdf) -> None:
    document.pages[0].rotate(180, relative=True)


def cropped(document: Pdf) -> None:
    document.pages[1].cropbox = Array([0, 400, 595, 842])


def pictures(document: Pdf) -> list[Any]:
    return [one for one in document.objects
            if isinstance(one, Stream) and one.get("/Subtype") == Name.Image
            and "/SMask" in one]  # fmt: skip


def picture_changed(document: Pdf) -> None:
    picture = pictures(document)[0]
    pixels = bytearray(picture.read_bytes())
    pixels[len(pixels) // 2] ^= 0x40
    picture.write(bytes(pixels))


def pictures_swapped(document: Pdf) -> None:
    page = document.pages[page_with(document, "Do")]
    inner = page.obj.Resources.XObject
    first, second = list(inner.keys())[:2]
    inner[first], inner[second] = inner[second], inner[first]


def fonts(document: Pdf) -> list[Any]:
    return [one for one in document.objects
            if isinstance(one, Dictionary) and one.get("/Subtype") == Name.Type0]  # fmt: skip


def glyphs_changed(document: Pdf) -> None:
    """The letters stay the same for a reader of text and look otherwise."""
    kinds = ("/FontFile2", "/FontFile3")
    found = [(one, key) for one in document.objects for key in kinds
             if isinstance(one, Dictionary) and key in one]  # fmt: skip
    (first, key), (second, other) = found[:2]
    first[key] = second[other]


def letters_renamed(document: Pdf) -> None:
    """The letters look the same and are others for a reader of text."""
    font = fonts(document)[0]
    font.ToUnicode.write(font.ToUnicode.read_bytes().replace(b"0031", b"0037"))


def alt_changed(document: Pdf) -> None:
    holder = next(one for one in document.objects
                  if isinstance(one, Dictionary) and "/Alt" in one)  # fmt: skip
    holder.Alt = String("All is well")


def replaced_for_readers(document: Pdf) -> None:
    holder = next(one for one in document.objects
                  if isinstance(one, Dictionary) and one.get("/S") == Name.P)  # fmt: skip
    holder.ActualText = String("Our error is 0.")


def note_added(document: Pdf) -> None:
    note = Dictionary(Type=Name.Annot, Subtype=Name.FreeText, Rect=[100, 100, 200, 120],
                      Contents=String("0.999"), DA=String("/F 12 Tf"))  # fmt: skip
    page = document.pages[0].obj
    page.Annots = Array([*page.get("/Annots", []), document.make_indirect(note)])


def link_changed(document: Pdf) -> None:
    for page in document.pages:
        for link in page.obj.get("/Annots", []):
            if "/Dest" in link:
                link.Dest = String("elsewhere")
                return


def see_through(document: Pdf) -> None:
    states = document.pages[0].obj.Resources.ExtGState
    for key in states.keys():  # noqa: SIM118
        states[key].ca = 0


def retitled(document: Pdf) -> None:
    document.docinfo["/Title"] = "A better title"


def by_another(document: Pdf) -> None:
    document.docinfo["/Author"] = "Somebody else"


PAGES: dict[str, tuple[Edit, str]] = {
    "two lines swapped": (lambda d: operators(d, letters_swapped), "page 1"),
    "letters of a word swapped": (lambda d: operators(d, letter_changed), "page 1"),
    "a line removed": (lambda d: operators(d, line_removed), "page 1"),
    "a line doubled": (lambda d: operators(d, line_doubled), "page 1"),
    "a line moved": (lambda d: operators(d, line_moved), "page 1"),
    "text made white": (lambda d: operators(d, made_white), "page 1"),
    "a part covered": (lambda d: operators(d, covered), "page 1"),
    "a picture removed": (
        lambda d: operators(d, picture_removed, page_with(d, "Do")), "is not drawn as"),
    "a curve changed": (
        lambda d: operators(d, path_changed, page_with(d, "l")), "is not drawn as"),
    "text added": (text_added, "page 1"),
    "a page removed": (page_removed, "were built"),
    "a page added": (page_added, "were built"),
    "pages swapped": (pages_swapped, "page 2"),
    "a page turned": (turned, "page 1"),
    "a page cropped": (cropped, "page 2"),
    "a pixel changed": (picture_changed, "is not drawn as"),
    "two pictures swapped": (pictures_swapped, "is not drawn as"),
    "other glyphs": (glyphs_changed, "is not drawn as"),
    "other letters for readers": (letters_renamed, "text"),
    "alternative text changed": (alt_changed, "alternative texts"),
    "replacement text added": (replaced_for_readers, "alternative texts"),
    "a note added": (note_added, "page 1"),
    "a link changed": (link_changed, "is not drawn as"),
    "text made transparent": (see_through, "is not drawn as"),
    "another title": (retitled, "metadata Title"),
    "another author": (by_another, "metadata Author"),
}  # fmt: skip


@pytest.mark.parametrize("name", PAGES)
def test_an_edit_of_the_pages_is_found(name: str, original: bytes, tmp_path: Path) -> None:
    edit, told = PAGES[name]
    verdict = verify(edited(original, edit, tmp_path / "a.pdf"))
    assert told in as_text({"a.pdf": verdict})


def test_a_changed_word_is_named(original: bytes, tmp_path: Path) -> None:
    out = edited(original, lambda d: operators(d, line_removed), tmp_path / "a.pdf")
    changes = [p for p in verify(out).problems if p.kind == "text" and "was built" in p.message]
    assert changes and all(change.where == "page 1" for change in changes)
    assert all(change.message.count("'") == 6 for change in changes), "after, built, stands"
