"""Verification: is a PDF what was built, and does each of its numbers follow from its record?

Everything is decided by the file alone, offline. The trail inside names what was printed, where and
how; the attached data hold the raw values; the pages are read by another library than wrote them.

    container   nothing in the file acts, hides or unpacks without end
    record      the trail is whole and sealed
    attachments each is the file that the record names, none is missing or added
    pages       text and drawing of each page are those that were written
    numbers     each is printed at its place as its value and format demand, and is that of the data
    text        no number stands in the text that nothing vouches for

A forger who rewrites the pages, the record, its seal and the data alike is found out only by the
store that holds the run: see `against`.

Blind spots: those of `provenance.literals` and of the rules in `verification.accounting`;
a formula's digits, which are drawn.
"""

import difflib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from research.errors import UserError
from research.provenance import container, literals, page_text
from research.provenance import trail as provenance
from research.provenance.attachment import NAME
from research.provenance.container import Refused
from research.provenance.formats import outcome
from research.provenance.page_text import Page, bare, collapsed
from research.records import Claim, Number, Results, read_manifest
from research.verification import accounting
from research.verification.evidence import Evidence, Files, Trail, number_of, reprinted

NUMBERS_LIMIT = 20_000
"""printed values at most"""
WORDS_LIMIT = 5000
"""words of a page whose changes are named; a page of ours has about a thousand"""
NAMED = 12
"""changes of a page's text that are named one by one"""


FORMLESS = (KeyError, TypeError, ValueError, AttributeError, IndexError, ArithmeticError,
             RecursionError, UserError)  # fmt: skip
"""What comes of a record that is written as no build writes it."""


@dataclass(frozen=True)
class Problem:
    """One thing that is not as it was built.

    Attributes:
        kind: refused, record, attachments, pages, numbers, text or store.
        where: a page, a number's id, a file's name; empty for the whole.
        message: what was found and what was expected.
    """

    kind: str
    where: str
    message: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.where + ': ' if self.where else ''}{self.message}"


@dataclass(frozen=True)
class Verdict:
    """What verification found.

    Attributes:
        run: id of the run, empty where it is not known.
        counts: how many pages, numbers, figures, tables and attachments were looked at.
    """

    problems: tuple[Problem, ...]
    run: str = ""
    counts: Mapping[str, int] = ()  # type: ignore[assignment]

    @property
    def ok(self) -> bool:
        return not self.problems


def verify(path: Path) -> Verdict:
    """Verifies a PDF by itself; every problem that is found, not only the first.

    Raises:
        UserError: there is no such file.
    """
    _require(path)
    try:
        content = container.read(path)
        document = container.open_safely(content)
        files = container.attachments(document)
        trail = trail_of(files)
        pages = page_text.pages(content)
        checks: Sequence[Callable[[], Iterator[Problem]]] = (
            lambda: _record(trail),
            lambda: _attachments(trail, files),
            lambda: _shown(trail, document, pages),
            lambda: _numbers(trail, files, pages),
            lambda: _comparisons(trail, files),
            lambda: _claims(trail, files),
            lambda: _text(trail, pages, container.headings(document)),
        )
        problems = [problem for check in checks for problem in check()]
    except Refused as error:
        return Verdict((Problem("refused", "", str(error)),))
    except FORMLESS as error:
        reason = f"it has not the form of a record ({type(error).__name__}: {str(error)[:80]})"
        return Verdict((Problem("record", NAME, reason),))
    counts = {name: len(trail[name]) for name in ("pages", "numbers", "figures", "tables")}
    counts["attachments"] = len(files)
    return Verdict(tuple(problems), trail["run"]["id"], counts)


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
    if not isinstance(trail, dict) or trail.get("format") != 2:
        raise Refused(f"its {NAME} is not of format 2: build the paper again")
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


def _attachments(trail: Trail, files: Files) -> Iterator[Problem]:
    listed = dict(_listed(trail))
    for name, digest in listed.items():
        if name not in files:
            yield Problem("attachments", name, "is named in the record but not attached")
        elif provenance.sha256_of(files[name]) != digest:
            yield Problem("attachments", name, "is not the file of the record: other sha256")
    for name in sorted(files.keys() - listed.keys() - {NAME}):
        yield Problem("attachments", name, "is attached but not named in the record")


# --- pages ---------------------------------------------------------------------------------------


def _shown(trail: Trail, document: Any, pages: Sequence[Page]) -> Iterator[Problem]:
    built = trail["pages"]
    if len(pages) != len(built):
        yield Problem("pages", "", f"there are {len(pages)}, {len(built)} were built")
    looks = container.drawings(document)
    for number, (page, look, former) in enumerate(zip(pages, looks, built, strict=False), start=1):
        changes = list(_changes(former["text"], page.text))
        for change in changes[:NAMED]:
            yield Problem("text", f"page {number}", change)
        if len(changes) > NAMED:
            yield Problem("text", f"page {number}", f"and {len(changes) - NAMED} changes more")
        if look != former["drawing"]:
            on = [f"{kind[:-1]} {one['name']}" for kind in ("figures", "tables")
                  for one in trail[kind] if one["page"] == number]  # fmt: skip
            there = f" (on it: {', '.join(on)})" if on else ""
            yield Problem("pages", f"page {number}", f"is drawn otherwise than it was built{there}")
    for kind in ("figures", "tables"):
        for one in trail[kind]:
            if not 1 <= one["page"] <= len(pages):
                message = f"is recorded on page {one['page']}, which does not exist"
                yield Problem("pages", f"{kind[:-1]} {one['name']}", message)
    if container.alternatives(document) != trail["alternatives"]:
        yield Problem("pages", "alternative texts", "are not those that were built")
    info = document.docinfo
    for key, wanted in (("/Title", trail["title"]), ("/Author", trail["author"]["name"])):
        if str(info.get(key, "")) != wanted:
            yield Problem("record", f"metadata {key[1:]}", f"is not the built '{wanted[:60]}'")


def _changes(former: str, now: str) -> Iterator[str]:
    """The places where two texts differ, each with a word before it."""
    if former == now:
        return
    a, b = former.split(), now.split()
    if max(len(a), len(b)) > WORDS_LIMIT:
        yield "is another text, too long to be compared word by word"
        return
    matcher = difflib.SequenceMatcher(None, a, b, autojunk=False)
    for kind, a1, a2, b1, b2 in matcher.get_opcodes():
        if kind != "equal":
            before, old, new = a[max(a1 - 3, 0) : a1], " ".join(a[a1:a2]), " ".join(b[b1:b2])
            yield f"after '{' '.join(before)}' was built '{old[:80]}' and stands '{new[:80]}'"


def _text(trail: Trail, pages: Sequence[Page], headings: Sequence[str]) -> Iterator[Problem]:
    """Comes after `_numbers`, which marks what is vouched for."""
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
        if known and value != entry["value"]:
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
            number_of(known["effect"]).value != effect.value
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
            if known is None or known.value != entry["value"]:
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
