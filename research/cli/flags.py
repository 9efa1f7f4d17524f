"""Flags: what a verb is given on the command line, read by tyro."""

import io
from collections.abc import Callable
from contextlib import redirect_stderr
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, cast

import tyro

from research import studies
from research.config import Jobs
from research.errors import UserError
from research.records import load
from research.tracking import Store, Summary, open_store
from research.tracking.finding import newest
from research.tracking.log import ADOPTED

if TYPE_CHECKING:
    from research.launch import Options


@dataclass(frozen=True)
class Stored:
    """Which stored run a verb is about."""

    run: str = ""
    """Id of the run, or its beginning; without it the newest full run, else the newest other."""
    log: str | None = None
    """Where the runs are kept, as for `research run`."""
    experiment: str | None = None
    """In which experiment of a server, as for `research run`."""


@dataclass(frozen=True)
class Paper(Stored):
    """Which paper of which run."""

    final: bool = False
    """Refuse, with every reason at once, unless nothing stands against handing the paper in."""
    anonymous: bool = False
    """Write STUDY-anonymous.pdf, which names no author, user, machine, folder or commit."""
    watch: bool = False
    """Show the paper in a browser, and write it again whenever its sources are saved."""
    port: int = 0
    """Where --watch serves its page on this machine; 0 takes a free one."""
    jobs: Jobs = "auto"
    """How many networks train at once where a run is needed, as for `research run`."""


@dataclass(frozen=True)
class HandedIn:
    """Which PDFs a verb reads as a stranger's, and whether the runs behind them are looked up."""

    pdfs: tyro.conf.Positional[tuple[Path, ...]]
    """Papers that were built here."""
    store: bool = False
    """Also check that the stored run is still what each PDF was built from."""
    log: str | None = None
    """Which store, as for `research run`; implies --store."""
    signers: Path | None = None
    """Require a signature by one of these: a file of lines `who@where ssh-ed25519 KEY`."""


S = TypeVar("S", bound=Stored)
H = TypeVar("H", bound=HandedIn)


def stored(
    args: list[str], verb: str, kind: type[S]
) -> tuple[studies.Entry, S, Store, Summary | None]:
    slug = positional(args, f"research {verb} STUDY")
    chosen: S = parse(kind, args[1:], f"research {verb} {slug}")
    store = open_store(chosen.log, chosen.experiment)
    entry = known(slug, store)
    run = store.find(chosen.run) if chosen.run else newest(store.runs(entry.slug))
    if run and run.study != entry.slug:
        raise UserError(f"run {run.id} is of the study '{run.study}', not of '{entry.slug}'")
    return entry, chosen, store, run


def known(slug: str, store: Store) -> studies.Entry:
    """A study, or runs that were adopted under that name.

    Raises:
        UserError: there is neither.
    """
    own = [entry.slug for entry in studies.entries()]
    if slug in own:
        return studies.entry(slug)
    adopted = adopted_entries(store)
    if slug in adopted:
        return adopted[slug]
    nearest = studies.nearest(slug, [*own, *adopted])
    raise UserError(f"there is no study '{slug}': {nearest}")


def adopted_entries(store: Store) -> dict[str, studies.Entry]:
    """What was adopted of runs that another program logged, by its name."""
    adopted = {run.study: run for run in reversed(store.runs()) if run.preset == ADOPTED}
    facts = {slug: load(adopted[slug].folder).run for slug in sorted(adopted)}
    return {
        slug: studies.Entry(slug, run.question, f"experiment '{run.adopted.get('experiment')}'")
        for slug, run in facts.items()
    }


def handed_in(args: list[str], verb: str, kind: type[H]) -> tuple[H, Store | None]:
    given: H = parse(kind, args, f"research {verb} FILE.pdf")
    if not given.pdfs:
        raise UserError(f"research {verb} needs a file: research {verb} FILE.pdf")
    return given, open_store(given.log) if given.store or given.log else None


def settings(
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
    return cast("tuple[Any, Options]", parse(both, args, f"research run {entry.slug}"))


def parse(what: Callable[..., Any], args: list[str], prog: str) -> Any:
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


def positional(args: list[str], usage: str) -> str:
    if args and not args[0].startswith("-"):
        return args[0]
    if args and args[0] in ("-h", "--help"):
        print(f"usage: {usage} [flags]; {usage} --help lists the flags")
        raise SystemExit(0)
    raise UserError(f"something is missing: {usage}")


def value_of(flag: str, args: list[str]) -> str | None:
    """The value of one flag, which is needed before the others can be understood.

    Of a flag that is given twice the last value counts, as for all others.
    """
    value = None
    for arg, following in zip_longest(args, args[1:]):
        if arg.startswith(f"{flag}="):
            value = arg.removeprefix(f"{flag}=")
        elif arg == flag and following is not None:
            value = following
    return value
