"""The grader's view: each submitted PDF beside what its assignment asks for, one HTML page each.

A submission is read as a stranger's file: within the limits of verification, and only as text and
pictures. What a page shows is what the PDF's record claims; whether the PDF is what was built, its
first line says.
"""

import base64
import dataclasses
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
from research.paths import ROOT, TEMPLATES
from research.provenance import container, page_text
from research.provenance.formats import plain
from research.provenance.trail import facts
from research.records import Claim, Run, sha256
from research.report import render
from research.tracking import Store, staleness
from research.verification.evidence import Trail, number_of, run_of
from research.verification.verdicts import bounded, checked
from research.verification.verify import FORMLESS, Problem, Verdict, read_trail

LOOKS = TEMPLATES / "audit"
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
        return Counter(one.status for one in self.judgements if not one.requirement.bonus)

    @property
    def demanded(self) -> int:
        return sum(self.counts.values())

    @property
    def pages(self) -> int:
        return len(self.trail["pages"]) if self.trail else 0


def assignments() -> dict[str, Assignment]:
    """Study -> what its source asks for, where that is written down beside it."""
    folder = ROOT / "research/studies"
    files = {one.slug: folder / f"{one.slug.replace('-', '_')}.toml" for one in studies.entries()}
    return {slug: requirements.load(path) for slug, path in files.items() if path.is_file()}


def audit(path: Path, asked: Mapping[str, Assignment], store: Store | None = None) -> Audit:
    """Reads and judges one submission; what is wrong with it is part of the result.

    Arguments:
        asked: see `assignments`.
        store: where the run is looked up too, see `research.verification.verdicts.checked`.

    Raises:
        UserError: there is no such file.
    """
    verdict = checked(path, store)
    found = Audit(path, verdict, sha256(path))
    if any(one.kind == "refused" for one in verdict.problems):
        return found
    try:
        with bounded():
            return _judged(found, read_trail(path), asked)
    except (*FORMLESS, MemoryError) as error:
        reason = f"it cannot be judged ({type(error).__name__}: {str(error)[:80]})"
        problems = (*verdict.problems, Problem("record", "", reason))
        return dataclasses.replace(found, verdict=dataclasses.replace(verdict, problems=problems))


def _judged(found: Audit, trail: Trail, asked: Mapping[str, Assignment]) -> Audit:
    run = run_of(trail["run"])
    assignment = asked.get(run.study)
    wanted = assignment.requirements if assignment else ()
    known = run.study in {entry.slug for entry in studies.entries()}
    whole = dataclasses.replace(
        found,
        trail=trail,
        assignment=assignment,
        judgements=tuple(requirements.judged(one, trail) for one in wanted),
        stale=tuple(_stale(run)) if known else ("study (not of this checkout)",),
        pictures=_pictures(found.path, trail),
    )
    _page(whole, found.path.parent)  # a record that cannot be shown is found out here
    return whole


def _stale(run: Run) -> list[str]:
    """But for the data: where they lie is not for a stranger's file to say."""
    found = {
        "code": staleness.changed_code(run),
        "config": staleness.changed_settings(run),
        "environment": staleness.changed_versions(run),
    }
    return staleness.told({kind: names for kind, names in found.items() if names})


def _pictures(path: Path, trail: Trail) -> dict[str, bytes]:
    places = {
        f"{kind.removesuffix('s')} {one['name']}": (int(one["page"]), one["rectangle"])
        for kind in ("figures", "tables")
        for one in trail[kind]
    }
    return page_text.pictures(container.read(path), places)


def compared(audits: Sequence[Audit]) -> list[Audit]:
    """The same audits, each with what it shares with others: a run, or every number."""
    return [
        dataclasses.replace(one, alike=tuple(_shared(one, [o for o in audits if o is not one])))
        for one in audits
    ]


def _shared(one: Audit, others: Sequence[Audit]) -> Iterator[str]:
    for other in others:
        if one.trail is None or other.trail is None:
            continue
        if other.file == one.file:
            yield f"the same file as {other.path}"
        elif other.trail["run"]["id"] == one.trail["run"]["id"]:
            yield f"built from the same run as {other.path}"
        elif (numbers := _values(one.trail)) == _values(other.trail) and len(numbers) >= ALIKE:
            yield f"all {len(numbers)} numbers are those of {other.path}, from another run"


def _values(trail: Trail) -> dict[str, Any]:
    return {one["name"]: one["value"] for one in trail["numbers"] if one["kind"] == "number"}


# --- pages ---------------------------------------------------------------------------------------


def write(audits: Sequence[Audit], out: Path) -> list[Path]:
    """Writes one page for each submission, and `index.html` over all; the pages' paths in order.

    Raises:
        UserError: the folder cannot be written.
    """
    pages = [out / f"{name}.html" for name in _names([one.path for one in audits])]
    try:
        out.mkdir(parents=True, exist_ok=True)
        for one, page in zip(audits, pages, strict=True):
            page.write_text(_page(one, out), encoding="utf-8")
        rows = [(page.name, _view(one, out)) for one, page in zip(audits, pages, strict=True)]
        index = render.page(LOOKS, "index.html.jinja", rows=rows)
        (out / "index.html").write_text(index, encoding="utf-8")
    except OSError as error:
        raise UserError(f"required is a folder for the pages, {out}: {error.strerror}") from None
    return pages


def _page(one: Audit, out: Path) -> str:
    return render.page(LOOKS, "page.html.jinja", **_view(one, out))


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


def _view(one: Audit, out: Path) -> dict[str, Any]:
    """What the templates show of a submission, as texts and numbers."""
    trail: Trail = one.trail or {}
    source = os.path.relpath(one.path.absolute(), out.absolute())
    return {
        "one": one,
        "link": quote(Path(source).as_posix()),
        "title": trail.get("title", one.path.name),
        "author": dict(trail.get("author", {})),
        "facts": list(_facts(one)) if one.trail else [],
        "preset": trail["run"]["preset"] if trail else "",
        "seeds": len(trail["run"]["seeds"]) if trail else 0,
        "claims": [(entry, str(_claim(entry))) for entry in trail.get("claims", ())],
        "typed": [one for one in trail.get("numbers", ()) if one["kind"] in ("quoted", "stated")],
        "lone": len({n["name"] for n in trail.get("numbers", ()) if n.get("lone")}),
        "pictures": {name: _uri(image) for name, image in one.pictures.items()},
    }


def _uri(image: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(image).decode()}"


def _claim(entry: Mapping[str, Any]) -> Claim:
    tested = {key: entry[key] for key in ("p", "n", "test", "direction", "threshold")}
    return Claim(number_of({**entry, "value": entry["effect"]}), **tested)


def _facts(one: Audit) -> Iterator[tuple[str, str]]:
    """What a grader wants to know of the run, label by label."""
    assert one.trail is not None
    run, trail = run_of(one.trail["run"]), one.trail
    around = trail["surroundings"][run.id]
    told = facts(run)
    yield "study", f"{run.study}: {run.question}"
    changed = ", ".join(f"{key} {plain(value)}" for key, value in run.changed.items())
    yield "preset", f"{run.preset}{f' with {changed}' if changed else ''}"
    yield "seeds", f"{len(run.seeds)}: {', '.join(map(str, run.seeds))}"
    yield "data", _data(run)
    yield (
        "models",
        ", ".join(
            f"{told[f'models.{origin}']} {origin}" for origin in ("trained", "found", "given")
        ),
    )
    yield "selection", around["selection"]
    yield "cohort", around["models.apart"] or "all models of one commit, data set and environment"
    yield "code", f"commit {run.commit or 'unknown'}{', modified' if run.dirty else ''}"
    yield "compute", _compute(run.compute)
    yield "ended", f"{run.ended} (UTC)"
    yield "stale when built", around["stale"] or "no"
    yield "stale against this checkout", "; ".join(one.stale) or "no"
    for study, other in trail["reads"].items():
        yield f"reads {study}", f"run {other['id']}, preset {other['preset']}"


def _data(run: Run) -> str:
    data = run.data
    sizes = f"{data.get('train', 0):,} to train, {data.get('test', 0):,} to test"
    return f"{data.get('name', 'unknown')}, {sizes}, sha256 {str(data.get('sha256', ''))[:12]}"


def _compute(used: Mapping[str, Any]) -> str:
    if not used:
        return "not recorded"
    return (
        f"{used['hardware']}: {used['wall_seconds']:,.0f} s of wall time, "
        f"{used['device_hours']:.3f} device hours, at most {used.get('peak_mib', 0):,.0f} MiB"
    )


def line(one: Audit, page: Path) -> str:
    """A submission in one line of a terminal."""
    count = len(one.verdict.problems)
    verified = "verified" if one.verdict.ok else f"NOT verified, {count} found"
    answered = f"{one.counts['answered']} of {one.demanded} requirements answered"
    judged = f"; {answered}" if one.judgements else ""
    alike = f"; {'; '.join(one.alike)}" if one.alike else ""
    return f"{one.path}: {verified}{judged}{alike} → {page}"
