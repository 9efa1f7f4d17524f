"""PDF: lays a write-up out with WeasyPrint, refuses what is not fit to print, writes PDF/A-3a."""

import base64
import dataclasses
import hashlib
import io
import json
import logging
import os
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from research import fonts
from research.errors import UserError
from research.machine import libraries
from research.provenance import attachment
from research.provenance.attachment import Attached
from research.provenance.trail import Place
from research.records import damage
from research.report import fill
from research.report.layout import PX, Piece, Plan, Sheet, anchor, plan
from research.report.source import Block

_POINTS = 0.75
"""points per CSS pixel"""

_EMBEDDED = re.compile(r"'?data:[\w/+.-]*;base64,[A-Za-z0-9+/=.…]*'?")

_ROUNDS = 5
"""Layouts at most: a paper may turn out to be of one page, and a page-wide figure has to come to
stand on its planned page."""


@dataclass(frozen=True)
class Typeset:
    """A laid-out document, where each element with an id stands, and how long that took."""

    document: Any
    places: dict[str, Place]
    plan: Plan
    complaints: tuple[str, ...] = ()
    """what a draft may be, and a paper may not"""
    remarks: tuple[str, ...] = ()
    """what looks unfinished and stops nothing; see `research.report.fill`"""


@cache
def engine() -> Any:
    """WeasyPrint. Raises UserError where the system libraries that it draws with are missing."""
    try:
        with warnings.catch_warnings():  # the command line tells of a missing HarfBuzz-subset
            warnings.filterwarnings("ignore", "HarfBuzz-Subset", DeprecationWarning)
            import weasyprint
    except OSError as error:
        raise UserError(libraries.missing() or libraries.without(str(error))) from None
    return weasyprint


def typeset(
    arrange: Callable[[Plan | None], str],
    blocks: Mapping[str, Block],
    sheet: Sheet,
    memory: Path,
    *,
    draft: bool = False,
) -> Typeset:
    """Sets the galley, plans the pages and lays them out.

    Args:
        arrange: the document's HTML for a plan, the galley's for None.
        memory: a file that remembers the last galley's heights, for a text that is set again.
        draft: only complains of a wrong count of pages and of what runs out of its place.

    Raises:
        UserError: whatever WeasyPrint warns of, an element wider or higher than its place, a letter
            that no font has, a page count that is not the sheet's: all that is found, each with its
            section.
    """
    images: dict[str, Any] = {}
    galley_html = arrange(None)
    faces = _fallbacks(galley_html)

    def dressed(pages: Plan | None) -> str:
        return arrange(pages).replace("</style>", f"{faces}</style>", 1)

    pieces, head, complaints = _galley(dressed(None), images, blocks, sheet, memory)
    pages = plan(pieces, sheet, head)
    document, places = _settle(dressed, pages, images)
    complaints += dict.fromkeys(_overfull(document, blocks))
    excess = pages.excess(pieces, sheet, head, sheet.pages[-1])
    complaints += _page_count(len(document.pages), sheet.pages, places, blocks, excess)
    if complaints and not draft:
        raise UserError("; ".join(complaints))
    remarks = fill.remarks(document, sheet.line * PX)
    return Typeset(document, places, pages, tuple(complaints), tuple(remarks))


def write(document: Any, attached: Sequence[Attached], ended: str) -> bytes:
    """The PDF's bytes, the same for the same document; dates are those of the run's end."""
    date = datetime.fromisoformat(ended)
    document.metadata.attachments = [
        engine().Attachment(
            file_obj=io.BytesIO(file.content), name=file.name, description=file.description,
            created=date, modified=date, relationship="Data",
        )
        for file in attached
    ]  # fmt: skip
    with _strict(), _dated(date):
        return attachment.plain(bytes(document.write_pdf(pdf_variant="pdf/a-3a")))


def drawn(svg: bytes, width_mm: float, height_mm: float) -> bytes:
    """A drawing as a PDF of its own size."""
    picture = f"data:image/svg+xml;base64,{base64.b64encode(svg).decode()}"
    size = f"width: {width_mm}mm; height: {height_mm}mm"
    sheet = f"@page {{ size: {width_mm}mm {height_mm}mm; margin: 0 }} body {{ margin: 0 }}"
    image = f'<img alt="" style="display: block; {size}" src="{picture}">'
    page = f"<style>{sheet}</style>{image}"
    with _strict(page):
        return bytes(engine().HTML(string=page).write_pdf())


@contextmanager
def _dated(date: datetime) -> Iterator[None]:
    """Fonts that fontTools cuts carry the time at which it did so, unless it is told one."""
    former = os.environ.get("SOURCE_DATE_EPOCH")
    os.environ["SOURCE_DATE_EPOCH"] = f"{date.timestamp():.0f}"
    try:
        yield
    finally:
        del os.environ["SOURCE_DATE_EPOCH"]
        if former is not None:
            os.environ["SOURCE_DATE_EPOCH"] = former


# --- layout --------------------------------------------------------------------------------------


def _lay_out(html: str, images: dict[str, Any]) -> Any:
    """`images` keeps what was read for the next layout."""
    weasyprint = engine()
    fetcher = weasyprint.URLFetcher(allowed_protocols=("file", "data"))
    with _strict(html):
        source = weasyprint.HTML(
            string=html, base_url=f"{fonts.folder().as_uri()}/", url_fetcher=fetcher
        )
        return source.render(pdf_variant="pdf/a-3a", cache=images)


def _galley(
    html: str, images: dict[str, Any], blocks: Mapping[str, Block], sheet: Sheet, memory: Path
) -> tuple[list[Piece], float, list[str]]:
    """The blocks' heights and the title's in millimetres, from a layout or from `memory`, and what
    does not fit into its place."""
    key = hashlib.sha256(f"{engine().__version__} {fonts.folder()} {html}".encode()).hexdigest()
    if remembered := _remembered(memory, key):
        return (*remembered, [])
    measured = _lay_out(html, images).pages[0].anchors
    _check_heights(measured, blocks, sheet)
    misfits = list(_misfits(measured, blocks, sheet))
    pieces, head = _pieces(measured, blocks, sheet), measured["columns"][1] / PX - sheet.top
    if misfits:  # to be told the next time too
        return pieces, head, misfits
    content = {"key": key, "head": head, "pieces": [dataclasses.astuple(p) for p in pieces]}
    with suppress(OSError):  # the store may be another's, which is only read
        damage.write(memory, damage.as_bytes(content))
    return pieces, head, []


def _remembered(memory: Path, key: str) -> tuple[list[Piece], float] | None:
    """The heights of a former build, where it was of the same; what is damaged is forgotten."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        known = json.loads(memory.read_text(encoding="utf-8"))
        if known["key"] == key:
            return [Piece(*piece) for piece in known["pieces"]], float(known["head"])
    return None


def _settle(
    arrange: Callable[[Plan | None], str], pages: Plan, images: dict[str, Any]
) -> tuple[Any, dict[str, Place]]:
    """Lays out until each page-wide piece is met on the page that has kept room for it."""
    for _ in range(_ROUNDS):
        document = _lay_out(arrange(pages), images)
        places = _places(document)
        if len(document.pages) == 1 and not pages.lone:
            pages.lone = True  # what stands at the foot of the second page moves to the first
            continue
        strayed = [wide for wide in pages.wides if places[wide.id].page != wide.page]
        if pages.turn and not _turned(document, places[pages.turn]):
            pages.turn = None  # the heights were not quite right: the engine balances the columns
        elif not strayed:
            return document, places
        for wide in strayed:
            anchor(pages, wide, {name: place.page for name, place in places.items()})
    where = strayed[0] if strayed else pages.wides[0]
    raise UserError(
        f"no room found on page {where.page} for a page-wide figure or table: put it elsewhere"
    )


def _turned(document: Any, place: Place) -> bool:
    """Whether an element stands in the second column of the last page."""
    middle = document.pages[-1].width * _POINTS / 2
    return place.page == len(document.pages) and place.rectangle[0] > middle


def _places(document: Any) -> dict[str, Place]:
    """id -> place of each element; of one that a break divides, the first part."""
    places: dict[str, Place] = {}
    for number, page in enumerate(document.pages, start=1):
        for name, (left, top, right, bottom) in page.anchors.items():
            edges = (left, page.height - bottom, right, page.height - top)
            rounded = tuple(round(edge * _POINTS, 2) for edge in edges)
            places.setdefault(name, Place(number, rounded))
    return places


def _pieces(measured: Mapping[str, Any], blocks: Mapping[str, Block], sheet: Sheet) -> list[Piece]:
    """The galley's blocks; a block's height runs to the top of the next one in the column."""
    tops = [*(measured[name][1] for name in blocks), measured["columns"][3]][1:]
    heights = {name: end - measured[name][1] for name, end in zip(blocks, tops, strict=True)}
    for name, block in blocks.items():
        if block.kind == "wide":
            heights[name] = measured[name][3] - measured[name][1] + sheet.space * PX
    return [Piece(name, block.kind, heights[name] / PX) for name, block in blocks.items()]


# --- checks --------------------------------------------------------------------------------------


@contextmanager
def _strict(html: str = "") -> Iterator[None]:
    """Turns whatever WeasyPrint only logs into an error, but for the choice of who cuts fonts;
    pictures of `html` are told by name."""
    heard: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: heard.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("weasyprint")
    logger.addHandler(handler)
    logger.addFilter(_unlike_the_cut_of_fonts)
    try:
        with warnings.catch_warnings():  # the fonts come with matplotlib and not from the system
            warnings.filterwarnings("ignore", ".*Expect ugly output", UserWarning)
            yield
    finally:
        logger.removeHandler(handler)
        logger.removeFilter(_unlike_the_cut_of_fonts)
    if heard:
        lines = (_EMBEDDED.sub(lambda match: _figure(match[0], html), line) for line in heard)
        raise UserError(f"the PDF is not fit to print: {'; '.join(dict.fromkeys(lines))[:400]}")


def _figure(source: str, html: str) -> str:
    """What an embedded picture is called in messages, which name it by all of its content."""
    place = html.find(source.strip("'"))
    names = re.findall(r'<img id="i-([^"]+)"', html[:place]) if place >= 0 else []
    return f"figure '{names[-1]}'" if names else "a picture"


def _unlike_the_cut_of_fonts(record: logging.LogRecord) -> bool:
    """fontTools cuts fonts as well as HarfBuzz-subset does; `libraries.subsets` tells which."""
    return not record.getMessage().startswith("Using fontTools instead of HarfBuzz-Subset")


def _check_heights(measured: Mapping[str, Any], blocks: Mapping[str, Block], sheet: Sheet) -> None:
    """What is higher than a page has no place in any plan."""
    faults = []
    for name, block in blocks.items():
        if block.kind in ("float", "wide"):
            height = (measured[name][3] - measured[name][1]) / PX - sheet.depth
            message = f"{_name(block.html)} is {height:.0f} mm higher than a page"
            faults += [_placed(message, block)] * (height > 0)
    if faults:
        raise UserError("; ".join(faults))


def _misfits(
    measured: Mapping[str, Any], blocks: Mapping[str, Block], sheet: Sheet
) -> Iterator[str]:
    """Tables that are wider than their column or page; of figures the record knows the width."""
    for block in blocks.values():
        what = _name(block.html) if block.kind in ("float", "wide") else ""
        if not what.startswith("table"):
            continue
        whole = block.kind == "wide"
        left, _, right, _ = measured["t-" + what.split("'")[1]]
        width = (right - left) / PX - (sheet.text if whole else sheet.column)
        if width > 0.5:
            remedy = "leave out columns" if whole else "say wide=True or leave out columns"
            yield _placed(f"{what} is {width:.0f} mm wider than its place: {remedy}", block)


def _overfull(document: Any, blocks: Mapping[str, Block]) -> Iterator[str]:
    """Lines that run out of their column, as a long word or formula does without a warning."""
    # WeasyPrint has no public way to ask for lines; the boxes are those of the pinned version
    from weasyprint.formatting_structure.boxes import LineBox, TextBox

    def found(box: Any, parent: Any, block: Block | None) -> Iterator[str]:
        if box.element is not None:
            block = blocks.get(box.element.get("id", ""), block)
        if isinstance(box, LineBox) and box.width > parent.width + 1:
            text = "".join(part.text for part in box.descendants() if isinstance(part, TextBox))
            message = f"a line runs {(box.width - parent.width) / PX:.0f} mm out of its column"
            hint = f"let '{text.strip()[:60]}' break or make it shorter"
            yield _placed(f"{message}, {hint}", block)
        for child in getattr(box, "children", ()):
            yield from found(child, box, block)

    for page in document.pages:
        yield from found(page._page_box, page._page_box, None)


def _name(html: str) -> str:
    """What a figure's HTML is called in messages: "figure 'kernels'"."""
    anchor = html.split('id="', 1)[1].split('"', 1)[0]
    kind, _, name = anchor.partition("-")
    return f"{ {'tab': 'table', 'gap': 'missing piece'}.get(kind, 'figure') } '{name}'"


def _placed(message: str, block: Block | None) -> str:
    return f"section '{block.section if block else 'title'}': {message}"


def _page_count(
    count: int,
    allowed: tuple[int, int],
    places: Mapping[str, Place],
    blocks: Mapping[str, Block],
    excess: float,
) -> list[str]:
    least, most = allowed
    if least <= count <= most:
        return []
    limit = f"{least} to {most} pages"
    if count < least:
        return [f"the paper fills {count} page, it has to fill {limit}: write more"]
    beyond = [name for name in blocks if places[name].page > most]
    section = blocks[beyond[0] if beyond else list(blocks)[-1]].section
    return [
        f"the paper fills {count} pages, it has to fill {limit}: section '{section}' runs past "
        f"page {most}, cut at least {max(excess, 10) / 10:.0f} cm of column"
    ]


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.text: list[str] = []
        self._inside = ""

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self._inside = tag

    def handle_data(self, data: str) -> None:
        if self._inside not in ("style", "script"):
            self.text.append(data)


def check_glyphs(html: str) -> None:
    """Raises UserError for a letter that no font here has; the line says which to install."""
    fonts.faces(_text(html))


def _text(html: str) -> str:
    reader = _Text()
    reader.feed(html)
    return "".join(reader.text)


def _fallbacks(html: str) -> str:
    """Style that sets what the paper's own font lacks in others; empty where it has everything.

    Left to itself the engine would take whatever font this machine has, or print boxes.
    """
    text = _text(html)
    if fonts.within(text, 1):
        return ""
    faces = {f"Paper {name}": file for name, file in list(fonts.FAMILIES.items())[1:]}
    for face in fonts.faces(text):
        content = base64.b64encode(face.content).decode()
        faces[face.family] = f"data:font/opentype;base64,{content}"
    rules = [
        f'@font-face {{ font-family: "{name}"; src: url("{u}"); }}' for name, u in faces.items()
    ]
    families = ", ".join(f'"{name}"' for name in faces)
    rules += [
        f"html {{ font-family: STIX, {families}; }}",
        f"code {{ font-family: Mono, {families}; }}",
    ]
    return "\n".join(rules) + "\n"
