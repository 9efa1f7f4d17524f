"""Models trained by the jobs of a real SLURM: the bits of one process, and how jobs end."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from research import paths
from research.cli import projects as project
from research.config import Slurm
from research.errors import UserError
from research.machine import threads
from research.records import load as read
from research.tracking import open_store
from research.training import cluster, jobs
from research.training import slurm as queue
from research.training.loop import Epoch
from research.training.progress import Board
from tests.services.slurm import cluster as started
from tests.services.slurm import queue as asked
from tests.training import clustered
from tests.training.clustered import Config


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    pytest.importorskip("submitit")
    with started(tmp_path_factory.mktemp("slurm")):
        yield


@pytest.fixture(autouse=True)
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(paths, "RUNS", tmp_path / "runs")
    monkeypatch.setattr(paths, "MODELS", tmp_path / "runs/models")
    with threads.limited(1):
        yield


def run(store: Path, config: Config, slurm: Slurm | None, resume: str | None = None) -> Any:
    """The record of a run of the study."""
    with open_store(f"folder:{store}").start(clustered.opening(), resume=resume) as log:
        if slurm:
            cluster.train_beforehand(clustered.study, config, config.names, log, slurm, {})
        there = clustered.kept()
        clustered.study(config, log)
        assert not slurm or clustered.kept() == there
    return read(log.folder)


def weights(record: Any) -> dict[str, bytes]:
    return {one.name: one.read_bytes() for one in (record.folder / "weights").iterdir()}


@pytest.mark.service
def test_a_cluster_gives_the_bits_of_one_worker(
    slurm: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = Config(tmp_path, names=("a", "after"))
    record = run(tmp_path / "store", config, Slurm(time="10"))
    assert {model["origin"] for model in record.run.models.values()} == {"trained"}
    assert record.run.compute["workers"] == 2
    monkeypatch.setattr(paths, "MODELS", tmp_path / "others")
    alone = run(tmp_path / "alone", config, None)
    assert weights(record) == weights(alone) and len(weights(record)) == 4


@pytest.mark.service
def test_jobs_that_go_on_that_fail_and_that_are_cancelled(
    slurm: None, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for mark in ("hold-b", "hold-c", "break-a"):
        (tmp_path / mark).touch()
    config, store = Config(tmp_path, names=("a", "b", "c")), tmp_path / "store"
    acted: dict[str, float] = {}

    def act() -> None:
        """Interrupts b, as SLURM does when the time is up, and cancels c."""
        tasks = _tasks(store)
        for name, signals in (("b", ["--signal=USR2"]), ("c", [])):
            _wait(
                lambda name=name: tasks[name].news.read_text().count("epoch") == 1, tasks[name].news
            )
            asked("scancel", *signals, tasks[name].job)
            acted[name] = time.monotonic()
        (tmp_path / "hold-b").unlink()

    true = Board.failed

    def failed(board: Board, name: str, *why: str) -> None:
        acted[f"{name} failed"] = time.monotonic()
        true(board, name, *why)

    thread = threading.Thread(target=act)
    thread.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Board, "failed", failed)
        with pytest.raises(UserError, match=r"^all 3 models .* (a|c) failed.* --resume trains"):
            run(store, config, Slurm(time="10"))
    thread.join()
    told = capfd.readouterr().err
    assert "a  failed: the evaluation must not break; the others go on, and are kept" in told
    assert "ended without a word (cancelled)" in told
    assert acted["c failed"] - acted["c"] < 30
    [kept] = paths.MODELS.glob("[0-9a-f]*")
    facts = json.loads((kept / "model.json").read_text())
    said = [*jobs.Reader(_tasks(store)["b"].news).fresh()]
    states = [one["state"] for one in said if isinstance(one, dict)]
    assert states == ["trains", "trains", "kept"]
    first = [one for one in said if isinstance(one, Epoch)][1]
    assert (first.number, first.restored) == (1, True)  # from its checkpoint
    for mark in ("hold-c", "break-a"):
        (tmp_path / mark).unlink()
    [stopped] = open_store(f"folder:{store}").runs()
    record = run(store, config, Slurm(time="10"), stopped.id)
    assert facts["run"] == record.run.id
    assert "b  epoch" not in capfd.readouterr().err  # it was found


@pytest.mark.service
def test_an_interruption_cancels_the_array(slurm: None, tmp_path: Path) -> None:
    store = tmp_path / "store"

    def stop() -> None:
        _tasks(store)
        time.sleep(1)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=stop)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        run(store, Config(tmp_path), Slurm(time="10"))
    thread.join()
    states = queue.seen(task.job for task in _tasks(store).values())
    assert states and all(one.ended or one.state == "COMPLETING" for one in states.values())
    [stopped] = open_store(f"folder:{store}").runs()
    assert stopped.status == "KILLED"


@pytest.mark.service
def test_submit_and_leave(slurm: None, tmp_path: Path) -> None:
    """The study is one of a project of its own, as `research new` makes it."""
    project.make(tmp_path / "mine")
    command = [
        sys.executable, "-m", "research", "run", "width", "--preset", "sample", "--widths", "4",
        "8", "--train.epochs", "1", "--seeds", "0", "--cluster", "slurm", "--slurm.time", "30",
        "--log", f"folder:{tmp_path}/store",
    ]  # fmt: skip
    env = os.environ | {
        "RESEARCH_RUNS": str(tmp_path / "runs"), "RESEARCH_ROOT": str(tmp_path / "mine"),
    }  # fmt: skip
    partition = ("scontrol", "update", "PartitionName=main")
    asked(*partition, "State=DOWN")  # takes jobs and starts none, however slow this machine is
    done = subprocess.run([*command, "--detach"], env=env, capture_output=True, text=True)
    assert done.returncode == 0 and "width is in the queue: job " in done.stdout, done.stderr
    early = subprocess.run([*command, "--resume"], env=env, capture_output=True, text=True)
    assert early.returncode == 2 and "are in the queue: wait for them" in early.stderr, early.stderr
    asked(*partition, "State=UP")
    store = open_store(f"folder:{tmp_path}/store")
    [analysis] = [line.split()[0] for line in asked("squeue", "-h", "-o", "%i %E").splitlines()
                  if "afterok" in line]  # fmt: skip
    _wait(lambda: (queue.seen([analysis]) or {})[analysis].ended, tmp_path)
    [finished] = store.runs()
    record = read(finished.folder)
    assert finished.status == "FINISHED"
    assert {model["origin"] for model in record.run.models.values()} == {"trained"}
    assert record.run.config_digest and "cluster" not in record.run.config


@pytest.mark.service
def test_what_sbatch_refuses_is_one_line(slurm: None, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"sbatch says: .*invalid partition specified: nowhere"):
        run(tmp_path / "store", Config(tmp_path), Slurm(partition="nowhere"))


def test_settings_of_a_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [queue.minutes(text) for text in ("5", "1:30", "2:00:00", "1-12", "1-0:30")] == [
        5, 2, 120, 2160, 1470
    ]  # fmt: skip
    for wrong in ("soon", "0", "1:2:3:4"):
        with pytest.raises(UserError, match=r"--slurm.time must be"):
            queue.minutes(wrong)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UserError, match="this machine has no sbatch, srun, squeue, scancel"):
        queue.check(Slurm())


def _tasks(store: Path) -> dict[str, cluster.Task]:
    _wait(lambda: [*store.glob("*/checkpoints/cluster/tasks.json")] != [], store)
    [file] = store.glob("*/checkpoints/cluster/tasks.json")
    rows = json.loads(file.read_text())
    return {
        row["name"]: cluster.Task(**row | {key: Path(row[key]) for key in ("news", "log")})
        for row in rows
    }


def _wait(done: Any, what: Path) -> None:
    deadline = time.monotonic() + 900
    while True:
        try:
            if done():
                return
        except FileNotFoundError:
            pass
        assert time.monotonic() < deadline, what
        time.sleep(0.1)
