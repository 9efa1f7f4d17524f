"""Fill: what a reader sees as unfinished in laid-out pages, and a layout does not refuse.

A hole in a column, a heading at its foot, a last page whose columns end far apart: none of them is
wrong, and an author can mend each by moving a figure or by a few words. So they are told.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

HOLE = 8
"""Lines of text that may stay empty at the foot of a column before the last page."""
UNEVEN = 8
"""Lines by which one column of the last page may end before the other."""
BEHIND = 2
"""Lines that a heading needs behind it in its column."""


@dataclass(frozen=True)
class Part:
    """A block, or the part of one that stands in a column; `top` and `bottom` in CSS pixels."""

    text: str
    heading: bool
    top: float
    bottom: float


@dataclass(frozen=True)
class Column:
    """What stands in a column of a page, from its top to its foot in CSS pixels.

    `page` and `number` count from 1; `of` is the number of columns on the page.
    """

    page: int
    number: int
    of: int
    foot: float
    parts: tuple[Part, ...]

    @property
    def end(self) -> float:
        """Where the last part ends; a column without any is empty from its foot on."""
        return max((part.bottom for part in self.parts), default=self.foot)

    @property
    def name(self) -> str:
        side = f", column {self.number}" if self.of > 1 else ""
        return f"page {self.page}{side}"


def remarks(document: Any, line: float) -> list[str]:
    """What is to be said of a WeasyPrint document whose lines are `line` CSS pixels high."""
    columns = list(columns_of(document))
    last = max((column.page for column in columns), default=0)
    final = [column for column in columns if column.page == last]
    return [
        *(hole for column in columns if column.page < last for hole in holes(column, line)),
        *(lone for column in columns for lone in lone_headings(column, line)),
        *uneven(final, line),
    ]


def holes(column: Column, line: float) -> Iterator[str]:
    """Says that the foot of a column is empty."""
    empty = int((column.foot - column.end) / line + 0.01)
    if empty > HOLE:
        yield (
            f"{column.name}: {empty} lines are empty, at most {HOLE} should be; "
            "move a figure or table of the next page, or make it lower"
        )


def lone_headings(column: Column, line: float) -> Iterator[str]:
    """Says that a heading is the end of its column, or nearly."""
    for part in column.parts:
        behind = (column.end - part.bottom) / line
        if part.heading and behind < BEHIND - 0.25:
            yield (
                f"{column.name}: fewer than {BEHIND} lines follow the heading '{part.text}'; "
                "write a line more or less before it"
            )


def uneven(columns: Sequence[Column], line: float) -> Iterator[str]:
    """Says that the columns of the last page end at different heights."""
    ends = [column.end for column in columns]
    apart = int((max(ends) - min(ends)) / line + 0.01) if len(ends) > 1 else 0
    if apart > UNEVEN:
        yield (
            f"{columns[0].name.split(',')[0]}: its columns end {apart} lines apart, at most "
            f"{UNEVEN} is even; move a figure or table nearer to the end of the text"
        )


# --- reading the boxes; they are those of the pinned version --------------------------------------


def columns_of(document: Any) -> Iterator[Column]:
    """The columns of all pages in reading order."""
    for page, laid in enumerate(document.pages, start=1):
        for main in _named(laid._page_box, "columns"):
            inner = [box for box in main.children if _id(box) == "columns"]
            foot = _foot(laid._page_box)
            for number, column in enumerate(inner or [main], start=1):
                yield Column(page, number, len(inner) or 1, foot, tuple(_parts(column)))


def _named(box: Any, name: str) -> Iterator[Any]:
    """The outermost boxes of the element with an id."""
    if _id(box) == name:
        yield box
        return
    for child in getattr(box, "children", ()):
        yield from _named(child, name)


def _id(box: Any) -> str:
    return "" if box.element is None else str(box.element.get("id", ""))


def _foot(page: Any) -> float:
    """Where the page's text area ends."""
    return float(page.content_box_y() + page.height)


def _parts(column: Any) -> Iterator[Part]:
    """The blocks in a column; what is placed absolutely stands in a margin and not in it."""
    for box in column.children:
        if not box.is_in_normal_flow():
            continue
        lines = list(_leaves(box))
        if lines:
            kinds = box.element.get("class", "").split()
            ends = [leaf.position_y + leaf.margin_height() for leaf in lines]
            top = min(leaf.position_y for leaf in lines)
            yield Part(_text(box), "heading" in kinds, top, max(ends))


def _leaves(box: Any) -> Iterator[Any]:
    """Lines, pictures and cells: what has ink."""
    from weasyprint.formatting_structure.boxes import LineBox, ReplacedBox

    if isinstance(box, LineBox | ReplacedBox):
        yield box
        return
    for child in getattr(box, "children", ()):
        yield from _leaves(child)


def _text(box: Any) -> str:
    from weasyprint.formatting_structure.boxes import TextBox

    return "".join(part.text for part in box.descendants() if isinstance(part, TextBox)).strip()
