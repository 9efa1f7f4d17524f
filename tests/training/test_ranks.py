"""One training on two processes of torchrun: the losses of one process, each sample once."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from research.config import Train
from research.data import Split
from research.errors import UserError
from research.machine import threads
from research.records import load as read
from research.tracking import open_store
from research.training import ranks
from research.training.loop import Training
from research.training.recording import Track
from tests.training import ranked


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which two ranks have trained; `begun` was begun by one process."""
    folder = tmp_path_factory.mktemp("two")
    with threads.limited(1):
        ranked.trained(folder / "begun.pt", epochs=2)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", "2", "-m", "tests.training.ranked", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr
    return folder


def told(folder: Path, rank: int) -> Any:
    return json.loads((folder / f"rank{rank}.json").read_text())


@pytest.mark.service
def test_two_ranks_have_the_losses_of_one_process(two: Path) -> None:
    with threads.limited(1):
        curve, weights = ranked.trained(None)
    for name, restored in (("whole", 0), ("begun", 2)):
        first, second = (told(two, rank) for rank in (0, 1))
        assert first["curves"][name] == second["curves"][name]  # and each loss is the epoch's
        found = first["curves"][name]
        assert [row[0] for row in found] == pytest.approx([one.loss for one in curve], abs=1e-6)
        tests = [one.metrics["loss/test"] for one in curve]
        assert [row[1] for row in found] == pytest.approx(tests, abs=1e-6)
        # the evaluation has a row for each sample, and no rank looked at another's
        assert {(row[2], row[3]) for row in found} == {(ranked.TESTED, ranked.TESTED)}
        assert [row[4] for row in found] == [True] * restored + [False] * (4 - restored)
        assert first["weights"][name] == second["weights"][name]
        assert torch.tensor(first["weights"][name]).allclose(weights, atol=1e-6)


@pytest.mark.service
def test_one_process_goes_on_where_two_stopped(two: Path) -> None:
    with threads.limited(1):
        curve, weights = ranked.trained(two / "whole.pt", epochs=6)
        alone, whole = ranked.trained(None, epochs=6)
    assert [one.restored for one in curve] == [True] * 4 + [False] * 2
    assert [one.loss for one in curve] == pytest.approx([one.loss for one in alone], abs=1e-6)
    assert weights.allclose(whole, atol=1e-6)


@pytest.mark.service
def test_the_first_rank_alone_writes(two: Path) -> None:
    [run] = open_store(f"folder:{two}/store").runs()
    record = read(run.folder)
    assert run.status == "FINISHED" and record.run.compute["workers"] == 2
    assert {name: model["origin"] for name, model in record.run.models.items()} == {
        "a": "trained", "after": "trained",
    }  # fmt: skip
    assert record.numbers["beforehand"].value == len([*(two / "models").glob("[0-9a-f]*")])


def test_what_ranks_cannot_share_is_refused() -> None:
    data = Split(torch.zeros(4, 1, 2, 2, dtype=torch.uint8), torch.zeros(4, dtype=torch.int64))
    model = nn.Sequential(nn.BatchNorm2d(1), nn.Flatten(), nn.Linear(4, 2))
    optimiser = torch.optim.SGD(model.parameters())
    training = Training(model, data, ranked.objective, optimiser, Train(), seed=0)
    with pytest.raises(UserError, match="batch normalisation needs the whole batch"):
        ranks._check(training.track)
    assert isinstance(training.track, Track) and ranks.COUNT == 1
