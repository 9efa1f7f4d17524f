"""Mutations: what was changed in a run after it had finished."""

from collections.abc import Iterator
from pathlib import Path

from research import records
from research.tracking.log import Summary
from research.tracking.record import read_lineage

KEPT_ASIDE = ("manifest.json", "report")
"""Parts of a record that are written after its end."""


def mutations(run: Summary) -> list[str]:
    """One line for each thing that is not as the run left it; empty where all is.

    The files of the run and of its children are compared with their manifests. What somebody
    changes in MLflow is no mutation: nothing reads it from there.
    """
    files = [*_files(run.folder)]
    for name, folder in children(run):
        files += [f"child {name}: {line}" for line in _files(folder)]
    return files


def children(run: Summary) -> Iterator[tuple[str, Path]]:
    """The records of the children that are here; they lie beside their parent's in every store."""
    named = read_lineage(run.folder).children
    if not named:
        return
    inner = run.folder.parts[run.folder.parts.index(run.id) + 1 :]
    beside = run.folder.parents[len(inner)]
    folders = {id: beside.joinpath(id, *inner) for id in named.values()}
    if run.record_id != run.id:  # it was brought in, and so were they: under ids of the store
        here = [path.parent for path in beside.glob("/".join(["*", *inner, "run.json"]))]
        folders |= {records.load(folder).run.id: folder for folder in here}
    for name, id in named.items():
        if folders[id].exists():
            yield name, folders[id]


def _files(record: Path) -> Iterator[str]:
    try:
        listed = records.read_manifest(record)
    except FileNotFoundError:
        yield "it has no manifest.json"
        return
    here = {
        path.relative_to(record).as_posix(): path for path in record.rglob("*") if path.is_file()
    }
    present = {name for name in here if name.split("/")[0] not in KEPT_ASIDE}
    yield from (f"{name} is gone" for name in sorted(listed.keys() - present))
    yield from (f"{name} was added after its end" for name in sorted(present - listed.keys()))
    for name in sorted(present & listed.keys()):
        if records.sha256(here[name]) != listed[name]:
            yield f"{name} was changed after its end"
