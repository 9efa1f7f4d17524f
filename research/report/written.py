"""Pandoc's inlines as HTML: what a text and a list of references write alike."""

import html
from collections.abc import Sequence
from typing import Any

from research.errors import UserError
from research.report import pandoc
from research.report.pandoc import Node

MARKS = {
    "Emph": "em", "Strong": "strong", "Superscript": "sup", "Subscript": "sub", "Strikeout": "s",
    "Underline": "u",
}  # fmt: skip
"""Kinds of inlines that are one element of HTML around others."""


class Written:
    """Writes inlines; what is particular to a text or to a reference is written by `special`."""

    def html(self, inlines: Sequence[Node]) -> str:
        return "".join(self.inline(node["t"], node.get("c")) for node in inlines)

    def inline(self, kind: str, content: Any) -> str:
        if kind == "Str":
            return html.escape(content, quote=False)
        if kind in ("Space", "SoftBreak"):
            return " "
        if kind in MARKS:
            return f"<{MARKS[kind]}>{self.html(content)}</{MARKS[kind]}>"
        if kind == "Quoted":
            left, right = pandoc.quotes(content[0])
            return f"{left}{self.html(content[1])}{right}"
        if kind == "Code":
            return f"<code>{html.escape(content[1], quote=False)}</code>"
        if kind == "Link":
            return f'<a href="{html.escape(content[2][0])}">{self.html(content[1])}</a>'
        return self.special(kind, content)

    def special(self, kind: str, content: Any) -> str:
        """The other kinds. Raises UserError for what cannot be printed here."""
        raise UserError(f"a {kind} cannot be printed here")
