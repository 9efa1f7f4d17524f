"""The grader's view: each submitted PDF beside what its assignment asks for, one HTML page each.

A submission is read as a stranger's file: within the limits of verification, and only as text and
pictures. What a page shows is what the PDF's record claims; whether the PDF is what was built, its
first line says.
"""

import base64
import dataclasses
import functools
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from research import studies
from research.errors import UserError
from research.grading import assignments as requirements
from research.grading.assignments import Assignment, Judgement
from research.paths import TEMPLATES
from research.provenance import container, page_text
from research.provenance.entries import Interval, Measured, Trail, Typed
from research.provenance.facts import facts
from research.provenance.formats import plain
from research.records import Run, sha256
from research.report import render
from research.tracking import Store, staleness
from research.verification import apart, signatures, verdicts
from research.verification.verify import Problem, Verdict, examined

LOOKS = TEMPLATES, "audit"
ALIKE = 10
"""Numbers that two papers have to print before it is worth a word that all of them are equal."""


@dataclass(frozen=True)
class Audit:
    """One submission.

    Attributes:
        file: digest of the PDF, empty where there is no such file.
        trail: its record, None where it has none that can be read.
        assignment: what its study's source asks for, None where nobody has written that down.
        stale: what differs between its run and this checkout.
        pictures: `figure name` or `table name` -> PNG.
        alike: what it shares with other submissions.
    """

    path: Path
    verdict: Verdict
    file: str = ""
    trail: Trail | None = None
    assignment: Assignment | None = None
    judgements: tuple[Judgement, ...] = ()
    stale: tuple[str, ...] = ()
    pictures: Mapping[str, bytes] = field(default_factory=dict)
    alike: tuple[str, ...] = ()

    @property
    def counts(self) -> Counter[str]:
        """How many demanded requirements have which status."""
        return Counter(
            judgement.status for judgement in self.judgements if not judgement.requirement.bonus
        )

    @property
    def demanded(self) -> int:
        return sum(self.counts.values())

    @property
    def pages(self) -> int:
        return len(self.trail.pages) if self.trail else 0


def assignments() -> dict[str, Assignment]:
    """Study -> what its source asks for, where that is written down beside it."""
    files = {entry.slug: studies.beside(entry.slug, ".toml") for entry in studies.entries()}
    return {slug: requirements.load(path) for slug, path in files.items() if path}


def audit(path: Path, asked: Mapping[str, Assignment], store: Store | None = None) -> Audit:
    """Reads and judges one submission; what is wrong with it is part of the result.

    Arguments:
        asked: see `assignments`.
        store: where the run is looked up too, see `research.verification.verdicts.with_store`.

    Raises:
        UserError: there is no such file.
    """
    return audits([path], asked, store)[0]


def audits(
    paths: Sequence[Path],
    asked: Mapping[str, Assignment],
    store: Store | None = None,
    signers: Path | None = None,
) -> list[Audit]:
    """Reads and judges many submissions, each in a process of its own; see `audit`.

    Arguments:
        signers: who may sign, see `research.verification.verify.verify`.
    """
    signatures.require(signers)
    outcomes = apart.each(functools.partial(_read, asked=asked, signers=signers), paths)
    audited = []
    for path, outcome in zip(paths, outcomes, strict=True):
        if outcome.mistaken:
            raise UserError(outcome.reason)
        result = outcome.result
        if result is None:
            refused = Verdict((Problem("refused", "", outcome.reason),))
            result = Audit(path, refused, sha256(path))
        verdict = verdicts.with_store((result.verdict, result.trail), store)
        audited.append(dataclasses.replace(result, verdict=verdict))
    return audited


def _read(path: Path, asked: Mapping[str, Assignment], signers: Path | None) -> Audit:
    verdict, trail = examined(path, signers)
    audited = Audit(path, verdict, sha256(path))
    if trail is None:
        return audited
    return _judged(audited, trail, asked)


def _judged(audited: Audit, trail: Trail, asked: Mapping[str, Assignment]) -> Audit:
    run = trail.run
    assignment = asked.get(run.study)
    asked_for = assignment.requirements if assignment else ()
    known = run.study in {entry.slug for entry in studies.entries()}
    return dataclasses.replace(
        audited,
        trail=trail,
        assignment=assignment,
        judgements=tuple(requirements.judged(requirement, trail) for requirement in asked_for),
        stale=tuple(_stale(run)) if known else ("study (not of this checkout)",),
        pictures=_pictures(audited.path, trail),
    )


def _stale(run: Run) -> list[str]:
    """But for the data: where they lie is not for a stranger's file to say."""
    problems = {
        "code": staleness.changed_code(run),
        "config": staleness.changed_settings(run),
        "environment": staleness.changed_versions(run),
    }
    return staleness.phrases({kind: names for kind, names in problems.items() if names})


def _pictures(path: Path, trail: Trail) -> dict[str, bytes]:
    places = {
        f"{kind} {exhibit.name}": (exhibit.page, exhibit.rectangle)
        for kind, exhibit in trail.exhibits
    }
    return page_text.pictures(container.read(path), places)


def compared(audits: Sequence[Audit]) -> list[Audit]:
    """The same audits, each with what it shares with others: a run, or every number."""
    return [
        dataclasses.replace(
            other, alike=tuple(_shared(other, [o for o in audits if o is not other]))
        )
        for other in audits
    ]


def _shared(audited: Audit, others: Sequence[Audit]) -> Iterator[str]:
    for other in others:
        if audited.trail is None or other.trail is None:
            continue
        if other.file == audited.file:
            yield f"the same file as {other.path}"
        elif other.trail.run.id == audited.trail.run.id:
            yield f"built from the same run as {other.path}"
        elif (numbers := _values(audited.trail)) == _values(other.trail) and len(numbers) >= ALIKE:
            yield f"all {len(numbers)} numbers are those of {other.path}, from another run"


def _values(trail: Trail) -> dict[str, Any]:
    return {number.name: number.value for number in trail.numbers if isinstance(number, Measured)}


# --- pages ---------------------------------------------------------------------------------------


def write(audits: Sequence[Audit], out: Path) -> list[Path]:
    """Writes one page for each submission, and `index.html` over all; the pages' paths in order.

    Raises:
        UserError: the folder cannot be written.
    """
    pages = [out / f"{name}.html" for name in _names([audited.path for audited in audits])]
    try:
        out.mkdir(parents=True, exist_ok=True)
        for audited, page in zip(audits, pages, strict=True):
            page.write_text(_page(audited, out), encoding="utf-8", errors="backslashreplace")
        rows = [
            (page.name, _view(audited, out)) for audited, page in zip(audits, pages, strict=True)
        ]
        index = render.page(*LOOKS, "index.html.jinja", rows=rows)
        (out / "index.html").write_text(index, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise UserError(
            f"a folder for the pages is required, got {out}: {error.strerror}"
        ) from None
    return pages


def _page(audited: Audit, out: Path) -> str:
    return render.page(*LOOKS, "page.html.jinja", **_view(audited, out))


def _names(paths: Sequence[Path]) -> list[str]:
    """File names: the PDF's own, with its folder's before it where two are called alike."""
    stems = Counter(path.stem for path in paths)
    taken: Counter[str] = Counter(["index"])
    names = []
    for path in paths:
        name = path.stem if stems[path.stem] == 1 else f"{path.absolute().parent.name}-{path.stem}"
        taken[name] += 1
        names.append(name if taken[name] == 1 else f"{name}-{taken[name]}")
    return names


def _view(audited: Audit, out: Path) -> dict[str, Any]:
    """What the templates show of a submission, as texts and numbers."""
    trail = audited.trail
    numbers = trail.numbers if trail else ()
    singles = [entry for entry in numbers if isinstance(entry, Interval) and entry.lone]
    source = os.path.relpath(audited.path.absolute(), out.absolute())
    return {
        "one": audited,
        "link": quote(os.fsencode(Path(source).as_posix())),
        "title": trail.title if trail else audited.path.name,
        "author": trail.author if trail else {},
        "facts": list(_facts(trail, audited.stale)) if trail else [],
        "preset": trail.run.preset if trail else "",
        "seeds": len(trail.run.seeds) if trail else 0,
        "claims": [(entry, str(entry.claim)) for entry in trail.claims] if trail else [],
        "typed": [entry for entry in numbers if isinstance(entry, Typed)],
        "lone": len({entry.name for entry in singles}),
        "pictures": {name: _uri(image) for name, image in audited.pictures.items()},
    }


def _uri(image: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(image).decode()}"


def _facts(trail: Trail, stale: Sequence[str]) -> Iterator[tuple[str, str]]:
    """What a grader wants to know of the run, label by label."""
    run = trail.run
    around = trail.surroundings.get(run.id, {})
    known = facts(run)
    yield "study", f"{run.study}: {run.question}"
    changed = ", ".join(f"{key} {plain(value)}" for key, value in run.changed.items())
    yield "preset", f"{run.preset}{f' with {changed}' if changed else ''}"
    yield "seeds", f"{len(run.seeds)}: {', '.join(map(str, run.seeds))}"
    yield "data", _data(run)
    yield (
        "models",
        ", ".join(
            f"{known[f'models.{origin}']} {origin}" for origin in ("trained", "found", "given")
        ),
    )
    yield "selection", around.get("selection", "")
    yield (
        "cohort",
        around.get("models.apart") or "all models of one commit, data set and environment",
    )
    yield "code", f"commit {run.commit or 'unknown'}{', modified' if run.dirty else ''}"
    yield "compute", _compute(run.compute)
    yield "ended", f"{run.ended} (UTC)"
    yield "stale when built", around.get("stale") or "no"
    yield "stale against this checkout", "; ".join(stale) or "no"
    for study, other in trail.reads.items():
        yield f"reads {study}", f"run {other.id}, preset {other.preset}"


def _data(run: Run) -> str:
    data = run.data
    sizes = f"{data.get('train', 0):,} to train, {data.get('test', 0):,} to test"
    return f"{data.get('name', 'unknown')}, {sizes}, sha256 {str(data.get('sha256', ''))[:12]}"


def _compute(used: Mapping[str, Any]) -> str:
    if not used:
        return "not recorded"
    return (
        f"{used.get('hardware', 'unknown hardware')}: "
        f"{used.get('wall_seconds', 0):,.0f} s of wall time, "
        f"{used.get('device_hours', 0):.3f} device hours, "
        f"at most {used.get('peak_mib', 0):,.0f} MiB"
    )


def line(audited: Audit, page: Path) -> str:
    """A submission in one line of a terminal."""
    count = len(audited.verdict.problems)
    verified = "verified" if audited.verdict.ok else f"NOT verified, {count} found"
    answered = f"{audited.counts['answered']} of {audited.demanded} requirements answered"
    judged = f"; {answered}" if audited.judgements else ""
    alike = f"; {'; '.join(audited.alike)}" if audited.alike else ""
    return f"{verdicts.shown(audited.path)}: {verified}{judged}{alike} → {verdicts.shown(page)}"
