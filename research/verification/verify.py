"""Verification: is a PDF what was built, and does each of its numbers follow from its record?

Everything is decided by the file alone, offline. The trail inside names what was printed, where and
how; the attached data hold the raw values; the pages are read by another library than wrote them.

    container   nothing in the file acts, hides or unpacks without end
    record      the trail is whole and sealed
    signature   where there is one, it is of this record
    attachments each is the file that the record names, none is missing or added
    structure   nothing is in the file that no build writes; outline, tags and metadata are as built
    pages       text, drawing and picture of each page are those that were written
    numbers     each is printed at its place as its value and format demand, and is that of the data
    text        no number stands in the text that nothing vouches for

A forger who rewrites the pages, the record, its seal and the data alike is found out only by the
store that holds the run: see `against`.

Blind spots: those of `provenance.literals` and of the rules in `verification.accounting`;
a formula's digits, which are drawn.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pikepdf

from research.errors import UserError
from research.provenance import container, literals, page_text
from research.provenance import trail as provenance
from research.provenance.attachment import NAME
from research.provenance.container import Packed, Refused
from research.provenance.formats import outcome
from research.provenance.page_text import Page, bare, collapsed
from research.records import Claim, Number, Results, read_manifest
from research.verification import accounting, appearance, signatures
from research.verification.evidence import Evidence, Files, Trail, number_of, reprinted, same
from research.verification.problems import Problem, Verdict

__all__ = ["Problem", "Verdict", "against", "examined", "read_trail", "verify"]

NUMBERS_LIMIT = 20_000
"""printed values at most"""

FORMLESS = (KeyError, TypeError, ValueError, AttributeError, IndexError, ArithmeticError,
             RecursionError, UserError)  # fmt: skip
"""What comes of a record that is written as no build writes it."""


def verify(path: Path, signers: Path | None = None) -> Verdict:
    """Verifies a PDF by itself; every problem that is found, not only the first.

    Arguments:
        signers: who may sign, in ssh's format `allowed_signers`; then the paper has to be signed
            by one of them.

    Raises:
        UserError: there is no such file.
    """
    return examined(path, signers)[0]


def examined(path: Path, signers: Path | None = None) -> tuple[Verdict, Trail | None]:
    """What `verify` found, and the record, None where the file was refused or has no whole one."""
    _require(path)
    signatures.require(signers)
    try:
        return _examined(path, signers)
    except Refused as error:
        return Verdict((Problem("refused", "", str(error)),)), None
    except (*FORMLESS, pikepdf.PdfError, RuntimeError) as error:
        reason = f"it has not the form of a record ({type(error).__name__}: {str(error)[:80]})"
        return Verdict((Problem("record", NAME, reason),)), None


def _examined(path: Path, signers: Path | None) -> tuple[Verdict, Trail]:
    content = container.read(path)
    document = container.open_safely(content)
    packed = container.packed(document)
    files = {name: one.content for name, one in packed.items()}
    trail = trail_of(files)
    pages = page_text.pages(content)
    signed = signatures.checked(files.get(signatures.NAME), trail, signers)
    checks: Sequence[Callable[[], Iterator[Problem]]] = (
        lambda: _record(trail),
        lambda: (Problem("signature", "", message) for message in signed.problems),
        lambda: _attachments(trail, packed, container.associated(document)),
        lambda: appearance.strange(document),
        lambda: appearance.shown(trail, document, pages),
        lambda: appearance.said(trail, document, content, pages),
        lambda: _numbers(trail, files, pages),
        lambda: _comparisons(trail, files),
        lambda: _claims(trail, files),
        lambda: _text(trail, pages, container.headings(document)),
    )
    problems = tuple(problem for check in checks for problem in check())
    counts = {name: len(trail[name]) for name in ("pages", "numbers", "figures", "tables")}
    counts["attachments"] = len(files) - (signatures.NAME in files)
    notes = (*appearance.notes(trail), *signed.notes)
    return Verdict(problems, trail["run"]["id"], counts, notes), trail


def _require(path: Path) -> None:
    if not path.is_file():
        raise UserError(f"required is a PDF file, {path} is none; give the path of one")


def trail_of(files: Files) -> Trail:
    """The record among the attachments. Raises Refused where there is none, or one too large."""
    if NAME not in files:
        raise Refused(f"it carries no {NAME}: it was not built here, or its record was removed")
    try:
        trail = json.loads(files[NAME])
    except (ValueError, RecursionError) as error:
        raise Refused(f"its {NAME} is not JSON ({str(error)[:80]})") from None
    if not isinstance(trail, dict) or trail.get("format") not in provenance.READABLE:
        known = " or ".join(map(str, provenance.READABLE))
        raise Refused(f"its {NAME} is not of format {known}: build the paper again")
    if len(trail["numbers"]) > NUMBERS_LIMIT:
        raise Refused(f"its record lists more than {NUMBERS_LIMIT:,} numbers")
    return trail


# --- the record and what is attached -------------------------------------------------------------


def _record(trail: Trail) -> Iterator[Problem]:
    if provenance.seal(trail) != trail.get("seal"):
        yield Problem("record", NAME, "was changed after the build: its seal is another")
    if trail["gaps"]:
        yield Problem("record", "draft", f"lacks {len(trail['gaps'])}: {trail['gaps'][0][:80]}")
    if not trail["run"].get("id"):
        yield Problem("record", "run", "has no id")
    ids = [entry["id"] for entry in trail["numbers"]]
    if len(set(ids)) < len(ids):
        yield Problem("record", "numbers", "two have the same id")


def _listed(trail: Trail) -> Iterator[tuple[str, str]]:
    """(attachment, sha256) of every file that the record names."""
    for exhibit in (*trail["figures"], *trail["tables"]):
        for file in exhibit["data"]:
            if file["attachment"] is not None:
                yield file["attachment"], file["sha256"]
    for file in trail["files"]:
        yield file["attachment"], file["sha256"]


def _attachments(
    trail: Trail, files: Mapping[str, Packed], associated: Iterator[tuple[str, Packed]]
) -> Iterator[Problem]:
    listed, told = dict(_listed(trail)), _described(trail)
    for name, digest in listed.items():
        if name not in files:
            yield Problem("attachments", name, "is named in the record but not attached")
        elif provenance.sha256_of(files[name].content) != digest:
            yield Problem("attachments", name, "is not the file of the record: other sha256")
    for name in sorted(files.keys() - told.keys()):
        yield Problem("attachments", name, "is attached but not named in the record")
    for name, file in (*files.items(), *associated):
        if name in told and file.told not in told[name]:
            yield Problem("attachments", name, f"is described as '{file.told[:80]}'")
        if name not in files or file.content != files[name].content:
            yield Problem("attachments", name, "belongs to the paper and is not listed")


def _described(trail: Trail) -> dict[str, set[str]]:
    """Attachment -> what a build may tell of it."""
    found = {NAME: {provenance.TOLD}, signatures.NAME: {signatures.TOLD}}
    exhibits = [file for one in (*trail["figures"], *trail["tables"]) for file in one["data"]]
    for file in (*exhibits, *trail["files"]):
        run = f"run {file['run'][:8]}" if "run" in file else "the run"
        found.setdefault(str(file["attachment"]), set()).add(f"{file['path']} of {run}")
    return found


# --- text ----------------------------------------------------------------------------------------


def _text(trail: Trail, pages: Sequence[Page], headings: Sequence[str]) -> Iterator[Problem]:
    """Comes after `_numbers`, which marks what is vouched for."""
    own = trail.get("pictures", [])  # what stands in a picture of the author's is the author's
    for one in own:
        if 1 <= one["page"] <= len(pages):
            page = pages[one["page"] - 1]
            page.vouched[page.within(one["rectangle"])] = True
    for number, found, line in accounting.unaccounted(pages, headings, trail["author"]):
        message = f"the number {found} stands in '{line[:80]}', and nothing vouches for it"
        yield Problem("text", f"page {number}", message)


# --- numbers -------------------------------------------------------------------------------------


def _numbers(trail: Trail, files: Files, pages: Sequence[Page]) -> Iterator[Problem]:
    """Each printed value at its place, by its format, and in the attached data."""
    data = Evidence(trail, files)
    for entry in trail["numbers"]:
        where = f"{entry['kind']} {entry['name']} ({entry['id']}, page {entry['page']})"
        printed = entry["printed"]
        if entry["kind"] == "stated" and literals.result_like(printed):
            yield Problem("numbers", where, f"'{printed[:60]}' is called a choice, not a result")
        expected = reprinted(entry)
        if expected is not None and expected != printed:
            yield Problem("numbers", where, f"'{printed}' is not its value, printed '{expected}'")
        found = _stands(entry, pages)
        if found is not None:
            yield Problem("numbers", where, f"'{printed[:60]}' is recorded, '{found[:60]}' stands")
        known, value = data.of(entry)
        if known and not same(value, entry["value"]):
            yield Problem("numbers", where, f"recorded as {entry['value']}, its data say {value}")


def _stands(entry: Mapping[str, Any], pages: Sequence[Page]) -> str | None:
    """What stands at the entry's place, where it is not the printed text; marks what is vouched."""
    number = int(entry["page"])
    if not 1 <= number <= len(pages):
        return "no such page"
    page, printed = pages[number - 1], str(entry.get("stands", entry["printed"]))
    places = page.within(entry["rectangle"])
    found = str(page.read(places))
    if bare(found) != bare(printed):
        if " " not in printed or not found or not bare(printed).startswith(bare(found)):
            return found
        return _runs_on(pages, number - 1, int(places[0]), printed)
    page.vouched[places] = True
    return None


def _runs_on(pages: Sequence[Page], number: int, start: int, printed: str) -> str | None:
    """A phrase that a line, column or page breaks: it goes on in the order of drawing."""
    wanted, place, page = bare(printed), start, pages[number]
    read = 0
    while read < len(wanted):
        if place == len(page.letters):
            return None if number + 1 < len(pages) else wanted[:read]
        letter = bare(page.letters[place])
        if letter and not wanted.startswith(letter, read):
            return collapsed("".join(page.letters[start : place + 1]))
        page.vouched[place] = True
        read, place = read + len(letter), place + 1
    return None


def _claims(trail: Trail, files: Files) -> Iterator[Problem]:
    """Each claim is told as its test decides, and the test is that of the data."""
    data = Evidence(trail, files)
    for one in trail["claims"]:
        where = f"claim {one['name']} ({one['id']}, page {one['page']})"
        effect = number_of(one | {"value": one["effect"]})
        tested = {key: one[key] for key in ("p", "n", "test", "direction", "threshold")}
        decided = Claim(effect, **tested).outcome
        if decided != one["outcome"]:
            message = f"is told as '{one['outcome']}', its test says '{decided}'"
            yield Problem("numbers", where, message)
        known = data.claims.get(one["run"], {}).get(one["name"])
        if known is None or {key: known[key] for key in tested} != tested or (
            not same(number_of(known["effect"]).value, effect.value)
            or number_of(known["effect"]).bounds != effect.bounds
        ):  # fmt: skip
            yield Problem("numbers", where, "is not the claim of the data")


def _comparisons(trail: Trail, files: Files) -> Iterator[Problem]:
    """The words of a computed comparison follow from the numbers that they compare."""
    data = Evidence(trail, files)
    runs = {"": trail["run"]["id"]} | {study: run["id"] for study, run in trail["reads"].items()}
    for one in trail["comparisons"]:
        sides = []
        for side in (one["a"], one["b"]):
            if not isinstance(side, str):
                sides.append(Number(side))
                continue
            study, _, name = side.rpartition(":")
            known = data.numbers.get(runs.get(study, ""), {})
            if name in known:
                sides.append(number_of(known[name]))
        if len(sides) == 2 and outcome(*sides) != one["outcome"]:
            message = f"is told as '{one['outcome']}', its numbers say '{outcome(*sides)}'"
            yield Problem("numbers", f"comparison of {one['a']} with {one['b']}", message)


# --- against the store ---------------------------------------------------------------------------


def against(trail: Trail, record: Results | None) -> list[Problem]:
    """What a run's record says of a PDF that was built from it.

    Whether the record is still what the run left is for `research.tracking.mutations`.

    Arguments:
        record: of the run that the trail names, None where the store has none.
    """
    if record is None:
        return [Problem("store", trail["run"]["id"][:8], "the store holds no such run")]
    problems = [*_unchanged(trail, record)]
    for entry in trail["numbers"]:
        if entry["kind"] == "number" and entry["run"] == record.run.id:
            known = record.numbers.get(entry["name"])
            if known is None or not same(known.value, entry["value"]):
                said = "none" if known is None else known.value
                message = f"printed from {entry['value']}, the run has {said}"
                problems.append(Problem("store", f"number {entry['name']}", message))
    return problems


def _unchanged(trail: Trail, record: Results) -> Iterator[Problem]:
    """The files that the PDF names are those that the run left."""
    try:
        listed = read_manifest(record.folder)
    except FileNotFoundError:
        listed = {}
        yield Problem("store", "manifest.json", "is missing from the run")
    named = [(one["artifact"], one["sha256"]) for kind in ("figures", "tables")
             for one in trail[kind]]  # fmt: skip
    named += [(f["path"], f["sha256"]) for f in trail["files"] if f["run"] == record.run.id]
    for path, digest in named:
        if listed.get(path, digest) != digest:
            yield Problem("store", path, "is not what the PDF was built from")


def read_trail(path: Path) -> Trail:
    """The record of a PDF that may be anyone's. Raises UserError where there is none."""
    _require(path)
    try:
        return trail_of(container.attachments(container.open_safely(container.read(path))))
    except Refused as error:
        raise UserError(f"{path.name} must be a PDF that was built here, but {error}") from None
    except (*FORMLESS, pikepdf.PdfError, RuntimeError) as error:
        reason = f"its record has not the form of one ({type(error).__name__}: {str(error)[:80]})"
        raise UserError(f"{path.name} must be a PDF that was built here, but {reason}") from None
