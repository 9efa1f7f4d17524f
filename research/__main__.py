"""The command line: run, report, verify, sign, audit, reproduce, diff, redraw, studies, sync, ui.

What a verb does not need is not imported: a write-up is built without torch or MLflow.
"""

import io
import json
import os
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stderr, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Any, TextIO, TypeVar, cast

import tyro

from research import needs, studies
from research.errors import UserError, in_a_line
from research.passwords import hidden
from research.paths import PAPER, ROOT, TEMPLATES
from research.tracking import Store, Summary, open_store
from research.tracking.finding import newest

if TYPE_CHECKING:
    from research.launch import Options
    from research.records import Run
    from research.report import Built, History


Verb = Callable[[list[str]], int | None]


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a verb; its exit code, or 2 for a user's mistake, told in a line on standard error."""
    args = list(sys.argv[1:] if argv is None else argv)
    if argv is None:
        _speak_plainly()
    try:
        verb = _choose(args)
        if args and args[0] in PAPERS:
            needs.reading()
        return verb(args[1:]) or 0
    except UserError as error:
        told = f"research: {error}".encode(errors="backslashreplace").decode()  # names of any bytes
        print(told, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("research: stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:  # whoever read our output, `head` say, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        print(f"research: {in_a_line(error)}", file=sys.stderr)
        return 2
    return 0


def _speak_plainly() -> None:
    """A terminal that knows few letters gets `?` for others; a crash tells no password."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")

    def crashed(kind: type[BaseException], error: BaseException, at: TracebackType | None) -> None:
        print(hidden("".join(traceback.format_exception(kind, error, at))), file=sys.stderr)

    def warned(
        message: Warning | str, category: type[Warning], filename: str, lineno: int,
        file: TextIO | None = None, line: str | None = None,
    ) -> None:  # fmt: skip
        if Path(filename).is_relative_to(ROOT / "research"):
            print(f"research: {hidden(str(message))}", file=sys.stderr)
        else:
            former(message, category, filename, lineno, file, line)

    former = warnings.showwarning
    warnings.showwarning = warned
    sys.excepthook = crashed


def _choose(args: list[str]) -> Verb:
    if not args or args[0] in ("-h", "--help"):
        print(__doc__.splitlines()[0], "\n")
        for name, verb in VERBS.items():
            print(f"  research {name:9} {(verb.__doc__ or '').splitlines()[0]}")
        print("\nEach explains its flags with --help.")
        return lambda rest: None
    if args[0] in VERBS:
        return VERBS[args[0]]
    nearest = studies.nearest(args[0], VERBS)
    raise UserError(f"there is no verb '{args[0]}': {nearest}")


# --- verbs ---------------------------------------------------------------------------------------


def run(args: list[str]) -> None:
    """Trains and measures: research run ae --preset full --train.epochs 50"""
    entry = studies.entry(_positional(args, "research run STUDY"))
    _run(entry, args[1:])


def _run(entry: studies.Entry, args: list[str]) -> Summary:
    from research import launch

    study = launch.study_of(entry)
    preset = _value_of("--preset", args) or launch.default_preset()
    if preset not in study.PRESETS:
        raise UserError(f"there is no preset '{preset}': {studies.nearest(preset, study.PRESETS)}")
    config, options = _settings(study.PRESETS[preset], launch.Options(preset), entry, args)
    store = open_store(options.log)
    needs.tracking(store)
    _check_author()
    changed = " with changed settings" if config != study.PRESETS[preset] else ""
    print(f"{entry.slug}: preset {preset}{changed}, device {config.train.device}", file=sys.stderr)
    start = time.perf_counter()
    try:
        done = store.find(launch.launch(entry, config, options, store))
    except KeyboardInterrupt:
        print(
            f"the same command of `research run {entry.slug}` with --resume goes on",
            file=sys.stderr,
        )
        raise
    print(f"run {done.id} finished in {time.perf_counter() - start:.1f} s: {done.folder}")
    return done


def _check_author() -> None:
    """Tells before hours of training what the paper's author block will lack."""
    path = PAPER / "author.toml"
    try:
        from research import fonts
        from research.report import authors

        if path.is_file():
            fonts.require(authors.read(path).single().values(), path.name)
    except ImportError:  # without the libraries of papers nobody is going to write one here
        return
    except UserError as error:
        print(f"a paper cannot be built yet: {error}", file=sys.stderr)


def report(args: list[str]) -> None:
    """Builds paper/STUDY.pdf from the newest full run, else the newest other, else a new run"""
    entry, chosen, store, found = _stored(args, "report", Paper)
    needs.pdf(PAPER)
    log = ["--log", chosen.log] if chosen.log else []
    if found is None:
        _check_before_training(entry, store, chosen)
        found = _run(entry, log)
    for slug, other in _beside(entry, found, store).items():
        if other is None:
            print(f"the paper of {entry.slug} reads a run of {slug} too", file=sys.stderr)
            _run(studies.entry(slug), ["--preset", found.preset, *log])
    _build(entry, found, store, chosen)


def _check_before_training(entry: studies.Entry, store: Store, wanted: "Paper") -> None:
    """Raises UserError for what would stop the paper after a run, and is known before it."""
    from research.report import rehearsal

    needs.tracking(store)
    known = [one.slug for one in studies.entries()]
    source, author = PAPER / f"{entry.slug}.md", PAPER / "author.toml"
    found = rehearsal.mistakes(source, author=author, templates=TEMPLATES, studies=known)
    if wanted.final:
        from research.launch import default_preset
        from research.verification import readiness

        found += readiness.reasons_beforehand(default_preset())
    if found:
        count = f"{len(found)} mistake{'s' * (len(found) > 1)}"
        lines = "".join(f"\n  {line}" for line in found)
        raise UserError(f"nothing was trained, for {count} would stop the paper:{lines}")


@dataclass(frozen=True)
class Stored:
    """Which stored run a verb is about."""

    run: str = ""
    """Id of the run, or its beginning; without it the newest full run, else the newest other."""
    log: str | None = None
    """Where the runs are kept, as for `research run`."""


@dataclass(frozen=True)
class Paper(Stored):
    """Which paper of which run."""

    final: bool = False
    """Refuse, with every reason at once, unless nothing stands against handing the paper in."""
    anonymous: bool = False
    """Write STUDY-anonymous.pdf, which names no author, user, machine, folder or commit."""


S = TypeVar("S", bound=Stored)


def _stored(
    args: list[str], verb: str, kind: type[S]
) -> tuple[studies.Entry, S, Store, Summary | None]:
    entry = studies.entry(_positional(args, f"research {verb} STUDY"))
    chosen: S = _parse(kind, args[1:], f"research {verb} {entry.slug}")
    store = open_store(chosen.log)
    found = store.find(chosen.run) if chosen.run else newest(store.runs(entry.slug))
    if found and found.study != entry.slug:
        raise UserError(f"run {found.id} is of the study '{found.study}', not of '{entry.slug}'")
    return entry, chosen, store, found


def _build(entry: studies.Entry, run: Summary, store: Store, wanted: Paper) -> None:
    from research.records import load
    from research.report import build

    record, beside = load(run.folder), _beside(entry, run, store)
    reads = {slug: other for slug, other in beside.items() if other}
    if wanted.final:
        _check_final(entry, run, reads, store)
    built = build(
        record,
        PAPER / f"{entry.slug}.md",
        PAPER / f"{entry.slug}{'-anonymous' * wanted.anonymous}.pdf",
        author=PAPER / "author.toml",
        templates=TEMPLATES,
        others={slug: load(other.folder) for slug, other in reads.items()},
        history=_history(entry, record.run, store),
        draft=not wanted.final,
        anonymous=wanted.anonymous,
        stale=_stale(record.run),
    )
    _keep(built, run, store)
    print(f"{built.pdf}: {built.pages} pages, and the same as {built.html.name}")
    print(f"  built from run {run.id}: {run.name}, ended {run.ended}")
    parts = {**record.run.seconds, **{f"report {k}": v for k, v in built.seconds.items()}}
    print("  " + ", ".join(f"{name} {seconds:.1f} s" for name, seconds in parts.items()))
    if built.gaps:
        print(f"draft: {len(built.gaps)} gap{'s' * (len(built.gaps) > 1)}", file=sys.stderr)
    for gap in built.gaps:
        print(f"  {gap}", file=sys.stderr)


def _keep(built: "Built", run: Summary, store: Store) -> None:
    """Puts the paper into the store, where that can be written: a colleague's may only be read."""
    try:
        for path in (built.pdf, built.html):
            store.attach(run.id, path, f"report/{path.name}")
    except OSError as trouble:
        print(f"research: the run does not keep the paper: {in_a_line(trouble)}", file=sys.stderr)


def _check_final(
    entry: studies.Entry, run: Summary, reads: Mapping[str, Summary], store: Store
) -> None:
    """Raises UserError with all that stands against a final paper, a line each."""
    from research.records import load
    from research.verification import readiness

    found = readiness.reasons({entry.slug: run, **reads}, store)
    with tempfile.TemporaryDirectory() as aside:
        _, lacks = readiness.draft(
            load(run.folder),
            PAPER / f"{entry.slug}.md",
            Path(aside, f"{entry.slug}.pdf"),
            author=PAPER / "author.toml",
            templates=TEMPLATES,
            others={slug: load(other.folder) for slug, other in reads.items()},
        )
    if found := [*found, *lacks]:
        count = f"{len(found)} reason{'s' * (len(found) > 1)}"
        lines = "".join(f"\n  {reason}" for reason in found)
        raise UserError(f"paper/{entry.slug}.pdf is not final, for {count}:{lines}")


def _stale(run: "Run") -> list[str]:
    from research.tracking import staleness

    return staleness.told(staleness.stale(run))


def _history(entry: studies.Entry, run: "Run", store: Store) -> "History":
    """What the store knows of the study's runs, and of those whose models the run found."""
    from research.records import load
    from research.report import History, Past

    found = {model["run"] for model in run.models.values() if model["origin"] == "found"}
    past, lenders = [], {}
    for one in store.runs():
        if one.study == entry.slug:
            digest, started = one.config_digest, one.started
            past.append(Past(one.record_id, one.preset, one.status, digest, started))
        if one.record_id in found:
            with suppress(UserError, OSError):  # its files may be gone, which the paper says
                lenders[one.record_id] = load(one.folder).run
    return History(past, lenders)


def _beside(entry: studies.Entry, run: Summary, store: Store) -> dict[str, Summary | None]:
    """The runs that a study's write-up reads beside its own, of the same preset where there is one.

    None where the other study has no finished run.
    """
    from research.report import reads

    def best(slug: str) -> Summary | None:
        runs = store.runs(studies.entry(slug).slug)
        return newest([one for one in runs if one.preset == run.preset]) or newest(runs)

    return {slug: best(slug) for slug in reads(PAPER / f"{entry.slug}.md")}


@dataclass(frozen=True)
class HandedIn:
    """Which PDFs a verb reads as a stranger's, and whether the runs behind them are looked up."""

    pdfs: tyro.conf.Positional[tuple[Path, ...]]
    """Papers that were built here."""
    store: bool = False
    """Also whether the run in the store is still what each PDF was built from."""
    log: str | None = None
    """Which store, as for `research run`; implies --store."""
    signers: Path | None = None
    """Who has to have signed each: a file of lines `who@where ssh-ed25519 KEY`, as ssh has it."""


H = TypeVar("H", bound=HandedIn)


def _handed_in(args: list[str], verb: str, kind: type[H]) -> tuple[H, Store | None]:
    given: H = _parse(kind, args, f"research {verb} FILE.pdf")
    if not given.pdfs:
        raise UserError(f"required is research {verb} FILE.pdf, got no file")
    return given, open_store(given.log) if given.store or given.log else None


def verify(args: list[str]) -> int:
    """Verifies PDFs, offline and by themselves: research verify paper/ae.pdf"""
    from research.verification import verdicts as checking

    @dataclass(frozen=True)
    class Verify(HandedIn):
        json: bool = False
        """One JSON document instead of lines, for scripts."""

    given, store = _handed_in(args, "verify", Verify)
    found = checking.batch(given.pdfs, store, given.signers)
    verdicts = dict(zip(map(checking.shown, given.pdfs), found, strict=True))
    print(checking.as_json(verdicts) if given.json else checking.as_text(verdicts))
    return int(not all(verdict.ok for verdict in verdicts.values()))


def sign(args: list[str]) -> None:
    """Signs a PDF's record with an SSH key: research sign paper/ae.pdf --key ~/.ssh/id_ed25519"""
    from research.verification import signing

    @dataclass(frozen=True)
    class Sign:
        key: Path | None = None
        """File of the key, or of its public half where an agent holds it; else one of ~/.ssh."""

    pdf = Path(_positional(args, "research sign FILE.pdf"))
    given: Sign = _parse(Sign, args[1:], "research sign FILE.pdf")
    print(f"{pdf}: signed with key {signing.sign(pdf, given.key)}")


def audit(args: list[str]) -> int:
    """A grader's page for each PDF, requirement by requirement: research audit *.pdf"""
    from research.grading import audit as view

    @dataclass(frozen=True)
    class Audit(HandedIn):
        out: Path = Path("audit")
        """Folder of the pages, made where there is none."""

    given, store = _handed_in(args, "audit", Audit)
    asked = view.assignments()
    audits = view.compared(view.audits(given.pdfs, asked, store, given.signers))
    for one, page in zip(audits, view.write(audits, given.out), strict=True):
        print(view.line(one, page))
    return int(not all(one.verdict.ok for one in audits))


def redraw(args: list[str]) -> None:
    """Draws a run's figures again from what it measured, without training"""
    entry, _, _, found = _stored(args, "redraw", Stored)
    if found is None:
        raise UserError(f"there is no finished run of '{entry.slug}': make run-{entry.slug}")
    from research import launch

    print(f"run {found.id}: drew {', '.join(launch.redraw(entry, found))}")


def list_studies(args: list[str]) -> None:
    """Lists the studies: question, source, newest run, whether the PDF is up to date"""
    from rich.console import Console
    from rich.table import Column, Table

    @dataclass(frozen=True)
    class Studies:
        log: str | None = None
        """Where the runs are kept, as for `research run`."""

    store = open_store(_parse(Studies, args, "research studies").log)
    heads = ("study", "question", "source", "newest run", "PDF")
    table = Table(*(Column(head, overflow="fold") for head in heads))
    for entry in studies.entries():
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
    pdf = PAPER / f"{slug}.pdf"
    if not pdf.exists():
        return "not built"
    if run is None:
        return "its run is gone"
    source, author = PAPER / f"{slug}.md", PAPER / "author.toml"
    beside = _beside(entry, run, store)
    others = {study: other.record_id for study, other in beside.items() if other}
    found = differences(
        pdf, run.record_id, run.folder, source, author=author, templates=TEMPLATES, others=others
    )
    return "; ".join(found + _stale_in_words(run)) or "up to date"


def _stale_in_words(run: Summary) -> list[str]:
    """Which kinds of what a run rests on have changed, and which cannot be told."""
    from research.records import load
    from research.tracking import staleness

    facts = load(run.folder).run
    blind = staleness.unknown(facts)
    told = [f"run stale: {phrase}" for phrase in staleness.told(staleness.stale(facts), most=1)]
    return told + ([f"{', '.join(blind)} not checked"] if blind and told else [])


def bring(args: list[str]) -> None:
    """Brings a folder of runs into MLflow: research sync DIR"""

    @dataclass(frozen=True)
    class Sync:
        log: str | None = None
        """Which MLflow, as for `research run`."""

    from research.tracking.sync import sync

    folder = Path(_positional(args, "research sync DIR"))
    store = open_store(_parse(Sync, args[1:], "research sync DIR").log)
    needs.tracking(store)
    for run, state in sync(folder, store):
        print(f"{run.name} ({run.id[:8]}): {state}")


def ui(args: list[str]) -> None:
    """Shows the runs in MLflow's own page, on this machine"""

    @dataclass(frozen=True)
    class Ui:
        port: int = 5000
        """Where to listen, on 127.0.0.1."""

    from research.tracking.server import serve

    port = _parse(Ui, args, "research ui").port
    needs.interface()
    serve(port=port)


def reproduce(args: list[str]) -> int:
    """Runs a PDF's experiment again and compares its numbers: research reproduce ae.pdf"""
    from research.verification import reproduction as replay
    from research.verification.difference import printable
    from research.verification.recipe import Reproduce
    from research.verification.verdicts import record

    pdf = Path(_positional(args, "research reproduce PDF"))
    given = _parse(Reproduce, args[1:], "research reproduce PDF")
    trail = record(pdf)
    outcome = replay.reproduce(trail, given)
    shown = replay.drawn(outcome.compared, trail.digest, given)
    for line in replay.lines(outcome, shown):
        print(printable(line))
    return int(not outcome.ok)


def diff(args: list[str]) -> int:
    """What differs between two PDFs and why: research diff old.pdf new.pdf"""
    from research.verification.difference import difference, lines, printable
    from research.verification.verdicts import record

    @dataclass(frozen=True)
    class Diff:
        pdfs: tyro.conf.Positional[tuple[Path, Path]]
        """The older and the newer paper."""
        json: bool = False
        """One JSON document instead of lines, for scripts."""

    given: Diff = _parse(Diff, args, "research diff OLD.pdf NEW.pdf")
    found = difference(*map(record, given.pdfs))
    told = [json.dumps(found.plain(), indent=1)] if given.json else map(printable, lines(found))
    print("\n".join(told))
    return int(not found.equal)


VERBS: dict[str, Verb] = {
    "run": run,
    "report": report,
    "verify": verify,
    "sign": sign,
    "audit": audit,
    "redraw": redraw,
    "studies": list_studies,
    "sync": bring,
    "ui": ui,
    "reproduce": reproduce,
    "diff": diff,
}
PAPERS = ("report", "verify", "sign", "audit", "studies", "reproduce", "diff")
"""the verbs that read or write papers"""


# --- flags ---------------------------------------------------------------------------------------


def _settings(
    preset: Any, options: "Options", entry: studies.Entry, args: list[str]
) -> tuple[Any, "Options"]:
    """The preset with the flags laid over it; the help text shows the preset's values."""
    flat = tyro.conf.arg(name="")

    def both(config: Any = preset, options: Any = options) -> tuple[Any, Any]:
        return config, options

    # the types are known only now: each study has a configuration of its own
    both.__annotations__ = {
        "config": Annotated[type(preset), flat],
        "options": Annotated[type(options), flat],
    }
    return cast("tuple[Any, Options]", _parse(both, args, f"research run {entry.slug}"))


def _parse(what: Callable[..., Any], args: list[str], prog: str) -> Any:
    """tyro's parser, whose framed message becomes one line."""
    message = io.StringIO()
    try:
        with redirect_stderr(message):
            return tyro.cli(what, args=args, prog=prog)
    except SystemExit as leaving:
        if not leaving.code:
            raise
    # a frame of box characters, or of spaces and dashes; its first line is the title, and a rule
    # parts the message from hints
    lines = [line.strip("│╭╮╰╯ ") for line in message.getvalue().splitlines()]
    ruled = ["" if set(line) <= {"-", "─"} else line for line in lines[1:]]
    body = "\n".join(ruled).strip().split("\n\n")[0]
    near = [line.split()[0] for line in ruled if line.startswith("--")]
    reason = " ".join(body.split())
    hint = f"did you mean {near[0]}?" if "Unrecognized" in reason and near else f"see {prog} --help"
    raise UserError(f"{reason.rstrip('.')}; {hint}")


def _positional(args: list[str], usage: str) -> str:
    if args and not args[0].startswith("-"):
        return args[0]
    if args and args[0] in ("-h", "--help"):
        print(f"usage: {usage} [flags]; {usage} --help lists the flags")
        raise SystemExit(0)
    raise UserError(f"required is {usage}, got nothing in its place")


def _value_of(flag: str, args: list[str]) -> str | None:
    """The value of one flag, which is needed before the others can be understood."""
    for index, arg in enumerate(args):
        if arg.startswith(f"{flag}="):
            return arg.removeprefix(f"{flag}=")
        if arg == flag and index + 1 < len(args):
            return args[index + 1]
    return None


if __name__ == "__main__":
    sys.exit(main())
