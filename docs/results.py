"""Writes docs/results.md, the sources' numbers beside ours: python docs/results.py

What a source prints stands in `research/studies/STUDY/printed.py`, what is ours in the record of
the newest full run. Verdicts are computed, and a reason is told only where ours differs.
"""

import argparse
import importlib
import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from research import studies
from research.errors import UserError
from research.methods.statistics import one_more
from research.provenance.formats import measured, plain
from research.records import Number, Results, Run, Table, load
from research.records.printed import Printed
from research.report import pandoc
from research.tracking import Store, open_store

SOURCE = Path(__file__).resolve().parent.parent
PAGE = SOURCE / "docs/results.md"

HEAD = """# Results
Every number that a source prints and a study measures, beside ours. Written by `make results` \
from the records of the runs named here, which `make full` makes; sources' numbers and reasons \
stand in `research/studies/STUDY/printed.py`.

**The rule.** A source's number is that of one run. It is *reproduced* where it lies in the \
interval that holds one more run of ours in 95 of 100 cases, by Student's t over seeds (Hahn and \
Meeker 1991, section 4.8); where ours has no seeds, in the 95 % interval over images or draws; \
where ours has no interval, where both are the same as printed here. Otherwise it *differs*, and \
the reason stands beside it: the size of our run, the data set, or what the number means. A wide \
interval holds nearly anything, so it is printed.
"""

Word = Literal["reproduced", "differs"]


@dataclass(frozen=True)
class Verdict:
    """What becomes of a source's number.

    Attributes:
        word: reproduced or differs.
        low, high: the interval by which it was judged; None where equality was asked for.
    """

    word: Word
    low: float | None = None
    high: float | None = None


def verdict(printed: Printed, ours: Number | str) -> Verdict:
    """By the rule of the page."""
    if isinstance(ours, str) or isinstance(printed.value, str):
        return _worded(ours == printed.value)
    if len(ours.values) > 2 and not ours.equal:
        ours = one_more(ours.values, range=ours.range)
    if ours.bounds and not ours.equal:
        low, high = ours.bounds
        return _worded(low <= printed.value <= high, (low, high))
    alike = measured(ours, printed.format, spread=False) == shown(printed.value, printed.format)
    return _worded(alike)


def _worded(agrees: bool, ends: tuple[float, float] | None = None) -> Verdict:
    return Verdict("reproduced" if agrees else "differs", *(ends or (None, None)))


@dataclass(frozen=True)
class Row:
    """A line of a study's table."""

    printed: Printed
    ours: Number | str
    verdict: Verdict
    reasons: tuple[str, ...]

    @property
    def unexplained(self) -> bool:
        return self.verdict.word == "differs" and not self.reasons


@dataclass(frozen=True)
class Section:
    """What a study's run makes of what its sources print."""

    record: Results
    rows: tuple[Row, ...]
    unmeasured: tuple[Printed, ...]
    said: str

    @property
    def counts(self) -> Mapping[str, int]:
        return Counter(row.verdict.word for row in self.rows)


def section(slug: str, record: Results) -> Section:
    """Raises UserError for a study without its table of printed numbers."""
    name = f"research.studies.{slug.replace('-', '_')}.printed"
    try:
        table = importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise UserError(f"'{slug}' must tell what its sources print: write {name}") from error
    found = [(printed, printed.ours.find(record)) for printed in table.PRINTED]
    rows = tuple(row(one, ours, record.run) for one, ours in found if ours is not None)
    lacking = tuple(one for one, ours in found if ours is None)
    return Section(record, rows, lacking, table.UNMEASURED)


def row(printed: Printed, ours: Number | str, run: Run) -> Row:
    found = verdict(printed, ours)
    reasons = printed.reasons(run) if found.word == "differs" else []
    return Row(printed, ours, found, tuple(reasons))


# --- the page ------------------------------------------------------------------------------------


def page(sections: Mapping[str, Section | None]) -> str:
    """The whole page; None is a study without a full run."""
    made = {slug: one for slug, one in sections.items() if one}
    parts = [HEAD, *summary(sections)]
    if "fgsm" in made:
        parts += ["", *headline(made["fgsm"].record)]
    for slug, one in sections.items():
        parts += ["", f"## {slug}", *(told(one) if one else ["There is no finished full run."])]
    return "\n".join(parts).rstrip() + "\n"


def summary(sections: Mapping[str, Section | None]) -> Iterator[str]:
    yield "| study | run | size | device | reproduced | differs | not measured |"
    yield "|---|---|---|---|--:|--:|--:|"
    for slug, one in sections.items():
        if one is None:
            yield f"| {slug} | none | | | | | |"
            continue
        run, counts = one.record.run, one.counts
        cells = [f"[{slug}](#{slug})", f"`{run.id[:8]}`", size(run), run.device]
        cells += [str(counts.get(word, 0)) for word in ("reproduced", "differs")]
        yield _line([*cells, str(len(one.unmeasured))])


def size(run: Run) -> str:
    """Whether the run is of the preset's size, and how many seeds it has."""
    seeds = f"{len(run.seeds)} seeds"
    smaller = [name for name in run.changed if name != "seeds"]
    return f"changed settings, {seeds}" if smaller else f"full, {seeds}"


def told(one: Section) -> Iterator[str]:
    run = one.record.run
    yield f"Run `{run.id}` of {run.ended[:10]}, {settings(run)}; {data(run)}."
    if one.rows:
        yield ""
        yield "| what | printed | ours | holds one more run | verdict | why | source | run |"
        yield "|---|--:|--:|--:|---|---|---|---|"
        yield from (_line(cells(row, run)) for row in one.rows)
    notes = [one.said] if one.said else []
    if one.unmeasured:
        names = "; ".join(printed.what for printed in one.unmeasured)
        notes.append(f"Printed, but not measured by this run: {names}.")
    if notes:
        yield ""
        yield " ".join(notes)


def settings(run: Run) -> str:
    """Where the run departs from its preset."""
    changed = ", ".join(
        f"`--{name.replace('_', '-')} {_flag(v)}`" for name, v in run.changed.items()
    )
    return f"preset {run.preset} with {changed}" if changed else f"preset {run.preset} as it stands"


def _flag(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def data(run: Run) -> str:
    sides = f"{run.data['train']:,d} to train on and {run.data['test']:,d} to test"
    return f"{run.data['name']}, {sides}"


def cells(row: Row, run: Run) -> list[str]:
    printed, ours, found = row.printed, row.ours, row.verdict
    between = [shown(end, printed.format) for end in (found.low, found.high) if end is not None]
    return [
        printed.what,
        shown(printed.value, printed.format),
        ours if isinstance(ours, str) else measured(ours, printed.format),
        " to ".join(between) or "none: equality",
        f"**{found.word}**" if found.word == "reproduced" else found.word,
        "; ".join(row.reasons) or ("not explained" if row.unexplained else ""),
        f"{cited()[printed.source]}, {printed.where}",
        f"`{run.id[:8]}`",
    ]


def shown(value: float | str, format: str) -> str:
    return value if isinstance(value, str) else measured(Number(value), format)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def cited() -> Mapping[str, str]:
    """key -> author and year, linked where the bibliography has an address."""
    if not _CITED:
        text = (SOURCE / "templates/references.bib").read_text(encoding="utf-8")
        done = pandoc.run(["--from=biblatex", "--to=csljson"], text)
        for entry in json.loads(done.stdout):
            _CITED[entry["id"]] = citation(entry)
    return _CITED


_CITED: dict[str, str] = {}


def citation(entry: Mapping[str, object]) -> str:
    people = [one.get("family") or one.get("literal") for one in entry["author"]]  # type: ignore[attr-defined]
    names = {1: "{}", 2: "{} and {}"}.get(len(people), "{} et al.").format(*people)
    issued = entry.get("issued") or {}
    year = str(issued["date-parts"][0][0]) if issued else ""  # type: ignore[index]
    text = f"{names} {year}".strip()
    address = entry.get("URL") or (f"https://doi.org/{entry['DOI']}" if "DOI" in entry else "")
    return f"[{text}]({address})" if address else text


# --- the headline of fgsm ------------------------------------------------------------------------

ARMS = {"lenet": "LeNet", "cnn": "the newer CNN"}
TITLES = {
    "holds": "Float32 cross-entropy overstates robustness",
    "fails": "Float32 cross-entropy does not overstate robustness",
    "undecided": "Whether float32 cross-entropy overstates robustness is not decided at this size",
}


def headline(record: Results) -> Iterator[str]:
    """The finding of `fgsm`, as far as its claim bears it, and the table that it rests on."""
    claim = record.claims["rounding_flatters_cnn"]
    largest = plain(record.numbers["largest_eps"].value, "g")
    yield f"## {TITLES[claim.outcome]}"
    yield (
        "Where a network is sure, the cross-entropy of an image rounds to zero in float32, and so "
        "does its gradient: the attack of both tutorials then takes signs that are none. Against "
        "the same loss written so that it does not round, the accuracy under attack at ε = "
        f"{largest} changes by {measured(record.numbers['gap_cnn'], '+.2%')} on the newer "
        f"tutorial's network and by {measured(record.numbers['gap_lenet'], '+.2%')} on the older "
        f"one's. The test of the former {claim}. Run `{record.run.id[:8]}`; [fgsm](#fgsm) tells "
        "its size."
    )
    yield ""
    yield "| network | epochs | loss below 1e-8 | wrong signs | by the stable loss | "\
          "accuracy overstated by |"  # fmt: skip
    yield "|---|--:|--:|--:|--:|--:|"
    yield from (_line(line) for line in signs(record.table("signs")))


def signs(table: Table) -> Iterator[list[str]]:
    columns = ("arm", "epochs", "saturated", "wrong", "wrong_stable", "gap")
    for arm, epochs, *shares in zip(*map(table.column, columns), strict=True):
        numbers = [measured(one, ".2%") for one in shares if isinstance(one, Number)]
        yield [ARMS[str(arm)], str(epochs), *numbers]


# --- from the store ------------------------------------------------------------------------------


def full_runs(store: Store) -> dict[str, Results | None]:
    """study -> its newest finished full run."""
    found: dict[str, Results | None] = {}
    for entry in studies.own():
        runs = [run for run in store.runs(entry.slug) if run.status == "FINISHED"]
        newest = next((run for run in runs if run.preset == "full"), None)
        found[entry.slug] = load(newest.folder) if newest else None
    return found


def lacks(sections: Mapping[str, Section | None]) -> list[str]:
    """What the page has to do without."""
    missing = [slug for slug, one in sections.items() if one is None]
    bare = [
        f"'{row.printed.what}' of {slug} differs for no reason that printed.py tells: add a Why"
        for slug, one in sections.items()
        for row in (one.rows if one else ())
        if row.unexplained
    ]
    if missing:
        named = ", ".join(missing)
        bare.insert(
            0, f"a finished full run of every study is required, {named} has none: make full"
        )
    return bare


def main() -> int:
    parser = argparse.ArgumentParser(
        description="Writes docs/results.md from the newest full runs."
    )
    parser.add_argument("--log", help="the store, as for research run")
    try:
        runs = full_runs(open_store(parser.parse_args().log))
        sections = {slug: section(slug, one) if one else None for slug, one in runs.items()}
        PAGE.write_text(page(sections), encoding="utf-8")
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    for line in (missing := lacks(sections)):
        print(line, file=sys.stderr)
    return 2 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
