"""The verb that gives a paper to other programs."""

from collections.abc import Sized
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from typing import Annotated, Literal

import tyro

from research import paths
from research.cli import needs, papers
from research.cli.flags import Stored, stored
from research.errors import UserError
from research.machine import packages


def export(args: list[str]) -> None:
    """Writes a paper as LaTeX or for Word: research export ae --to latex"""
    from research.export import latex, manuscript, word
    from research.provenance.trail import Ledger
    from research.records import load
    from research.report import authors, source

    @dataclass(frozen=True)
    class Export(Stored):
        to: Literal["latex", "docx"] = "latex"
        """latex: a folder for Overleaf, arXiv and publishers; docx: a document for co-authors."""
        out: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
        """Where to write it; without it beside the write-up."""

    packages.need(packages.REPORT, "research export")
    entry, chosen, store, run = stored(args, "export", Export)
    if run is None:
        raise UserError(f"there is no finished run of '{entry.slug}': make run-{entry.slug}")
    out = chosen.out or paths.PAPER / (
        f"{entry.slug}-latex" if chosen.to == "latex" else f"{entry.slug}.docx"
    )
    _check(out, chosen.to)
    needs.writable(out.parent)
    beside = papers.runs_beside(entry, run, store)
    record = load(run.folder)
    others = {study: load(other.folder) for study, other in beside.items() if other}
    ledger = Ledger(record, others, papers.history(entry, record.run, store))
    text = source.read(paths.PAPER / f"{entry.slug}.md")
    signed = authors.read(paths.PAPER / "author.toml")
    keyed = chosen.to == "latex"
    paper = manuscript.read(ledger, text, signed, paths.TEMPLATES, keyed=keyed)
    if chosen.to == "latex":
        part = out.with_name(f".{out.name}.part")
        rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        latex.write(paper, part, paths.TEMPLATES)
        rmtree(out, ignore_errors=True)
        part.replace(out)
    else:
        word.write(paper, out)
    print(
        f"{out}: of run {run.id}, {_counted(ledger.figures, 'figure')}, "
        f"{_counted(ledger.tables, 'table')}"
    )


def _counted(things: Sized, what: str) -> str:
    return f"{len(things)} {what}{'s' * (len(things) != 1)}"


def _check(out: Path, to: str) -> None:
    """Raises UserError for a place that holds something else."""
    if to == "docx" and out.suffix != ".docx":
        raise UserError(f"a document is a .docx, got -o {out}: give a name that ends so")
    if (
        to == "latex"
        and out.exists()
        and not (out / "main.tex").is_file()
        and (out.is_file() or any(out.iterdir()))
    ):
        raise UserError(
            f"a folder that is new, empty or of an export is required, got {out}: give another "
            "with -o"
        )
