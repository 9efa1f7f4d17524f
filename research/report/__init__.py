"""The write-up: one stored record, a Markdown file and the templates become a paper.

    source ─▶ read over the record ─▶ blocks ─▶ galley ─▶ plan ─▶ pages ─▶ PDF and HTML
    source    language, braces, words blocks    pdf       layout  pdf      provenance
              citations, formulas

Nothing here trains, measures or draws: it prints what a run left behind and records where.
"""

import dataclasses
import gc
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from research.errors import UserError
from research.paths import PACKAGED
from research.provenance import attachment, page_text, reading
from research.provenance import trail as provenance
from research.provenance.attachment import Attached
from research.provenance.cohort import History, Past
from research.records import Results, damage
from research.report import anonymous as hidden
from research.report import authors, composition, limits, pdf, pictures, render
from research.report import source as texts
from research.report.citations import style_beside
from research.report.layout import LOOKS, Plan
from research.report.words import Words

__all__ = ["Built", "History", "Past", "build", "differences", "moved", "reads", "shown"]

NOTHING_KNOWN = History()


@dataclass(frozen=True)
class Built:
    """A finished paper.

    Attributes:
        pdf: where the PDF lies.
        html: the same as one self-contained page for a screen.
        pages: of the PDF.
        seconds: wall time of each part: text, layout, writing.
        provenance: see `research.provenance.trail`.
        gaps: what a draft lacks, one line each.
        remarks: what looks unfinished and stops nothing, one line each.
    """

    pdf: Path
    html: Path
    pages: int
    seconds: dict[str, float]
    provenance: dict[str, Any]
    gaps: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


@dataclass
class _Clock:
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - start


def build(
    results: Results,
    source: Path,
    out: Path,
    *,
    author: Path,
    templates: Path,
    others: Mapping[str, Results] = {},
    history: History = NOTHING_KNOWN,
    draft: bool = False,
    anonymous: bool = False,
    stale: Sequence[str] = (),
) -> Built:
    """Builds `out` (a PDF/A-3a of two to three pages) and, beside it, the same as `.html`.

    The same record and sources give the same bytes. Both files are written at the very end, whole
    or not at all, so a failed build leaves the former ones alone.

    Args:
        results: the record of a finished run.
        source: the write-up, Markdown with the words that templates/README.md lists.
        author: a TOML file; see `research.report.authors`.
        templates: page templates, style sheets and references.bib that take the place of the
            package's own, file by file.
        others: records of the studies that the write-up `reads` beside its own.
        history: the runs around this one, for what the foot says of cohort and selection.
        draft: prints a box where the write-up names what is not there, instead of raising.
        anonymous: names no author, commit, folder, user or machine.
        stale: what has changed since the run, for the foot, see `tracking.staleness.phrases`.

    Raises:
        UserError: anything in the sources, the record or the layout that is not fit to print.
    """
    with _uncollected(), limits.within():
        text, whole = texts.read(source), authors.read(author)
        beside = _beside(text, others)
        if anonymous:
            beside = {study: hidden.cleaned(other) for study, other in beside.items()}
            results = hidden.cleaned(results)
        ledger = provenance.Ledger(results, beside, history, stale=tuple(stale))
        signed = authors.Authors((authors.Person(hidden.NAME),)) if anonymous else whole
        sources = _sources(source, author, templates)
        # a digest of the author's file would tell who is meant to whoever guesses
        sources = [path for path in sources if not (anonymous and path == author)]
        checked = hidden.secrets(whole.single()) if anonymous else {}
        return _build(ledger, text, out, signed, templates, sources, checked, draft=draft)


def _build(
    ledger: provenance.Ledger,
    text: texts.Source,
    out: Path,
    signed: authors.Authors,
    templates: Path,
    made_of: Sequence[Path],
    secrets: Mapping[str, str],
    *,
    draft: bool,
) -> Built:
    clock, sheet, results = _Clock(), LOOKS[text.look], ledger.results
    ended = results.run.ended
    with clock.part("text"):
        env = render.environment(templates)
        words = Words.over(ledger, text, templates, sheet, draft=draft)
        paper = composition.paper(env, text, words, signed)
    with clock.part("layout"):

        def arrange(plan: Plan | None) -> str:
            return composition.arrange(env, paper, sheet, "print" if plan else "galley", plan)

        memory = results.folder / "report/galley.json"
        laid = pdf.typeset(arrange, paper.blocks, sheet, memory, draft=draft)
    with clock.part("writing"):
        sources = provenance.digests(made_of)
        head = paper.head
        gaps = (*paper.gaps, *laid.complaints)
        if lost := provenance.unplaced(ledger, laid.places):
            raise UserError(
                f"what is printed stands on a page, but {', '.join(lost[:5])} on none: does a "
                "style sheet or template hide it?"
            )
        bare = provenance.trail(ledger, head["title"], signed.block(), sources, laid.places)
        bare["gaps"] = list(gaps)
        written = pdf.write(laid.document, _attached(ledger), ended)
        page_text.note_reordered(bare["numbers"], written)
        trail = provenance.sealed(bare, page_text.shown(written))
        page = composition.arrange(env, paper, sheet, "screen", trail=_script(trail))
        content = attachment.attach(written, _record(trail), ended)
        if hits := hidden.occurrences(content, page.encode(), secrets) if secrets else []:
            raise UserError(f"the paper is not anonymous: {'; '.join(hits[:5])}")
        _replace({out.with_suffix(".html"): page.encode(), out: content})
    html, pages = out.with_suffix(".html"), len(laid.document.pages)
    return Built(out, html, pages, clock.seconds, trail, gaps, laid.remarks)


def shown(
    results: Results,
    source: Path,
    *,
    author: Path,
    templates: Path,
    others: Mapping[str, Results] = {},
    history: History = NOTHING_KNOWN,
    stale: Sequence[str] = (),
) -> str:
    """A draft as a page for a screen, without the PDF and its trail, which take longer.

    Args and Raises as of `build`.
    """
    with limits.within():
        text, signed = texts.read(source), authors.read(author)
        sheet = LOOKS[text.look]
        beside = _beside(text, others)
        ledger = provenance.Ledger(results, beside, history, stale=tuple(stale))
        env = render.environment(templates)
        words = Words.over(ledger, text, templates, sheet, draft=True)
        paper = composition.paper(env, text, words, signed)
        return composition.arrange(env, paper, sheet, "screen", trail="{}")


def moved(built: Built, out: Path) -> Built:
    """The paper with its page put where `out` says, whole or not at all, over a former one."""
    html = out.with_suffix(".html")
    _replace({html: built.html.read_bytes(), out: built.pdf.read_bytes()})
    return dataclasses.replace(built, pdf=out, html=html)


def _beside(text: texts.Source, others: Mapping[str, Results]) -> dict[str, Results]:
    """The records of the studies that the front matter names."""
    for study in text.reads:
        if study not in others:
            raise UserError(
                f"{text.path.name} reads a run of '{study}' too, there is none: make run-{study}"
            )
    return {study: others[study] for study in text.reads}


def reads(source: Path) -> tuple[str, ...]:
    """The studies of which a write-up reads a run beside its own. Raises UserError as `build`."""
    return texts.read(source).reads


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without the garbage collector: a layout makes millions of objects that live to its end, and
    searching them for cycles takes a sixth of the build."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def differences(
    out: Path,
    run: str,
    record: Path,
    source: Path,
    *,
    author: Path,
    templates: Path,
    others: Mapping[str, str] = {},
) -> list[str]:
    """Why the PDF `out` is not what `build` would make of this run now; empty if it is.

    Args:
        others: study -> id of the run that would be read beside it.
    """
    return reading.differences(out, run, record, _sources(source, author, templates), others)


def _sources(source: Path, author: Path, templates: Path) -> list[Path]:
    """What a write-up is made of, beside the record."""
    folders = [folder for folder in (PACKAGED, templates) if folder.is_dir()]
    looks = {path.name: path for folder in folders for path in folder.iterdir()}
    used = (path for path in looks.values() if path.is_file() and path.suffix != ".md")
    beside = _files_beside(source)
    return [source, author, *beside, *sorted(used, key=lambda path: path.name)]


def _files_beside(source: Path) -> list[Path]:
    """The author's pictures, bibliography and style, as far as they are there; a build tells of
    the others."""
    try:
        read = texts.read(source)
    except UserError:
        return []
    used = {
        path for name in pictures.in_text(read.text) if (path := source.parent / name).is_file()
    }
    if read.bibliography and (own := source.parent / read.bibliography).is_file():
        used |= {own, *style_beside(own, read.style)}
    return sorted(used)


def _record(trail: dict[str, Any]) -> Attached:
    return Attached(attachment.NAME, provenance.DESCRIPTION, provenance.as_json(trail).encode())


def _attached(ledger: provenance.Ledger) -> list[Attached]:
    """All numbers of the runs, and the data behind figures and tables."""
    folder = ledger.results.folder
    numbers = [
        Attached(file.attachment, f"{file.path} of run {file.run[:8]}", content)
        for file, content in provenance.measured_of(ledger)
    ]
    names = {number.name for number in numbers}  # a figure may be drawn from the run's numbers
    data = [
        Attached(file.attachment, f"{file.path} of the run", (folder / file.path).read_bytes())
        for file in ledger.attached()
        if file.attachment not in names
    ]
    return [*numbers, *data]


def _script(trail: dict[str, Any]) -> str:
    """JSON that no `</script>` inside it can end early."""
    return provenance.as_json(trail).replace("</", "<\\/")


def _replace(files: dict[Path, bytes]) -> None:
    for path, content in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        with damage.named(path):
            path.with_name(f".{path.name}.part").write_bytes(content)
    for path in files:
        path.with_name(f".{path.name}.part").replace(path)
