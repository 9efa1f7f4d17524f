"""Bringing a folder into MLflow: everything, once."""

import json
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from research.errors import UserError
from research.tracking.folder import FolderStore
from research.tracking.local import LocalStore
from research.tracking.sync import sync

from . import tiny
from .conftest import points

mlflow = pytest.importorskip("mlflow")


@pytest.fixture(scope="module")
def target(empty_database: Path, tmp_path_factory: pytest.TempPathFactory) -> LocalStore:
    root = tmp_path_factory.mktemp("store")
    shutil.copy(empty_database, root / "mlflow.db")
    return LocalStore(root / "mlflow.db")


@pytest.fixture
def source(tmp_path: Path) -> FolderStore:
    """A folder with one finished run; a sync must not depend on the order of its own making."""
    store = FolderStore(tmp_path / "node runs")
    with store.start(tiny.OPENING) as log:
        tiny.study(log)
    return store


def outcomes(source: FolderStore, target: LocalStore) -> list[str]:
    return [what for _, what in sync(source.root, target)]


def tree(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def in_mlflow(target: LocalStore, record: str) -> list[Any]:
    (experiment,) = target.client.search_experiments(filter_string="name = 'tiny'")
    query = f"tags.`research.record` = '{record}'"
    return list(target.client.search_runs([experiment.experiment_id], query))


def test_everything_arrives_as_it_was_logged(source: FolderStore, target: LocalStore) -> None:
    (run,) = source.runs()
    assert outcomes(source, target) == ["brought in"]
    lineage = json.loads((run.folder / "tracking/lineage.json").read_text())
    (parent,) = in_mlflow(target, run.id)
    assert target.find(run.id).id == target.find(parent.info.run_id).id == parent.info.run_id
    for record in (run.id, *lineage["children"].values()):
        folder = source.root / record
        times = json.loads((folder / "tracking/lineage.json").read_text())
        (arrived,) = in_mlflow(target, record)
        assert arrived.info.status == "FINISHED"
        assert (arrived.info.start_time, arrived.info.end_time) == (
            times["started"],
            times["ended"],
        )
        assert tree(Path(target.of("tiny").folder(arrived.info.run_id))) == tree(folder)
        expected_parent = None if record == run.id else parent.info.run_id
        assert arrived.data.tags.get("mlflow.parentRunId") == expected_parent
        for line in (folder / "metrics.jsonl").read_text().splitlines() if expected_parent else ():
            point = json.loads(line)
            stored = target.client.get_metric_history(arrived.info.run_id, "train/loss")
            triples = [(metric.step, metric.timestamp, metric.value) for metric in stored]
            expected = (point["step"], round(1000 * point["time"]), point["values"]["train/loss"])
            assert expected in triples
    assert parent.data.params["train.lr"] == "0.1"
    assert parent.data.metrics["result/loss"] == 2 / 3


def test_a_second_sync_changes_nothing(source: FolderStore, target: LocalStore) -> None:
    (run,) = source.runs()
    with ThreadPoolExecutor(4) as pool:
        said = [*pool.map(lambda _: outcomes(source, target), range(4))]
    assert sorted(said) == [["brought in"], *[["there already"]] * 3]
    assert len(in_mlflow(target, run.id)) == 1


def test_an_interrupted_sync_is_taken_up(
    source: FolderStore, target: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    (run,) = source.runs()

    def full(*args: object, **kwargs: object) -> None:
        raise OSError("no space left")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="no space"):
        patch.setattr(shutil, "copytree", full)
        sync(source.root, target)
    assert outcomes(source, target) == ["brought up to date"]
    assert len(in_mlflow(target, run.id)) == 1


def test_a_run_that_went_on_is_brought_up_to_date(target: LocalStore, tmp_path: Path) -> None:
    source = FolderStore(tmp_path / "node")
    with pytest.raises(KeyboardInterrupt), source.start(tiny.OPENING) as log:
        log.metrics(1, {"a": 1.0})
        raise KeyboardInterrupt
    assert outcomes(source, target) == ["brought in"]
    assert in_mlflow(target, log.id)[0].info.status == "KILLED"
    with source.start(tiny.OPENING, resume=log.id) as log:
        log.metrics(2, {"a": 2.0})
    assert outcomes(source, target) == ["brought up to date"]
    (run,) = in_mlflow(target, log.id)
    assert run.info.status == "FINISHED"
    stored = target.client.get_metric_history(run.info.run_id, "a")
    assert [(metric.step, metric.value) for metric in stored] == [(1, 1.0), (2, 2.0)]
    with pytest.raises(UserError, match="came from a folder"):
        target.start(tiny.OPENING, resume=run.info.run_id).__enter__()


def test_running_runs_wait_and_dead_ones_come_as_killed(
    source: FolderStore, target: LocalStore, tiny_process: Callable[..., Any]
) -> None:
    with tiny_process(f"folder:{source.root}", "hang") as process:
        process.stdout.readline()
        assert outcomes(source, target) == ["brought in", "still running, skipped"]
    assert outcomes(source, target) == ["there already", "brought in"]
    dead = source.runs()[0]
    (run,) = in_mlflow(target, dead.id)
    assert run.info.status == "KILLED"
    last = max(json.loads(line)["time"] for line in _lines(dead.folder / "tracking/system.jsonl"))
    assert abs(run.info.end_time / 1000 - last) < 1
    child = json.loads((dead.folder / "tracking/lineage.json").read_text())["children"]
    assert in_mlflow(target, child[tiny.CHILDREN[1]])[0].info.status == "KILLED"
    assert [step for step, _, _ in points(source.root / child[tiny.CHILDREN[1]])] == [1, 2]


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


def test_what_was_deleted_in_mlflow_stays_deleted(source: FolderStore, target: LocalStore) -> None:
    (run,) = source.runs()
    sync(source.root, target)
    target.client.delete_run(in_mlflow(target, run.id)[0].info.run_id)
    assert outcomes(source, target) == ["deleted in MLflow, skipped"]
    assert in_mlflow(target, run.id) == []


def test_mistaken_places_are_named(source: FolderStore, target: LocalStore) -> None:
    with pytest.raises(UserError, match="holds none"):
        sync(source.root / "nothing", target)
    with pytest.raises(UserError, match="the store is a folder"):
        sync(source.root, source)
