"""The language of write-ups: Pandoc's Markdown with values in braces, see templates/README.md.

source ─▶ marks ─▶ pandoc's tree ─▶ values, conditions, branches ─▶ citeproc ─▶ blocks
source    marks    pandoc           here, by `sayings`              citations   blocks, inlines
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from research.errors import GapError, UserError
from research.report import limits, pandoc, sayings
from research.report.braces import Braces
from research.report.citations import Citations
from research.report.inlines import BRACES, NESTED, RESTS, Inlines
from research.report.marks import Mark, Marks
from research.report.misses import Placed, at, place_of
from research.report.nodes import (
    BLOCKS,
    INLINES,
    citation,
    nested,
    node,
    part_of,
    parted,
    spoken,
)
from research.report.pandoc import Node
from research.report.source import Source
from research.report.words import Words

Place = tuple[int | None, int | None]

REFERENCE = re.compile(r"(?:fig|tab|sec):.+")


@dataclass(frozen=True)
class Head:
    """A line of the front matter: as HTML with slots, and as plain text."""

    html: str
    plain: str


class Reader:
    """Reads one write-up: what its values, spans and conditions stand for.

    Arguments:
        collect: gets every mistake, and reading goes on; without it the first one is raised.
    """

    def __init__(
        self, source: Source, words: Words, citations: Citations,
        collect: list[UserError] | None = None,
    ) -> None:  # fmt: skip
        self.source = source
        self.words = words
        self._citations = citations
        self._collect = collect
        self._marks = Marks()
        self.braces = Braces(source, words)
        self._rests: list[tuple[Mark, sayings.Claimed | sayings.Compared]] = []
        self.inlines = Inlines(words, self._resting, self._near)
        self._odd = False
        self.title = Head("", "")
        self.keywords: list[Head] = []

    def tree(self) -> list[Node]:
        """The blocks of the text, with slots for values, and citations as the style has them."""
        limits.check_text(self.source.text)
        heads, text = self._heads(), self._marks.take(self.source.text)
        document, warnings = pandoc.tree(heads + text)
        for warning in warnings:
            self.fault(self._warned(warning, heads.count("\n")))
        blocks = self._blocks(document["blocks"])
        cited = self._citations.cited(document, blocks)
        parts = [work for work in cited if part_of(work)]
        self._read_heads(parts)
        return [work for work in cited if work not in parts]

    # --- places and mistakes ---------------------------------------------------------------------

    def fault(self, error: UserError) -> None:
        if self._collect is None:
            raise error
        self._collect.append(error)

    def at(self, place: Place, message: str) -> UserError:
        return at(self.source.path, place[0], message, place[1])

    def find(self, *needles: str) -> Place:
        """Where the first of these stands that the text holds."""
        whole = self.source.text
        places = (place_of(whole, needle) for needle in needles if needle and needle in whole)
        return next(places, (None, None))

    def _near(self, needle: str, make: Callable[[], str]) -> str:
        """What `make` returns; a mistake has the place where the needle stands."""
        return self.said(self.find(needle), make)

    def said(
        self, place: Place, make: Callable[[], str], boxed: Callable[[GapError], str] | None = None
    ) -> str:
        """What `make` returns; where it fails, the mistake with its place, or a draft's box."""
        try:
            return make()
        except GapError as gap:
            draft = self.words.draft
            if draft is None:
                self.fault(self.at(place, str(gap)))
                return ""
            placed = GapError(str(self.at(place, str(gap))))
            return boxed(placed) if boxed else draft.in_line(placed)
        except Placed as error:
            self.fault(error)
        except (UserError, ValueError, ArithmeticError) as error:
            self.fault(self.at(place, str(error)))
        return ""

    def _warned(self, warning: str, above: int) -> UserError:
        line = re.search(r"line (\d+)", warning)
        shown = re.sub(r"line (\d+)", lambda match: f"line {int(match[1]) - above}", warning)
        return self.at((int(line[1]) - above if line else None, None), f"pandoc says: {shown}")

    # --- front matter ----------------------------------------------------------------------------

    def _heads(self) -> str:
        """Title and keywords as blocks, so that pandoc reads them with the text."""
        parts = {"title": self.source.title}
        parts |= {f"keyword{n}": word for n, word in enumerate(self.source.keywords)}
        taken = {name: self._marks.take(" ".join(word.split())) for name, word in parts.items()}
        return "".join(f"::: {{part={name}}}\n{word}\n:::\n\n" for name, word in taken.items())

    def _read_heads(self, parts: Sequence[Node]) -> None:
        heads: dict[str, Head] = {}
        for part in parts:
            blocks: list[Node] = part["c"][1]
            line = blocks[0]["c"] if blocks and blocks[0]["t"] in ("Para", "Plain") else None
            if line is None or len(blocks) > 1:
                message = f"its {part_of(part)} must be one line of text: put it in quotes"
                self.fault(at(self.source.path, 1, message))
                continue
            written = self.said((1, None), lambda line=line: self.inlines.html(line))  # type: ignore[misc]
            heads[part_of(part)] = Head(written, self.words.slots.plain(spoken(line)))
        self.title = heads.pop("title", self.title)
        self.keywords = list(heads.values())

    # --- blocks ----------------------------------------------------------------------------------

    def _blocks(self, blocks: Sequence[Node]) -> list[Node]:
        return [new for block in blocks for new in self._block(block)]

    def _block(self, block: Node) -> list[Node]:
        kind: str = block["t"]
        content: Any = block.get("c")
        if kind == "Div":
            return self._div(content)
        if kind == "RawBlock":
            self._check_raw(content)
            return []
        if kind == "CodeBlock":
            return [node(kind, [content[0], self._marks.restored(content[1])])]
        if kind in ("Para", "Plain"):
            return [node(kind, self._inlines(content))]
        if kind == "Figure":
            return [self._figure(content)]
        return [node(kind, self._within(content))] if content is not None else [block]

    def _figure(self, content: Any) -> Node:
        """A figure, whose alternative text is empty where pandoc took the caption for it."""
        attributes, caption, image = content
        written = [inline for block in caption[1] for inline in block["c"]]
        for block in image:
            for inline in block["c"]:
                if inline["t"] == "Image" and inline["c"][1] == written:
                    inline["c"][1] = []
        return node("Figure", [attributes, [caption[0], self._blocks(caption[1])], image])

    def _within(self, content: Any) -> Any:
        """The content of another kind of block, in which blocks or inlines lie at some depth."""
        if isinstance(content, list):
            if content and all(isinstance(item, dict) and "t" in item for item in content):
                first = content[0]["t"]
                if first in BLOCKS:
                    return self._blocks(content)
                return self._inlines(content) if first in INLINES else content
            return [self._within(item) for item in content]
        return content

    def _div(self, content: Any) -> list[Node]:
        (_, classes, pairs), inner = content
        given = {key: self._marks.restored(value) for key, value in pairs}
        if "part" in given or "table" in classes:
            return [node("Div", [content[0], self._blocks(inner)])]
        if "only" in classes or "except" in classes:
            if not given:
                self.fault(self.at(self.find("{.only}", "{.except}"), _CONDITION))
            if self.words.anything:
                return self._blocks(inner)
            met = all(self._is_met(key, value) for key, value in given.items())
            return self._blocks(inner) if met == ("only" in classes) else []
        shown = " ".join(f".{name}" for name in classes) or " ".join(given)
        place = self.find(f"{{{shown}", f"::: {shown.removeprefix('.')}", shown)
        self.fault(self.at(place, f"a block ':::' is {_FENCES}, got '{shown}'"))
        return []

    def _is_met(self, key: str, condition: str) -> bool:
        place = self.find(f"{key}={condition}", f'{key}="{condition}"', key)
        answers: list[bool] = []

        def ask() -> str:
            value, shown = self.braces.asked(key)
            answers.append(sayings.met(condition, value, shown))
            return ""

        self.said(place, ask)
        return answers == [True]

    def _check_raw(self, content: Sequence[str]) -> None:
        """Comments are not printed; nothing else is written in another language."""
        text = self._marks.restored(content[1])
        if content[0] != "html" or not text.lstrip().startswith(("<!--", "</")):
            first = text.strip().split("\n")[0]
            message = f"'{first[:40]}' is {content[0].upper()}, which is not printed; \\< is a sign"
            self.fault(self.at(self.find(text, first), message))

    # --- inlines ---------------------------------------------------------------------------------

    def _inlines(self, inlines: Sequence[Node]) -> list[Node]:
        return [new for inline in inlines for new in self._inline(inline)]

    def _inline(self, inline: Node) -> list[Node]:
        kind: str = inline["t"]
        content: Any = inline.get("c")
        if kind == "Str":
            return [node("Str", self._text(str(content)))]
        if kind in ("Code", "Math"):
            return [node(kind, [content[0], self._marks.restored(content[1])])]
        if kind == "RawInline":
            self._check_raw(content or [])
            return []
        if kind == "Cite":
            return self._cite(content)
        if kind == "Span" and (number := dict(content[0][2]).get("mark")):
            return self._span(self._marks.of(number), content[1])
        if kind in ("Note", "Image"):
            self.fault(self._misplaced(kind, content))
            return []
        if kind == "Link":
            return [self._link(content)]
        if kind in NESTED:
            return [nested(inline, self._inlines)]
        return [inline]

    def _misplaced(self, kind: str, content: Any) -> UserError:
        if kind == "Note":
            return self.at(self.find("[^", "^["), "there are no footnotes: write it into the text")
        path = content[2][0]
        message = f"a picture is a paragraph of its own with a caption, got '{path}' within a line"
        return self.at(self.find(f"]({path}", path), message)

    def _link(self, content: Any) -> Node:
        attributes, text, (address, title) = content
        restored = self._marks.restored(address)
        for given, what in ((address, "address"), (title, "title")):
            if (shown := self._marks.restored(given)) != given:
                message = f"a value prints into the text, not into the {what} '{shown}'"
                self.fault(self.at(self.find(shown), message))
        return node("Link", [attributes, self._inlines(text), [restored, title]])

    def _text(self, text: str) -> str:
        """A word with its values; a brace that is none of theirs was not understood."""
        bare = self._marks.replace(text, lambda mark: "")
        if self._odd and "}" in bare:
            self._odd, bare = False, bare.replace("}", "", 1)
        for odd in ("{", "}", ":::"):
            if odd in bare:
                self._odd = odd == "{" and "}" not in bare
                self.fault(self._not_understood(odd, self._marks.restored(text)))
                break
        return self._marks.replace(text, self._marked)

    def _not_understood(self, odd: str, text: str) -> UserError:
        place = self.find(text, odd)
        if odd == ":::":
            return self.at(place, f"a block begins with '::: {{…}}': {_FENCES}; got '{text}'")
        return self.at(place, f"'{text}' is no value: write {{name}} or {{name:.2f}}, or \\{odd}")

    def _marked(self, mark: Mark) -> str:
        if mark.kind == "brace":
            return BRACES[mark.text]
        return self.said((mark.line, mark.column), lambda: self.braces.value(mark.text))

    def filled(self, text: str) -> str:
        """A text outside pandoc's rules, as an alternative text, with its values."""
        return self._marks.replace(text, self._marked)

    def restored(self, text: str) -> str:
        return self._marks.restored(text)

    # --- spans -----------------------------------------------------------------------------------

    def _span(self, mark: Mark, inner: Sequence[Node]) -> list[Node]:
        place = (mark.line, mark.column)
        kept: list[Node] = []

        def read() -> str:
            kept.extend(self._based(mark, sayings.basis(mark.text), inner))
            return ""

        text = self.said(place, read)
        return kept or ([node("Str", text)] if text else [])

    def _based(self, mark: Mark, basis: sayings.Basis, inner: Sequence[Node]) -> Iterator[Node]:
        if isinstance(basis, sayings.Quoted):
            self._citations.number(basis.key)
            yield node("Str", self.words.quotation(pandoc.plain(inner), basis.key) + "\u00a0")
            yield citation(basis.key)
        elif isinstance(basis, sayings.Stated):
            yield node("Str", self.words.stated(pandoc.plain(inner), basis.reason))
        else:
            branches = [self._inlines(branch) for branch in parted(inner)]
            chosen, known = self._chosen(basis, branches)
            self._rests.append((mark, known))
            yield node("Span", [["", [], [[RESTS, str(len(self._rests) - 1)]]], chosen])

    def _chosen(
        self, basis: sayings.Claimed | sayings.Compared, branches: list[list[Node]]
    ) -> tuple[list[Node], sayings.Claimed | sayings.Compared]:
        """The branch that is true, and what it rests on. Raises UserError for too few branches."""
        for branch in branches:
            self.words.check_branch(_named(basis), self.inlines.html(branch))
        said = basis.outcome if isinstance(basis, sayings.Claimed) else basis.order
        if len(branches) != (3 if said is None else 1):
            raise UserError(_BRANCHES.format(len(branches), _named(basis)))
        if said is not None:
            return branches[0], basis
        if self.words.anything:
            return [inline for branch in branches for inline in branch], basis
        if isinstance(basis, sayings.Claimed):
            outcome = self.words.outcome(basis.name)
            place = ("holds", "fails", "undecided").index(outcome)
            return branches[place], sayings.Claimed(basis.name, outcome)
        order = self.words.order(basis.a, basis.b)
        place = ("less", "greater", "tie").index(order)
        return branches[place], sayings.Compared(basis.a, basis.b, order)

    def _resting(self, number: int, text: str) -> str:
        """The HTML of a span that rests on something, of the HTML of its words."""
        mark, basis = self._rests[number]

        def say() -> str:
            if isinstance(basis, sayings.Claimed):
                return self.words.asserted(basis.name, basis.outcome or "holds", text)
            return self.words.ordered(basis.a, basis.order or "tie", basis.b, text)

        return self.said((mark.line, mark.column), say)

    # --- citations and references ----------------------------------------------------------------

    def _cite(self, content: Any) -> list[Node]:
        cited, written = content
        keys = [work["citationId"] for work in cited]
        if all(map(REFERENCE.fullmatch, keys)):
            pairs = ([node("Str", " and "), node("Str", self._reference(key))] for key in keys)
            return [part for pair in pairs for part in pair][1:]
        boxes = [node("Str", box) for key in dict.fromkeys(keys) if (box := self._unknown(key))]
        parts = [
            work
            | {part: self._inlines(work[part]) for part in ("citationPrefix", "citationSuffix")}
            for work in cited
        ]
        known = [work for work in parts if self._citations.knows(work["citationId"])]
        return [*([node("Cite", [known, written])] if known else []), *boxes]

    def _unknown(self, key: str) -> str:
        """A draft's box where the bibliography lacks an entry; nothing where it has one."""

        def ask() -> str:
            self._citations.number(key)
            return ""

        return self.said(self.find(f"@{key}", f"@{{{key}}}"), ask)

    def _reference(self, key: str) -> str:
        return self.said(self.find(f"@{key}"), lambda: self.words.ref(key))


_FENCES = "{.table name=…}, {.only name=value} or {.except name=value}"
_CONDITION = "a block for some runs says for which: {.only data.name=photos}"
_BRANCHES = (
    "a span has one text for an outcome, [text]{{claim=holds}}, or three between |, "
    "[holds|fails|undecided]{{claim}}; got {} of '{}'"
)


def _named(basis: sayings.Claimed | sayings.Compared) -> str:
    return basis.name if isinstance(basis, sayings.Claimed) else f"{basis.a}, {basis.b}"
