"""Stand-ins for a run that is not made yet, which have whatever a write-up names."""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urljoin, urlparse

from research import fonts
from research.errors import UserError
from research.provenance import literals
from research.provenance.formats import measured, plain
from research.provenance.trail import Ledger
from research.records import Cell, Number, Outcome, Results, Run
from research.report import composition, pdf, pictures
from research.report import source as texts
from research.report.blocks import Blocks
from research.report.citations import Citations
from research.report.language import Reader
from research.report.layout import LOOKS
from research.report.misses import line_of
from research.report.render import Parts
from research.report.slots import Slots
from research.report.tables import MOST, Column, Columns, check_most
from research.report.values import Order
from research.report.words import Words


class Rehearsed(Words):
    """What a write-up prints without a run, and what is found while it is read.

    Attributes:
        mistakes: what is wrong, most with its place.
        faults: (line, message) of what else is wrong.
        typed: (number, its line as printed) of each number that is no value.
        anchors: ids of the document that a reference may lead to.
        targets: (line, target) of each reference.
    """

    def __init__(self, source: texts.Source, parts: Parts, citations: Citations) -> None:
        nothing = Results(_no_run(), Path("no-run"))
        ledger = Ledger(nothing, dict.fromkeys(source.reads, nothing))
        super().__init__(ledger, parts, citations, LOOKS[source.look], folder=source.path.parent)
        self.source = source
        self.twice = bool(re.search(r"\{\.(?:only|except)\b", source.text))
        self.slots = _Safe(self._fault)
        self.faults: list[tuple[int | None, str]] = []
        self.typed: list[tuple[str, str]] = []
        self.anchors: set[str] = set()
        self.targets: list[tuple[int | None, str]] = []
        self.mistakes: list[UserError] = []

    anything = True

    def read_all(self) -> None:
        """Reads the text, every block for some runs with it."""
        reader = Reader(self.source, self, self.citations, self.mistakes)
        try:
            tree = reader.tree()
            body = Blocks(reader)
            blocks, self.sections = body.of(tree), body.sections
            composition.check_abstract(blocks)
        except UserError as error:
            self.mistakes.append(error)
            return
        for block in blocks:
            self._look(self.slots.fill(block.html))
        for head in (reader.title, *reader.keywords):
            self._look(self.slots.fill(head.html))

    # --- what only a run knows -------------------------------------------------------------------

    def number(
        self, name: str, format: str = ".3g", *, spread: bool = True, unit: bool = True
    ) -> str:
        text = measured(Number(0.5), format, spread=spread, unit=unit)
        return self._tracked("number", name, text, text)

    def setting(self, name: str, format: str | None = None) -> str:
        return self._tracked("setting", name, plain(1, format), 1)

    def fact(self, name: str, format: str | None = None) -> str:
        return self._tracked("fact", name, plain(1, format), 1)

    def figure(self, name: str, *, caption: str, alt: str | None = None, wide: bool = False) -> str:
        label = self._labelled("fig", name, "Figure")
        return self._block(f"fig-{name}", label, caption)

    def table(
        self, name: str, *, caption: str, columns: Columns,
        rows: Mapping[str, Sequence[Cell]] | None = None, wide: bool = False,
        most: int = MOST,
    ) -> str:  # fmt: skip
        check_most(name, most)
        label = self._labelled("tab", name, "Table")
        heads = [
            column.heading if isinstance(column, Column) else column for column in columns.values()
        ]
        return self._block(f"tab-{name}", label, caption, *heads)

    def picture(
        self, path: str, *, caption: str, alt: str = "", wide: bool = False, share: float = 0.0,
        page: int = 1,
    ) -> str:  # fmt: skip
        try:
            name = pictures.read(self._folder, path, page).name
        except UserError as error:
            self._fault(line_of(self.source.text, path), error)
            return ""
        return self._block(f"fig-{name}", self._labelled("fig", name, "Figure"), caption)

    def own_table(self, name: str, caption: str, content: str, wide: bool) -> str:
        label = self._labelled("tab", name, "Table")
        return self._block(f"tab-{name}", label, caption, content)

    def asserted(self, name: str, expected: Outcome, text: str) -> str:
        self.of(name)
        return text

    def ordered(self, a: str, order: Order, b: str | float, text: str) -> str:
        for name in (operand for operand in (a, b) if isinstance(operand, str)):
            self.of(name)
        return text

    # --- parts -----------------------------------------------------------------------------------

    def _labelled(self, prefix: str, name: str, word: str) -> str:
        anchor = f"{prefix}-{name}"
        if self.twice and anchor in self.anchors:
            return ""
        self.anchors.add(anchor)
        return self._label(prefix, name, word)

    def _block(self, anchor: str, label: str, *texts: str) -> str:
        def html() -> str:
            captions = "".join(f"<figcaption>{text}</figcaption>" for text in texts)
            return f'<figure id="{anchor}">{label}{captions}</figure>'

        return self.slots.put(html)

    def ref(self, target: str) -> str:
        self.targets.append((line_of(self.source.text, f"@{target}"), target))
        return self.slots.put(lambda: '<span class="auto">…</span>', target)

    def _look(self, html: str) -> None:
        """What stands in a block as it would be printed."""
        self.typed += literals.untracked(html)
        self.anchors |= set(re.findall(r' id="([^"]+)"', html))
        self.targets += [
            (line_of(self.source.text, f"#{target}"), target)
            for target in re.findall(r'<a href="#([^"]+)"', html)
            if not target.startswith("ref-")
        ]
        for address in re.findall(r'<img [^>]*?src="([^"]*)"', html):
            if not _opens(address):
                message = f"there is no picture '{address}'"
                self.faults.append((line_of(self.source.text, unquote(address)), message))
        try:
            pdf.check_glyphs(html)
        except UserError as error:
            letter = re.search(r" has '(.)'", str(error))
            line = line_of(self.source.text, letter[1]) if letter else None
            self.faults.append((line, str(error)))

    def _fault(self, line: int | None, error: Exception) -> None:
        self.faults.append((line, str(error)))


class _Safe(Slots):
    """Slots that leave a note where they cannot be filled."""

    def __init__(self, fault: Callable[[int | None, Exception], None]) -> None:
        super().__init__()
        self._fault = fault

    def put(self, html: Callable[[], str], text: str = "") -> str:
        def filled() -> str:
            try:
                return html()
            except UserError as error:
                self._fault(None, error)
                return ""

        return super().put(filled, text)


def _opens(address: str) -> bool:
    """Whether the layout finds a picture: it reads files and no network."""
    parts = urlparse(urljoin(f"{fonts.folder().as_uri()}/", address))
    return parts.scheme == "data" or (
        parts.scheme == "file" and Path(unquote(parts.path)).is_file()
    )


def _no_run() -> Run:
    nothing: dict[str, Any] = dict.fromkeys(Run.__dataclass_fields__, "")
    return Run(**nothing | {"config": {}, "seeds": (), "data": {}, "dirty": False, "versions": {},
                            "seconds": {}, "findings": (), "changed": {}, "models": {},
                            "code": {}, "compute": {}})  # fmt: skip
