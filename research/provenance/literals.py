"""Literals: finds numbers that were typed into a write-up instead of logged, quoted or stated.

A number is a run of digits with its decimal and thousands signs. It may stand in the text

- inside a tracked value (an element whose id is in the provenance),
- where the layout made it: section, figure, table and citation numbers (class `auto`), the author
  block, the list of references,
- in code and in formulas,
- glued to letters before it, as a name: conv1, CIFAR-10, A4 (but not 3.5 in MSE-3.5),
- as a year from 1900 to 2099 in four digits.

Blind spots: a number spelt in words, and a count that looks like a year.
"""

import re
from html.parser import HTMLParser

NAME = r"[^\W\d_¼-¾⅐-⅞]\w*(?:[-\u2010\u2011]\w+)*(?![.,]?\d)"
YEAR = r"(?<![\w.,\u2212-])(?:19|20)\d\d(?![\w%]|[.,]\d)"
NUMBER = r"[\d¼-¾⅐-⅞](?:[.,]?\d)*"
_TOKEN = re.compile(f"(?P<name>{NAME})|(?P<year>{YEAR})|(?P<number>{NUMBER})")

_SKIPPED_TAGS = {"code", "pre", "style", "script"}
_SKIPPED_CLASSES = {"v", "auto", "authors", "references"}
_VOID = {"img", "br", "hr", "col", "meta", "link", "wbr"}
_BLOCKS = {"p", "h1", "h2", "h3", "li", "td", "th", "figcaption", "caption", "blockquote", "div"}


def numbers(text: str) -> list[str]:
    """The numbers of a plain text that are neither part of a name nor a year."""
    return [match["number"] for match in _TOKEN.finditer(text) if match["number"]]


CONVENTIONAL = ("50", "68", "90", "95", "99")
"""Per cent, as of confidence levels, which are chosen."""


def result_like(text: str) -> bool:
    """Whether a number that is called a choice looks measured.

    Such are three digits that count (0.312, 1.52e-3, 97.7), and per cents other than conventional
    levels. Of two digits or fewer nothing can be told: 0.9 may be a momentum.
    """
    for number in numbers(text.replace("\u2212", "-")):
        digits = number.replace(",", "").replace(".", "").strip("0")
        if len(digits) >= 3 and not number.isdigit():
            return True
        rest = text[text.index(number) + len(number) :].lstrip()
        if rest.startswith(("%", "per cent")) and number not in CONVENTIONAL:
            return True
    return False


def untracked(html: str) -> list[tuple[str, str]]:
    """Numbers of an HTML text outside all that is tracked or made. Returns (number, its line)."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    lines = ["".join(line) for line in reader.lines]
    return [(number, " ".join(line.split())) for line in lines for number in numbers(line)]


class _Reader(HTMLParser):
    """Collects the text by block, with a placeholder where something was skipped."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.lines: list[list[str]] = [[]]
        self._skipped: list[bool] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _BLOCKS:
            self.lines.append([])
        if tag in _VOID:
            return
        classes = set((dict(attrs).get("class") or "").split())
        skip = tag in _SKIPPED_TAGS or bool(classes & _SKIPPED_CLASSES)
        if skip and not self._skipping:
            self.lines[-1].append(" … ")
        self._skipped.append(skip or self._skipping)

    def handle_endtag(self, tag: str) -> None:
        if tag not in _VOID and self._skipped:
            self._skipped.pop()
        if tag in _BLOCKS:
            self.lines.append([])

    def handle_data(self, data: str) -> None:
        if not self._skipping:
            self.lines[-1].append(data)

    @property
    def _skipping(self) -> bool:
        return bool(self._skipped) and self._skipped[-1]
