"""Pandoc's inlines as HTML, with slots for what is only known later."""

import re
from collections.abc import Callable, Sequence
from typing import Any

from research.errors import UserError
from research.provenance import literals
from research.report import pandoc
from research.report.pandoc import Node
from research.report.words import Words
from research.report.written import MARKS, Written

BRACES = {"{": "\ue004", "}": "\ue005"}
"""Braces that the author meant as such, against those of a value that was not understood."""
_BACK = str.maketrans({sign: brace for brace, sign in BRACES.items()})

NESTED = {**dict.fromkeys((*MARKS, "SmallCaps"), None), "Quoted": 1, "Span": 1, "Link": 1}
"""Kinds that hold inlines, and where: None for their whole content."""
CITED = re.compile(r"\[\d+(?:,\s*\d+)*\]")
RESTS = "rests"
"""The class of a span whose words rest on a claim or a comparison."""


Near = Callable[[str, Callable[[], str]], str]


class Inlines(Written):
    """Writes pandoc's inlines.

    Arguments:
        near: makes HTML, and tells of a mistake by the place where its first argument stands.
        rests: makes the HTML of words that rest on something, of its number and their HTML.
    """

    def __init__(
        self, words: Words, rests: Callable[[int, str], str], near: Near = lambda _, make: make()
    ) -> None:
        self._near = near
        self._words = words
        self._rests = rests

    def inline(self, kind: str, content: Any) -> str:
        html = super().inline(kind, content)
        return html.translate(_BACK) if kind == "Str" else html

    def special(self, kind: str, content: Any) -> str:
        if kind == "LineBreak":
            return "<br>"
        if kind == "Math":
            display = content[0]["t"] == "DisplayMath"
            return self._near(content[1], lambda: self._words.formula(content[1], display))
        if kind == "SmallCaps":
            return f'<span class="caps">{self.html(content)}</span>'
        if kind == "Cite":
            key = content[0][0]["citationId"]
            return self._near(f"@{key}", lambda: self._cite(content[1]))
        if kind == "Span":
            inner = self.html(content[1])
            number = dict(content[0][2]).get(RESTS)
            return self._rests(int(number), inner) if number else inner
        return super().special(kind, content)

    def _cite(self, inlines: Sequence[Node]) -> str:
        """A citation, whose numbers a reader tells from values by their brackets."""
        text = pandoc.plain(inlines)
        bare = literals.numbers(CITED.sub("", text))
        if bare:
            raise UserError(
                f"the citation '{text}' prints {bare[0]} outside brackets of its own, which nobody "
                "can tell from a value: name a chapter in words, or choose a style of numbers in "
                "brackets or of authors and years"
            )
        return f'<span class="auto cite">{self.html(inlines)}</span>'
