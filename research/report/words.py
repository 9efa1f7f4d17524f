"""What a write-up may print beside values: figures, tables, references, formulas."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from research.errors import GapError, UserError
from research.provenance.formats import DAGGER, EDITION
from research.provenance.trail import Exhibit, Ledger, OwnPicture
from research.records import Cell, Number
from research.report import alternatives, formulas, pictures, tables, vectors
from research.report.answers import certainty
from research.report.citations import Citations, bibliography
from research.report.layout import PX, Sheet
from research.report.misses import miss
from research.report.render import Parts
from research.report.source import Source
from research.report.tables import Columns
from research.report.values import Values

_CRISP = b'<image image-rendering="crisp-edges" '

SLACK = 0.5
"""Millimetres by which a figure may be wider than its column before it counts as overflowing."""


class Words(Values):
    """What one write-up prints: its values, and figures, tables and references."""

    def __init__(
        self, ledger: Ledger, parts: Parts, citations: Citations, sheet: Sheet, *,
        draft: bool = False, folder: Path = Path(),
    ) -> None:  # fmt: skip
        """`folder` is that of the write-up, where its pictures lie."""
        super().__init__(ledger, parts, draft=draft)
        self._folder = folder
        self.sections: dict[str, str] = {}
        self._results = ledger.results
        self._run = ledger.results.run
        self.citations = citations
        self.sheet = sheet
        self._labels: dict[str, str] = {}

    @classmethod
    def over(
        cls, ledger: Ledger, source: Source, templates: Path, sheet: Sheet, *, draft: bool = False
    ) -> "Words":
        """The words of one write-up. Raises UserError where its bibliography cannot be read."""
        works, folder = bibliography(source, templates, Citations), source.path.parent
        return cls(ledger, Parts(templates), works, sheet, draft=draft, folder=folder)

    def vocabulary(self) -> dict[str, Callable[..., Any]]:
        """What the page templates say of the run."""
        named = (self.number, self.value, self.setting, self.fact)
        words: dict[str, Callable[..., Any]] = {word.__name__: word for word in named}
        return self.draft.forgiving(words) if self.draft else words

    # --- figures and tables ----------------------------------------------------------------------

    def figure(self, name: str, *, caption: str, alt: str | None = None, wide: bool = False) -> str:
        """A figure of the run at the size at which it was drawn, numbered, its caption below.

        Its alternative text is `alt`, followed by a sentence made from the data behind it.

        Raises:
            UserError: no such figure, one printed twice, one without alternative text, or one drawn
                wider than the column (the page, if `wide`).
        """
        self._known("figure", name, self._results.names("figures"))
        drawing = self._results.figure(name)
        width = self.sheet.text if wide else self.sheet.column
        part = min(1.0, width / drawing.width_mm) if self.sheet.reduces < 1 else 1.0
        if part * drawing.width_mm > width + SLACK or part < self.sheet.reduces:
            hint = "draw it narrower" + ("" if wide else " or let it span the page: {.wide}")
            raise GapError(
                f"figure '{name}' is {drawing.width_mm:.0f} mm wide, "
                f"{drawing.width_mm - width:.0f} mm "
                f"more than the {'page' if wide else 'column'}: {hint}"
            )
        artifact = self.ledger.file(drawing.svg)
        vectors.check(name, self._results.folder / drawing.svg)
        exhibit = Exhibit(f"i-{name}", name, artifact, tuple(map(self.ledger.file, drawing.data)))
        data = alternatives.sentence(self._results, drawing)
        untold = not (data if alt is None else alt.strip())
        gap = GapError(f"figure '{name}' needs alt=…, what it shows in words for who cannot see it")
        if untold and self.draft is None:
            raise gap
        label = self._label("fig", name, "Figure")

        def render() -> str:
            self.ledger.figures.append(exhibit)
            if untold and self.draft:
                self.draft.note(gap)
            svg = (self._results.folder / drawing.svg).read_bytes()
            source = formulas.data_uri(svg.replace(b"<image ", _CRISP))  # PDF/A wants it so
            sentences = (self.plain(alt or "").strip(), data)
            described = alternatives.joined(*sentences) or f"figure {name}"
            size = f"width:{part * drawing.width_mm:.6g}mm;height:{part * drawing.height_mm:.6g}mm"
            return self.parts(
                "figure", name=name, wide=wide, alt=described, source=source, size=size,
                caption=f"{label}. {self.slots.fill(caption)}",
            )  # fmt: skip

        return self.slots.put(render)

    def picture(
        self, path: str, *, caption: str, alt: str = "", wide: bool = False, share: float = 0.0,
        page: int = 1,
    ) -> str:  # fmt: skip
        """A picture of the author's, no wider than its place.

        Args:
            share: of the width of its place; 0 leaves the picture its own size.
            page: of a PDF, from 1.

        Raises UserError where there is no such file, or one that cannot be printed.
        """
        room = self.sheet.text if wide else self.sheet.column
        picture = pictures.read(self._folder, path, page)
        label = self._label("fig", picture.name, "Figure")

        def render() -> str:
            self.ledger.pictures.append(OwnPicture(f"i-{picture.name}", path, picture.sha256))
            shown = self.plain(alt or caption).strip() or f"picture {picture.name}"
            width = share * room or min(room, picture.width_mm)
            return self.parts(
                "figure", name=picture.name, wide=wide, alt=shown,
                source=picture.source, size=picture.size(width),
                caption=f"{label}. {self.slots.fill(caption)}",
            )  # fmt: skip

        return self.slots.put(render)

    def table(
        self, name: str, *, caption: str, columns: Columns,
        rows: Mapping[str, Sequence[Cell]] | None = None, wide: bool = False,
        most: int = tables.MOST,
    ) -> str:  # fmt: skip
        """A table of the run, numbered, its caption above.

        Args:
            columns: raw name -> heading or `col(…)`, in the order of printing.
            rows: raw column -> the values whose rows are printed; all rows when absent.
            most: rows that are printed at most. Of a longer table the first are, and the caption
                ends with a sentence that says so and names the attached file that has all.
        """
        self._known("table", name, self._results.names("tables"))
        part = tables.select(self._results.table(name), name, columns, rows or {}, most)
        artifact = self.ledger.file(f"tables/{name}.json")
        label = self._label("tab", name, "Table")
        exhibit = Exhibit(f"t-{name}", name, artifact, (artifact,))
        self._checked(part)
        repeated = tables.repetitions(part.seeds, part.equal)

        def render() -> str:
            self.ledger.tables.append(exhibit)
            self.ledger.lone |= DAGGER in repeated
            seeds = f" {self._count_of(name, part, repeated)}." if repeated else ""
            if len(part.shown) < len(part.rows):
                seeds += f" {self._cut_of(name, part, artifact.attachment)}."
            written = f"{label}. {self.slots.fill(caption)}{seeds}"
            heads = tables.heads(part, self.slots.fill)
            rows = tables.rows(part, self._cell_of(name, part))
            content = self.parts("cells", heads=heads, rows=rows)
            return self.parts("table", name=name, wide=wide, caption=written, content=content)

        return self.slots.put(render)

    def own_table(self, name: str, caption: str, content: str, wide: bool) -> str:
        """A table that the author wrote, of rows in HTML, numbered with those of the run."""
        label = self._label("tab", name, "Table")

        def render() -> str:
            written = f"{label}. {self.slots.fill(caption)}"
            return self.parts("table", name=name, wide=wide, caption=written, content=content)

        return self.slots.put(render)

    # --- references ------------------------------------------------------------------------------

    def ref(self, target: str) -> str:
        """The number of a figure, table or section: `fig:NAME`, `tab:NAME`, `sec:its-heading`."""
        return self.slots.put(lambda: self._reference(target), target)

    def formula(self, tex: str, display: bool) -> str:
        """A formula; `display` for one on a line of its own."""
        image = formulas.image(tex, display, self.sheet.column * PX)
        return self.slots.put(lambda: image, "" if display else tex)

    def listed(self) -> list[tuple[str, str, str]]:
        """(label, key, HTML) of the works that are cited, as the style has them."""
        return self.citations.listed(self._formula)

    def _formula(self, tex: str) -> str:
        return formulas.image(tex, False, self.sheet.column * PX)

    # --- parts -----------------------------------------------------------------------------------

    def _known(self, kind: str, name: str, names: Sequence[str]) -> None:
        if name not in names:
            raise miss(f"run {self._run.id[:8]} has no {kind}", name, names)

    def _label(self, prefix: str, name: str, word: str) -> str:
        """Numbers a figure or table in the order of the text."""
        target = f"{prefix}:{name}"
        if target in self._labels:
            raise UserError(
                f"{word.lower()} '{name}' stands twice in the text: refer to it as @{target}"
            )
        number = 1 + sum(known.startswith(f"{prefix}:") for known in self._labels)
        self._labels[target] = f"{word}\u00a0{number}"
        return self.parts("label", text=self._labels[target])

    def _reference(self, target: str) -> str:
        sections = {
            anchor.replace("-", ":", 1): f"Section\u00a0{number}"
            for anchor, number in self.sections.items()
        }
        labels = self._labels | sections
        if target not in labels:
            gap = miss("the text has nothing to refer to as", target, labels)
            if self.draft is None:
                raise gap
            return self.draft.boxed(gap)
        anchor = target.replace(":", "-", 1)
        return self.parts("reference", anchor=anchor, text=labels[target])

    def _cell_of(self, table: str, part: tables.Part) -> tables.Print:
        def cell(column: str, text: str, raw: Cell, row: int) -> str:
            number = raw if isinstance(raw, Number) else Number(0.0)
            value = raw.value if isinstance(raw, Number) else raw
            printed = part.columns[column]
            more = {"row": row, "format": printed.format, **certainty(number)}
            manner = part.manner(column)
            alike = {"place": manner.place, "ends": manner.ends, "edition": EDITION}
            more |= {"shows": {"spread": printed.spread, "unit": False, **alike}}
            more |= {"lone": text.endswith(DAGGER)}
            name, run, plain = f"{table}.{column}", self._run.id, self.slots.plain(text)
            if plain != text:  # formulas are drawn: a reader of text finds the rest
                more |= {"stands": self.slots.bare(text, ""), "mark": text}
            return self.ledger.print("cell", name, plain, value, run=run, **more)

        return cell

    def _count_of(self, table: str, part: tables.Part, text: str) -> str:
        """Over how many seeds a table's cells are."""
        name, run = f"{table}.n", self._run.id
        value = sorted(part.seeds)
        return self.ledger.print("count", name, text, value, run=run, equal=part.equal)

    def _cut_of(self, table: str, part: tables.Part, file: str) -> str:
        """That not all rows are printed, and where they are."""
        counts = [len(part.shown), len(self._results.table(table).rows)]
        text, name = tables.cut(counts[0], counts[1], file), f"{table}.rows"
        return self.ledger.print("cut", name, text, counts, run=self._run.id, file=file)

    def _checked(self, part: tables.Part) -> None:
        """Fails while the template's line is known, not when the slot is filled."""
        tables.rows(part, lambda column, text, raw, row: text)
        tables.heads(part, str)
