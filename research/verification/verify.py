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

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pikepdf
import pypdfium2

from research.errors import UserError
from research.provenance import container, literals, page_text, structure
from research.provenance import trail as provenance
from research.provenance.attachment import NAME
from research.provenance.container import Packed, Refused
from research.provenance.entries import Measured, Printed, Trail
from research.provenance.formats import outcome
from research.provenance.page_text import Page, bare, collapsed
from research.provenance.reading import Files, trail_of
from research.records import Claim, Number, Results, read_manifest
from research.verification import accounting, appearance, signatures
from research.verification.evidence import Evidence, reprinted, same
from research.verification.problems import Problem, Verdict

__all__ = ["Problem", "Verdict", "against", "examined", "verify"]


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
    except (pikepdf.PdfError, pypdfium2.PdfiumError) as error:
        return Verdict((Problem("refused", "", f"it cannot be read ({str(error)[:80]})"),)), None


def _examined(path: Path, signers: Path | None) -> tuple[Verdict, Trail]:
    content = container.read(path)
    document = container.open_safely(content)
    packed = container.packed(document)
    files = {name: file.content for name, file in packed.items()}
    trail = trail_of(files)
    with structure.readable():
        headings = container.headings(document)
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
        lambda: _text(trail, pages, headings),
    )
    problems = tuple(problem for check in checks for problem in check())
    listed = {"numbers": trail.numbers, "figures": trail.figures, "tables": trail.tables}
    counts = {"pages": len(trail.pages)} | {name: len(entries) for name, entries in listed.items()}
    counts["attachments"] = len(files) - (signatures.NAME in files)
    notes = (*appearance.notes(trail), *signed.notes)
    return Verdict(problems, trail.run.id, counts, notes), trail


def _require(path: Path) -> None:
    if not path.is_file():
        raise UserError(f"a PDF is required, got {path}; give the path of one")


# --- the record and what is attached -------------------------------------------------------------


def _record(trail: Trail) -> Iterator[Problem]:
    if trail.digest != trail.seal:
        yield Problem("record", NAME, "was changed after the build: its seal does not match")
    if trail.gaps:
        yield Problem("record", "draft", f"lacks {len(trail.gaps)}: {trail.gaps[0][:80]}")
    if not trail.run.id:
        yield Problem("record", "run", "has no id")
    ids = [entry.id for entry in trail.numbers]
    if len(set(ids)) < len(ids):
        yield Problem("record", "numbers", "two have the same id")


def _listed(trail: Trail) -> Iterator[tuple[str, str]]:
    """(attachment, sha256) of every file that the record names."""
    for _, exhibit in trail.exhibits:
        for file in exhibit.data:
            if file.attachment is not None:
                yield file.attachment, file.sha256
    yield from ((measured.attachment, measured.sha256) for measured in trail.files)


def _attachments(
    trail: Trail, files: Mapping[str, Packed], associated: Iterator[tuple[str, Packed]]
) -> Iterator[Problem]:
    listed, described = dict(_listed(trail)), _described(trail)
    for name, digest in listed.items():
        if name not in files:
            yield Problem("attachments", name, "is named in the record but not attached")
        elif provenance.sha256_of(files[name].content) != digest:
            yield Problem("attachments", name, "is not the file of the record: its sha256 differs")
    for name in sorted(files.keys() - described.keys()):
        yield Problem("attachments", name, "is attached but not named in the record")
    for name, file in (*files.items(), *associated):
        if name in described and file.description not in described[name]:
            yield Problem("attachments", name, f"is described as '{file.description[:80]}'")
        if name not in files or file.content != files[name].content:
            yield Problem("attachments", name, "belongs to the paper and is not listed")


def _described(trail: Trail) -> dict[str, set[str]]:
    """Attachment -> what a build may tell of it."""
    descriptions = {NAME: {provenance.DESCRIPTION}, signatures.NAME: {signatures.DESCRIPTION}}
    for file in (file for _, exhibit in trail.exhibits for file in exhibit.data):
        descriptions.setdefault(str(file.attachment), set()).add(f"{file.path} of the run")
    for listed in trail.files:
        descriptions.setdefault(listed.attachment, set()).add(
            f"{listed.path} of run {listed.run[:8]}"
        )
    return descriptions


# --- text ----------------------------------------------------------------------------------------


def _text(trail: Trail, pages: Sequence[Page], headings: Sequence[str]) -> Iterator[Problem]:
    """Comes after `_numbers`, which marks what is vouched for."""
    for picture in trail.pictures:  # what stands in a picture of the author's is the author's
        if picture.page <= len(pages):
            page = pages[picture.page - 1]
            page.vouched[page.within(picture.rectangle)] = True
    for number, text, line in accounting.unaccounted(pages, headings, trail.author):
        message = f"the number {text} stands in '{line[:80]}', and nothing vouches for it"
        yield Problem("text", f"page {number}", message)


# --- numbers -------------------------------------------------------------------------------------


def _numbers(trail: Trail, files: Files, pages: Sequence[Page]) -> Iterator[Problem]:
    """Each printed value at its place, by its format, and in the attached data."""
    data = Evidence(trail, files)
    for entry in trail.numbers:
        where = f"{entry.kind} {entry.name} ({entry.id}, page {entry.page})"
        printed = entry.printed
        if entry.kind == "stated" and literals.result_like(printed):
            yield Problem("numbers", where, f"'{printed[:60]}' is called a choice, not a result")
        try:
            expected = reprinted(entry)
        except (UserError, OverflowError) as error:
            yield Problem("numbers", where, f"its value cannot be printed: {error}")
            expected = None
        if expected is not None and expected != printed:
            yield Problem("numbers", where, f"'{printed}' is not its value, printed '{expected}'")
        rectangles = _stands(entry, pages)
        if rectangles is not None:
            yield Problem(
                "numbers", where, f"'{printed[:60]}' is recorded, '{rectangles[:60]}' stands"
            )
        known, value = data.of(entry)
        nothing = value in ((), None) and entry.value in ((), None)  # no repetitions to count
        if known and not nothing and not same(value, entry.value):
            was, says = (
                list(side) if isinstance(side, tuple) else side for side in (entry.value, value)
            )
            yield Problem("numbers", where, f"recorded as {was}, its data say {says}")


def _stands(entry: Printed, pages: Sequence[Page]) -> str | None:
    """What stands at the entry's place, where it is not the printed text; marks what is vouched."""
    number = entry.page
    if number > len(pages):
        return "no such page"
    page = pages[number - 1]
    printed = entry.printed if entry.stands is None else entry.stands
    places = page.within(entry.rectangle)
    text = str(page.read(places))
    if bare(text) != bare(printed):
        if " " not in printed or not text or not bare(printed).startswith(bare(text)):
            return text
        return _runs_on(pages, number - 1, int(places[0]), printed)
    page.vouched[places] = True
    return None


def _runs_on(pages: Sequence[Page], number: int, start: int, printed: str) -> str | None:
    """A phrase that a line, column or page breaks: it goes on in the order of drawing."""
    needle, place, page = bare(printed), start, pages[number]
    read = 0
    while read < len(needle):
        if place == len(page.letters):
            return None if number + 1 < len(pages) else needle[:read]
        letter = bare(page.letters[place])
        if letter and not needle.startswith(letter, read):
            return collapsed("".join(page.letters[start : place + 1]))
        page.vouched[place] = True
        read, place = read + len(letter), place + 1
    return None


def _claims(trail: Trail, files: Files) -> Iterator[Problem]:
    """Each claim is told as its test decides, and the test is that of the data.

    Papers from before claims were adjusted together record no adjusted p.
    """
    data = Evidence(trail, files)
    for claim in trail.claims:
        where = f"claim {claim.name} ({claim.id}, page {claim.page})"
        if claim.claim.outcome != claim.outcome:
            message = f"is told as '{claim.outcome}', its test says '{claim.claim.outcome}'"
            yield Problem("numbers", where, message)
        known = data.claims.get(claim.run, {}).get(claim.name)
        if known is None or not _is_same_claim(known, claim.claim):
            yield Problem("numbers", where, "is not the claim of the data")
    for file in (listed for listed in trail.files if listed.path == provenance.CLAIMS):
        table = provenance.claims_table(data.claims.get(file.run, {}))
        if files.get(file.attachment, table) != table:
            message = "is not the table of the claims that are attached"
            yield Problem("attachments", file.attachment, message)


def _is_same_claim(a: Claim, b: Claim) -> bool:
    tests = [(claim.p, claim.n, claim.test, claim.direction, claim.threshold) for claim in (a, b)]
    same_effect = same(a.effect.value, b.effect.value) and a.effect.bounds == b.effect.bounds
    return tests[0] == tests[1] and same_effect and b.adjusted in (None, a.adjusted)


def _comparisons(trail: Trail, files: Files) -> Iterator[Problem]:
    """The words of a computed comparison follow from the numbers that they compare."""
    data = Evidence(trail, files)
    runs = {"": trail.run.id} | {study: run.id for study, run in trail.reads.items()}
    for comparison in trail.comparisons:
        sides = []
        for side in (comparison.a, comparison.b):
            if not isinstance(side, str):
                sides.append(Number(side))
                continue
            study, _, name = side.rpartition(":")
            known = data.numbers.get(runs.get(study, ""), {})
            if name in known:
                sides.append(known[name])
        if len(sides) == 2 and outcome(*sides) != comparison.outcome:
            message = f"is told as '{comparison.outcome}', its numbers say '{outcome(*sides)}'"
            yield Problem("numbers", f"comparison of {comparison.a} with {comparison.b}", message)


# --- against the store ---------------------------------------------------------------------------


def against(trail: Trail, record: Results | None) -> list[Problem]:
    """What a run's record says of a PDF that was built from it.

    Whether the record is still what the run left is for `research.tracking.mutations`.

    Arguments:
        record: of the run that the trail names, None where the store has none.
    """
    if record is None:
        return [Problem("store", trail.run.id[:8], "the store holds no such run")]
    problems = [*_unchanged(trail, record)]
    for entry in trail.numbers:
        if isinstance(entry, Measured) and entry.run == record.run.id:
            known = record.printable.get(entry.name)
            if known is None or not same(known.value, entry.value):
                said = "none" if known is None else known.value
                message = f"printed from {entry.value}, the run has {said}"
                problems.append(Problem("store", f"number {entry.name}", message))
    return problems


def _unchanged(trail: Trail, record: Results) -> Iterator[Problem]:
    """The files that the PDF names are those that the run left."""
    try:
        listed = read_manifest(record.folder)
    except FileNotFoundError:
        listed = {}
        yield Problem("store", "manifest.json", "is missing from the run")
    named = [(exhibit.artifact, exhibit.sha256) for _, exhibit in trail.exhibits]
    named += [(file.path, file.sha256) for file in trail.files if file.run == record.run.id]
    for path, digest in named:
        if listed.get(path, digest) != digest:
            yield Problem("store", path, "is not what the PDF was built from")
