"""Edits of a paper by which somebody may mean to pass it off as another."""

import io
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pikepdf
from pikepdf import Array, Dictionary, Name, Operator, Pdf, Stream, String

Edit = Callable[[Pdf], None]


def edited(paper: bytes, edit: Edit, out: Path, **how: Any) -> Path:
    with pikepdf.open(io.BytesIO(paper)) as document:
        edit(document)
        document.save(out, fix_metadata_version=False, **how)
    return out


def nothing(document: Pdf) -> None:
    """Only saves it again."""


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
