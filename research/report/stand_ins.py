"""Stand-ins for a run that is not made yet: words that answer for whatever a write-up names."""

import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urljoin, urlparse

from research import fonts
from research.errors import UserError
from research.provenance import literals
from research.provenance.formats import measured, plain
from research.provenance.trail import Ledger
from research.records import Cell, Number, Outcome, Results, Run
from research.report import formulas, limits, markdown, pdf, pictures, render, ways
from research.report import source as texts
from research.report.blocks import Blocks
from research.report.citations import Citations
from research.report.language import Reader
from research.report.layout import LOOKS, PX
from research.report.misses import line_of
from research.report.slots import Kind, Slots
from research.report.tables import MOST, Column, Wanted, check_most
from research.report.values import Order
from research.report.words import Words


class Whatever:
    """A value that only a run knows: every comparison with it is false, all it has is like it."""

    def _itself(self, *args: Any, **more: Any) -> "Whatever":
        return self

    def _no(self, other: object) -> bool:
        return False

    def __getattr__(self, name: str) -> "Whatever":
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __iter__(self) -> Iterator["Whatever"]:
        yield self

    def __len__(self) -> int:
        return 1

    def __int__(self) -> int:
        return 1

    def __float__(self) -> float:
        return 1.0

    def __bool__(self) -> bool:
        return False

    def __str__(self) -> str:
        return "…"

    __hash__ = object.__hash__
    __index__ = __int__
    __call__ = __getitem__ = __round__ = __neg__ = __abs__ = _itself
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = _itself
    __rtruediv__ = __floordiv__ = __rfloordiv__ = __mod__ = __rmod__ = __pow__ = __rpow__ = _itself
    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __contains__ = _no


class Rehearsed(Words):
    """The words of a write-up without a run, and what is found while they are spoken.

    Attributes:
        faults: (line, message) of what is wrong wherever it stands.
        misshapen: the same of the text as a whole: its headings, figures that stand twice.
        typed: (number, its line as printed) of each number that no word printed.
        anchors: ids of the document that a reference may lead to.
        targets: (line, target) of each reference.
    """

    def __init__(self, source: texts.Source, citations: Citations) -> None:
        nothing = Results(_no_run(), Path("no-run"))
        ledger = Ledger(nothing, dict.fromkeys(source.reads, nothing))
        inline = str if source.braces else None
        super().__init__(
            ledger, citations, LOOKS[source.look], folder=source.path.parent, inline=inline
        )
        self.source = source
        self.slots = _Safe(self._fault, self._line)
        self.faults: list[tuple[int | None, str]] = []
        self.misshapen: list[tuple[int | None, str]] = []
        self.typed: list[tuple[str, str]] = []
        self.anchors: set[str] = set()
        self.targets: list[tuple[int | None, str]] = []
        self.mistakes: list[UserError] = []
        self._template: Any = None

    anything = True

    def hear(self) -> None:
        """Reads a text with values in braces, every block for some runs with it."""
        reader = Reader(self.source, self, self.citations, self.mistakes)
        try:
            tree = reader.tree()
            made = Blocks(reader)
            blocks, self.sections = made.of(tree), made.sections
            render.check_abstract(blocks)
        except UserError as error:
            self.misshapen.append((getattr(error, "line", None), str(error)))
            return
        for block in blocks:
            self._look(self.slots.fill(block.html))
        for head in (reader.title, *reader.keywords):
            self._look(self.slots.fill(head.html))

    def speak(self, env: Any, way: int, unknown: Mapping[str, Whatever]) -> None:
        """Takes one way through the text."""
        code = formulas.set_aside(pictures.as_words(self.source.text), self.formula)
        self._template = ways.template(env, code, way, self.source.path)
        try:
            text = self._template.render({**unknown, **self.vocabulary()})
            limits.check_text(text)
            blocks, self.sections = markdown.blocks(text, self.slots)
            render.check_abstract(blocks)
        except render.FAULTS as error:
            self.misshapen.append(self._placed(error))
            return
        for block in blocks:
            self._look(self.slots.fill(block.html))

    def vocabulary(self) -> dict[str, Callable[..., Any]]:
        return {name: self._heard(word) for name, word in super().vocabulary().items()}

    def _heard(self, word: Callable[..., Any]) -> Callable[..., Any]:
        """The word, which leaves a note where it fails."""

        @wraps(word)
        def spoken(*args: Any, **more: Any) -> Any:
            try:
                return word(*args, **more)
            except render.FAULTS as error:
                self._fault(self._line(), error)
                return ""

        return spoken

    # --- words whose answer only a run knows -----------------------------------------------------

    def number(
        self, name: str, format: str = ".3g", *, spread: bool = True, unit: bool = True
    ) -> str:
        text = measured(Number(0.5), format, spread=spread, unit=unit)
        return self._tracked("number", name, text, text)

    def value(self, name: str, default: Any = None) -> Any:
        self.of(name)
        return Whatever()

    def setting(self, name: str, format: str | None = None) -> str:
        return self._tracked("setting", name, plain(1, format), 1)

    def fact(self, name: str, format: str | None = None) -> str:
        return self._tracked("fact", name, plain(1, format), 1)

    def compare(
        self, a: str, b: str | float, *, less: str = "lower than", greater: str = "higher than",
        tie: str = "indistinguishable from",
    ) -> str:  # fmt: skip
        for name in (one for one in (a, b) if isinstance(one, str)):
            self.of(name)
        for words in (less, greater, tie):
            for number in literals.numbers(self.slots.bare(words)):
                raise UserError(
                    f"the number {number} is typed into a comparison of '{a}': '{words}'; it is "
                    "printed by a word or not at all"
                )
        return tie

    def claim(self, name: str, *, holds: str, fails: str, undecided: str) -> str:
        self.of(name)
        branches = {"holds": holds, "fails": fails, "is undecided": undecided}
        for way, branch in branches.items():
            self.check_branch(name, branch, f", where it {way}")
        return self.slots.put(lambda: " ".join(map(self._inline, branches.values())), holds)

    def figure(self, name: str, *, caption: str, alt: str | None = None, wide: bool = False) -> str:
        label = self._labelled("fig", name, "Figure")
        return self._block(f"fig-{name}", label, caption, wide=wide)

    def table(
        self, name: str, *, caption: str, columns: Wanted,
        rows: Mapping[str, Sequence[Cell]] | None = None, wide: bool = False,
        most: int = MOST,
    ) -> str:  # fmt: skip
        check_most(name, most)
        label = self._labelled("tab", name, "Table")
        heads = [one.heading if isinstance(one, Column) else one for one in columns.values()]
        return self._block(f"tab-{name}", label, caption, *heads, wide=wide)

    def picture(
        self, path: str, *, caption: str, alt: str = "", wide: bool = False, share: float = 0.0,
        page: int = 1,
    ) -> str:  # fmt: skip
        try:
            name = pictures.read(self._folder, path, page).name
        except UserError as error:
            self._fault(line_of(self.source.text, path), error)
            return ""
        return self._block(f"fig-{name}", self._labelled("fig", name, "Figure"), caption, wide=wide)

    def own_table(self, name: str, caption: str, content: str, wide: bool) -> str:
        label = self._labelled("tab", name, "Table")
        return self._block(f"tab-{name}", label, caption, content, wide=wide)

    def asserted(self, name: str, expected: Outcome, text: str) -> str:
        self.of(name)
        return text

    def ordered(self, a: str, order: Order, b: str | float, text: str) -> str:
        for name in (one for one in (a, b) if isinstance(one, str)):
            self.of(name)
        return text

    def formula(self, tex: str, display: bool) -> str:
        if self.source.braces:
            formulas.image(tex, display, self.sheet.column * PX)
            return super().formula(tex, display)
        try:
            formulas.image(tex, display, self.sheet.column * PX)
        except UserError as error:
            self._fault(line_of(self.source.text, tex.splitlines()[0]), error)
            return ""
        return super().formula(tex, display)

    # --- parts -----------------------------------------------------------------------------------

    def _labelled(self, prefix: str, name: str, word: str) -> str:
        self.anchors.add(f"{prefix}-{name}")
        try:
            return self._label(prefix, name, word)
        except UserError as error:  # on another way it may stand only once
            self.misshapen.append((self._line(), str(error)))
            return ""

    def _block(self, anchor: str, label: str, *texts: str, wide: bool) -> str:
        kind: Kind = "wide" if wide else "float"

        def html() -> str:
            captions = "".join(f"<figcaption>{self._inline(text)}</figcaption>" for text in texts)
            return f'<figure id="{anchor}">{label}{captions}</figure>'

        return self.slots.put_block(html, kind)

    def ref(self, target: str) -> str:
        line = line_of(self.source.text, f"@{target}") if self.source.braces else self._line()
        self.targets.append((line, target))
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
        self.faults.append((line, str(error).replace("Words.", "").replace("Rehearsed.", "")))

    def _placed(self, error: Exception) -> tuple[int | None, str]:
        line = render.line_at(error, self.source)
        return line, render.told(error)

    def _line(self) -> int | None:
        """The line of the write-up that is being spoken."""
        frame = sys._getframe() if self._template is not None else None
        while frame is not None and frame.f_code.co_filename != str(self.source.path):
            frame = frame.f_back
        return self._template.get_corresponding_lineno(frame.f_lineno) if frame else None


class _Safe(Slots):
    """Slots that leave a note, with the line of their word, where they cannot be filled."""

    def __init__(
        self, fault: Callable[[int | None, Exception], None], line: Callable[[], int | None]
    ) -> None:
        super().__init__()
        self._fault, self._line = fault, line

    def put(self, html: Callable[[], str], text: str = "") -> str:
        return super().put(self._noting(html), text)

    def put_block(self, html: Callable[[], str], kind: Kind) -> str:
        return super().put_block(self._noting(html), kind)

    def _noting(self, html: Callable[[], str]) -> Callable[[], str]:
        line = self._line()

        def filled() -> str:
            try:
                return html()
            except UserError as error:
                self._fault(line, error)
                return ""

        return filled


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
