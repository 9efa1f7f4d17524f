"""A server that several users share: no metric is lost, and one that dies costs nothing."""

import dataclasses
import json
import multiprocessing
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from research import records
from research.errors import UserError
from research.tracking.remote import RemoteStore
from research.tracking.sync import sync
from tests.services.shared import USERS, Server

from . import tiny
from .conftest import points

pytestmark = pytest.mark.service
FORK = multiprocessing.get_context("fork")
STEPS = 50


def as_user(patch: pytest.MonkeyPatch, name: str) -> None:
    patch.setenv("MLFLOW_TRACKING_USERNAME", name)
    patch.setenv("MLFLOW_TRACKING_PASSWORD", USERS[name])


def points_of(at: int, step: int) -> dict[str, float]:
    return {"loss": at + 1 / step, "accuracy": step / 3}


def _ten(uri: str, cache: Path, user: str, at: int, start: Any) -> None:
    with pytest.MonkeyPatch.context() as patch:
        as_user(patch, user)
        start.wait()
        store = RemoteStore(uri, cache)
        opening = dataclasses.replace(tiny.OPENING, name=f"{user} {at}")
        with store.start(opening) as log:
            for step in range(1, STEPS + 1):
                log.metrics(step, points_of(at, step))
            (cache / f"{at}.txt").write_text(log.id)


def test_ten_runs_of_two_users_at_once(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = FORK.Barrier(10)
    owners = {at: "ada" if at % 2 else "bob" for at in range(10)}
    processes = []
    for at, user in owners.items():
        (tmp_path / user).mkdir(exist_ok=True)
        processes.append(
            FORK.Process(target=_ten, args=(server.uri, tmp_path / user, user, at, start))
        )
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 10
    for at, user in owners.items():
        as_user(monkeypatch, user)
        client = RemoteStore(server.uri, tmp_path / "reader").client
        id = (tmp_path / user / f"{at}.txt").read_text()
        run = client.get_run(id)
        assert run.info.status == "FINISHED"
        assert client.get_experiment(run.info.experiment_id).name == f"tiny-{user}"
        for name in ("loss", "accuracy"):
            history = {point.step: point.value for point in client.get_metric_history(id, name)}
            assert history == {step: points_of(at, step)[name] for step in range(1, STEPS + 1)}
        assert "run.json" in {file.path for file in client.list_artifacts(id)}  # through the server


def test_whose_experiment_it_is(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_user(monkeypatch, "ada")
    ours = RemoteStore(server.uri, tmp_path / "ada", "ours")
    with ours.start(tiny.OPENING) as log:
        log.metrics(1, {"a": 1.0})
    assert [run.id for run in ours.runs("tiny")] == [log.id]
    as_user(monkeypatch, "bob")
    his = RemoteStore(server.uri, tmp_path / "bob", "ours")
    with (
        pytest.raises(
            UserError, match=r"server refuses 'ours': give another with --experiment NAME"
        ),
        his.start(tiny.OPENING),
    ):
        pass
    assert his.find(log.id[:10]).status == "FINISHED"  # reading is allowed there
    directly = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with pytest.raises(urllib.error.HTTPError, match="401"):
        directly.open(f"{server.uri}/api/2.0/mlflow/runs/get?run_id={log.id}", timeout=30)


def test_a_server_that_dies_costs_nothing(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_user(monkeypatch, "ada")
    store = RemoteStore(server.uri, tmp_path / "remote", "dying")
    patience = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "0"}

    def kill(child: str, step: int) -> None:
        if (child, step) == (tiny.CHILDREN[0], 2):
            server.kill()

    try:
        with (
            pytest.MonkeyPatch.context() as patch,
            pytest.warns(UserWarning, match="The run goes on without"),
            pytest.raises(UserError, match="Nothing is lost: the record is "),
            store.start(tiny.OPENING) as log,
        ):
            for name, value in patience.items():
                patch.setenv(name, value)
            tiny.study(log, kill)
    finally:
        server.start()
    record = records.load(log.folder).run
    assert record.status == "FINISHED"
    again = RemoteStore(server.uri, tmp_path / "remote", "dying")
    assert [what for _, what in sync(store.cache, again)] == ["brought up to date"]
    assert [what for _, what in sync(store.cache, again)] == ["there already"]
    run = again.client.get_run(log.id)
    assert run.info.status == "FINISHED" and run.data.metrics["result/loss"] == 2 / 3
    query = f"tags.`mlflow.parentRunId` = '{log.id}'"
    children = again.client.search_runs([run.info.experiment_id], query)
    found = {
        child.info.run_name: [
            (point.step, "train/loss", point.value)
            for point in again.client.get_metric_history(child.info.run_id, "train/loss")
        ]
        for child in children
    }
    lineage = json.loads((log.folder / "tracking/lineage.json").read_text())["children"]
    assert found == {name: points(store.cache / id) for name, id in lineage.items()}
    assert sorted(found) == sorted(tiny.CHILDREN)
    elsewhere = RemoteStore(server.uri, tmp_path / "another machine", "dying")
    assert records.load(elsewhere.find(log.id).folder).run == record
