"""Provenance: where each printed number and figure comes from, and where it stands.

The trail is one JSON document, embedded in the PDF and in the HTML:

    run           the run's facts
    reads         study -> the facts of another run that the text reads
    sources       write-up and templates -> sha256
    numbers       {id, kind, run, name, value, half_width, low, high, n, format, printed, page, …}
    figures       {name, artifact, sha256, page, rectangle, data: [{path, sha256, attachment}]}
    pictures      {name, sha256, page, rectangle}: the author's own, where there are any
    tables        {name, artifact, sha256, page, rectangle, attachment}
    claims        {id, run, name, outcome, effect, low, high, unit, values, p, n, test, direction,
                  threshold, printed, page, rectangle}: what a sentence rests on
    comparisons   {a, b, outcome}: what the words of a computed comparison rest on
    surroundings  run -> facts that are not its own: cohort, selection, what changed since
    files         {path, sha256, attachment, run}: all numbers and claims of the runs that are read,
                  and the claims as a table
    author        name, affiliation, email and course as printed
    pages         {text, drawing, picture}: what a reader finds on each page, the digest of how it
                  is drawn, and how it looks, see `research.provenance.raster`
    alternatives  the alternative texts
    parts         outline, tags and the like -> digest, see `research.provenance.structure`
    metadata      title, author, keywords and dates, as they stand in the file
    seal          sha256 of all of the above, see `sealed`

`kind` is number, cell, count, cut, setting, fact, quoted or stated. A rectangle is [left, bottom,
right, top] in points from the page's lower left corner, as in PDF; pages count from 1. `format` and
`shows` say how a value was printed, so that anyone can print it again.
"""

import dataclasses
import hashlib
import html
import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from research.errors import GapError
from research.provenance.cohort import History, cohort, differing, selection
from research.provenance.entries import (
    Claimed,
    Comparison,
    DataFile,
    Exhibited,
    MeasuredFile,
    PrintedPicture,
)
from research.provenance.facts import portable
from research.records import Claim, Results, family, read_manifest, sha256

FORMAT = 3
READABLE = (2, 3)
"""Formats of a record that `verify` reads; what 2 lacks is told by `research.provenance.former`."""

DESCRIPTION = "Where each number and figure of this paper comes from"
"""What the PDF says of its record."""

LIMIT = 4_000_000
"""Bytes of data files that are attached at most; a larger rest is named by its sha256 alone."""

_SUPERSCRIPT = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+")


@dataclass(frozen=True)
class Place:
    """Where an element stands: its page from 1 and [left, bottom, right, top] in points."""

    page: int
    rectangle: tuple[float, float, float, float]


@dataclass(frozen=True)
class File:
    """A file of the record."""

    path: str
    sha256: str
    bytes: int

    @property
    def attachment(self) -> str:
        return self.path.replace("/", "-")


@dataclass(frozen=True)
class Exhibit:
    """A printed figure or table: its artifact and the data behind it."""

    id: str
    name: str
    artifact: File
    data: tuple[File, ...]


@dataclass(frozen=True)
class OwnPicture:
    """A printed picture of the author's: its element, file and digest."""

    id: str
    name: str
    sha256: str


@dataclass
class Ledger:
    """Collects what a write-up prints, in the order in which it stands there."""

    results: Results
    others: Mapping[str, Results] = field(default_factory=dict)
    """runs that are read beside the paper's own, by study"""
    history: History = field(default_factory=History)
    numbers: list[dict[str, Any]] = field(default_factory=list)
    figures: list[Exhibit] = field(default_factory=list)
    tables: list[Exhibit] = field(default_factory=list)
    pictures: list[OwnPicture] = field(default_factory=list)
    claims: list[dict[str, Any]] = field(default_factory=list)
    comparisons: list[Comparison] = field(default_factory=list)
    lone: bool = False
    """whether a value of a single seed was printed"""
    stale: tuple[str, ...] = ()
    """what has changed since the run"""

    @property
    def surroundings(self) -> dict[str, dict[str, str]]:
        """Facts of each run that are not its own: what the runs around it and the present tell."""
        run, history = self.results.run, self.history
        own = {
            "models.apart": cohort(run, history.lenders) if history.runs else "",
            "selection": selection(run, history),
            "stale": "; ".join(self.stale),
        }
        others = {
            other.run.id: {"apart": ", ".join(differing(run, other.run))}
            for other in self.others.values()
        }
        return {**others, run.id: own}

    def print(
        self, kind: str, name: str, printed: str, value: Any, *, run: str, mark: str = "",
        **facts: Any,
    ) -> str:  # fmt: skip
        """Enters one printed value and returns its HTML, an element with an id of its own.

        Arguments:
            mark: the text with slots, where formulas are drawn in it.
        """
        entry = {"id": f"v-{len(self.numbers) + 1}", "kind": kind, "name": name}
        source = {} if kind in ("quoted", "stated") else {"run": run}
        self.numbers.append(entry | source | {"value": value, "printed": printed} | facts)
        # a number stays on its line; a phrase, such as a data set's source, must not
        style = "v words" if len(printed) > 20 and " " in printed else "v"
        text = _raised(html.escape(mark or printed))
        return f'<span class="{style}" id="{entry["id"]}">{text}</span>'

    def claim(self, name: str, claim: Claim, printed: str, html: str, *, run: str) -> str:
        """Enters a sentence that rests on a claim and returns its HTML, an element with an id."""
        facts = dataclasses.asdict(claim)
        effect: dict[str, Any] = facts.pop("effect")
        kind = {"range": effect["range"], "interval": effect["interval"]}
        low, high = claim.effect.bounds or (None, None)
        tested = {"outcome": claim.outcome, "effect": effect["value"], "low": low, "high": high}
        measured = {"unit": effect["unit"], "values": effect["values"]}
        entry = {"id": f"c-{len(self.claims) + 1}", "run": run, "name": name}
        self.claims.append(entry | tested | measured | kind | facts | {"printed": printed})
        return f'<span class="claim" id="{entry["id"]}">{html}</span>'

    def file(self, path: str) -> File:
        """A file of the record. Raises GapError if it is missing or not what the run wrote."""
        target = self.results.folder / path
        if not target.is_file():
            raise GapError(
                f"run {self.results.run.id[:8]} has no file {path}: its record is incomplete"
            )
        digest, listed = sha256(target), self._manifest().get(path)
        if listed not in (None, digest):
            raise GapError(
                f"{path} of run {self.results.run.id[:8]} was changed after the run: "
                "its sha256 is not the manifest's"
            )
        return File(path, digest, target.stat().st_size)

    def unvouched(self) -> Iterator[GapError]:
        """What the manifests of the runs that are read do not vouch for, of their facts, numbers
        and claims."""
        for results in (self.results, *self.others.values()):
            run = f"run {results.run.id[:8]}"
            try:
                listed = read_manifest(results.folder)
            except FileNotFoundError:
                yield GapError(f"{run} has no manifest.json: nothing vouches for its files")
                continue
            for path in ("run.json", *MEASURED):
                file = results.folder / path
                digest = sha256(file) if file.is_file() else None
                if digest != listed.get(path):
                    done = "was changed" if digest and path in listed else "was added"
                    yield GapError(
                        f"{path} of {run} {done if digest else 'was taken away'} after the run: "
                        "its sha256 is not the manifest's"
                    )

    def attached(self) -> list[File]:
        """The data files behind all figures and tables, smallest first, up to `LIMIT` bytes."""
        exhibits = [*self.figures, *self.tables]
        files = sorted(
            {f for exhibit in exhibits for f in exhibit.data}, key=lambda f: (f.bytes, f.path)
        )
        kept, total = [], 0
        for file in files:
            total += file.bytes
            if total <= LIMIT:
                kept.append(file)
        return kept

    def _manifest(self) -> dict[str, str]:
        try:
            return read_manifest(self.results.folder)
        except FileNotFoundError:
            return {}


def _raised(text: str) -> str:
    """Superscript letters, which few fonts have in full, as raised ordinary ones."""
    return _SUPERSCRIPT.sub(lambda m: f"<sup>{unicodedata.normalize('NFKC', m[0])}</sup>", text)


MEASURED = ("numbers.json", "claims.json")
CLAIMS = "claims.csv"
"""The claims with their effects, adjusted p and outcomes; follows from claims.json."""


def measured_of(ledger: Ledger) -> Iterator[tuple[MeasuredFile, bytes]]:
    """For each run that is read, where its numbers and claims are attached, and them as JSON."""
    for study, results in {"": ledger.results, **ledger.others}.items():
        for path in MEASURED:
            file = results.folder / path
            if file.is_file():
                content, name = file.read_bytes(), f"{study}-{path}" if study else path
                digest, run = sha256_of(content), results.run.id
                yield MeasuredFile(path=path, sha256=digest, attachment=name, run=run), content
        if results.claims:
            content, name = claims_table(results.claims), f"{study}-{CLAIMS}" if study else CLAIMS
            digest, run = sha256_of(content), results.run.id
            yield MeasuredFile(path=CLAIMS, sha256=digest, attachment=name, run=run), content


def claims_table(claims: Mapping[str, Claim]) -> bytes:
    """The claims of a run for a spreadsheet, as they are attached."""
    return family.as_csv(claims).encode()


def seal(trail: Mapping[str, Any]) -> str:
    """sha256 of a trail's content, whatever its layout as JSON."""
    content = {key: value for key, value in trail.items() if key != "seal"}
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def sealed(trail: dict[str, Any], shown: Mapping[str, Any]) -> dict[str, Any]:
    """The trail with what the written pages show, and a seal over both."""
    whole = trail | dict(shown)
    return whole | {"seal": seal(whole)}


def trail(
    ledger: Ledger,
    title: str,
    author: Mapping[str, str],
    sources: Mapping[str, str],
    places: Mapping[str, Place],
) -> dict[str, Any]:
    """The provenance of a laid-out write-up as plain data, without paths of this machine."""
    attached = set(ledger.attached())
    own = [
        PrintedPicture(name=picture.name, sha256=picture.sha256, **_place(picture.id, places))
        for picture in ledger.pictures
    ]
    return ({"pictures": [dataclasses.asdict(printed) for printed in own]} if own else {}) | {
        "format": FORMAT,
        "title": title,
        "author": dict(author),
        "run": portable(dataclasses.asdict(ledger.results.run)),
        "reads": {
            study: portable(dataclasses.asdict(other.run)) for study, other in ledger.others.items()
        },
        "sources": dict(sources),
        "numbers": [_carried(entry) | _place(entry["id"], places) for entry in ledger.numbers],
        "surroundings": ledger.surroundings,
        "figures": [_exhibit(figure, places, attached) for figure in ledger.figures],
        "tables": [_exhibit(table, places, attached) for table in ledger.tables],
        "claims": [
            dataclasses.asdict(Claimed(**entry, **_place_if(entry["id"], places)))
            for entry in ledger.claims
        ],
        "comparisons": [dataclasses.asdict(comparison) for comparison in ledger.comparisons],
        "files": [dataclasses.asdict(file) for file, _ in measured_of(ledger)],
    }


def _exhibit(exhibit: Exhibit, places: Mapping[str, Place], attached: set[File]) -> dict[str, Any]:
    data = (
        DataFile(path=f.path, sha256=f.sha256, attachment=f.attachment if f in attached else None)
        for f in exhibit.data
    )
    exhibited = Exhibited(
        name=exhibit.name,
        artifact=exhibit.artifact.path,
        sha256=exhibit.artifact.sha256,
        **_place(exhibit.id, places),
        data=tuple(data),
    )
    fields = dataclasses.asdict(exhibited)
    return fields | {"data": list(fields["data"])}


def _carried(entry: dict[str, Any]) -> dict[str, Any]:
    """What the author wrote is no path, however it begins: /255."""
    return entry if entry["kind"] in ("quoted", "stated") else dict(portable(entry))


def unplaced(ledger: Ledger, places: Mapping[str, Place]) -> list[str]:
    """What was printed and yet stands on no page, one line each."""
    values = {entry["id"]: f"{entry['kind']} '{entry['name']}'" for entry in ledger.numbers}
    shown = {figure.id: f"figure '{figure.name}'" for figure in ledger.figures}
    shown |= {table.id: f"table '{table.name}'" for table in ledger.tables}
    return [what for name, what in (values | shown).items() if name not in places]


def _place(name: str, places: Mapping[str, Place]) -> dict[str, Any]:
    return {"page": places[name].page, "rectangle": list(places[name].rectangle)}


def _place_if(name: str, places: Mapping[str, Place]) -> dict[str, Any]:
    """A branch may be empty, and then it stands nowhere."""
    return _place(name, places) if name in places else {"page": None, "rectangle": None}


def sha256_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def digests(paths: Iterable[Path]) -> dict[str, str]:
    """File name -> sha256 of the write-up and its templates."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(paths, key=lambda path: path.name)
    }


def as_json(trail: Mapping[str, Any]) -> str:
    return json.dumps(trail, indent=1, ensure_ascii=False) + "\n"
