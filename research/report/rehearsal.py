"""A rehearsal: a write-up is read before anything is trained, for what no run can mend.

It is read as if a run had whatever it names, with every block that is for some runs only. So an
unknown citation, a typed number or a broken formula is found, all at once; whether the run logs a
number of that name is for the run to show.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from research.errors import UserError
from research.paths import template
from research.report import authors, pdf, render, typed
from research.report import source as texts
from research.report.citations import Citations, bibliography
from research.report.misses import at, line_of, miss, place_of, text_of
from research.report.stand_ins import Rehearsed


def mistakes(source: Path, *, author: Path, templates: Path, studies: Sequence[str]) -> list[str]:
    """All that is wrong with a write-up, its author's file, bibliography and templates.

    Args:
        studies: those that there are, of which the write-up may read a run.

    Returns:
        one line for each mistake, with its place where that is known; none if the write-up is fit
        for a run that logs what it names.
    """
    collected = _Mistakes()
    with collected.errors():
        signed = authors.read(author)
        collected.glyphs(author.name, *signed.single().values())
    _check_templates(templates, collected)
    with collected.errors():
        text = texts.read(source)
        with collected.errors():
            bibliography(text, templates, Citations)
        _check_head(text, studies, collected)
        with collected.errors():
            _rehearse(text, templates, collected)
    return collected.lines


class _Mistakes:
    """The mistakes so far, each once, in the order of the text as far as it is known."""

    def __init__(self) -> None:
        self._at: dict[str, tuple[bool, int]] = {}

    @property
    def lines(self) -> list[str]:
        return sorted(self._at, key=self._at.__getitem__)

    def add(self, message: str, line: int | None = None) -> None:
        self._at.setdefault(message, (line is not None, line or 0))

    def place(self, path: Path, line: int | None, message: str, column: int | None = None) -> None:
        self.add(str(at(path, line, message, column)), line)

    def glyphs(self, name: str, *texts: str) -> None:
        for text in texts:
            try:
                pdf.check_glyphs(text)
            except UserError as error:
                self.add(f"{name}: {error}")

    @contextmanager
    def errors(self) -> Iterator[None]:
        try:
            yield
        except UserError as error:
            self.add(str(error))


def _check_templates(templates: Path, collected: _Mistakes) -> None:
    env = render.environment(templates)
    for name in ("page.html.jinja", "page.css.jinja", *(f"{n}.html.jinja" for n in _PIECES)):
        try:
            env.get_template(name)
        except render.FAULTS as error:
            line = getattr(error, "lineno", None)
            message = str(getattr(error, "message", error))
            collected.place(template(templates, name), line, f"this is no template: {message}")


_PIECES = ("title", "foot", "compute", "parts")


def _check_head(text: texts.Source, studies: Sequence[str], collected: _Mistakes) -> None:
    """The front matter: studies that are read, and letters in title and keywords."""
    whole = text_of(text.path)
    for study in text.reads:
        if study not in studies:
            line = line_of(whole, "reads")
            collected.place(text.path, line, str(miss("there is no study", study, studies)))
    collected.glyphs(text.path.name, text.title, *text.keywords)


def _rehearse(text: texts.Source, templates: Path, collected: _Mistakes) -> None:
    words = Rehearsed(text, render.Parts(templates), bibliography(text, templates, Citations))
    words.read_all()
    for mistake in words.mistakes:
        collected.add(str(mistake), getattr(mistake, "line", None))
    for line, message in dict.fromkeys(words.faults):
        collected.place(text.path, line, message)
    _check_targets(words, collected)
    _place_typed(words, collected)
    with collected.errors():
        words.listed()


def _check_targets(words: Rehearsed, collected: _Mistakes) -> None:
    labels = sorted({anchor.replace("-", ":", 1) for anchor in words.anchors if "-" in anchor})
    for line, target in dict.fromkeys(words.targets):
        if target.replace(":", "-", 1) not in words.anchors:
            message = str(miss("the text has nothing to refer to as", target, labels))
            column = place_of(words.source.text, f"@{target}")[1]
            collected.place(words.source.path, line, message, column)


def _place_typed(words: Rehearsed, collected: _Mistakes) -> None:
    """The same number in another paragraph is taken to be that of the next line that holds it."""
    source, left = words.source, dict[str, list[int]]()
    for number, context in dict.fromkeys(words.typed):
        if number not in left:
            lines = left[number] = typed.lines_of(number, source)
            line = next(iter(lines), None)
        elif len(left[number]) > 1:
            line = left[number].pop(0) and left[number][0]
        else:
            continue
        column = typed.column_of(number, source, line)
        collected.place(source.path, line, typed.typed(number, context), column)
