"""Verbs that write papers, or tell of their state."""

import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from research import paths, studies
from research.cli import needs
from research.cli.flags import Paper, Stored, adopted_entries, known, parse, stored
from research.cli.runs import run_study
from research.errors import UserError, in_a_line
from research.tracking import Store, Summary, open_store
from research.tracking.finding import newest

if TYPE_CHECKING:
    from research.records import Results, Run
    from research.report import Built, History


def report(args: list[str]) -> None:
    """Builds paper/STUDY.pdf from the newest full run, else the newest other, else a new run"""
    entry, chosen, store, run = stored(args, "report", Paper)
    needs.pdf(paths.PAPER)
    how = ["--jobs", str(chosen.jobs), *(["--log", chosen.log] if chosen.log else [])]
    how += ["--experiment", chosen.experiment] if chosen.experiment else []
    if run is None:
        _check_before_training(entry, store, chosen)
        run = run_study(entry, how)
    for slug, other in runs_beside(entry, run, store).items():
        if other is None:
            print(f"the paper of {entry.slug} reads a run of {slug} too", file=sys.stderr)
            run_study(studies.entry(slug), ["--preset", run.preset, *how])
    if chosen.watch:
        _watch(entry, run, store, chosen)
    else:
        _build(entry, run, store, chosen)


def _watch(entry: studies.Entry, run: Summary, store: Store, options: Paper) -> None:
    """Shows the paper in a browser until the user stops it; each time the page comes first."""
    from research.cli import preview
    from research.records import load
    from research.report import shown
    from research.text import read

    if options.final or options.anonymous:
        raise UserError("--watch shows a draft: leave --final and --anonymous out")
    record, out = load(run.folder), paths.PAPER / f"{entry.slug}.pdf"
    given: dict[str, Any] = {}

    def show() -> str:
        given.update(_given(entry, run, store))  # the front matter may name other studies now
        return shown(record, **given)

    def build() -> str:
        built = _made(record, given, False, out)
        return "\n".join([f"{built.pdf}: {built.pages} pages", *(f"  {gap}" for gap in built.gaps)])

    page = preview.Page(read(paths.template(paths.TEMPLATES, "watch.js")))
    with preview.serving(page, options.port) as address:
        print(f"{address} shows {entry.slug}.md whenever it is saved; Ctrl-C ends it", flush=True)
        folders, written = _watched(), [out, out.with_suffix(".html")]
        preview.follow(page, folders, written, show, build)


def _watched() -> list[Path]:
    """The folders of a paper's sources: a project need have no templates of its own."""
    return [folder for folder in (paths.PAPER, paths.TEMPLATES, paths.PACKAGED) if folder.is_dir()]


def _given(entry: studies.Entry, run: Summary, store: Store) -> dict[str, Any]:
    """What a paper is made of, beside its record."""
    from research.records import load

    record = load(run.folder)
    beside = {slug: summary for slug, summary in runs_beside(entry, run, store).items() if summary}
    return {
        "source": paths.PAPER / f"{entry.slug}.md",
        "author": paths.PAPER / "author.toml",
        "templates": paths.TEMPLATES,
        "others": {slug: load(other.folder) for slug, other in beside.items()},
        "history": history(entry, record.run, store),
        "stale": _stale(record.run),
    }


def _check_before_training(entry: studies.Entry, store: Store, options: "Paper") -> None:
    """Raises UserError for what would stop the paper after a run, and is known before it."""
    from research.report import rehearsal

    needs.tracking(store)
    slugs = [*(other.slug for other in studies.entries()), *adopted_entries(store)]
    source, author = paths.PAPER / f"{entry.slug}.md", paths.PAPER / "author.toml"
    mistakes = rehearsal.mistakes(source, author=author, templates=paths.TEMPLATES, studies=slugs)
    if options.final:
        from research.launch import default_preset
        from research.verification import readiness

        mistakes += readiness.reasons_beforehand(default_preset())
    if mistakes:
        count = f"{len(mistakes)} mistake{'s' * (len(mistakes) > 1)}"
        lines = "".join(f"\n  {line}" for line in mistakes)
        raise UserError(f"nothing was trained, for {count} would stop the paper:{lines}")


def _build(entry: studies.Entry, run: Summary, store: Store, options: Paper) -> None:
    from research.records import load

    record, given = load(run.folder), _given(entry, run, store)
    out = paths.PAPER / f"{entry.slug}{'-anonymous' * options.anonymous}.pdf"
    make = partial(_made, record, given, options.anonymous)
    reads = {slug: other for slug, other in runs_beside(entry, run, store).items() if other}
    built = _final(make, out, {entry.slug: run, **reads}) if options.final else make(out)
    _keep(built, run, store)
    print(f"{built.pdf}: {built.pages} pages, and the same as {built.html.name}")
    print(f"  built from run {run.id}: {run.name}, ended {run.ended}")
    parts = {**record.run.seconds, **{f"report {k}": v for k, v in built.seconds.items()}}
    print("  " + ", ".join(f"{name} {seconds:.1f} s" for name, seconds in parts.items()))
    if built.gaps:
        print(f"draft: {len(built.gaps)} gap{'s' * (len(built.gaps) > 1)}", file=sys.stderr)
    for gap in built.gaps:
        print(f"  {gap}", file=sys.stderr)
    for remark in built.remarks:
        print(f"looks unfinished: {remark}", file=sys.stderr)


def _made(record: "Results", given: dict[str, Any], anonymous: bool, out: Path) -> "Built":
    from research.report import build

    return build(record, out=out, draft=True, anonymous=anonymous, **given)


def _keep(built: "Built", run: Summary, store: Store) -> None:
    """Puts the paper into the store, where that can be written: a colleague's may only be read."""
    try:
        for path in (built.pdf, built.html):
            store.attach(run.id, path, f"report/{path.name}")
    except OSError as trouble:
        print(
            f"research: the paper was not stored with the run: {in_a_line(trouble)}",
            file=sys.stderr,
        )


def _final(make: "Callable[[Path], Built]", out: Path, runs: Mapping[str, Summary]) -> "Built":
    """The paper, unless anything stands against it, of which UserError tells a line each."""
    from research.verification import readiness

    built, reasons = readiness.final(make, out, readiness.reasons(runs))
    if built is None:
        count = f"{len(reasons)} reason{'s' * (len(reasons) > 1)}"
        lines = "".join(f"\n  {reason}" for reason in reasons)
        raise UserError(f"paper/{out.name} is not final, for {count}:{lines}")
    return built


def _stale(run: "Run") -> list[str]:
    from research.tracking import staleness

    return staleness.phrases(staleness.stale(run))


def history(entry: studies.Entry, run: "Run", store: Store) -> "History":
    """What the store knows of the study's runs, and of those whose models the run found."""
    from research.records import load
    from research.report import History, Past

    origins = {model["run"] for model in run.models.values() if model["origin"] == "found"}
    past, lenders = [], {}
    for lender in store.runs():
        if lender.study == entry.slug:
            digest, started = lender.config_digest, lender.started
            past.append(Past(lender.record_id, lender.preset, lender.status, digest, started))
        if lender.record_id in origins:
            with suppress(UserError, OSError):  # its files may be gone, which the paper says
                lenders[lender.record_id] = load(lender.folder).run
    return History(past, lenders)


def runs_beside(entry: studies.Entry, run: Summary, store: Store) -> dict[str, Summary | None]:
    """The runs that a study's write-up reads beside its own, of the same preset where there is one.

    None where the other study has no finished run.
    """
    from research.report import reads

    def best(slug: str) -> Summary | None:
        runs = store.runs(known(slug, store).slug)
        return newest([past for past in runs if past.preset == run.preset]) or newest(runs)

    return {slug: best(slug) for slug in reads(paths.PAPER / f"{entry.slug}.md")}


def show(args: list[str]) -> None:
    """Lists what a paper may print, and where it was measured: research show ae"""
    from rich.console import Console
    from rich.table import Column, Table
    from rich.text import Text

    from research.records import load
    from research.report import listing

    entry, _, _, run = stored(args, "show", Stored)
    if run is None:
        raise UserError(f"there is no finished run of '{entry.slug}': make run-{entry.slug}")
    heads = ("word", "name", "value", "measured in")
    table = Table(*(Column(head, overflow="fold") for head in heads), box=None)
    for item in listing.items(load(run.folder)):
        table.add_row(item.kind, Text(item.name), Text(item.value), item.origin)
    console = Console()
    # a pipe has no width of its own: whole lines for grep
    console.print(table, width=None if console.is_terminal else 400)


def list_studies(args: list[str]) -> None:
    """Lists the studies: question, source, newest run, whether the PDF is up to date"""
    from rich.console import Console
    from rich.table import Column, Table

    @dataclass(frozen=True)
    class Studies:
        log: str | None = None
        """Where the runs are kept, as for `research run`."""

    store = open_store(parse(Studies, args, "research studies").log)
    heads = ("study", "question", "source", "newest run", "PDF")
    table = Table(*(Column(head, overflow="fold") for head in heads))
    for entry in [*studies.own(), *adopted_entries(store).values()]:
        run = newest(store.runs(entry.slug))
        last = f"{run.id[:8]} {run.preset}, {run.ended[:16]} UTC" if run else "none"
        try:
            state = pdf_state(entry, run, store)
        except UserError as trouble:  # of other studies something can be said
            state = str(trouble)
        except OSError as trouble:
            state = in_a_line(trouble)
        table.add_row(entry.slug, entry.question, entry.source, last, state)
    Console().print(table)


def pdf_state(entry: studies.Entry, run: Summary | None, store: Store) -> str:
    """`up to date`, or why not."""
    from research.report import differences

    slug = entry.slug
    pdf = paths.PAPER / f"{slug}.pdf"
    if not pdf.exists():
        return "not built"
    if run is None:
        return "its run is gone"
    source, author = paths.PAPER / f"{slug}.md", paths.PAPER / "author.toml"
    beside = runs_beside(entry, run, store)
    others = {study: other.record_id for study, other in beside.items() if other}
    reasons = differences(
        pdf,
        run.record_id,
        run.folder,
        source,
        author=author,
        templates=paths.TEMPLATES,
        others=others,
    )  # fmt: skip
    return "; ".join(reasons + stale_in_words(run)) or "up to date"


def stale_in_words(run: Summary) -> list[str]:
    """Which kinds of what a run rests on have changed, and which cannot be told."""
    from research.records import load
    from research.tracking import staleness

    facts = load(run.folder).run
    blind = staleness.unknown(facts)
    phrases = [
        f"run stale: {phrase}" for phrase in staleness.phrases(staleness.stale(facts), most=1)
    ]
    return phrases + ([f"{', '.join(blind)} not checked"] if blind and phrases else [])
