"""MLflow's server: the UI of the local store, and the store of those who have a server."""

import dataclasses
import hashlib
import itertools
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from research import records
from research.adoption import Choice, adopt
from research.errors import UserError
from research.tracking import open_store
from research.tracking.folder import FolderStore
from research.tracking.foreign import Experiment
from research.tracking.local import LocalStore
from research.tracking.remote import RemoteStore
from research.tracking.server import serve
from research.tracking.sync import sync

from . import tiny
from .conftest import ROOT, points

pytest.importorskip("mlflow")

NOBODY = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def served(
    empty_database: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Path]]:
    """The address and the folder of a server that `serve` started."""
    root = tmp_path_factory.mktemp("served runs")
    shutil.copy(empty_database, root / "mlflow.db")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-c", f"from research.tracking.server import serve; serve(port={port})"],
        # a proxy that answers nobody: this machine is to be asked directly
        env={key: value for key, value in os.environ.items() if key.lower() != "no_proxy"}
        | {"PYTHONPATH": str(ROOT), "RESEARCH_RUNS": str(root), "http_proxy": NOBODY},
        stdout=subprocess.PIPE,
        text=True,
        cwd=root,
    )
    assert process.stdout
    assert f"http://127.0.0.1:{port}/" in process.stdout.readline()
    yield f"http://127.0.0.1:{port}", root
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    with pytest.raises(OSError):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2)


@pytest.fixture
def remote(
    served: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> RemoteStore:
    monkeypatch.setenv("http_proxy", NOBODY)
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("NO_PROXY", "")
    return RemoteStore(served[0], tmp_path / "cache")


def test_a_run_goes_to_the_server_and_comes_back(remote: RemoteStore, tmp_path: Path) -> None:
    with remote.start(tiny.OPENING) as log:
        tiny.study(log)
        log.flush()
    run = remote.find(log.id[:8])
    assert (run.status, run.study, run.preset) == ("FINISHED", "tiny", "sample")
    assert remote.runs("tiny")[0].id == log.id
    pdf = tmp_path / "a.pdf"
    pdf.write_bytes(b"%PDF")
    remote.attach(run.id, pdf, "report/tiny.pdf")

    elsewhere = RemoteStore(remote.uri, tmp_path / "another machine").find(log.id)
    fetched = elsewhere.folder
    assert fetched != log.folder
    assert records.load(fetched).run == records.load(log.folder).run
    for name, digest in records.read_manifest(log.folder).items():
        assert records.sha256(fetched / name) == digest
    assert (fetched / "report/tiny.pdf").read_bytes() == b"%PDF"


def test_runs_of_others_on_a_server_are_adopted(remote: RemoteStore, tmp_path: Path) -> None:
    client = remote.client
    experiment = client.create_experiment("theirs")
    for model, seed in itertools.product("ab", range(3)):
        run = client.create_run(experiment).info.run_id
        client.log_param(run, "model", model)
        client.log_param(run, "seed", seed)
        client.log_metric(run, "f1", 0.5 + seed / 10 + (model == "b") / 4)
        client.log_text(run, model, "notes/a.txt")
        client.set_terminated(run)
    asked = Choice(Experiment(remote.uri, "theirs"), "seen", group=("model",), seeds="seed")
    done = adopt(asked, FolderStore(tmp_path / "store"))
    results = records.load(done.run.folder)
    assert results.numbers["f1_b"].values == pytest.approx((0.75, 0.85, 0.95))
    assert results.run.adopted["source"] == remote.uri
    digest = hashlib.sha256(b"a").hexdigest()
    assert results.table("artifacts").rows[0][3:] == ("notes/a.txt", 1, digest)
    in_mlflow = adopt(asked, remote)  # and back into the server that they came from
    assert remote.find(in_mlflow.run.id).study == "seen"


def test_what_is_deleted_in_the_browser_is_gone_here(
    served: tuple[str, Path], remote: RemoteStore
) -> None:
    local = LocalStore(served[1] / "mlflow.db")
    with local.start(dataclasses.replace(tiny.OPENING, study="browsed")) as log:
        log.metrics(1, {"a": 1.0})
    assert log.id in [run.id for run in local.runs()]
    remote.client.delete_run(log.id)
    deadline = time.monotonic() + 60
    while log.id in [run.id for run in local.runs()]:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert (log.folder / "run.json").exists()


def test_a_run_interrupted_here_is_resumed_elsewhere(remote: RemoteStore, tmp_path: Path) -> None:
    def stop(child: str, step: int) -> None:
        if (child, step) == (tiny.CHILDREN[1], 2):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), remote.start(tiny.OPENING) as log:
        tiny.study(log, stop)
    assert remote.find(log.id).status == "KILLED"
    elsewhere = RemoteStore(remote.uri, tmp_path / "another machine")
    with elsewhere.start(tiny.OPENING, resume=log.id) as resumed:
        tiny.study(resumed)
    assert resumed.id == log.id
    assert remote.find(log.id).status == "FINISHED"
    assert remote.find(log.id).folder.joinpath("kernels/conv1.txt").exists()


def test_a_folder_is_synced_to_a_server(remote: RemoteStore, tmp_path: Path) -> None:
    source = FolderStore(tmp_path / "node")
    with source.start(tiny.OPENING) as log:
        tiny.study(log)
    assert [what for _, what in sync(source.root, remote)] == ["brought in"]
    assert [what for _, what in sync(source.root, remote)] == ["there already"]
    assert points(remote.find(log.id).folder, "tracking/numbers.jsonl")[0] == (0, "loss", 2 / 3)


def test_a_taken_port_is_one_line(
    served: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{served[1]}/mlflow.db")
    with pytest.raises(UserError, match="a free port is required"):
        serve(port=int(served[0].rpartition(":")[2]))


def test_a_server_that_is_away_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(UserError, match="but says"):
        RemoteStore("http://127.0.0.1:9", tmp_path).runs()


def test_addresses_of_stores(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert open_store(f"folder:{tmp_path}") == FolderStore(tmp_path)
    assert open_store(f"sqlite:///{tmp_path}/a.db") == LocalStore(tmp_path / "a.db")
    default = open_store()
    assert isinstance(default, LocalStore) and default.path.name == "mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://host")
    store = open_store()
    assert isinstance(store, RemoteStore) and store.uri == "https://host"
    for wrong in ("folder:", "file:///tmp/mlruns", "mlruns", "sqlite://", "http://"):
        with pytest.raises(UserError, match="a store is folder:DIR, sqlite:///FILE or http"):
            open_store(wrong)
