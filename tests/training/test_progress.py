"""The table of what trains, and the times that it tells: arithmetic against a clock of our own."""

import dataclasses
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from torch import nn
from torch.nn import functional as F

from research import paths
from research.config import Train
from research.data import Split
from research.training import cache, pace, progress
from research.training.loop import Epoch, Training
from research.training.plan import Planning

KIND = pace.Kind("a", 51, 1000, 20, "cpu", 1)


class Time:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    clock = Time()
    monkeypatch.setattr(progress, "time", clock)
    monkeypatch.setattr(pace, "time", clock)
    return clock


def epoch(number: int, restored: bool = False) -> Epoch:
    return Epoch(number, 0.5, {}, 1.0, 1000.0, 1.0, restored)


def shown(board: progress.Board) -> dict[str, tuple[str, ...]]:
    """State, epoch and ETA of each model, as the table has them."""
    columns = [[*map(str, column.cells)] for column in board._table().columns]
    return {name: tuple(rest[:3]) for name, *rest in zip(*columns, strict=True)}


def test_times_left(time: Time) -> None:
    board = progress.Board({"known": 10, "new": 4}, {"known": 200.0})
    assert shown(board) == {"known": ("waits", "0/10", "3:20"), "new": ("waits", "0/4", "")}
    board.begin("known")
    board.begin("new")
    time.now += 15
    assert shown(board)["known"] == ("trains", "0/10", "3:05")  # by earlier runs
    time.now += 25
    assert shown(board)["known"][2] == "3:00"  # its first epoch should have ended
    board.epoch("known", epoch(1))
    board.epoch("new", epoch(1))
    assert shown(board)["known"] == ("trains", "1/10", "6:00")  # nine more of 40 s, its own pace
    assert shown(board)["new"] == ("trains", "1/4", "2:00")
    time.now += 10
    assert shown(board)["new"][2] == "1:50"
    time.now += 10
    board.epoch("new", epoch(2))
    assert shown(board)["new"][2] == "1:00"  # two more, of (40 + 20) / 2 s
    board.kept("new")
    board.failed("known", "no space left")
    assert {name: row[2] for name, row in shown(board).items()} == {"known": "", "new": ""}


def test_what_comes_from_a_checkpoint_takes_no_time(time: Time) -> None:
    board = progress.Board({"a": 10}, {"a": 100.0})
    board.begin("a")
    time.now += 3
    for number in (1, 2, 3, 4):
        board.epoch("a", epoch(number, restored=True))
    assert shown(board)["a"] == ("trains", "4/10", "1:00")
    time.now += 20
    board.epoch("a", epoch(5))
    assert shown(board)["a"][2] == "1:40"
    board.waits("a", "Requeued")  # the time in the queue is not its pace
    time.now += 500
    assert shown(board)["a"] == ("waits", "5/10", "1:40")
    board.begin("a")
    time.now += 20
    board.epoch("a", epoch(6))
    assert shown(board)["a"][2] == "1:20"


@pytest.mark.parametrize(
    ("seconds", "said"), [(-3, "0:00"), (7.4, "0:07"), (599.6, "10:00"), (3723, "1:02:03")]
)
def test_times_in_words(seconds: float, said: str) -> None:
    assert pace.hms(seconds) == said


def test_the_table_fits_a_terminal(time: Time) -> None:
    board = progress.Board({"wide-seed0": 100}, {"wide-seed0": 3723.0})
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(board._table())
    told = console.export_text()
    assert all(word in told for word in ("model", "state", "epoch", "ETA", "0/100", "1:02:03"))


def keep(models: Path, digest: str, kind: pace.Kind, seconds: float, epochs: int = 4) -> None:
    clock = pace.Clock()
    clock.seconds, clock.epochs = seconds * epochs, epochs
    (models / digest).mkdir(parents=True)
    (models / digest / "model.json").write_text(json.dumps(pace.facts(kind, clock)))


def test_earlier_runs_tell_what_is_like_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "MODELS", tmp_path)
    changed = dataclasses.replace
    keep(tmp_path, "a0", changed(KIND, samples=500), 3.0)
    keep(tmp_path, "b0", changed(KIND, name="b"), 7.0)
    keep(tmp_path, "c0", changed(KIND, name="c"), 8.0)
    keep(tmp_path, "d0", changed(KIND, device="cuda"), 0.1)
    (tmp_path / "e0").mkdir()
    (tmp_path / "e0/model.json").write_text('{"run": "of an earlier version"}')
    for at, digest in enumerate(("a0", "b0", "c0", "d0", "e0")):
        os.utime(tmp_path / digest / "model.json", (at, at))
    found = pace.expected({
        "a": (KIND, 10), "z": (changed(KIND, name="z"), 2),
        "wide": (changed(KIND, name="a", parameters=52), 10),
        "card": (changed(KIND, name="z", device="cuda", samples=4000), 5),
    })  # fmt: skip
    assert found == {
        "a": pytest.approx(10 * 3.0 * 2),  # twice the samples of the one of its name
        "z": pytest.approx(2 * 8.0),  # the newest of its kind
        "card": pytest.approx(5 * 0.1 * 4),
    }


def test_only_what_was_trained_is_measured(time: Time) -> None:
    clock = pace.Clock()
    assert pace.facts(KIND, clock) == {}

    def trains() -> Iterator[Epoch]:
        for number, seconds in ((1, 30), (2, 9), (3, 5)):
            time.now += seconds
            yield epoch(number, restored=number == 1)

    for _ in clock.watch(trains()):
        time.now += 100  # whoever looks at the epochs takes time that is not theirs
    assert pace.facts(KIND, clock) == {"kind": vars(KIND), "epoch_seconds": 7.0}


def test_a_kept_model_tells_the_next_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through the cache as it is, with another number of epochs the second time."""
    monkeypatch.setattr(paths, "MODELS", tmp_path / "models")

    def recipe(epochs: int) -> cache.Recipe[Any]:
        torch.manual_seed(0)
        data = Split(torch.zeros(12, 1, 4, 4, dtype=torch.uint8), torch.arange(12) % 3)
        model = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
        settings = Train(epochs=epochs, batch=4, lr=0.1, device="cpu", precision="float32")
        training = Training(
            model, data, lambda net, x, y: F.cross_entropy(net(x), y),
            torch.optim.SGD(model.parameters(), lr=0.1), settings, seed=0,
        )  # fmt: skip
        return cache.Recipe(training, "a", {}, frozenset())

    assert cache.expected([recipe(2)]) == {}
    for _ in cache.trained([recipe(2)], Planning("r", [], tmp_path)):
        pass
    [file] = tmp_path.glob("models/*/model.json")
    an_epoch = json.loads(file.read_text())["epoch_seconds"]
    assert an_epoch > 0
    assert cache.expected([recipe(5)]) == {"a": pytest.approx(5 * an_epoch)}
