"""Mutations: what was changed in a run after it had finished. MLflow lets anyone log into it."""

import math
from collections.abc import Iterator
from pathlib import Path

from research import records
from research.tracking import curves, database, mirror
from research.tracking.local import LocalStore
from research.tracking.log import Store, Summary
from research.tracking.record import CURVES, read_lineage

LONGEST_PARAM = 6000
"""Letters of a parameter that MLflow keeps."""

LARGEST = 1.7976931348623157e308
"""What MLflow stores for infinity."""

KEPT_ASIDE = ("manifest.json", "report")
"""Parts of a record that are written after its end."""

Point = tuple[str, int, float | None]


def mutations(run: Summary, store: Store | None = None) -> list[str]:
    """One line for each thing that is not as the run left it; empty where all is.

    The files of the run and of its children are compared with their manifests. Where the store is
    a local MLflow, so are the points of its curves and its parameters with the record; of a store
    that lies elsewhere nothing is said but what the files tell.
    """
    children = read_lineage(run.folder).children
    found = [*_files(run.folder)]
    for name, id in children.items():
        folder = _child(run, id)
        found += [f"child {name}: {line}" for line in _files(folder)] if folder.exists() else []
    if not isinstance(store, LocalStore) or run.record_id != run.id:
        return found
    found += _logged(store.path, run.id, run.folder)
    for name, id in children.items():
        if _child(run, id).exists():
            found += [f"child {name}: {x}" for x in _logged(store.path, id, _child(run, id))]
    return found


def _child(run: Summary, id: str) -> Path:
    """The record of a child, which lies beside its parent's in every store."""
    inner = run.folder.parts[run.folder.parts.index(run.record_id) + 1 :]
    return run.folder.parents[len(inner)].joinpath(id, *inner)


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


def _logged(path: Path, id: str, record: Path) -> Iterator[str]:
    """Where MLflow and the record differ."""
    points, params = database.values(path, id)
    known = {
        (name, point.step, _stored(value))
        for file in CURVES
        for point in curves.read(record / file)[0]
        for name, value in point.values.items()
    }
    for name in sorted({name for name, *_ in points - known}):
        yield f"MLflow holds values of '{name}' that the run did not log"
    for name in sorted({name for name, *_ in known - points}):
        yield f"MLflow lacks values of '{name}' that the run logged"
    config = records.load(record).run.config
    wanted = {name: mirror.spell(value)[:LONGEST_PARAM] for name, value in config.items()}
    for name in sorted(wanted.keys() | params):
        if params.get(name) != wanted.get(name):
            yield f"parameter {name} is {params.get(name)} in MLflow, {wanted.get(name)} in the run"


def _stored(value: float) -> float | None:
    if math.isnan(value):
        return None
    return math.copysign(LARGEST, value) if math.isinf(value) else value
