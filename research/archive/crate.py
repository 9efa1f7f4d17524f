"""An RO-Crate of a paper: what it was made from, by whom, with what, as linked data.

    paper/      the PDF, its trail, and the write-up where that is unchanged
    record/     the record of the run with its children's; record-STUDY/ of one that is read beside
    data/       a description of each data set as Croissant
    CITATION.cff

References:
    RO-Crate Metadata Specification 1.1; Process Run Crate 0.5, the simplest of the Workflow Run
    RO-Crate profiles (Leo et al., 2024).
"""

import dataclasses
import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from research.archive import citation, croissant, graph
from research.archive.material import Material, Record, files
from research.provenance import attachment, container
from research.provenance.facts import portable
from research.records import load, write_json, write_manifest
from research.records import sources as data
from research.report import anonymous

METADATA = "ro-crate-metadata.json"
NAMING = ("environment/argv.txt", "environment/git.json", "tracking/")
"""Parts of a record that name a commit, folders or a user."""


def lay(material: Material, folder: Path) -> None:
    """Writes the crate into a folder that is empty."""
    _lay_paper(material, folder / "paper")
    for study, record in material.records.items():
        _lay_record(record, folder / part(study), hide=material.anonymous)
    for place, content in described(material).items():
        _write(folder / place, content)
    if not material.anonymous:
        _write(folder / citation.NAME, citation.cff(material))
    finish(material, folder)


def finish(material: Material, folder: Path) -> None:
    """Writes the metadata, which name every other file."""
    _write(folder / METADATA, _json(graph.metadata(material, folder)))


def part(study: str) -> str:
    """The folder of a record: `record`, or `record-STUDY` of one that is read beside it."""
    return f"record-{study}" if study else "record"


def described(material: Material) -> dict[str, str]:
    """Place in the crate -> Croissant of each data set."""
    return {
        f"data/{name}/{croissant.NAME}": _json(described)
        for name, described in _described(material)
    }


def _described(material: Material) -> Iterator[tuple[str, Mapping[str, object]]]:
    for study, record in material.records.items():
        run = material.trail.reads[study] if study else material.trail.run
        for source in _sources(record, hide=material.anonymous):
            facts = run.data if source.group == "data" else {}
            name = f"{study}-{source.group}" if study else source.group
            yield name, croissant.croissant(source, facts, run.ended)


def _sources(record: Record, *, hide: bool) -> tuple[data.Source, ...]:
    """The data sets; of a record that does not list their files the set's own facts alone."""
    run = record.run
    sources = record.sources or (
        data.Source("data", str(run.data.get("name", "data")), why="the run did not list them"),
    )
    return tuple(hidden(source) if hide else source for source in sources)


def hidden(source: data.Source) -> data.Source:
    """A data set without the names of folders and files of the author's own."""
    if all(file.told or file.url for file in source.files) and not source.why:
        return source
    return data.Source(source.group, "own data", why="they are named by their author")


def _lay_paper(material: Material, folder: Path) -> None:
    folder.mkdir(parents=True)
    shutil.copyfile(material.pdf, folder / material.pdf.name)
    attached = container.attachments(container.open_safely(container.read(material.pdf)))
    (folder / attachment.NAME).write_bytes(attached[attachment.NAME])
    if material.source:
        shutil.copyfile(material.source, folder / material.source.name)


def _lay_record(record: Record, folder: Path, *, hide: bool) -> None:
    _copy(record.folder, folder, hide=hide)
    for name, child in record.children.items():
        _copy(child, folder.with_name(f"{folder.name}-children") / name, hide=hide)


def _copy(record: Path, folder: Path, *, hide: bool) -> None:
    """A record, whose manifest vouches for it; one that is cleaned gets a manifest of its own."""
    for name, path in files(record):
        if name.startswith("report/") or (hide and name.startswith(NAMING)):
            continue
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, folder / name)
    if hide:
        _clean(folder)


def _clean(folder: Path) -> None:
    run = anonymous.cleaned_run(load(folder).run)
    write_json(folder / "run.json", portable(dataclasses.asdict(run)))
    data.write(folder, [hidden(source) for source in data.read(folder)])
    write_manifest(folder)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _json(value: object) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"
