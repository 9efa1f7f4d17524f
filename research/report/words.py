"""The words of a write-up: what may stand between `{{` and `}}`. See templates/README.md."""

import html
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from research.errors import GapError, UserError
from research.provenance import literals
from research.provenance.entries import Comparison
from research.provenance.facts import portable
from research.provenance.formats import DAGGER, EDITION, measured, outcome, plain
from research.provenance.trail import Exhibit, Ledger, OwnPicture
from research.records import Cell, Number, Outcome
from research.report import alternatives, formulas, markdown, pictures, tables, vectors
from research.report.answers import Answers, certainty
from research.report.citations import Citations
from research.report.gaps import Draft
from research.report.layout import PX, Sheet
from research.report.misses import miss
from research.report.slots import Slots
from research.report.tables import Column, Wanted

_CRISP = b'<image image-rendering="crisp-edges" '

SLACK = 0.5
"""Millimetres by which a figure may be wider than its column before it counts as overflowing."""


class Words:
    """The vocabulary of one write-up over one run, and over those that it reads beside it.

    A number, fact or setting of another run is called by its study: `number("fgsm:accuracy")`.
    Each word returns text with slots; what is printed is entered in the ledger only where the slot
    is filled, so the trail holds exactly what stands on the page, however often it stands there.
    """

    def __init__(
        self, ledger: Ledger, citations: Citations, sheet: Sheet, *, draft: bool = False,
        folder: Path = Path(),
    ) -> None:  # fmt: skip
        """`folder` is that of the write-up, where its pictures lie."""
        self.ledger = ledger
        self._folder = folder
        self.slots = Slots()
        self.sections: dict[str, str] = {}
        self.draft = Draft(self.slots) if draft else None
        self._results = ledger.results
        around = ledger.surroundings
        runs = {"": ledger.results, **ledger.others}
        self._told = {study: Answers.of(one, around[one.run.id]) for study, one in runs.items()}
        self._run = ledger.results.run
        self._citations = citations
        self._sheet = sheet
        self._labels: dict[str, str] = {}

    def vocabulary(self) -> dict[str, Callable[..., Any]]:
        numbers = (self.number, self.value, self.setting, self.fact, self.quoted, self.stated)
        others = (self.claim, self.compare, self.figure, self.table, self.col, self.ref, self.cite)
        words = {word.__name__: word for word in (*numbers, *others, self.picture)}
        return self.draft.forgiving(words) if self.draft else words

    # --- numbers ---------------------------------------------------------------------------------

    def number(
        self, name: str, format: str = ".3g", *, spread: bool = True, unit: bool = True
    ) -> str:
        """A logged number with its 95 % interval, `± half-width` or `[low, high]`, and its unit."""
        number = self._number(name)
        text = measured(number, format, spread=spread, unit=unit) + DAGGER * number.lone
        return self._tracked(
            "number", name, text, number.value, format=format, **certainty(number),
            shows={"spread": spread, "unit": unit, "edition": EDITION}, lone=number.lone,
        )  # fmt: skip

    def value(self, name: str, default: Any = None) -> Any:
        """The raw value of a logged number or of a fact, for conditions; not to be printed.

        `default` is for what only some runs have, as `config.weights`; without it a miss is an
        error.
        """
        told, own = self._of(name)
        if own in told.facts and own not in told.numbers:
            return told.facts[own]
        if default is not None and own not in told.numbers:
            return default
        return self._number(name).value

    def setting(self, name: str, format: str | None = None) -> str:
        """A setting of the run, spelt like its flag."""
        told, own = self._of(name)
        if own not in told.config:
            raise miss(f"run {told.id[:8]} has no setting", own, told.config)
        value = portable(told.config[own])
        return self._tracked("setting", name, plain(value, format), value, format=format)

    def fact(self, name: str, format: str | None = None) -> str:
        """A fact of the run by its name in `provenance.facts`: preset, device, data.train."""
        told, own = self._of(name)
        if own not in told.facts:
            raise miss(f"run {told.id[:8]} has no fact", own, told.facts)
        value = told.facts[own]
        return self._tracked("fact", name, plain(value, format), value, format=format)

    def quoted(self, text: str, key: str) -> str:
        """A number taken from a source, printed with its citation."""
        self._citations.number(key)
        return self._tracked("quoted", key, text, text) + "\u00a0" + self.cite(key)

    def stated(self, text: str, reason: str) -> str:
        """A number that is the author's own choice; the reason is kept in the provenance.

        Raises:
            UserError: it looks like a result, which nobody chooses.
        """
        if literals.result_like(text):
            raise UserError(
                f"'{text}' looks like a result, which is no choice: log it and use number(), or "
                "quoted() with its source"
            )
        return self._tracked("stated", reason, text, text)

    def compare(
        self, a: str, b: str | float, *, less: str = "lower than", greater: str = "higher than",
        tie: str = "indistinguishable from",
    ) -> str:  # fmt: skip
        """The words that are true of two logged numbers, or of one and a constant.

        `tie` where their 95 % intervals share a point; a number without an interval counts as a
        point. Otherwise `less` or `greater`, by the values.
        """
        first, second = self._number(a), self._number(b) if isinstance(b, str) else Number(b)
        found = outcome(first, second)
        self.ledger.comparisons.append(Comparison(a=a, b=b, outcome=found))
        return {"less": less, "greater": greater, "tie": tie}[found]

    def claim(self, name: str, *, holds: str, fails: str, undecided: str) -> str:
        """The words that are true of a claim that the study tested.

        Raises:
            UserError: no such claim, or a number typed into any of the branches, printed or not.
        """
        told, own = self._of(name)
        if own not in told.claims:
            raise miss(f"run {told.id[:8]} logged no claim", own, told.claims)
        claim = told.claims[own]
        branches: dict[Outcome, str] = {"holds": holds, "fails": fails, "undecided": undecided}
        for way, branch in branches.items():
            self._check_branch(name, way, branch)
        chosen = branches[claim.outcome]

        def render() -> str:
            printed, html = self.slots.plain(chosen), self._inline(chosen)
            return self.ledger.claim(own, claim, printed, html, run=told.id)

        return self.slots.put(render, chosen)

    def vouch(self) -> str:
        """Boxes for what the manifests do not vouch for, as HTML; empty where they vouch for all.

        Raises:
            GapError: they do not, and this is no draft.
        """
        gaps = list(self.ledger.unvouched())
        if self.draft is None and gaps:
            raise gaps[0]
        return "".join(f"<p>{self.draft.boxed(gap)}</p>" for gap in gaps) if self.draft else ""

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
        width = self._sheet.text if wide else self._sheet.column
        if drawing.width_mm > width + SLACK:
            hint = "draw it narrower" if wide else "draw it narrower or say wide=True"
            raise GapError(
                f"figure '{name}' is {drawing.width_mm:.0f} mm wide, "
                f"{drawing.width_mm - width:.0f} mm "
                f"more than the {'page' if wide else 'column'}: {hint}"
            )
        artifact = self.ledger.file(drawing.svg)
        vectors.check(name, self._results.folder / drawing.svg)
        exhibit = Exhibit(f"i-{name}", name, artifact, tuple(map(self.ledger.file, drawing.data)))
        data = alternatives.sentence(self._results, drawing)
        if not (data if alt is None else alt.strip()):
            gap = GapError(
                f"figure '{name}' needs alt=…, what it shows in words for who cannot see it"
            )
            if self.draft is None:
                raise gap
            self.draft.note(gap)
        label = self._label("fig", name, "Figure")

        def render() -> str:
            self.ledger.figures.append(exhibit)
            svg = (self._results.folder / drawing.svg).read_bytes()
            source = formulas.data_uri(svg.replace(b"<image ", _CRISP))  # PDF/A wants it so
            told = (self.slots.plain(alt or "").strip(), data)
            described = html.escape(alternatives.joined(*told) or f"figure {name}")
            size = f"width:{drawing.width_mm}mm;height:{drawing.height_mm}mm"
            return (
                f'<figure class="{"wide" if wide else "float"}" id="fig-{name}">'
                f'<img id="i-{name}" alt="{described}" src="{source}" style="{size}">'
                f"<figcaption>{label}. {self._inline(caption)}</figcaption></figure>"
            )

        return self.slots.put_block(render, "wide" if wide else "float")

    def picture(self, path: str, caller: Callable[[], str], alt: str, attributes: str) -> str:
        """A picture of the author's, no wider than its place; written `![…](…)`, not as a word.

        Raises UserError where there is no such file, or one that cannot be printed.
        """
        wide, share = pictures.attributes_of(attributes)
        room = self._sheet.text if wide else self._sheet.column
        picture = pictures.read(self._folder, path)
        label = self._label("fig", picture.name, "Figure")
        caption = str(caller())

        def render() -> str:
            self.ledger.pictures.append(OwnPicture(f"i-{picture.name}", path, picture.sha256))
            told = alt or self.slots.plain(caption).strip()
            width = share * room or min(room, picture.width_mm)
            return picture.figure(width, wide, told, f"{label}. {self._inline(caption)}")

        return self.slots.put_block(render, "wide" if wide else "float")

    def table(
        self, name: str, *, caption: str, columns: Wanted,
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
            return (
                f'<figure class="table {"wide" if wide else "float"}" id="tab-{name}">'
                f"<figcaption>{label}. {self._inline(caption)}{seeds}</figcaption>"
                f'<table id="t-{name}"><thead>{tables.heading(part, self._inline)}</thead>'
                f"<tbody>{tables.body(part, self._cell_of(name, part))}</tbody></table></figure>"
            )

        return self.slots.put_block(render, "wide" if wide else "float")

    def col(
        self, heading: str, format: str | None = None, *, best: Any = None,
        labels: Mapping[str, str] | None = None, spread: bool = True,
    ) -> Column:  # fmt: skip
        """How a table's column is printed; see `tables.Column`."""
        return Column(heading, format, best, labels or {}, spread)

    # --- references ------------------------------------------------------------------------------

    def ref(self, target: str) -> str:
        """The number of a figure, table or section: `fig:NAME`, `tab:NAME`, `sec:its-heading`."""
        return self.slots.put(lambda: self._reference(target), target)

    def cite(self, *keys: str) -> str:
        """Numbered references to entries of the bibliography: [1, 4]."""
        numbers = {self._citations.number(key): key for key in keys}
        links = (f'<a href="#ref-{key}">{number}</a>' for number, key in sorted(numbers.items()))
        text = f'<span class="auto cite">[{", ".join(links)}]</span>'
        return self.slots.put(lambda: text)

    def formula(self, tex: str, display: bool) -> str:
        """A formula; written `$…$` or `$$…$$`, not as a word."""
        made = formulas.image(tex, display, self._sheet.column * PX)
        if display:
            return self.slots.put_block(lambda: made, "formula")
        return self.slots.put(lambda: made, tex)

    def references(self) -> list[tuple[int, str, str]]:
        """(number, key, HTML) of the works that were cited."""
        room = self._sheet.column * PX
        return self._citations.references(lambda tex: formulas.image(tex, False, room))

    # --- parts -----------------------------------------------------------------------------------

    def _of(self, name: str) -> tuple[Answers, str]:
        """The run that a name speaks of, and what it is called there: `fgsm:accuracy`."""
        study, colon, own = name.rpartition(":")
        if colon and study not in self._told:
            known = [study for study in self._told if study]
            hint = f"it reads {', '.join(known)}" if known else f"add a line 'reads: {study}'"
            raise UserError(f"'{name}' is of another study, and the front matter says: {hint}")
        return self._told[study], own

    def _number(self, name: str) -> Number:
        told, own = self._of(name)
        if own not in told.numbers:
            raise miss(f"run {told.id[:8]} logged no number", own, told.numbers)
        return told.numbers[own]

    def _tracked(self, kind: str, name: str, text: str, value: Any, **more: Any) -> str:
        # what was quoted or stated is of no run, and its text may hold a colon
        of_run = kind in ("number", "setting", "fact")
        told, own = self._of(name) if of_run else (self._told[""], name)

        def render() -> str:
            self.ledger.lone |= kind == "number" and text.endswith(DAGGER)
            return self.ledger.print(kind, own, text, value, run=told.id, **more)

        return self.slots.put(render, text)

    def _check_branch(self, name: str, outcome: str, text: str) -> None:
        found = literals.untracked(markdown.inline(self.slots.bare(text)))
        if found:
            raise UserError(
                f"the number {found[0][0]} is typed into claim '{name}', where it {outcome}: "
                f"'{found[0][1]}'; it is printed by a word or not at all"
            )

    def _inline(self, text: str) -> str:
        return self.slots.fill(markdown.inline(text))

    def _known(self, kind: str, name: str, names: Sequence[str]) -> None:
        if name not in names:
            raise miss(f"run {self._run.id[:8]} has no {kind}", name, names)

    def _label(self, prefix: str, name: str, word: str) -> str:
        """Numbers a figure or table in the order of the text."""
        target = f"{prefix}:{name}"
        if target in self._labels:
            raise UserError(
                f"{word.lower()} '{name}' stands twice in the text: refer to it with ref()"
            )
        number = 1 + sum(known.startswith(f"{prefix}:") for known in self._labels)
        self._labels[target] = f"{word}\u00a0{number}"
        return f'<span class="auto label">{self._labels[target]}</span>'

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
        return f'<a class="auto" href="#{target.replace(":", "-", 1)}">{labels[target]}</a>'

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
        tables.body(part, lambda column, text, raw, row: text)
        tables.heading(part, str)
