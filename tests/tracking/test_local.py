"""MLflow on SQLite. What a study logged is read back with MLflow's own client."""

import base64
import dataclasses
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from research import records
from research.errors import UserError
from research.tracking import session
from research.tracking.local import LocalStore

from . import tiny
from .conftest import FORK, ROOT, points

mlflow = pytest.importorskip("mlflow")


@pytest.fixture
def store(empty_database: Path, tmp_path: Path) -> LocalStore:
    """An empty store of its own for a test."""
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    return LocalStore(tmp_path / "mlflow.db")


@pytest.fixture(scope="module")
def logged(
    empty_database: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[LocalStore, str]:
    """The tiny study in a store; tests that use it only read."""
    root = tmp_path_factory.mktemp("logged runs")
    shutil.copy(empty_database, root / "mlflow.db")
    store = LocalStore(root / "mlflow.db")
    with store.start(tiny.OPENING) as log:
        tiny.study(log)
        log.path("figures/line.png").write_bytes(b"png")
        log.metrics(1, {"nan": math.nan, "tiny": 5e-324})
    return store, log.id


def client_of(store: LocalStore) -> Any:
    return mlflow.MlflowClient(f"sqlite:///{store.path}")


def history(client: Any, id: str, name: str) -> list[tuple[int, float]]:
    return [(metric.step, metric.value) for metric in client.get_metric_history(id, name)]


@pytest.mark.long
def test_six_processes_may_create_a_store_at_once(six_at_once: Path) -> None:
    runs = LocalStore(six_at_once / "mlflow.db").runs("tiny")
    assert [run.status for run in runs] == ["FINISHED"] * 6
    pids = {points(run.folder)[0][2] for run in runs}
    assert len(pids) == 6


def test_curves_and_numbers_arrive_to_the_last_bit(logged: tuple[LocalStore, str]) -> None:
    store, id = logged
    client = client_of(store)
    assert history(client, id, "result/loss") == [(0, 2 / 3)]
    assert history(client, id, "result/share") == [(0, 1 / 7)]
    assert history(client, id, "tiny") == [(1, 5e-324)]
    assert math.isnan(client.get_run(id).data.metrics["nan"])
    (experiment,) = client.search_experiments(filter_string="name = 'tiny'")
    runs = client.search_runs([experiment.experiment_id])
    nested = {run.info.run_name: run for run in runs if "mlflow.parentRunId" in run.data.tags}
    assert nested.keys() == set(tiny.CHILDREN)
    for seed, name in enumerate(tiny.CHILDREN):
        curve = history(client, nested[name].info.run_id, "train/loss")
        assert curve == [(step, tiny.loss(seed, step)) for step in (1, 2, 3)]
        assert nested[name].data.params == {"arm": "arm", "seed": str(seed)}
        assert nested[name].data.tags["mlflow.parentRunId"] == id


def test_times_are_those_of_the_record(logged: tuple[LocalStore, str]) -> None:
    store, id = logged
    folder = store.find(id).folder
    info = client_of(store).get_run(id).info
    lineage = json.loads((folder / "tracking/lineage.json").read_text())
    assert (info.start_time, info.end_time) == (lineage["started"], lineage["ended"])
    line = json.loads((folder / "metrics.jsonl").read_text().splitlines()[0])
    (metric,) = client_of(store).get_metric_history(id, "tiny")
    assert metric.timestamp == round(line["time"] * 1000)


def test_a_run_says_what_it_is(logged: tuple[LocalStore, str]) -> None:
    store, id = logged
    client = client_of(store)
    run = client.get_run(id)
    assert run.info.run_name == "tiny sample"
    assert run.data.params == {
        "train.epochs": "3",
        "train.lr": "0.1",
        "data.root": "data",
        "seeds": "0 1",
    }
    note = run.data.tags["mlflow.note.content"]
    assert tiny.OPENING.question in note and "- It does." in note
    assert f"[line](get-artifact?path=figures%2Fline.png&run_uuid={id})" in note
    assert "![" not in note  # a picture would push tags and values out of view
    facts = records.load(store.find(id).folder).run
    assert run.data.tags.get("mlflow.source.git.commit", "") == facts.commit
    assert run.data.tags["git.dirty"] == str(facts.dirty).lower()
    assert "mlflow.user" not in run.data.tags
    kind = client.get_experiment_by_name("tiny").tags["mlflow.experimentKind"]
    assert kind == "custom_model_development"


def test_a_run_shows_the_curves_of_its_arms(logged: tuple[LocalStore, str]) -> None:
    client, id = client_of(logged[0]), logged[1]
    losses = [[tiny.loss(seed, step) for seed in (0, 1)] for step in (1, 2, 3)]
    means = [(step, sum(pair) / 2) for step, pair in enumerate(losses, start=1)]
    spreads = [abs(pair[0] - pair[1]) / 2**0.5 for pair in losses]
    assert history(client, id, "arm/train/loss") == means
    assert [value for _, value in history(client, id, "arm/train/loss_sd")] == pytest.approx(
        spreads
    )


def test_a_digest_is_a_tag_and_no_parameter(store: LocalStore) -> None:
    with store.start(tiny.OPENING) as log, log.child("a", {"model_digest": "c0ffee"}) as child:
        id = child.id
    data = client_of(store).get_run(id).data
    assert data.params == {} and data.tags["research.model_digest"] == "c0ffee"


def test_mlflow_is_told_of_question_paper_and_view(store: LocalStore, tmp_path: Path) -> None:
    with store.start(tiny.OPENING) as log:
        tiny.study(log)
    pdf = tmp_path / "tiny.pdf"
    pdf.write_bytes(b"%PDF")
    store.attach(log.id, pdf, "report/tiny.pdf")
    store.exchange()
    client = client_of(store)
    link = f"[tiny.pdf](get-artifact?path=report%2Ftiny.pdf&run_uuid={log.id})"
    experiment = client.get_experiment_by_name("tiny")
    assert experiment.tags["mlflow.note.content"] == f"**{tiny.OPENING.question}**\n\nPaper: {link}"
    assert link in client.get_run(log.id).data.tags["mlflow.note.content"]
    children = client.search_runs([experiment.experiment_id], "tags.`research.data` = 'digits'")
    assert {one.inputs.dataset_inputs[0].dataset.name for one in children} == {"digits"}
    assert len(children) == 3

    client.set_experiment_tag(experiment.experiment_id, "mlflow.note.content", "mine")
    store.exchange()
    kept = client.get_experiment_by_name("tiny").tags["mlflow.note.content"]
    assert kept == "mine"  # what somebody wrote there is not written over

    address = store.prepared(store.find(log.id))
    assert "workflowType=machine_learning" in address and "viewStateShareKey=tiny" in address
    view = client.get_experiment_by_name("tiny").tags["mlflow.sharedViewState.tiny"]
    shown = json.loads(zlib.decompress(base64.b64decode(view.removeprefix("deflate;"))))
    assert shown["searchFilter"] == f"tags.mlflow.parentRunId = '{log.id}'"
    assert re.match(shown["chartsSearchFilter"], "train/loss")


def test_the_data_set_has_our_own_sha256(logged: tuple[LocalStore, str]) -> None:
    store, id = logged
    run = client_of(store).get_run(id)
    (data,) = (item.dataset for item in run.inputs.dataset_inputs)
    assert (data.name, data.digest) == ("digits", str(tiny.DATA["sha256"])[:36])
    assert json.loads(data.source) == {"url": tiny.DATA["source"]}
    assert run.data.tags["research.data.sha256"] == tiny.DATA["sha256"]


def test_system_metrics_have_mlflows_names(logged: tuple[LocalStore, str]) -> None:
    store, id = logged
    metrics = client_of(store).get_run(id).data.metrics
    assert metrics["system/system_memory_usage_megabytes"] > 0
    assert 0 <= metrics["system/cpu_utilization_percentage"] <= 100


def test_the_record_is_the_runs_artifact_folder(logged: tuple[LocalStore, str]) -> None:
    store, id = logged
    listed = {file.path for file in client_of(store).list_artifacts(id)}
    assert listed == {path.name for path in store.find(id).folder.iterdir()}
    assert {"run.json", "tables", "manifest.json"} <= listed


def test_reading_needs_no_mlflow(logged: tuple[LocalStore, str], tmp_path: Path) -> None:
    store, id = logged
    pdf = tmp_path / "a.pdf"
    pdf.write_bytes(b"%PDF")
    code = f"""
import sys
from pathlib import Path
sys.modules["mlflow"] = sys.modules["torch"] = None
from research.tracking import open_store
store = open_store("sqlite:///{store.path}")
run = store.find(store.runs("tiny")[0].id[:6])
print(run.id, (run.folder / "run.json").exists())
store.attach(run.id, Path({str(pdf)!r}), "report/tiny.pdf")
"""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [id, "True"]
    report = [file.path for file in client_of(store).list_artifacts(id, "report")]
    assert report == ["report/tiny.pdf"]


def test_nothing_is_written_where_the_command_is_called(
    store: LocalStore, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    monkeypatch.chdir(elsewhere)
    with store.start(tiny.OPENING) as log:
        log.metrics(1, {"a": 1.0})
    assert list(elsewhere.iterdir()) == []


def test_runs_and_experiments_deleted_in_the_ui_are_gone(store: LocalStore) -> None:
    with store.start(tiny.OPENING) as first, store.start(tiny.OPENING) as second:
        pass
    client = client_of(store)
    client.delete_run(first.id)
    store.exchange()
    assert [run.id for run in store.runs()] == [second.id]
    experiment = client.get_experiment_by_name("tiny").experiment_id
    client.delete_experiment(experiment)
    store.exchange()
    assert store.runs() == []
    with pytest.raises(UserError, match="mlflow experiments restore -x"):
        store.start(tiny.OPENING).__enter__()
    client.restore_experiment(experiment)
    client.restore_run(first.id)
    store.exchange()
    assert {run.id for run in store.runs()} == {first.id, second.id}


@pytest.mark.parametrize("way", [shutil.move, shutil.copytree])
def test_a_moved_or_copied_checkout_finds_its_files(
    store: LocalStore, tmp_path: Path, way: Callable[[Path, Path], object]
) -> None:
    old = tmp_path / "old place"
    old.mkdir()
    shutil.move(store.path, old)
    with LocalStore(old / "mlflow.db").start(tiny.OPENING) as log:
        log.metrics(1, {"a": 1.0})
    new = tmp_path / "new place"
    way(old, new)
    files = sorted(old.rglob("*"))

    moved = LocalStore(new / "mlflow.db")
    assert new in moved.find(log.id).folder.parents
    client = moved.client
    assert "run.json" in {file.path for file in client.list_artifacts(log.id)}
    assert new.as_uri() in client.get_run(log.id).info.artifact_uri
    with moved.start(tiny.OPENING) as again:
        again.metrics(1, {"a": 1.0})
    assert new in again.folder.parents
    assert sorted(old.rglob("*")) == files


def test_a_foreign_experiment_is_not_written_to(store: LocalStore, tmp_path: Path) -> None:
    client_of(store).create_experiment("tiny", (tmp_path / "elsewhere").as_uri())
    with pytest.raises(UserError, match="rename that experiment"):
        store.start(tiny.OPENING).__enter__()


def _die(store: LocalStore, number: int) -> None:
    def kill(child: str, step: int) -> None:
        if (child, step) == (tiny.CHILDREN[1], 2):
            os.kill(os.getpid(), number)
            time.sleep(60)

    with store.start(tiny.OPENING) as log:
        tiny.study(log, kill)


def _killed(store: LocalStore, number: int) -> None:
    process = FORK.Process(target=_die, args=(store, number))
    process.start()
    process.join()


def mlflow_statuses(store: LocalStore) -> dict[str, str]:
    client = client_of(store)
    experiment = client.get_experiment_by_name("tiny").experiment_id
    return {run.info.run_name: run.info.status for run in client.search_runs([experiment])}


def test_sigterm_and_ctrl_c_end_the_run_as_killed(store: LocalStore) -> None:
    _killed(store, signal.SIGTERM)
    expected = dict(
        zip(("tiny sample", *tiny.CHILDREN), ("KILLED", "FINISHED", "KILLED"), strict=True)
    )
    assert mlflow_statuses(store) == expected


def test_a_run_killed_outright_is_buried_and_can_be_resumed(store: LocalStore) -> None:
    _killed(store, signal.SIGKILL)
    (run,) = store.runs()
    assert run.status == "KILLED"
    assert mlflow_statuses(store)["tiny sample"] == "RUNNING"
    store.exchange()
    assert mlflow_statuses(store)["tiny sample"] == "KILLED"

    with store.start(tiny.OPENING, resume=run.id) as log:
        tiny.study(log)
    assert log.id == run.id
    assert set(mlflow_statuses(store).values()) == {"FINISHED"}
    client = client_of(store)
    children = json.loads((log.folder / "tracking/lineage.json").read_text())["children"]
    for seed, id in enumerate(children.values()):
        curve = [(step, tiny.loss(seed, step)) for step in (1, 2, 3)]
        assert history(client, id, "train/loss") == curve


def test_a_failing_store_costs_no_results(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.exceptions import MlflowException

    def refuse(*args: object, **kwargs: object) -> None:
        raise MlflowException("the disk is full")

    monkeypatch.setattr(store.client, "log_batch", refuse)
    monkeypatch.setattr(session, "INTERVAL", 0.01)
    monkeypatch.setattr(session, "PUSH_EVERY", 1)
    with (
        pytest.warns(UserWarning, match="Trying again meanwhile"),
        pytest.raises(UserError, match=r"the disk is full\. Nothing is lost: the record is"),
        store.start(tiny.OPENING) as log,
    ):
        log.metrics(1, {"a": 1 / 3})
        with pytest.raises(UserError, match="the disk is full"):
            log.flush()
        time.sleep(0.2)
    assert points(log.folder) == [(1, "a", 1 / 3)]


def test_more_settings_than_one_request_takes(store: LocalStore) -> None:
    config = {f"flag.n{index}": index for index in range(230)}
    with store.start(dataclasses.replace(tiny.OPENING, config=config)) as log:
        for step in range(30):
            log.metrics(step, {f"curve{index}": step / 3 for index in range(60)})
    run = client_of(store).get_run(log.id)
    assert run.data.params == {key: str(value) for key, value in config.items()}
    assert sum(name.startswith("curve") for name in run.data.metrics) == 60
    assert history(client_of(store), log.id, "curve59")[-1] == (29, 29 / 3)
