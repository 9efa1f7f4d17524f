"""The gate of a final paper: every reason for which it is not one, all at once."""

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from research.errors import UserError
from research.machine import environment
from research.records import Run, load
from research.records.measured import FEWEST
from research.report import Built, moved
from research.tracking import Summary, staleness
from research.tracking.mutations import mutations


def reasons(runs: Mapping[str, Summary]) -> list[str]:
    """What stands against a final paper in the checkout and in the runs that it reads, by study."""
    against = _of_checkout()
    for study, run in runs.items():
        facts = load(run.folder).run
        lines = [*_of_run(facts), *mutations(run)]
        against += [f"run {facts.id[:8]} of '{study}': {line}" for line in lines]
    return against


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
    if len(run.seeds) < FEWEST:
        few = "a single seed" if len(run.seeds) == 1 else f"{len(run.seeds)} seeds"
        yield f"{few}: no interval over seeds, which needs {FEWEST}"
    if run.adopted:  # its code, settings and data are another program's
        return
    if run.preset != "full":
        yield f"preset {run.preset}, not full"
    if run.dirty is None:
        yield "the commit of its code is unknown: git could not tell when it ran"
    elif run.dirty:
        yield "the code had uncommitted changes when it ran"
    yield from (f"stale {line}" for line in staleness.phrases(staleness.stale(run), most=99))
    if not run.code:
        yield "it does not know its code, for it is of an older version: whether it is stale"


def final(
    make: Callable[[Path], Built], out: Path, against: Sequence[str]
) -> tuple[Built | None, list[str]]:
    """Builds a paper once, aside, and moves it to `out` unless something stands against it.

    Args:
        make: builds a draft, whose bytes are those of the paper where it has no gaps.
        against: what stands against the paper already, so that it is told along with the rest.

    Returns:
        The paper, or None and every reason.
    """
    with tempfile.TemporaryDirectory() as aside:
        try:
            built = make(Path(aside, out.name))
        except UserError as error:
            return None, [*against, str(error)]
        lacks = [*against, *built.gaps, *unseen(built.pdf)]
        return (None, lacks) if lacks else (moved(built, out), [])


def unseen(pdf: Path) -> list[str]:
    """Figures of a finished PDF without alternative text, and a PDF without tags or language."""
    import pikepdf

    with pikepdf.open(pdf) as document:
        if "/StructTreeRoot" not in document.Root or "/Lang" not in document.Root:
            return ["the PDF is not tagged with its structure and language"]
        things = [item for item in document.objects if isinstance(item, pikepdf.Dictionary)]
        bare = [
            item
            for item in things
            if item.get("/S") == "/Figure" and not str(item.get("/Alt", "")).strip()
        ]
    return [f"{len(bare)} figures of the PDF have no alternative text"] if bare else []
