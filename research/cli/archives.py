"""Verbs that hand a paper on: as linked data, or as one file for an archive or reviewers."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from typing import TYPE_CHECKING, Annotated, TypeVar

import tyro

from research import paths
from research.cli.flags import parse, positional
from research.errors import UserError
from research.machine import packages
from research.tracking import Store, open_store

if TYPE_CHECKING:
    from research.archive.material import Material, Record


HIDDEN = "-anonymous"
"""how the name of an anonymous paper ends"""


@dataclass(frozen=True)
class Handing:
    """Where what is handed on goes, and where the paper's run is."""

    out: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    """Where to write it; without it beside the paper."""
    log: str | None = None
    """Where the runs are kept, as for `research run`."""


H = TypeVar("H", bound=Handing)


def crate(args: list[str]) -> None:
    """Writes an RO-Crate of a paper: research crate paper/ae.pdf -o ae-crate"""
    from research.archive import crate as crates

    pdf, given = _given(args, "crate", Handing)
    out = given.out or pdf.with_name(f"{pdf.stem}-crate")
    if (
        out.exists()
        and not (out / crates.METADATA).is_file()
        and (out.is_file() or any(out.iterdir()))
    ):
        raise UserError(
            f"a folder that is new, empty or a crate is required, got {out}: give another with -o"
        )
    material = _material(pdf, open_store(given.log))
    part = out.with_name(f".{out.name}.part")
    rmtree(part, ignore_errors=True)
    crates.lay(material, part)
    rmtree(out, ignore_errors=True)
    part.replace(out)
    count = sum(1 for path in out.rglob("*") if path.is_file())
    print(f"{out}: an RO-Crate of {count} files, of run {material.trail.run.id}")


def bundle(args: list[str]) -> None:
    """Packs paper, record, code and crate for an archive: research bundle paper/ae.pdf"""
    from research.archive.bundle import bundle as pack
    from research.report import authors

    @dataclass(frozen=True)
    class Bundle(Handing):
        anonymous: bool = False
        """For reviewers: nothing in it names an author, user, machine, folder or commit."""

    pdf, given = _given(args, "bundle", Bundle)
    if given.anonymous and not pdf.stem.endswith(HIDDEN):
        named, pdf = pdf, pdf.with_stem(f"{pdf.stem}{HIDDEN}")
        if not pdf.is_file():
            raise UserError(
                f"an anonymous bundle needs {pdf}, which is not there: build it by "
                f"make anonymous-{named.stem}"
            )
    out = given.out or pdf.with_suffix(".zip")
    if out.suffix != ".zip":
        raise UserError(f"a bundle is a .zip, got -o {out}: give a name that ends so")
    material = _material(pdf, open_store(given.log))
    if given.anonymous and not material.anonymous:
        make = f"make anonymous-{material.trail.run.study}"
        raise UserError(
            f"an anonymous bundle needs an anonymous paper, {pdf.name} is by "
            f"{material.trail.author['name']}: build it by {make}"
        )
    pack(material, out, paths.ROOT, authors.read(_author(pdf)))
    manner = "anonymous, " if material.anonymous else ""
    print(f"{out}: {manner}{out.stat().st_size / 1e6:.1f} MB, of run {material.trail.run.id}")


def _given(args: list[str], verb: str, kind: type[H]) -> tuple[Path, H]:
    usage = f"research {verb} FILE.pdf"
    pdf = Path(positional(args, usage))
    given: H = parse(kind, args[1:], usage)
    packages.need(packages.ARCHIVE, f"research {verb}")
    return pdf, given


def _material(pdf: Path, store: Store) -> "Material":
    """What is handed on with a paper that verifies, and whose runs are still what they were."""
    from research.archive import material
    from research.verification import verdicts

    verdict, trail = examined = verdicts.examined(pdf)
    verdict = verdicts.with_store(examined, store)
    if not verdict.ok or trail is None:
        first, *rest = verdict.problems
        more = f", and {len(rest)} more: research verify {pdf}" if rest else ""
        raise UserError(f"only a paper that verifies is handed on, but {pdf.name}: {first}{more}")
    runs = {"": trail.run.id} | {study: run.id for study, run in trail.reads.items()}
    records = {study: _record(id, store) for study, id in runs.items()}
    return material.gather(pdf, trail, records, _author(pdf), paths.ROOT)


def _record(id: str, store: Store) -> "Record":
    from research.archive.material import Record
    from research.tracking.mutations import children

    run = store.find(id)
    inner: dict[str, Path] = {}
    with suppress(FileNotFoundError):  # the record of another program has no lineage
        inner = dict(children(run))
    return Record(run.folder, inner)


def _author(pdf: Path) -> Path:
    """The authors' file beside the paper, else the project's."""
    beside = pdf.parent / "author.toml"
    return beside if beside.is_file() else paths.PAPER / "author.toml"
