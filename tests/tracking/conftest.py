import json
import multiprocessing
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from research.tracking.local import LocalStore

from . import tiny

FORK = multiprocessing.get_context("fork")
ROOT = Path(__file__).parent.parent.parent
TINY = Path(__file__).with_name("tiny.py")


@pytest.fixture(autouse=True)
def no_store_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@contextmanager
def _tiny(*arguments: str) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        [sys.executable, str(TINY), *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def tiny_process() -> Callable[..., Any]:
    """Runs the tiny study in a process of its own, which a test may kill."""
    return _tiny


@pytest.fixture(scope="session")
def six_at_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store, in a folder with a space, that six processes create at the same moment."""
    # Imported before the fork, so that each child need not: it takes seconds.
    pytest.importorskip("mlflow.store.tracking.sqlalchemy_store")
    root = tmp_path_factory.mktemp("six at once")
    start = FORK.Barrier(6)
    processes = [FORK.Process(target=_race, args=(root, start)) for _ in range(6)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 6
    return root


def _race(root: Path, start: Any) -> None:
    start.wait()
    with LocalStore(root / "mlflow.db").start(tiny.OPENING) as log:
        log.metrics(1, {"pid": os.getpid()})


@pytest.fixture(scope="session")
def empty_database(six_at_once: Path) -> Path:
    """MLflow's tables without a run, to be copied: making them takes MLflow seconds."""
    empty = six_at_once / "empty.db"
    shutil.copy(six_at_once / "mlflow.db", empty)
    with closing(sqlite3.connect(empty)) as db, db:
        for table in ("latest_metrics", "metrics", "params", "tags", "runs", "experiment_tags"):
            db.execute(f"DELETE FROM {table}")
        db.execute("DELETE FROM experiments WHERE name = 'tiny'")
    return empty


def points(record: Path, name: str = "metrics.jsonl") -> list[tuple[int, str, float]]:
    """(step, name, value) as they stand in a record, read without the code under test."""
    lines = (record / name).read_text().splitlines()
    return [
        (line["step"], key, value)
        for line in map(json.loads, lines)
        for key, value in line["values"].items()
    ]
