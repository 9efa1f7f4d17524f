"""The blocks of a write-up as the page arranges them, from pandoc's tree."""

import html
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

from research.errors import GapError, UserError
from research.report import pandoc, sayings, tables
from research.report.language import Reader
from research.report.pandoc import Node
from research.report.source import Block, slug
from research.report.tables import Column

DEEPEST = 9
"""Lists and quotations within each other at most: a column has no room for more."""
_PLAN = ("column", "heading", "format", "best", "interval")
_TABLES = ("table", "wide", "means")


class Blocks:
    """Turns the tree of one write-up into a flat list of blocks, with numbered headings.

    Attributes:
        sections: the number of each section by its anchor, as {"sec-method": "2"}.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._words = reader.words
        self._parts = reader.words.parts
        self._section = "before the first heading"
        self._counts = [0, 0]
        self._line = 0
        self._anchors: set[str] = set()
        self.sections: dict[str, str] = {}

    def of(self, tree: Sequence[Node]) -> list[Block]:
        return [block for node in tree for block in self._top(node)]

    def _top(self, node: Node) -> Iterator[Block]:
        kind: str = node["t"]
        content: Any = node.get("c")
        if kind == "Header":
            yield from self._heading(content)
        elif kind == "Figure":
            yield self._figure(content)
        elif kind == "Div":
            yield self._table(content)
        elif kind == "Table" and content[1][1]:
            yield self._captioned(content)
        elif kind in ("Para", "Plain"):
            yield from self._paragraph(content or [])
        else:
            place = self._reader.find(_first_word(node))
            written = self._reader.said(place, lambda: self._html(node))
            yield Block(written, "text", self._section)

    def _paragraph(self, inlines: Sequence[Node]) -> Iterator[Block]:
        """A paragraph, in which formulas may stand on lines of their own."""
        for display, part in _displayed(inlines):
            written = self._written(part)
            if display:
                yield Block(written, "formula", self._section)
            elif written.strip():
                yield Block(self._parts("paragraph", text=written.strip()), "text", self._section)

    def _written(self, inlines: Sequence[Node]) -> str:
        place = self._reader.find(*_needles(inlines))
        return self._reader.said(place, lambda: self._reader.inlines.html(inlines))

    # --- headings --------------------------------------------------------------------------------

    def _heading(self, content: Any) -> Iterator[Block]:
        level, (name, classes, _), inlines = content
        text = self._words.slots.plain(pandoc.plain(inlines))
        place = self._place_of(f"{'#' * level} {text}")
        self._section = text
        headings: list[str] = []

        def make() -> str:
            headings.append(self._numbered(level, name, "unnumbered" in classes, text, inlines))
            return ""

        self._reader.said(place, make)
        yield from (Block(heading, "heading", text) for heading in headings)

    def _place_of(self, heading: str) -> tuple[int | None, int | None]:
        """Where a heading stands; two of one text are found one after the other."""
        lines = self._reader.source.text.split("\n")
        for number, line in enumerate(lines[self._line :], start=self._line + 1):
            if line.startswith(heading):
                self._line = number
                return number, 1
        return self._reader.find(heading)

    def _numbered(
        self, level: int, name: str, bare: bool, text: str, inlines: Sequence[Node]
    ) -> str:
        if level not in (2, 3):
            signs = "#" * level
            raise UserError(f"headings are '## Section' or '### Subsection', got '{signs} {text}'")
        if name and not name.startswith("sec:"):
            raise UserError(f"the id of a section begins with sec:, got '{name}'")
        anchor = name.replace(":", "-", 1) or "sec-" + slug(text)
        if anchor in self._anchors and not self._words.twice:
            raise UserError(f"two headings are called '{text}': give each its own name")
        self._anchors.add(anchor)
        label = "" if bare or text == "Abstract" else self._count(level)
        if not bare:
            self.sections[anchor] = label
        written = self._written(inlines)
        return self._parts("heading", level=level, anchor=anchor, label=label, text=written)

    def _count(self, level: int) -> str:
        if level == 2:
            self._counts[:] = [self._counts[0] + 1, 0]
            return str(self._counts[0])
        self._counts[1] += 1
        return f"{self._counts[0]}.{self._counts[1]}"

    # --- figures ---------------------------------------------------------------------------------

    def _figure(self, content: Any) -> Block:
        caption = self._written(_line(content[1][1]))
        image = _image(content[2])
        (_, classes, pairs), alternative, (target, title) = image["c"]
        path = unquote(self._reader.restored(target))  # pandoc writes a space as %20
        given = {key: self._reader.restored(value) for key, value in pairs}
        description = title or pandoc.plain(alternative)
        alt = self._reader.filled(description) if description else None
        wide = "wide" in classes

        def make() -> str:
            _check_figure(path, classes, given)
            if "." not in path:
                return self._words.figure(path, caption=caption, alt=alt, wide=wide)
            share, page = _share(given.get("width")), _page(given.get("page"))
            return self._words.picture(
                path, caption=caption, alt=alt or "", wide=wide, share=share, page=page
            )

        return self._float(f"]({path}", path, wide, make)

    def _float(self, needle: str, name: str, wide: bool, make: Any) -> Block:
        kind = "wide" if wide else "float"

        def boxed(gap: GapError) -> str:
            draft = self._words.draft
            return draft.block(gap, name, wide) if draft else ""

        written = self._reader.said(self._reader.find(needle, name), make, boxed)
        return Block(written, kind, self._section)  # type: ignore[arg-type]

    # --- tables ----------------------------------------------------------------------------------

    def _table(self, content: Any) -> Block:
        (_, classes, pairs), inner = content
        given = {key: self._reader.restored(value) for key, value in pairs}
        name, wide = given.get("name", ""), "wide" in classes

        def make() -> str:
            _check_known("a table", given, ("name", "rows", "most"), classes, _TABLES)
            if not name:
                raise UserError("a table names one of the run: ::: {.table name=errors}")
            caption, plan = _table_parts(inner, name)
            columns = dict(self._column(name, cells) for cells in _plan(plan, name))
            if "means" in classes:
                columns = {key: replace(column, spread=False) for key, column in columns.items()}
            return self._words.table(
                name, caption=self._written(_line(caption)), columns=columns,
                rows=_rows(given.get("rows", ""), name), wide=wide,
                most=_most(given.get("most"), name),
            )  # fmt: skip

        return self._float(f"name={name}" if name else "{.table", name, wide, make)

    def _column(self, table: str, cells: Mapping[str, Sequence[Node]]) -> tuple[str, Column]:
        plain = {key: pandoc.plain(cell).strip() for key, cell in cells.items()}
        name = self._reader.restored(plain["column"])
        formats = self._reader.source.formats
        spec = plain.get("format") or sayings.matching(formats, f"{table}.{name}", name)
        heading = self._written(cells.get("heading", [])) or html.escape(name)
        if plain.get("best", "") not in ("", "min", "max"):
            raise UserError(f"a column's best is min or max, got '{plain['best']}'")
        return name, Column(
            heading, sayings.floating(spec) or None, plain.get("best") or None,  # type: ignore[arg-type]
            self._labels(table, name), plain.get("interval") != "no",
        )  # fmt: skip

    def _labels(self, table: str, column: str) -> dict[str, str]:
        """What raw words are called in a column."""
        names = self._reader.source.names
        labels = {word: name for word, name in names.items() if isinstance(name, str)}
        for key in (table, f"{table}.{column}"):
            own = names.get(key)
            labels |= {} if own is None or isinstance(own, str) else dict(own)
        return {word: self._reader.braces.label(name) for word, name in labels.items()}

    def _captioned(self, content: Any) -> Block:
        """A table that the author wrote, numbered by its caption: `: Caption. {#tab:name}`."""
        identifier, classes, _ = content[0]
        name, wide = identifier.removeprefix("tab:"), "wide" in classes
        caption = self._written(_line(content[1][1]))

        def make() -> str:
            if identifier == name or not name:
                raise UserError(
                    "a table with a caption has an id, by which the text refers to it: "
                    f"': Caption. {{#tab:name}}', got '{identifier}'"
                )
            return self._words.own_table(name, caption, self._words_table(content), wide)

        first = _first_word(content[1][1])
        return self._float(f"#{identifier}" if identifier else f": {first}", first, wide, make)

    # --- the rest --------------------------------------------------------------------------------

    def _html(self, node: Node, depth: int = 0) -> str:
        kind: str = node["t"]
        content: Any = node.get("c")
        if depth > DEEPEST:
            raise UserError(
                f"lists and quotations stand at most {DEEPEST} deep in each other: write it flatter"
            )
        if kind == "Plain":
            return self._written(content or [])
        if kind == "Para":
            return self._parts("paragraph", text=self._written(content or []))
        if kind == "CodeBlock":
            return self._parts("code", text=content[1])
        if kind == "HorizontalRule":
            return self._parts("rule")
        if kind == "LineBlock":
            return self._parts("lines", texts=[*map(self._written, content or [])])
        if kind == "Table":
            return self._parts("bare", content=self._words_table(content))
        return self._listed(kind, content, depth + 1)

    def _listed(self, kind: str, content: Any, depth: int) -> str:
        if kind == "BlockQuote":
            return self._parts("quotation", text=self._all(content, depth))
        if kind == "BulletList":
            return self._parts("bullets", items=[self._all(item, depth) for item in content])
        if kind == "OrderedList":
            items = [self._all(item, depth) for item in content[1]]
            return self._parts("numbered", start=content[0][0], items=items)
        if kind == "DefinitionList":
            pairs = [
                (self._written(term), [self._all(meaning, depth) for meaning in meanings])
                for term, meanings in content
            ]
            return self._parts("definitions", pairs=pairs)
        what = "a figure" if kind == "Figure" else "a table or block" if kind == "Div" else kind
        raise UserError(f"{what} stands in the text, not within a list or quotation")

    def _all(self, blocks: Sequence[Node], depth: int) -> str:
        return "".join(self._html(block, depth) for block in blocks)

    def _words_table(self, content: Any) -> str:
        """The rows of a table that the author wrote, of words."""
        head, bodies = content[3][1], [row for body in content[4] for row in body[3]]
        right = [spec[0]["t"] == "AlignRight" for spec in content[2]]
        heads, rows = ([self._row(row, right) for row in part] for part in (head, bodies))
        return self._parts("written", heads=heads, rows=rows)

    def _row(self, row: Any, right: Sequence[bool]) -> list[tuple[str, bool]]:
        return [
            (self._all(cell[4], 0), aligned) for cell, aligned in zip(row[1], right, strict=False)
        ]


# --- parts of the tree ---------------------------------------------------------------------------


def _displayed(inlines: Sequence[Node]) -> list[tuple[bool, list[Node]]]:
    """Inlines, parted at the formulas on lines of their own."""
    parts: list[tuple[bool, list[Node]]] = [(False, [])]
    for inline in inlines:
        if inline["t"] == "Math" and inline["c"][0]["t"] == "DisplayMath":
            parts += [(True, [inline]), (False, [])]
        else:
            parts[-1][1].append(inline)
    return parts


def _needles(inlines: Sequence[Node]) -> list[str]:
    """What may be searched for, to find the place of inlines: their formulas, then their words."""
    tex = [inline["c"][1] for inline in inlines if inline["t"] == "Math"]
    words = [inline["c"] for inline in inlines if inline["t"] == "Str" and len(inline["c"]) > 3]
    return [*tex, *words[:1]]


def _first_word(content: Any) -> str:
    """The first word of more than a letter that stands in a part of the tree."""
    if isinstance(content, dict):
        word = content.get("c") if content["t"] == "Str" else None
        return word if isinstance(word, str) and len(word) > 1 else _first_word(content.get("c"))
    inner = content if isinstance(content, list) else []
    return next((word for part in inner if (word := _first_word(part))), "")


def _line(blocks: Sequence[Node]) -> list[Node]:
    """The inlines of a caption, which is one paragraph."""
    return [inline for block in blocks if block["t"] in ("Plain", "Para") for inline in block["c"]]


def _image(blocks: Sequence[Node]) -> Node:
    return next(inline for block in blocks for inline in block["c"] if inline["t"] == "Image")


def _check_known(
    what: str, given: Mapping[str, str], keys: Sequence[str],
    classes: Sequence[str], known: Sequence[str],
) -> None:  # fmt: skip
    odd = [f"{key}=…" for key in given if key not in keys]
    odd += [f".{name}" for name in classes if name not in known]
    if odd:
        fit = ", ".join([*(f".{name}" for name in known), *(f"{key}=…" for key in keys)])
        raise UserError(f"{what} takes {fit}, got '{odd[0]}'")


def _check_figure(path: str, classes: Sequence[str], given: Mapping[str, str]) -> None:
    own = ("width", "page", "alt") if "." in path else ("alt",)
    _check_known("a figure" if "." not in path else "a picture", given, own, classes, ("wide",))


def _share(width: str | None) -> float:
    """A share of the width, as 50%; 0 where none is given."""
    number = (width or "0%").removesuffix("%")
    share = float(number) if _is_number(number) else 0.0
    if width and (not width.endswith("%") or not 0 < share <= 100):
        raise UserError(f"a picture's width is a share of its place, as width=50%, got '{width}'")
    return share / 100


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).isdecimal()


def _page(page: str | None) -> int:
    if page and not page.isdecimal():
        raise UserError(f"a picture's page is a number from 1, got '{page}'")
    return int(page or 1)


def _most(most: str | None, name: str) -> int:
    if most and not most.isdecimal():
        raise UserError(f"table '{name}' prints so many rows: most=16, got '{most}'")
    return int(most) if most else tables.MOST


def _table_parts(blocks: Sequence[Node], name: str) -> tuple[list[Node], Any]:
    """The caption and the plan of a table."""
    caption = [block for block in blocks if block["t"] in ("Para", "Plain")]
    plans = [block["c"] for block in blocks if block["t"] == "Table"]
    if len(caption) != 1 or len(plans) != 1:
        raise UserError(
            f"table '{name}' needs one paragraph, its caption, and one table with the heads "
            "'column', 'heading', 'format', 'best'"
        )
    return caption, plans[0]


def _plan(content: Any, name: str) -> list[dict[str, list[Node]]]:
    """The rows of a plan by their heads."""
    heads = [pandoc.plain(_line(cell[4])).strip() for cell in content[3][1][0][1]]
    odd = [head for head in heads if head not in _PLAN]
    if odd or "column" not in heads:
        raise UserError(
            f"the plan of table '{name}' has the heads {', '.join(_PLAN)}, got "
            f"'{(odd or heads or ['nothing'])[0]}'"
        )
    rows = [row for body in content[4] for row in body[3]]
    return [
        {head: _line(cell[4]) for head, cell in zip(heads, row[1], strict=True)} for row in rows
    ]


def _rows(given: str, name: str) -> dict[str, list[Any]]:
    """`arm=a|b; size=3` as column -> the cells that are printed."""
    chosen: dict[str, list[Any]] = {}
    for rule in filter(None, (part.strip() for part in given.split(";"))):
        column, sign, words = rule.partition("=")
        if not sign:
            raise UserError(f"rows of table '{name}' are chosen as rows=\"arm=a|b\", got '{rule}'")
        cells = [word.strip() for word in words.split("|")]
        chosen[column.strip()] = [*cells, *(float(word) for word in cells if _is_number(word))]
    return chosen
