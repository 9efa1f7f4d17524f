"""The gate of a final paper: every reason for which it is not one, all at once."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from research.errors import UserError
from research.machine import environment
from research.records import Results, Run, load
from research.report import Built, build
from research.tracking import Store, Summary, staleness
from research.tracking.mutations import mutations


def reasons(runs: Mapping[str, Summary], store: Store) -> list[str]:
    """What stands against a final paper in the checkout and in the runs that it reads, by study."""
    found = _of_checkout()
    for study, run in runs.items():
        facts = load(run.folder).run
        lines = [*_of_run(facts), *mutations(run, store)]
        found += [f"run {facts.id[:8]} of '{study}': {line}" for line in lines]
    return found


def reasons_beforehand(preset: str) -> list[str]:
    """What stands against a final paper from a run of this preset that is not made yet."""
    lacks = [] if preset == "full" else [
        f"preset {preset}, which is taken here without CUDA, is not full: run the study with "
        "--preset full first"
    ]  # fmt: skip
    return _of_checkout() + lacks


def _of_checkout() -> list[str]:
    here = environment.checkout()
    if here.dirty is None:
        return [f"whether the checkout has uncommitted changes is unknown: {here.why}"]
    return ["the checkout has uncommitted changes: commit them"] if here.dirty else []


def _of_run(run: Run) -> Iterator[str]:
    if run.status != "FINISHED":
        yield f"it is {run.status}, not finished"
    if run.preset != "full":
        yield f"preset {run.preset}, not full"
    if len(run.seeds) < 2:
        yield "a single seed: no interval over seeds"
    if run.dirty is None:
        yield "the commit of its code is unknown: git could not tell when it ran"
    elif run.dirty:
        yield "the code had uncommitted changes when it ran"
    yield from (f"stale {line}" for line in staleness.told(staleness.stale(run), most=99))
    if not run.code:
        yield "it does not know its code, for it is of an older version: whether it is stale"


def draft(
    record: Results, source: Path, out: Path, *, author: Path, templates: Path,
    others: Mapping[str, Results], anonymous: bool = False,
) -> tuple[Built | None, list[str]]:  # fmt: skip
    """The paper as a draft, if one can be built, and what it lacks."""
    try:
        built = build(
            record, source, out, author=author, templates=templates, others=others, draft=True,
            anonymous=anonymous,
        )  # fmt: skip
    except UserError as error:
        return None, [str(error)]
    return built, [*built.gaps, *unseen(built.pdf)]


def unseen(pdf: Path) -> list[str]:
    """Figures of a finished PDF without alternative text, and a PDF without tags or language."""
    import pikepdf

    with pikepdf.open(pdf) as document:
        if "/StructTreeRoot" not in document.Root or "/Lang" not in document.Root:
            return ["the PDF is not tagged with its structure and language"]
        things = [one for one in document.objects if isinstance(one, pikepdf.Dictionary)]
        bare = [
            one
            for one in things
            if one.get("/S") == "/Figure" and not str(one.get("/Alt", "")).strip()
        ]
    return [f"{len(bare)} figures of the PDF have no alternative text"] if bare else []
