"""A write-up's source: front matter, and Markdown turned into a flat list of blocks."""

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from urllib.parse import quote

from markdown_it import MarkdownIt
from markdown_it.token import Token

from research.errors import UserError
from research.report.misses import at, miss
from research.report.slots import MARK, Slots
from research.report.source import Block, Source, slug

_FRONT = re.compile(r"\A---\n(.*?)\n---[ \t]*(?:\n|\Z)", re.DOTALL)
_KEYS = ("title", "keywords", "reads")

DEEPEST = 9
"""Lists and quotations within each other at most: a column has no room for more."""
_NESTING = 20 * DEEPEST
"""Elements within each other that the parser reads; of what lies deeper it would say nothing."""


def read(path: Path, text: str) -> Source:
    """Reads a write-up in the former words. Raises UserError for front matter or title."""
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
    """Words between commas, in brackets or not, each in quotes or not."""
    inner = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    return tuple(_unquoted(word) for word in inner.split(",") if word.strip())


def _unquoted(value: str) -> str:
    """A value without the quotes around it, and what they protect as YAML reads it."""
    value = value.strip()
    if len(value) < 2 or value[0] != value[-1] or value[0] not in "\"'":
        return value
    inner = value[1:-1]
    if value[0] == "'":
        return inner.replace("''", "'")
    return re.sub(r'\\([\\"])', r"\1", inner)


def _front_matter(path: Path, text: str) -> dict[str, str]:
    facts: dict[str, str] = {}
    for number, line in enumerate(text.split("\n"), start=2):
        key, colon, value = line.partition(":")
        if not line.strip() or line.startswith("#"):
            continue
        if not colon:
            raise at(path, number, f"front matter is 'key: value', got '{line}'")
        if key.strip() not in _KEYS:
            raise at(path, number, str(miss("front matter has no key", key.strip(), _KEYS)))
        facts[key.strip()] = _unquoted(value)
    return facts


@cache
def _parser() -> MarkdownIt:
    options = {"html": False, "typographer": True}
    parser = MarkdownIt("commonmark", options).enable(["table", "replacements", "smartquotes"])
    parser.options["maxNesting"] = _NESTING
    parser.add_render_rule("image", _stray_picture)
    return parser


def _stray_picture(renderer: object, tokens: list[Token], index: int, *_: object) -> str:
    """Those that stand alone were taken out before."""
    path = tokens[index].attrGet("src")
    raise UserError(f"a picture is a paragraph of its own, got '{path}' within another's line")


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
