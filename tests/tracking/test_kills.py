"""A run that is killed at any step of its start or end: passed over, or resumed; never in the way.

The process is forked and kills itself, as `kill -9` would, in place of the n-th call of a step.
"""

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from research import launch, records
from research.errors import UserError
from research.tracking import local, mirror, record, session
from research.tracking.folder import FolderStore
from research.tracking.local import LocalStore

from . import tiny
from .conftest import FORK, points

pytest.importorskip("mlflow")

STEPS: dict[str, tuple[object, str, int]] = {
    "the run's row": (mirror, "create_run", 1),
    "the run's lineage": (record, "write_lineage", 1),
    "the run's record": (records, "write_run", 1),
    "the run's environment": (session, "save_environment", 1),
    "a child's row": (mirror, "create_run", 2),
    "a child's lineage": (record, "write_lineage", 2),
    "a child's record": (records, "write_run", 3),
    "a child's place": (record.Record, "adopt", 1),
    "a child's end": (records, "write_manifest", 1),
    "the end's manifest": (records, "write_manifest", 3),
    "the end in MLflow": (mirror.MlflowRun, "finish", 3),
}
"""step -> where the function is, its name, and which call of it is the last thing that happens"""


@pytest.fixture
def store(empty_database: Path, tmp_path: Path) -> LocalStore:
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    return LocalStore(tmp_path / "mlflow.db")


def _run_until(store: Any, where: object, name: str, call: int, after: bool) -> None:
    former: Callable[..., Any] = getattr(where, name)
    calls = 0

    def killed(*args: Any, **more: Any) -> Any:
        nonlocal calls
        calls += 1
        done = former(*args, **more) if calls < call or after else None
        if calls == call:
            os.kill(os.getpid(), signal.SIGKILL)
        return done

    setattr(where, name, killed)
    with store.start(tiny.OPENING) as log:
        tiny.study(log)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.long
def test_a_kill_is_never_in_the_way(
    step: str, store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = FORK.Process(target=_run_until, args=(store, *STEPS[step], False))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    monkeypatch.setattr(local, "SILENCE", -1.0)

    left = store.runs()
    assert [run.status for run in left if run.status == "RUNNING"] == []
    try:
        former: str | None = launch.interrupted(tiny.OPENING, left).id
    except UserError as none:
        assert "--resume needs an interrupted run" in str(none)
        former = None
    with store.start(tiny.OPENING, resume=former) as log:
        tiny.study(log)

    again = LocalStore(store.path)
    assert {run.status for run in again.runs()} <= {"FINISHED", "KILLED"}
    assert again.find(log.id).status == "FINISHED"
    told = {run.info.run_id: run.info.status for run in mirror.runs(again.client)}
    assert {run.id: run.status for run in again.runs()}.items() <= told.items()
    assert points(log.folder, "tracking/numbers.jsonl")[0][2] == 2 / 3
    assert records.read_manifest(log.folder).keys() >= {"run.json", "numbers.json"}
    assert "RUNNING" not in {run.info.status for run in mirror.runs(again.client)}  # children too


@pytest.mark.long
def test_a_killed_run_without_a_record_is_only_mlflows(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = FORK.Process(target=_run_until, args=(store, *STEPS["the run's row"], True))
    process.start()
    process.join()
    assert store.runs() == []
    for silence, status in ((60.0, "RUNNING"), (-1.0, "KILLED")):  # it might just be beginning
        monkeypatch.setattr(local, "SILENCE", silence)
        store.exchange()
        assert [run.info.status for run in mirror.runs(store.client)] == [status]


@pytest.mark.long
def test_a_folder_of_records_bears_a_kill_as_it_begins(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "node")
    for step in ("the run's lineage", "the run's record"):
        process = FORK.Process(target=_run_until, args=(store, *STEPS[step], True))
        process.start()
        process.join()
        assert process.exitcode == -signal.SIGKILL
    with store.start(tiny.OPENING) as log:
        tiny.study(log)
    assert {run.status for run in store.runs()} == {"FINISHED", "KILLED"}


@pytest.mark.long
def test_a_store_with_a_database_begun_anew_has_its_runs(
    store: LocalStore, empty_database: Path, tmp_path: Path
) -> None:
    with store.start(tiny.OPENING) as log:
        log.metrics(1, {"a": 1.0})
    root = tmp_path / "anew"
    shutil.copytree(store.artifacts, root / "artifacts")
    assert [run.id for run in LocalStore(root / "mlflow.db").runs()] == [log.id]
    shutil.copy(empty_database, root / "mlflow.db")
    anew = LocalStore(root / "mlflow.db")
    with anew.start(tiny.OPENING) as second:
        pass
    assert [run.id for run in anew.runs()] == [second.id, log.id]
    assert [run.info.run_id for run in mirror.runs(anew.client)] == [second.id]
