"""What is done to a finished run is noticed; done here with MLflow's own client, or by hand."""

import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from research.tracking.folder import FolderStore
from research.tracking.local import LocalStore
from research.tracking.mutations import mutations

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
    assert mutations(run, folder) == []
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


def test_what_mlflow_holds_is_what_the_run_logged(empty_database: Path, tmp_path: Path) -> None:
    mlflow: Any = pytest.importorskip("mlflow")
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    store = LocalStore(tmp_path / "mlflow.db")
    with store.start(tiny.OPENING) as log:
        tiny.study(log)
        log.metrics(1, {"nan": math.nan, "endless": math.inf, "sunk": -math.inf})
    (run,) = store.runs()
    assert mutations(run, store) == []
    client = mlflow.MlflowClient(f"sqlite:///{store.path}")
    client.log_metric(run.id, "accuracy", 0.99)
    client.log_metric(run.id, "loss", 0.5, step=0)
    client.log_param(run.id, "trick", "none")
    child = json.loads((run.folder / "tracking/lineage.json").read_text())["children"]["arm/seed0"]
    client.log_metric(child, "train/loss", 0.0, step=4)
    assert mutations(run, store) == [
        "MLflow holds values of 'accuracy' that the run did not log",
        "MLflow holds values of 'loss' that the run did not log",
        "parameter trick is none in MLflow, None in the run",
        "child arm/seed0: MLflow holds values of 'train/loss' that the run did not log",
    ]
