"""Points MLflow's SQLite file to where the artifacts are; MLflow has no call for it.

This is all that we do to MLflow's tables without MLflow.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from research.errors import UserError

TIMEOUT = 20.0
"""Seconds to wait for another process that writes."""


def rehome(database: Path, artifacts: Path) -> None:
    """Points MLflow to where the artifacts are after the checkout was moved or copied.

    MLflow stores absolute addresses. An experiment whose artifacts were in a folder of the same
    name goes to the new one, and with it each run whose files are there now.

    Raises:
        UserError: the file is damaged, locked or not MLflow's.
    """
    with _opened(database) as db, db:
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
    query = "SELECT count(*) FROM sqlite_master WHERE name IN ('runs', 'experiments')"
    return bool(db.execute(query).fetchone()[0] == 2)


def is_writable(database: Path) -> bool:
    """Whether the file and the folder in which SQLite keeps its journal can be written."""
    return os.access(database, os.W_OK) and os.access(database.parent, os.W_OK)


@contextmanager
def _opened(database: Path) -> Iterator[sqlite3.Connection]:
    uri = f"{database.as_uri()}?mode=rw"
    try:
        with closing(sqlite3.connect(uri, uri=True, timeout=TIMEOUT)) as db:
            yield db
    except sqlite3.OperationalError as error:
        raise UserError(_refusal(database, error)) from error
    except sqlite3.DatabaseError as error:
        raise UserError(
            f"{database} must be MLflow's SQLite database, but is damaged: {error}; bring it back "
            "from a copy, or move it and artifacts/ away to begin a new store"
        ) from error


def _refusal(database: Path, error: sqlite3.OperationalError) -> str:
    remedies = {
        "locked": "another process writes to it: wait for that to end",
        "unable to open": "check that it can be read",
        "full": "make room there, or choose another place with --log or RESEARCH_RUNS",
        "readonly": "choose another place with --log or RESEARCH_RUNS",
    }
    remedy = (text for words, text in remedies.items() if words in str(error))
    return f"{database}: {error}; {next(remedy, 'it must be a database of MLflow')}"
