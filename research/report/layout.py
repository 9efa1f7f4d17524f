"""Make-up: on which page and in which column each figure and table goes.

The whole text is first set as a *galley*, one endless column, which tells the height of every
block. From these heights the pages are planned here, without an engine:

- a figure as wide as a column stays where the author put it if it fits into what is left of the
  column; if not, the text goes on and the figure follows as soon as it fits: no column ends early;
- a figure as wide as the page goes to the foot of the first page or the head (then the foot) of a
  later one, on the page of its place in the text or after it. The engine has no page floats: the
  page gets a larger margin there and the figure is placed into it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

PX = 96 / 25.4
"""CSS pixels per millimetre"""


@dataclass(frozen=True)
class Sheet:
    """A page with its columns, in millimetres; the style sheets take these values.

    Attributes:
        gap: between the columns.
        space: between text and a figure or table.
        line: from one base line to the next.
        columns: one or two.
        pages: how many a paper may have, from the least to the most.
        reduces: down to which part of its size a figure is made to fit; 1 is not at all.
        abstract_within: whether the abstract stands in the columns and not above them.
        style: the name of the style sheet that goes over the others; empty for none.
    """

    width: float = 210
    height: float = 297
    top: float = 18
    bottom: float = 21
    side: float = 16
    gap: float = 6
    space: float = 4.5
    line: float = 9.5 * 1.2 * 25.4 / 72
    columns: int = 2
    pages: tuple[int, int] = (2, 3)
    reduces: float = 1.0
    abstract_within: bool = False
    style: str = ""

    @property
    def text(self) -> float:
        """Width of the text area."""
        return self.width - 2 * self.side

    @property
    def column(self) -> float:
        return (self.text - self.gap * (self.columns - 1)) / self.columns

    @property
    def depth(self) -> float:
        """Height of the text area."""
        return self.height - self.top - self.bottom


_LETTER = Sheet(width=215.9, height=279.4)
"""the paper of US conferences"""
LOOKS = {
    "course": Sheet(),
    "single": Sheet(
        side=27, top=22, bottom=24, columns=1, pages=(2, 6), reduces=0.8,
        line=10.5 * 1.3 * 25.4 / 72, style="look-single.css",
    ),
    "ieee": replace(
        _LETTER, side=15.9, top=19, bottom=25.4, gap=6.4, pages=(2, 6), reduces=0.9,
        line=10 * 1.15 * 25.4 / 72, abstract_within=True, style="look-ieee.css",
    ),
    "neurips": replace(
        _LETTER, side=38.1, top=25.4, bottom=25.4, columns=1, pages=(2, 9), reduces=0.7,
        line=10 * 1.15 * 25.4 / 72, style="look-neurips.css",
    ),
}  # fmt: skip
"""Looks by the name that front matter gives them, as `look: ieee`; without it it is `course`.

The measures of `ieee` are those of IEEEtran's conference papers, of `neurips` those of that
conference's style: text of 5.5 by 9 inches.
"""


@dataclass(frozen=True)
class Piece:
    """A block of the galley: its height in millimetres with the space after it."""

    id: str
    kind: Literal["text", "heading", "formula", "float", "wide"]
    height: float


@dataclass(frozen=True)
class Wide:
    """A page-wide piece in a page's margin, which is larger there by `offset` millimetres."""

    id: str
    page: int
    edge: Literal["top", "bottom"]
    offset: float


@dataclass
class Plan:
    """The order of all pieces, and the margins that page-wide ones take, by page and edge.

    `turn` opens the last page's second column, so that both are about equally long; without it the
    engine balances them by laying the page out again and again. `lone` is a paper of one page.
    """

    order: list[str]
    wides: list[Wide] = field(default_factory=list)
    turn: str | None = None
    lone: bool = False

    def excess(self, pieces: Sequence[Piece], sheet: Sheet, head: float, pages: int) -> float:
        """Millimetres of column by which the pieces are longer than so many pages."""
        length = sum(piece.height for piece in pieces if piece.kind != "wide")
        columns = _Columns(sheet, head, self)
        return length - sum(sheet.columns * columns.room(page) for page in range(1, pages + 1))

    def reserved(self, page: int, edge: str) -> float:
        return sum(wide.offset for wide in self.wides if (wide.page, wide.edge) == (page, edge))

    @property
    def margins(self) -> list[tuple[int, float, float]]:
        """(page, space at the head, space at the foot) for pages that have any."""
        pages = sorted({wide.page for wide in self.wides})
        return [(page, self.reserved(page, "top"), self.reserved(page, "bottom")) for page in pages]


def plan(pieces: Sequence[Piece], sheet: Sheet, head: float) -> Plan:
    """Plans the pages; `head` is the height in mm of the title block that opens the first one."""
    pages = Plan([])
    for piece in pieces:
        if piece.kind == "wide":
            pages.wides.append(_place(piece, pieces, sheet, head, pages))
    starts = fill(pieces, sheet, head, pages)
    pages.order = [name for name, _ in starts if not _is_wide(name, pieces)]
    pages.turn = _turn(
        [piece for name in pages.order for piece in pieces if piece.id == name], sheet, head, pages
    )
    for wide in pages.wides:
        anchor(pages, wide, dict(starts))
    return pages


def anchor(planned: Plan, wide: Wide, pages: dict[str, int]) -> None:
    """Moves a page-wide piece in the order to the middle of the pieces that start on its page.

    Placed absolutely, it takes no room there; it only has to be met while that page is laid out.
    """
    planned.order = [name for name in planned.order if name != wide.id]
    wides = {other.id for other in planned.wides}
    here = [n for n in planned.order if pages.get(n) == wide.page and n not in wides]
    later = [n for n in planned.order if pages.get(n, 0) > wide.page and n not in wides]
    before = here[len(here) // 2] if here else next(iter(later), None)
    planned.order.insert(planned.order.index(before) if before else len(planned.order), wide.id)


def fill(
    pieces: Sequence[Piece], sheet: Sheet, head: float, planned: Plan
) -> list[tuple[str, int]]:
    """Fills the columns in turn. Returns (piece, page where it starts) in their order there."""
    columns = _Columns(sheet, head, planned)
    waiting: list[Piece] = []
    references = [piece for piece in pieces if piece.kind == "heading"][-1:]
    for piece in pieces:
        if piece in references:  # no figure stands among them
            while waiting:
                columns.put(waiting.pop(0))
        if piece.kind == "float":
            waiting.append(piece)
        else:
            columns.put(piece)
        while waiting and piece.kind != "heading" and columns.takes(waiting[0]):
            columns.put(waiting.pop(0))
    for piece in waiting:
        columns.put(piece)
    return columns.placed


def _turn(ordered: Sequence[Piece], sheet: Sheet, head: float, planned: Plan) -> str | None:
    """The piece that begins the last page's second column at the least height that holds all."""
    if sheet.columns == 1:
        return None
    whole = _filled(ordered, sheet, head, planned, {})
    height, room = sheet.line, whole.room(whole.page)
    while height < room - 2 * sheet.line:
        columns = _filled(ordered, sheet, head, planned, {whole.page: height})
        if columns.page == whole.page:
            return columns.first_of.get(2 * whole.page - 1)
        height += sheet.line
    return None


def _filled(
    ordered: Sequence[Piece],
    sheet: Sheet,
    head: float,
    planned: Plan,
    limits: Mapping[int, float],
) -> "_Columns":
    columns = _Columns(sheet, head, planned, limits)
    for piece in ordered:
        columns.put(piece)
    return columns


class _Columns:
    """The columns of all pages, filled from the first on; `limits` are lower heights of some pages.

    Attributes:
        placed: (piece, page where it starts), in order.
        first_of: column, counted from 0, to the piece that begins in it first.
    """

    def __init__(
        self, sheet: Sheet, head: float, planned: Plan, limits: Mapping[int, float] = {}
    ) -> None:
        self.placed: list[tuple[str, int]] = []
        self.first_of: dict[int, str] = {}
        self._limits = limits
        self._sheet, self._head, self._plan = sheet, head, planned
        self._column, self._used = 0, 0.0

    @property
    def page(self) -> int:
        return self._column // self._sheet.columns + 1

    def room(self, page: int) -> float:
        """Height of a page's columns."""
        taken = self._plan.reserved(page, "top") + self._plan.reserved(page, "bottom")
        whole = self._sheet.depth - taken - (self._head if page == 1 else 0)
        return max(min(whole, self._limits.get(page, whole)), self._sheet.line)

    @property
    def left(self) -> float:
        return self.room(self.page) - self._used

    def takes(self, piece: Piece) -> bool:
        """Whether a float is sure to fit: with four lines to spare, as the engine may round up."""
        return piece.height + 4 * self._sheet.line <= self.left

    def put(self, piece: Piece) -> None:
        if self._used and piece.kind != "wide" and self.left < self._least(piece):
            self._next()
        self.placed.append((piece.id, self.page))
        self.first_of.setdefault(self._column, piece.id)
        rest = 0.0 if piece.kind == "wide" else piece.height
        while rest > self.left + 0.01 and piece.kind == "text":
            rest -= self.left // self._sheet.line * self._sheet.line
            self._next()
        self._used += rest

    def _least(self, piece: Piece) -> float:
        """What has to fit for a piece to start here: all of it, or two lines of a paragraph."""
        if piece.kind == "text":
            return min(piece.height, 2 * self._sheet.line)
        return piece.height + (2 * self._sheet.line if piece.kind == "heading" else 0)

    def _next(self) -> None:
        self._column, self._used = self._column + 1, 0.0


def _place(piece: Piece, pieces: Sequence[Piece], sheet: Sheet, head: float, planned: Plan) -> Wide:
    """The first free edge on the page of the piece's own place in the text, or on a later page."""
    page = max([_page(piece, pieces, sheet, head, planned)] + [wide.page for wide in planned.wides])
    while True:
        for edge in _edges(page):
            trial = Plan([], [*planned.wides, Wide(piece.id, page, edge, piece.height)])
            free = planned.reserved(page, edge) == 0 and _fits(trial, page, sheet, head)
            if free and _page(piece, pieces, sheet, head, trial) <= page:
                return trial.wides[-1]
        page += 1


def _edges(page: int) -> tuple[Literal["top", "bottom"], ...]:
    return ("bottom",) if page == 1 else ("top", "bottom")


def _fits(planned: Plan, page: int, sheet: Sheet, head: float) -> bool:
    """Whether a fifth of the page is left to the text; alone on a later page, it always fits."""
    used = (
        planned.reserved(page, "top")
        + planned.reserved(page, "bottom")
        + (head if page == 1 else 0)
    )
    alone = page > 1 and sum(wide.page == page for wide in planned.wides) == 1
    return alone or used <= 0.8 * sheet.depth


def _page(piece: Piece, pieces: Sequence[Piece], sheet: Sheet, head: float, planned: Plan) -> int:
    return dict(fill(pieces, sheet, head, planned))[piece.id]


def _is_wide(name: str, pieces: Sequence[Piece]) -> bool:
    return any(piece.id == name and piece.kind == "wide" for piece in pieces)
