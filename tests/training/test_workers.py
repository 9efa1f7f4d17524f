"""Models trained at once by processes of their own: the bits of one process, and how they end."""

import dataclasses
import hashlib
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from research import paths
from research.config import Jobs, Train
from research.data import Split, random_flip
from research.errors import UserError
from research.machine import hardware, threads
from research.records import load as read
from research.tracking import Log, Opening, open_store
from research.training import workers
from research.training.cache import obtain
from research.training.loop import DivergenceError, Training
from research.training.progress import Board

SETTINGS = Train(epochs=3, batch=8, lr=0.1, device="cpu", precision="float32")
OPENING = Opening("small", "?", "sample", "small", {}, "d", (0,), "cpu")
NAMES = ["a", "b", "long", "after"]


@dataclasses.dataclass(frozen=True)
class Config:
    train: Train = SETTINGS
    lr: float = 0.1
    slow: bool = False
    dying: int = 0
    """process that lives on; all others are killed in the training of `b`"""


@pytest.fixture(autouse=True)
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(paths, "MODELS", tmp_path / "models")
    with threads.limited(1):
        yield


def objective(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(model(random_flip(images, torch.default_generator)), labels)


def train(name: str, data: Split, config: Config, log: Log, **changes: Any) -> nn.Module:
    torch.manual_seed(NAMES.index(name))
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
    lr = config.lr if name == "b" else 0.1
    optimiser = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9)

    def evaluate(model: nn.Module) -> dict[str, float]:
        if config.slow:
            time.sleep(60)
        if config.dying and name == "b" and os.getpid() != config.dying:
            os.kill(os.getpid(), signal.SIGKILL)
        return {"loss/test": 1.0}

    settings = dataclasses.replace(config.train, **changes)
    return obtain(
        Training(
            model, data, objective, optimiser, settings, seed=NAMES.index(name), evaluate=evaluate
        ),
        name=name,
        params={},
        log=log,
        snapshots=[1],
    )


def study(config: Config, log: Log) -> None:
    """Three models by themselves, and one whose images follow from the first."""
    with log.part("data"):
        images = torch.randint(0, 256, (37, 1, 4, 4), generator=torch.Generator().manual_seed(0))
        data = Split(images.to(torch.uint8), torch.arange(37) % 3)
    with log.part("training"):
        first = train("a", data, config, log)
        train("b", data, config, log)
        train("long", data, config, log, epochs=5)
        shift = int(100 * next(iter(first.parameters())).norm())
        train("after", Split(data.images + shift, data.labels), config, log)
    with log.part("analysis"):
        log.number("shift", shift)


def run(
    folder: Path, config: Config, jobs: Jobs, resume: str | None = None
) -> tuple[Any, set[str]]:
    """A run of the study, and the models that were kept when it began."""
    with open_store(f"folder:{folder}").start(OPENING, resume=resume) as log:
        workers.train_beforehand(study, config, NAMES, log, jobs)
        there = {path.name for path in paths.MODELS.glob("[0-9a-f]*")}
        study(config, log)
    return read(log.folder), there


def weights(record: Any) -> dict[str, str]:
    """sha256 of each file of weights, snapshots too."""
    files = (record.folder / "weights").glob("*.safetensors")
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def digests(record: Any, *names: str) -> set[str]:
    return {record.run.models[name]["digest"] for name in names}


def test_workers_train_the_models_of_one_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    alone, there = run(tmp_path / "alone", Config(), 1)
    assert not there and "workers" not in alone.run.compute
    monkeypatch.setattr(paths, "MODELS", tmp_path / "others")
    capfd.readouterr()
    beside, there = run(tmp_path / "beside", Config(), 2)
    # the one that follows from a trained model was planned for the untrained one, and is not it
    assert digests(beside, "a", "b", "long") < there
    assert not digests(beside, "after") & there
    assert len(weights(alone)) == 8 and weights(beside) == weights(alone)
    assert beside.numbers["shift"].value == alone.numbers["shift"].value
    assert beside.run.compute["workers"] == 2
    assert all(model["origin"] == "trained" for model in beside.run.models.values())
    for name in NAMES:
        mine, other = (record.arrays(f"curve_{name}")["loss_train"] for record in (beside, alone))
        assert (mine == other).all()
    told = capfd.readouterr().err
    assert "b  epoch 3/3  train " in told and "long  epoch 5/5  train " in told


@pytest.mark.long
def test_what_is_kept_needs_no_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(tmp_path, Config(), 2)
    monkeypatch.setattr(workers, "train", pytest.fail)
    found, _ = run(tmp_path, Config(), 2)
    # of those that are found, the plan is wrong for one alone, which the study finds
    assert {model["origin"] for model in found.run.models.values()} == {"found"}
    assert "workers" not in found.run.compute


def test_a_large_network_is_left_to_the_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "LARGE", 1.0)
    monkeypatch.setattr(threads, "AVAILABLE", 2)
    monkeypatch.setattr(workers, "train", pytest.fail)
    record, _ = run(tmp_path, Config(), 2)
    assert record.run.models["a"]["threads"] == 2


def test_a_failure_names_the_model_and_keeps_the_others(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(DivergenceError, match=r"^b: training must stay finite"):
        run(tmp_path, Config(lr=3e38), 2)
    assert len([*paths.MODELS.glob("[0-9a-f]*")]) == 3
    assert "b  failed: training must stay finite, got " in capfd.readouterr().err


@pytest.mark.long
def test_a_worker_that_is_killed_leaves_its_model_to_the_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    record, there = run(tmp_path, Config(dying=os.getpid()), 2)
    assert digests(record, "a", "long") < there and not digests(record, "b") & there
    assert "b  failed: its process was ended by SIGKILL, as the system" in capfd.readouterr().err
    monkeypatch.setattr(paths, "MODELS", tmp_path / "others")
    other = weights(run(tmp_path / "alone", Config(), 1)[0])
    # a snapshot's name holds the digest, in which the killer counts
    mine = weights(record)
    assert all(mine[f"{name}.safetensors"] == other[f"{name}.safetensors"] for name in NAMES)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_all_workers(tmp_path: Path, number: signal.Signals) -> None:
    found: list[psutil.Process] = []
    before = psutil.Process().children()  # of other tests, as Python's tracker of resources

    def stop() -> None:
        while len(found) < 2:
            time.sleep(0.02)
            found[:] = [one for one in psutil.Process().children() if one not in before]
        os.kill(os.getpid(), number)

    threading.Thread(target=stop).start()
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        run(tmp_path, Config(slow=True), 2)
    assert len(found) == 2 and not any(one.is_running() for one in found)
    [stopped] = open_store(f"folder:{tmp_path}").runs()
    assert stopped.status == "KILLED"


def test_workers_end_with_a_run_that_is_killed(tmp_path: Path) -> None:
    forked = multiprocessing.get_context("fork").Process(
        target=run, args=(tmp_path, Config(slow=True), 2)
    )
    forked.start()
    parent = psutil.Process(forked.pid)
    while len(ours := parent.children()) < 2:
        assert forked.is_alive()
        time.sleep(0.02)
    forked.kill()
    forked.join()
    _, alive = psutil.wait_procs(ours, timeout=30)
    assert not alive


@pytest.mark.long
def test_a_resumed_run_goes_on_from_the_checkpoints_of_its_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    wanted, _ = run(tmp_path / "whole", Config(), 1)
    monkeypatch.setattr(paths, "MODELS", tmp_path / "others")
    true = Board.epoch

    def stop(board: Board, name: str, epoch: Any) -> None:
        true(board, name, epoch)
        if name == "long" and epoch.number == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Board, "epoch", stop)
        run(tmp_path / "store", Config(), 2)
    [stopped] = open_store(f"folder:{tmp_path}/store").runs()
    assert [*(stopped.folder / "checkpoints").glob("long-*.pt")]
    capfd.readouterr()
    record, _ = run(tmp_path / "store", Config(), 2, resume=stopped.id)
    assert weights(record) == weights(wanted)
    told = capfd.readouterr().err.splitlines()
    # by its end it may have come further, or been kept; what it had done is not done again
    done = tuple(f"long  epoch {number}/5" for number in (1, 2))
    again = [line for line in told if line.startswith(done) and "restored" not in line]
    assert not again


def test_how_many(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for wrong in (0, -1):
        with pytest.raises(UserError, match=f"auto or at least 1, got {wrong}"):
            workers.check(wrong)
    workers.check("auto")
    monkeypatch.setattr(hardware, "cores", lambda: 5)
    monkeypatch.setattr(hardware, "GROUP", tmp_path)
    assert workers.most("auto", "cpu") == 5 and workers.most(3, "cpu") == 3
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert workers.most("auto", "cpu") == 5
    (tmp_path / "cpu.max").write_text("150000 100000\n")
    assert workers.most("auto", "cpu") == 2
    assert workers.most(4, "cuda") == 1
    monkeypatch.setattr("sys.platform", "darwin")
    assert workers.most(4, "cpu") == 1
