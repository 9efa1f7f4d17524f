"""Accounts for every number of a finished paper's text, by rule and not by list.

A number may stand in a tracked value, or be no value: see `provenance.literals` for years and
names. What the layout makes is told by its form:

    headings      lines that the PDF's outline names
    references    what follows the heading of that name, over columns and pages, up to the caption
                  of a figure or table, and again from the next line that begins as `[2] `
    citations     [1, 4]
    labels        Figure 1, Table 2, Section 3.2
    page numbers  2 / 3, where it is that page
    the author    each of the record's lines, once, on the first page
"""

import re
from collections.abc import Iterator, Mapping, Sequence

from research.provenance import literals
from research.provenance.page_text import Page, bare

_CITED = re.compile(r"\[\d+(?:,\s*\d+)*\]")
_LABEL = re.compile(r"\b(?:Figure|Table|Section)\s+\d+(?:\.\d+)?")
_FLOAT = re.compile(r"(?:Figure|Table)\s+\d+\. ")
_REFERENCE = re.compile(r"\[\d+\] ")
_HEADING = "References"


def unaccounted(
    pages: Sequence[Page], headings: Sequence[str], author: Mapping[str, str]
) -> Iterator[tuple[int, str, str]]:
    """Numbers that nothing vouches for: (page from 1, number, its line).

    Arguments:
        pages: with the letters of tracked values marked.
        headings: the titles of the PDF's outline.
        author: the lines of the author block.
    """
    rest = [page.rest() for page in pages]
    for number, text in enumerate(rest, start=1):
        folio = re.compile(rf"(?:^|(?<=\s)){number} / {len(pages)}\s*$", re.MULTILINE)
        rest[number - 1] = folio.sub("", text, count=1)
    for line in author.values():
        rest[0] = _as_printed(line).sub("", rest[0], count=1)
    for number, text in enumerate(_written(rest, headings), start=1):
        # a citation may be broken by a line's end
        for line in _LABEL.sub("", _CITED.sub("", text)).splitlines():
            for literal in literals.numbers(line):
                yield number, literal, " ".join(line.split())


def _as_printed(line: str) -> re.Pattern[str]:
    """A line wherever it is broken; raised letters may stand apart from their names."""
    return re.compile(r"\s*".join(map(re.escape, "".join(line.split()))))


def _written(texts: Sequence[str], headings: Sequence[str]) -> Iterator[str]:
    """Each page's text without headings and references."""
    titles = {bare(title) for title in headings}
    begun = listed = False
    for text in texts:
        kept: list[str] = []
        for line in text.split("\n"):
            heading = bare(line) in titles
            begun |= heading and bare(line) == _HEADING
            if heading or _FLOAT.match(line):
                listed = heading and bare(line) == _HEADING
            elif begun and _REFERENCE.match(line):
                listed = True
            kept.append("" if heading or listed else line)
        yield "\n".join(kept)
        listed = begun  # a page begins where the last one's columns ended
