"""Reads MLflow's SQLite file directly: opening it with MLflow takes seconds, this milliseconds."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

TIMEOUT = 20.0
"""Seconds to wait for another process that writes."""


@dataclass(frozen=True)
class Row:
    """A run of MLflow; times are in milliseconds since 1970, 0 where not known."""

    id: str
    experiment: str
    name: str
    status: str
    started: int
    ended: int
    artifact_uri: str
    tags: dict[str, str] = field(default_factory=dict)


def rows(database: Path) -> list[Row]:
    """Runs that were not deleted, of experiments that were not deleted, the newest first."""
    query = """
        SELECT r.run_uuid, e.name, r.name, r.status, r.start_time, coalesce(r.end_time, 0),
               r.artifact_uri
        FROM runs r JOIN experiments e ON e.experiment_id = r.experiment_id
        WHERE r.lifecycle_stage = 'active' AND e.lifecycle_stage = 'active'
        ORDER BY r.start_time DESC, r.rowid DESC
    """
    with _opened(database, "ro") as db:
        if not _is_ready(db):
            return []
        found = {line[0]: Row(*line) for line in db.execute(query)}
        for id, key, value in db.execute("SELECT run_uuid, key, value FROM tags"):
            if id in found:
                found[id].tags[key] = value
    return list(found.values())


def values(database: Path, run: str) -> tuple[set[tuple[str, int, float | None]], dict[str, str]]:
    """What MLflow holds of a run: (name, step, value or None for NaN) of each point; parameters."""
    metrics = "SELECT key, step, value, is_nan FROM metrics WHERE run_uuid = ?"
    params = "SELECT key, value FROM params WHERE run_uuid = ?"
    with _opened(database, "ro") as db:
        points = db.execute(metrics, (run,)).fetchall()
        return (
            {(name, step, None if nan else value) for name, step, value, nan in points},
            dict(db.execute(params, (run,)).fetchall()),
        )


def rehome(database: Path, artifacts: Path) -> None:
    """Points MLflow to where the artifacts are after the checkout was moved or copied.

    MLflow stores absolute addresses. An experiment whose artifacts were in a folder of the same
    name goes to the new one, and with it each run whose files are there now.
    """
    if not os.access(database, os.W_OK):
        return
    with _opened(database, "rw") as db, db:
        if not _is_ready(db):
            return
        for id, name in _moved(db, artifacts):
            new = (artifacts / name).as_uri()
            db.execute(
                "UPDATE experiments SET artifact_location = ? WHERE experiment_id = ?", (new, id)
            )
            runs = db.execute("SELECT run_uuid FROM runs WHERE experiment_id = ?", (id,))
            for (run,) in runs.fetchall():
                if (artifacts / name / run).is_dir():
                    uri = f"{new}/{run}/artifacts"
                    db.execute("UPDATE runs SET artifact_uri = ? WHERE run_uuid = ?", (uri, run))


def is_moved(database: Path, artifacts: Path) -> bool:
    with _opened(database, "ro") as db:
        return _is_ready(db) and bool(_moved(db, artifacts))


def _moved(db: sqlite3.Connection, artifacts: Path) -> list[tuple[int, str]]:
    """Experiments with an address they should not have: id, name."""
    query = "SELECT experiment_id, name, artifact_location FROM experiments"
    return [
        (id, name)
        for id, name, uri in db.execute(query)
        if uri.startswith("file:")
        and uri.endswith(f"/artifacts/{name}")
        and uri != (artifacts / name).as_uri()
    ]


def _is_ready(db: sqlite3.Connection) -> bool:
    """Whether the schema is there; another process may be creating it."""
    query = "SELECT count(*) FROM sqlite_master WHERE name IN ('runs', 'experiments', 'tags')"
    return bool(db.execute(query).fetchone()[0] == 3)


@contextmanager
def _opened(database: Path, mode: str) -> Iterator[sqlite3.Connection]:
    uri = f"{database.as_uri()}?mode={mode}"
    with closing(sqlite3.connect(uri, uri=True, timeout=TIMEOUT)) as db:
        yield db
