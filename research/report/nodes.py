"""Pandoc's tree, taken apart and put together."""

import html
from collections.abc import Callable, Sequence
from typing import Any

from research.report import formulas, pandoc
from research.report.inlines import NESTED
from research.report.pandoc import Node

BLOCKS = {
    "Para", "Plain", "Header", "BulletList", "OrderedList", "BlockQuote", "DefinitionList", "Div",
    "Figure", "Table", "CodeBlock", "RawBlock", "HorizontalRule", "LineBlock",
}  # fmt: skip
INLINES = {
    "Str", "Space", "SoftBreak", "LineBreak", "Emph", "Strong", "Superscript", "Subscript", "Cite",
    "Strikeout", "Underline", "SmallCaps", "Quoted", "Code", "Math", "Link", "Span", "Image",
    "Note", "RawInline",
}  # fmt: skip


def node(kind: str, content: Any) -> Node:
    return {"t": kind, "c": content}


def nested(old: Node, change: Callable[[Sequence[Node]], list[Node]]) -> Node:
    place, content = NESTED[old["t"]], old["c"]
    if place is None:
        return node(old["t"], change(content))
    return node(old["t"], [*content[:place], change(content[place]), *content[place + 1 :]])


def part_of(block: Node) -> str:
    """The part of the front matter that a block is; empty for a block of the text."""
    return str(dict(block["c"][0][2]).get("part", "")) if block["t"] == "Div" else ""


def citation(key: str) -> Node:
    cited = {
        "citationId": key, "citationPrefix": [], "citationSuffix": [], "citationNoteNum": 0,
        "citationMode": {"t": "NormalCitation"}, "citationHash": 0,
    }  # fmt: skip
    return node("Cite", [[cited], [node("Str", f"[@{key}]")]])


def parted(inlines: Sequence[Node]) -> list[list[Node]]:
    """Inlines between the signs | of a choice."""
    parts: list[list[Node]] = [[]]
    for inline in inlines:
        words = inline["c"].split("|") if inline["t"] == "Str" else [inline]
        for number, word in enumerate(words):
            if number:
                parts.append([])
            if word:
                parts[-1].append(node("Str", word) if isinstance(word, str) else word)
    return parts


def spoken(inlines: Sequence[Node]) -> str:
    """Inlines as plain text, formulas as they are read aloud."""
    said = [
        node("Str", formulas.as_text(inline["c"][1])) if inline["t"] == "Math" else inline
        for inline in inlines
    ]
    return html.unescape(pandoc.plain(said))
