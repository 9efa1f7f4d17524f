"""Reads MLflow's SQLite file directly: opening it with MLflow takes seconds, this milliseconds.

All functions raise UserError with the file's name where it is damaged, locked or not MLflow's.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from research.errors import UserError

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


def is_ready(database: Path) -> bool:
    """Whether MLflow's tables are there."""
    with _opened(database, "ro") as db:
        return _is_ready(db)


def is_writable(database: Path) -> bool:
    """Whether the file and the folder in which SQLite keeps its journal can be written."""
    return os.access(database, os.W_OK) and os.access(database.parent, os.W_OK)


@contextmanager
def _opened(database: Path, mode: str) -> Iterator[sqlite3.Connection]:
    try:
        with closing(_connected(database, mode)) as db:
            yield db
    except sqlite3.OperationalError as error:
        raise UserError(_refusal(database, error)) from error
    except sqlite3.DatabaseError as error:
        raise UserError(
            f"{database} must be MLflow's SQLite database, but is damaged: {error}; bring it back "
            "from a copy, or move it and artifacts/ away to begin a new store"
        ) from error


def _connected(database: Path, mode: str) -> sqlite3.Connection:
    uri = f"{database.as_uri()}?mode={mode}"
    try:
        return _tried(uri)
    except sqlite3.OperationalError:
        # in a folder that we may not write SQLite cannot keep the files that some databases need
        if mode != "ro" or is_writable(database):
            raise
        return _tried(f"{uri}&immutable=1")


def _tried(uri: str) -> sqlite3.Connection:
    """A connection through which something was read."""
    db = sqlite3.connect(uri, uri=True, timeout=TIMEOUT)
    try:
        db.execute("SELECT count(*) FROM sqlite_master")
    except sqlite3.Error:
        db.close()
        raise
    return db


def _refusal(database: Path, error: sqlite3.OperationalError) -> str:
    remedies = {
        "locked": "another process writes to it: wait for that to end",
        "unable to open": "check that it can be read",
        "full": "make room there, or choose another place with --log or RESEARCH_RUNS",
        "readonly": "choose another place with --log or RESEARCH_RUNS",
    }
    remedy = (text for words, text in remedies.items() if words in str(error))
    return f"{database}: {error}; {next(remedy, 'it must be a database of MLflow')}"
