"""What is done to the files of a finished run is noticed."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from research.records import load
from research.tracking.folder import FolderStore
from research.tracking.local import LocalStore
from research.tracking.mutations import mutations
from research.tracking.sync import sync

from . import tiny


@pytest.fixture(scope="module")
def folder_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = FolderStore(tmp_path_factory.mktemp("finished"))
    with store.start(tiny.OPENING) as log:
        tiny.study(log)
    return store.root


@pytest.fixture
def folder(folder_run: Path, tmp_path: Path) -> FolderStore:
    return FolderStore(Path(shutil.copytree(folder_run, tmp_path / "runs")))


def test_files_that_were_changed_added_or_removed(folder: FolderStore, tmp_path: Path) -> None:
    (run,) = folder.runs()
    folder.attach(run.id, Path(__file__), "report/ae.pdf")
    assert mutations(run) == []
    numbers = run.folder / "numbers.json"
    numbers.write_text(numbers.read_text().replace("0.1", "0.2", 1))
    (run.folder / "kernels/conv1.txt").unlink()
    np.savez(run.folder / "arrays/better.npz", x=np.ones(1))
    child = json.loads((run.folder / "tracking/lineage.json").read_text())["children"]["arm/seed1"]
    (folder.root / child / "metrics.jsonl").write_text("")
    assert mutations(run) == [
        "kernels/conv1.txt is gone",
        "arrays/better.npz was added after its end",
        "numbers.json was changed after its end",
        "child arm/seed1: metrics.jsonl was changed after its end",
    ]
    (run.folder / "manifest.json").unlink()
    assert mutations(run)[0] == "it has no manifest.json"


def test_what_was_brought_into_mlflow_is_watched_too(
    folder: FolderStore, empty_database: Path, tmp_path: Path
) -> None:
    """There the run and its children have other ids than their records."""
    pytest.importorskip("mlflow")
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    store = LocalStore(tmp_path / "mlflow.db")
    sync(folder.root, store)
    (run,) = store.runs()
    assert run.id != run.record_id
    assert mutations(run) == []
    folders = [path.parent for path in store.artifacts.rglob("run.json")]
    (child,) = (folder for folder in folders if load(folder).run.name == "arm/seed0")
    (child / "metrics.jsonl").write_text("")
    assert mutations(run) == ["child arm/seed0: metrics.jsonl was changed after its end"]


def test_what_is_changed_in_mlflow_changes_nothing(empty_database: Path, tmp_path: Path) -> None:
    """The record is the run; MLflow shows it."""
    mlflow: Any = pytest.importorskip("mlflow")
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    store = LocalStore(tmp_path / "mlflow.db")
    with store.start(tiny.OPENING) as log:
        tiny.study(log)
    client = mlflow.MlflowClient(store.uri)
    client.log_metric(log.id, "loss", 0.5)
    client.set_tag(log.id, "research.preset", "full")
    client.update_run(log.id, status="FAILED", name="better")
    (run,) = store.runs()
    assert (run.preset, run.status, run.name) == ("sample", "FINISHED", "tiny sample")
    assert load(run.folder).numbers["loss"].value == 2 / 3
    assert mutations(run) == []
