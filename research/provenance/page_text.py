"""Reads the letters of a finished PDF and where they stand, with a reader of another make.

The paper is written by one library and read by another (PDFium), so that a fault of the first is
not repeated by the second.
"""

import io
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from research.provenance import container, drawing, raster, structure
from research.provenance.container import Refused

LETTERS_LIMIT = 200_000
"""letters of a page at most"""
PAGES_LIMIT = 50
_PLACEHOLDER = "…"
_AT_LINE_END = "\x02"
"""What PDFium makes of a hyphen at which it sees a line end."""
_REORDERED = re.compile("[\u0900-\u0dff\u1000-\u109f\u1780-\u17ff]")
_BREAKS = re.compile(r"[\s\u00ad\u2010\ufffe-]+")


@dataclass
class Page:
    """The letters of a page in the order in which they are drawn.

    Attributes:
        letters: one string for each, with the line breaks that the reader adds.
        centres: their centres in points from the lower left corner, (N, 2); NaN for breaks.
        mono: digits that are set in the font of code.
        vouched: which letters belong to a tracked value.
    """

    letters: list[str]
    centres: npt.NDArray[np.float64]
    mono: npt.NDArray[np.bool_]
    vouched: npt.NDArray[np.bool_] = field(init=False)

    def __post_init__(self) -> None:
        self.vouched = np.zeros(len(self.letters), bool)

    @property
    def text(self) -> str:
        """All of it, spaces and line ends as one space."""
        return collapsed("".join(self.letters))

    def within(self, rectangle: Sequence[float]) -> npt.NDArray[np.intp]:
        """Which letters have their centre in [left, bottom, right, top]."""
        left, bottom, right, top = rectangle
        x, y = self.centres.T
        inside = (x >= left) & (x <= right) & (y >= bottom) & (y <= top)
        return np.flatnonzero(inside)

    def read(self, places: npt.NDArray[np.intp]) -> str:
        """The letters there, with the spaces between them."""
        if not len(places):
            return ""
        run = range(int(places[0]), int(places[-1]) + 1)
        chosen = set(places.tolist())
        return collapsed("".join(
            self.letters[i] for i in run if i in chosen or np.isnan(self.centres[i, 0])
        ))  # fmt: skip

    def rest(self) -> str:
        """The text with a placeholder for what is vouched for or is code, line by line."""
        parts: list[str] = []
        for letter, hidden in zip(self.letters, self.vouched | self.mono, strict=True):
            if not hidden:
                parts.append(letter)
            elif not parts or parts[-1] != _PLACEHOLDER:
                parts.append(_PLACEHOLDER)
        return "".join(parts).replace("\r\n", "\n")


def collapsed(text: str) -> str:
    """White space as single spaces, compatibility letters (raised digits …) as plain ones."""
    return " ".join(unicodedata.normalize("NFKC", text).split())


def bare(text: str) -> str:
    """Without white space and hyphens, for a phrase that lines may break."""
    return _BREAKS.sub("", collapsed(text))


def note_reordered(entries: Sequence[dict[str, Any]], content: bytes) -> None:
    """Notes how the reader finds what is printed in scripts whose signs change places.

    In the scripts of India and its neighbours some vowels are drawn before the letter that they
    follow; the PDF gives them no place in the text, and readers make of them what they will.
    """
    moved = [entry for entry in entries if _REORDERED.search(str(entry["printed"]))]
    lines = pages(content) if moved else []
    for entry in moved:
        page = lines[entry["page"] - 1]
        entry["stands"] = page.read(page.within(entry["rectangle"]))


def shown(content: bytes) -> dict[str, Any]:
    """What a PDF of our own shows, as its trail keeps it: of each page text, drawing and picture;
    and what it says beside its pages."""
    document = container.open_safely(content)
    looks = zip(pages(content), drawing.drawings(document), raster.pictures(content), strict=True)
    return {
        "pages": [
            {"text": page.text, "drawing": look, "picture": raster.packed(cells)}
            for page, look, cells in looks
        ],
        "alternatives": container.alternatives(document),
        "parts": structure.parts(document),
        "metadata": structure.metadata(document),
    }


def pages(content: bytes) -> list[Page]:
    """The pages of a PDF that `container.read` has found harmless.

    Raises:
        Refused: PDFium cannot read it, or a page has too many letters.
    """
    import pypdfium2

    try:
        document = pypdfium2.PdfDocument(content)
    except pypdfium2.PdfiumError as error:
        raise Refused(f"its pages cannot be read ({error})") from None
    try:
        if len(document) > PAGES_LIMIT:
            raise Refused(f"it has more than {PAGES_LIMIT} pages")
        return [_page(document[number]) for number in range(len(document))]
    finally:
        document.close()


def pictures(
    content: bytes, places: Mapping[str, tuple[int, Sequence[float]]], dpi: int = 110
) -> dict[str, bytes]:
    """What stands in each place of a PDF that `container.read` has found harmless, as PNG.

    Arguments:
        places: name -> page from 1 and [left, bottom, right, top] in points. A place that is on no
            page is left out.
    """
    import pypdfium2

    document, scale = pypdfium2.PdfDocument(content), dpi / 72
    digests: dict[str, bytes] = {}
    try:
        for number in sorted({page for page, _ in places.values()}):
            if not 1 <= number <= min(len(document), PAGES_LIMIT):
                continue
            page = document[number - 1]
            width, height = page.get_size()
            if max(width, height) > raster.POINTS_LIMIT:
                raise Refused(f"page {number} is larger than {raster.POINTS_LIMIT / 72:.0f} inches")
            image = page.render(scale=scale).to_pil()
            for name, (on, (left, bottom, right, top)) in places.items():
                box = (max(left, 0), max(height - top, 0),
                       min(right, width), min(height - bottom, height))  # fmt: skip
                if on == number and box[0] < box[2] and box[1] < box[3]:
                    digests[name] = _png(image.crop([round(end * scale) for end in box]))
    finally:
        document.close()
    return digests


def _png(image: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG", optimize=True)
    return out.getvalue()


def _page(page: Any) -> Page:
    from pypdfium2 import raw

    text = page.get_textpage()
    count = text.count_chars()
    if count > LETTERS_LIMIT:
        raise Refused(f"a page has more than {LETTERS_LIMIT:,} letters")
    signs = (chr(raw.FPDFText_GetUnicode(text, i)) for i in range(count))
    letters = _whole(["-" if letter == _AT_LINE_END else letter for letter in signs])
    centres = np.full((count, 2), np.nan)
    for i, letter in enumerate(letters):
        if not letter.isspace():
            left, bottom, right, top = text.get_charbox(i, loose=True)
            centres[i] = (left + right) / 2, (bottom + top) / 2
    return Page(letters, centres, _mono(text, letters))


def _whole(letters: list[str]) -> list[str]:
    """Letters that PDFium gives in two halves as one, and nothing in the place of the second."""
    for i, (first, second) in enumerate(pairwise(letters)):
        if "\ud800" <= first <= "\udbff" and "\udc00" <= second <= "\udfff":
            pair = (first + second).encode("utf-16", "surrogatepass")
            letters[i : i + 2] = [pair.decode("utf-16"), ""]
    return ["\ufffd" if "\ud800" <= letter <= "\udfff" else letter for letter in letters]


def _mono(text: Any, letters: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Which digits are set in the font of code, and the letters of their word."""
    mono = np.zeros(len(letters), bool)
    for i, letter in enumerate(letters):
        if letter.isdigit():
            mono[i] = "Mono" in _font(text, i)
    return mono


def _font(text: Any, place: int) -> str:
    import ctypes

    from pypdfium2 import raw

    name, flags = ctypes.create_string_buffer(128), ctypes.c_int()
    raw.FPDFText_GetFontInfo(text, place, name, 128, ctypes.byref(flags))
    return name.value.decode(errors="replace")
