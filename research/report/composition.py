"""Composition: a write-up is read over a run, its blocks put into the page template."""

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from markupsafe import Markup

from research.errors import UserError
from research.provenance import literals
from research.report.authors import Authors
from research.report.blocks import Blocks
from research.report.language import Head, Reader
from research.report.layout import Plan, Sheet
from research.report.misses import Placed, at
from research.report.render import Environment, Parts
from research.report.source import Block, Source
from research.report.typed import column_of, lines_of, place_of_quoted, typed
from research.report.words import Words

Medium = Literal["galley", "print", "screen"]

# WeasyPrint 70 breaks a line far too early where its last text just fills it and ends in a space
# before an element; with the space in an element of its own it finds the right place.
_BEFORE_ELEMENT = re.compile("([ \u00a0])(<[a-z])")


@dataclass(frozen=True)
class Paper:
    """A rendered write-up: everything that the page template arranges.

    Attributes:
        title: the head of the first page, up to the abstract, as HTML.
        blocks: id -> block, in the author's order, the references last.
        foot: the run's facts as HTML.
        head: facts about the document for its metadata.
        compute: what computing it took, as HTML; it stands at the foot of the second page.
        gaps: what a draft prints boxes for, one line each.
    """

    title: str
    blocks: dict[str, Block]
    foot: str
    head: dict[str, Any]
    compute: str = ""
    gaps: tuple[str, ...] = ()


def paper(
    env: Environment,
    source: Source,
    words: Words,
    author: Authors,
) -> Paper:
    """Renders a write-up to blocks and checks that no number in it was typed by hand.

    Raises:
        UserError: a mistake in the text, no abstract, an untracked number, a reference to nothing.
    """
    try:
        text = text_over(source, words)
        abstract, body = parted(text.blocks)
        fill = words.slots.fill
        filled = [_filled(block, fill).html for block in abstract]
        run = words.ledger.results.run
        given = {
            "source": source,
            "title": Markup(fill(text.title.html)),
            "keywords": Markup(", ".join(fill(keyword.html) for keyword in text.keywords)),
            "author": author.block() | {"marked": [*map(Markup, author.marked())]},
            "abstract": Markup("\n".join(filled)),
            "run": run,
            "reads": list(words.ledger.others),
            "stale": words.ledger.stale,
            "sheet": words.sheet,
        }
        title = words.vouch() + fill(_furniture(env, "title", words, given))
        if words.sheet.abstract_within:
            opening = fill(_furniture(env, "abstract", words, given))
            body = [Block(opening, "text", "Abstract"), *body]
        body += _thanks(author.acknowledgements, words)
        named = {f"b-{n}": _placed(_filled(part, fill), words) for n, part in enumerate(body)}
        given |= {"lone": words.ledger.lone}
        foot, compute = (fill(_furniture(env, name, words, given)) for name in ("foot", "compute"))
    except Placed:
        raise
    except UserError as error:
        line, column = place_of_quoted(str(error), source)
        raise at(source.path, line, str(error), column) from None
    for piece in [title, *(block.html for block in named.values())]:
        _check(piece, source)
    named |= _references(text.references, len(named), words.parts)
    head = {
        "title": text.title.plain,
        "author": author.block()["name"],
        "keywords": [keyword.plain for keyword in text.keywords],
        "run": run,
    }
    gaps = tuple(words.draft.gaps) if words.draft else ()
    return Paper(title, named, foot, head, compute.strip(), gaps)


def _placed(block: Block, words: Words) -> Block:
    """On a page of one column nothing is wider than the others."""
    narrow = block.kind == "wide" and words.sheet.columns == 1
    return Block(block.html, "float", block.section) if narrow else block


def _thanks(text: str, words: Words) -> list[Block]:
    """The authors' acknowledgements, whose numbers, as of grants, are stated by them."""
    if not text:
        return []
    heading, said = "Acknowledgements", html.escape(text)
    name = f"{heading.lower()} of author.toml"
    for number in dict.fromkeys(literals.numbers(text)):
        said = said.replace(number, words.ledger.print("stated", name, number, number, run=""))
    return [
        _heading(heading, words.parts),
        Block(words.parts("paragraph", text=said), "text", heading),
    ]


def _heading(text: str, parts: Parts) -> Block:
    """One without a number."""
    anchor = f"sec-{text.lower()}"
    return Block(parts("heading", level=2, anchor=anchor, label="", text=text), "heading", text)


@dataclass(frozen=True)
class Text:
    """A write-up that was read over a run; `references` are label, key and HTML of each."""

    title: Head
    keywords: list[Head]
    blocks: list[Block]
    references: list[tuple[str, str, str]]


def text_over(source: Source, words: Words) -> Text:
    """A write-up as the run answers it. Raises UserError for the first mistake in it."""
    reader = Reader(source, words, words.citations)
    tree = reader.tree()
    arranged = Blocks(reader)
    blocks = arranged.of(tree)
    words.sections = arranged.sections
    return Text(reader.title, reader.keywords, blocks, words.listed())


def arrange(
    env: Environment,
    paper: Paper,
    sheet: Sheet,
    medium: Medium,
    plan: Plan | None = None,
    **more: Any,
) -> str:
    """The whole document for a medium; `print` needs the plan of its pages."""
    order = plan.order if plan else list(paper.blocks)
    blocks = [(name, paper.blocks[name].kind, Markup(paper.blocks[name].html)) for name in order]
    parts = {"title": Markup(paper.title), "foot": Markup(paper.foot), "blocks": blocks}
    parts |= {"compute": Markup(paper.compute), "gaps": paper.gaps}
    given = parts | {"head": paper.head, "sheet": sheet, "plan": plan, "medium": medium}
    page = env.get_template("page.html.jinja").render(given | more)
    return page if medium == "screen" else _BEFORE_ELEMENT.sub(r"<span>\1</span>\2", page)


def parted(blocks: list[Block]) -> tuple[list[Block], list[Block]]:
    """The paragraphs of the section `## Abstract`, which comes first, and the rest."""
    check_abstract(blocks)
    cut = next((n for n, block in enumerate(blocks[1:], 1) if block.kind == "heading"), len(blocks))
    return blocks[1:cut], blocks[cut:]


def check_abstract(blocks: list[Block]) -> None:
    """Raises UserError where the text begins with anything else than its abstract."""
    if not blocks or blocks[0].kind != "heading" or blocks[0].section != "Abstract":
        raise UserError("the text must begin with a section '## Abstract'")


def _filled(block: Block, fill: Any) -> Block:
    """The block with its slots filled; a citation never begins a line."""
    html = fill(block.html).replace(' <span class="auto cite">', '\u00a0<span class="auto cite">')
    return Block(html, block.kind, block.section)


def _furniture(env: Environment, name: str, words: Words, given: dict[str, Any]) -> str:
    return env.get_template(f"{name}.html.jinja", globals=words.vocabulary()).render(given)


def _references(
    listed: Sequence[tuple[str, str, str]], start: int, parts: Parts
) -> dict[str, Block]:
    if not listed:
        return {}
    heading = _heading("References", parts)
    works = [
        Block(parts("work", key=key, label=label, text=text), "text", heading.section)
        for label, key, text in listed
    ]
    return {f"b-{start + n}": block for n, block in enumerate([heading, *works])}


def _check(html: str, source: Source) -> None:
    numbers = literals.untracked(html)
    if numbers:
        number, line = numbers[0]
        place = next(iter(lines_of(number, source)), None)
        raise at(source.path, place, typed(number, line), column_of(number, source, place))
