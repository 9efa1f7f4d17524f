"""Stores in places of all kinds: odd names, read-only, damaged, locked, behind a proxy."""

import os
import shutil
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from research import __main__ as command
from research.errors import UserError
from research.tracking import database, mirror, open_run
from research.tracking.local import LocalStore
from research.tracking.remote import RemoteStore
from research.tracking.sync import sync

from . import tiny
from .conftest import points

pytest.importorskip("mlflow")


@pytest.mark.parametrize("name", ["100%", "a%20b", "what?", "a#b", "ä ö/ß日", "a%3Fb?c=d#e f&g"])
def test_a_store_may_be_called_anything(name: str, empty_database: Path, tmp_path: Path) -> None:
    root = tmp_path / "all" / name
    root.mkdir(parents=True)
    shutil.copy(empty_database, root / "mlflow.db")
    store = LocalStore(root / "mlflow.db")
    with store.start(tiny.OPENING) as log:
        log.metrics(1, {"a": 1 / 3})
    again = LocalStore(root / "mlflow.db")
    (run,) = again.runs("tiny")
    assert (run.id, run.status) == (log.id, "FINISHED")
    assert points(run.folder) == [(1, "a", 1 / 3)]
    assert "run.json" in {file.path for file in again.client.list_artifacts(log.id)}
    # MLflow takes the address for a path and makes folders of that name
    assert [path.name for path in (tmp_path / "all").iterdir()] == [Path(name).parts[0]]
    assert {path.name for path in root.iterdir()} == {"mlflow.db", "mlflow.lock", "artifacts"}


@pytest.fixture
def store(empty_database: Path, tmp_path: Path) -> LocalStore:
    root = tmp_path / "colleague"
    root.mkdir()
    shutil.copy(empty_database, root / "mlflow.db")
    store = LocalStore(root / "mlflow.db")
    with store.start(tiny.OPENING) as log:
        tiny.study(log)
    return store


@pytest.fixture
def sealed(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalStore]:
    """The store as one finds it who may read it and no more; root may write all the same."""
    root = store.path.parent
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    for path in (root, *root.rglob("*")):
        path.chmod(path.stat().st_mode & ~(stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH))
    yield store
    for path in (root, *root.rglob("*")):
        path.chmod(path.stat().st_mode | stat.S_IWUSR)


def test_a_store_that_may_only_be_read_is_read(sealed: LocalStore) -> None:
    before = sorted(sealed.path.parent.rglob("*"))
    store = LocalStore(sealed.path)
    (run,) = store.runs()
    assert run.status == "FINISHED" and run.folder.is_dir()
    assert sorted(sealed.path.parent.rglob("*")) == before


def test_a_copy_that_may_only_be_read_is_read(
    store: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its addresses are those of the place that it was copied from, and stay so."""
    copy = Path(shutil.copytree(store.path.parent, tmp_path / "copy"))

    def refuse(self: LocalStore) -> None:
        raise PermissionError("mlflow.lock")

    monkeypatch.setattr(LocalStore, "exclusive", refuse)
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    (run,) = LocalStore(copy / "mlflow.db").runs()
    assert copy in run.folder.parents


@pytest.mark.parametrize("content", [b"version https://git-lfs.example/spec/v1\n", None])
def test_a_damaged_database_is_a_line(content: bytes | None, store: LocalStore) -> None:
    store.path.write_bytes(content or store.path.read_bytes()[:20000])
    again = LocalStore(store.path)
    for use in (again.settle, lambda: again.start(tiny.OPENING)):
        with pytest.raises(UserError, match=f"{store.path} .* is damaged"):
            use()


def test_a_locked_database_is_a_line(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "TIMEOUT", 0.1)
    with closing(sqlite3.connect(store.path, isolation_level=None)) as db:
        db.execute("BEGIN EXCLUSIVE")
        line = f"{store.path}: database is locked; another process writes to it"
        with pytest.raises(UserError, match=line):
            LocalStore(store.path).start(tiny.OPENING)


@pytest.mark.parametrize("state", ["gone", "damaged", "locked"])
def test_runs_are_read_whatever_state_the_database_is_in(
    state: str, store: LocalStore, capsys: pytest.CaptureFixture[str]
) -> None:
    """MLflow is a mirror: without it nothing of the runs is lost, and a new one may begin."""
    (run,) = store.runs()
    with closing(sqlite3.connect(store.path, isolation_level=None)) as db:
        if state == "locked":
            db.execute("BEGIN EXCLUSIVE")
        elif state == "damaged":
            store.path.write_bytes(b"version https://git-lfs.example/spec/v1\n")
        else:
            store.path.unlink()
        assert command.main(["studies", "--log", f"sqlite:///{store.path}"]) == 0
        assert capsys.readouterr().err == ""
        assert open_run(run.id, f"sqlite:///{store.path}").numbers["loss"].value == 2 / 3


def test_a_server_on_this_machine_is_asked_directly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "a.example")
    monkeypatch.delenv("NO_PROXY", raising=False)
    mirror.go_directly("http://host.example:5000")
    assert os.environ["no_proxy"] == "a.example"
    for host in ("127.0.0.1", "localhost", "[::1]", "127.0.0.1"):
        mirror.go_directly(f"http://{host}:5000")
    assert os.environ["no_proxy"] == "a.example,127.0.0.1,localhost,::1"
    assert os.environ["NO_PROXY"] == "127.0.0.1,localhost,::1"


def test_a_servers_own_cache_is_synced(
    store: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server went away before the run could be told; here it is MLflow's tables themselves."""
    server = RemoteStore(store.uri, tmp_path / "remote")

    def away(*args: object, **more: object) -> None:
        raise UserError("the server is away")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mirror.MlflowRun, "push", away)
        patch.setattr(mirror.MlflowRun, "finish", away)
        with pytest.raises(UserError, match="away"), server.start(tiny.OPENING) as log:
            log.metrics(1, {"a": 1 / 3})
    assert server.client.get_run(log.id).info.status == "RUNNING"
    for state in ("brought up to date", "there already"):
        assert [what for _, what in sync(server.cache, server)] == [state]
    run = server.client.get_run(log.id)
    assert run.info.status == "FINISHED" and run.data.metrics["a"] == 1 / 3
    assert "run.json" in {file.path for file in server.client.list_artifacts(log.id)}
    assert server.find(log.id).folder == server.cache / log.id
