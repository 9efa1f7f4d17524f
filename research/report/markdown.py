"""A write-up's source: front matter, and Markdown turned into a flat list of blocks."""

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from markdown_it import MarkdownIt
from markdown_it.token import Token

from research.errors import UserError
from research.report.misses import at, miss, text_of
from research.report.slots import MARK, Slots

_FRONT = re.compile(r"\A---\n(.*?)\n---[ \t]*(?:\n|\Z)", re.DOTALL)
_KEYS = ("title", "keywords", "reads")

DEEPEST = 9
"""Lists and quotations within each other at most: a column has no room for more."""
_NESTING = 20 * DEEPEST
"""Elements within each other that the parser reads; of what lies deeper it would say nothing."""


@dataclass(frozen=True)
class Source:
    """A write-up as it was read; `text` has its front matter blanked, so that lines keep count."""

    path: Path
    title: str
    keywords: tuple[str, ...]
    text: str
    reads: tuple[str, ...] = ()
    """studies of which a run is read beside the paper's own"""


@dataclass(frozen=True)
class Block:
    """A direct child of the page's two columns.

    Attributes:
        html: with slots.
        kind: `float` and `wide` never break and may move, in a column or across the page.
        section: the heading under which it stands, for messages.
    """

    html: str
    kind: Literal["text", "heading", "formula", "float", "wide"]
    section: str


def read(path: Path) -> Source:
    """Reads a write-up. Raises UserError for a missing file, front matter or title."""
    if not path.is_file():
        raise UserError(
            f"no write-up at {path.name}: a study's text is a Markdown file of that name"
        )
    text = text_of(path)
    front = _FRONT.match(text)
    if not front:
        raise at(path, 1, "a write-up begins with '---', a line 'title: …' and '---'")
    facts = _front_matter(path, front[1])
    if not facts.get("title"):
        raise at(path, 1, "the front matter needs a line 'title: …'")
    body = "\n" * front[0].count("\n") + text[front.end() :]
    keywords, reads = (_listed(facts.get(key, "")) for key in ("keywords", "reads"))
    return Source(path, facts["title"], keywords, body, reads)


def _listed(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _front_matter(path: Path, text: str) -> dict[str, str]:
    facts: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=2):
        key, colon, value = line.partition(":")
        if not colon:
            raise at(path, number, f"front matter is 'key: value', got '{line}'")
        if key.strip() not in _KEYS:
            raise at(path, number, str(miss("front matter has no key", key.strip(), _KEYS)))
        facts[key.strip()] = value.strip()
    return facts


@cache
def _parser() -> MarkdownIt:
    options = {"html": False, "typographer": True}
    parser = MarkdownIt("commonmark", options).enable(["table", "replacements", "smartquotes"])
    parser.options["maxNesting"] = _NESTING
    return parser


def inline(text: str) -> str:
    """Markdown within a line, as a caption: emphasis, code and links, no blocks."""
    html = str(_parser().renderInline(text))
    _check_attributes(html)
    return html


def blocks(text: str, slots: Slots) -> tuple[list[Block], dict[str, str]]:
    """Markdown to blocks with numbered headings.

    Returns:
        the blocks in order, and the number of each section by its anchor, as `{"sec-method": "2"}`.

    Raises:
        UserError: a heading of level one or below three, two headings of one name, or lists that
            are nested too deep.
    """
    found: list[Block] = []
    sections: dict[str, str] = {}
    counts = [0, 0]
    section = "before the first heading"
    for group in _groups(_parser().parse(slots.isolate(text))):
        _check_depth(group, slots)
        if group[0].type == "heading_open":
            section = group[1].content
            found.append(_heading(group, counts, sections))
        else:
            found.append(_block(_html(group), section, slots))
    return found, sections


def _check_depth(group: Sequence[Token], slots: Slots) -> None:
    depth = 0
    for token in group:
        depth += token.nesting if token.tag in ("ul", "ol", "blockquote") else 0
        if depth > DEEPEST and token.type == "inline":
            start = slots.bare(token.content, "\n").strip().splitlines() or [""]
            raise UserError(
                f"lists and quotations stand at most {DEEPEST} deep in each other, got one more at "
                f"'{start[0].strip()[:40]}': write it flatter"
            )


def _groups(tokens: list[Token]) -> list[list[Token]]:
    """Tokens by top-level element."""
    groups: list[list[Token]] = []
    depth = 0
    for token in tokens:
        if depth == 0:
            groups.append([])
        groups[-1].append(token)
        depth += token.nesting
    return groups


def _html(tokens: list[Token]) -> str:
    parser = _parser()
    html = str(parser.renderer.render(tokens, parser.options, {})).strip()
    _check_attributes(html)
    return html


def _check_attributes(html: str) -> None:
    """A slot in an attribute would be filled with an element, or with nothing."""
    if found := re.search(rf'="([^"<>]*?)(?:{MARK}|{quote(MARK)})', html):
        raise UserError(
            "a word prints into the text, not into the address of a link, its title or the "
            f"description of a picture: it stands behind '{found[1]}'"
        )


def _block(html: str, section: str, slots: Slots) -> Block:
    slot = slots.alone(html)
    if slot is None or slot.kind == "line":
        return Block(html, "text", section)
    return Block(html.removeprefix("<p>").removesuffix("</p>"), slot.kind, section)


def _heading(group: list[Token], counts: list[int], sections: dict[str, str]) -> Block:
    opening, content = group[0], group[1].content
    if opening.tag not in ("h2", "h3"):
        raise UserError(
            f"headings are '## Section' or '### Subsection', got '{content}' as {opening.tag}"
        )
    anchor = "sec-" + slug(content)
    if anchor in sections:
        raise UserError(f"two headings are called '{content}': give each its own name")
    label = "" if content == "Abstract" else _count(opening.tag, counts)
    sections[anchor] = label
    number = f'<span class="auto">{label}</span> ' if label else ""
    text = _html([group[1]])
    return Block(f'<{opening.tag} id="{anchor}">{number}{text}</{opening.tag}>', "heading", content)


def _count(tag: str, counts: list[int]) -> str:
    if tag == "h2":
        counts[:] = [counts[0] + 1, 0]
        return str(counts[0])
    counts[1] += 1
    return f"{counts[0]}.{counts[1]}"


def slug(text: str) -> str:
    """A heading as an anchor: 'The code itself' -> 'the-code-itself'."""
    return re.sub(r"[^a-z0-9]+", "-", html.unescape(text).lower()).strip("-")
