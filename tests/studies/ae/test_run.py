"""The study `ae`, run small: what a run tells, and how it goes on from another."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from research import __main__ as command
from research.records import Results
from research.training import cache
from research.training.loop import Epoch

from .tiny import FLAGS, lineage, newest, run


def test_the_run_tells_what_it_was(record: Results) -> None:
    assert (record.run.status, record.run.preset, record.run.seeds) == (
        "FINISHED",
        "sample",
        (0, 1),
    )
    assert record.run.changed["train.epochs"] == 2
    assert set(record.run.changed) == {
        "data.name", "sample", "sample_index", "train.epochs", "train.batch", "seeds",
        "map_points", "map_perplexity",
    }  # fmt: skip
    assert set(record.run.seconds) == {"data", "training", "analysis", "figures"}
    assert sorted(lineage(record)["children"]) == [
        "transpose-seed0", "transpose-seed1", "upsample-seed0", "upsample-seed1",
    ]  # fmt: skip
    assert not (record.folder / "checkpoints").exists()


@pytest.mark.long
def test_given_weights_replace_training(store: Path, record: Results, tmp_path: Path) -> None:
    run(tmp_path, "--weights", *map(str, (record.folder / "weights").glob("*.safetensors")))
    again = newest(tmp_path)
    assert again.numbers == record.numbers
    assert again.run.changed["weights"].startswith("transpose-seed0 ")
    assert again.run.config_digest != record.run.config_digest
    assert not [name for name in again.names("arrays") if name.startswith("curve")]


def interrupt(monkeypatch: pytest.MonkeyPatch, child: str, after: int) -> None:
    def stop(epochs: Iterator[Epoch], label: str, total: int) -> Iterator[Epoch]:
        for epoch in epochs:
            yield epoch
            if (label, epoch.number) == (child, after):
                raise KeyboardInterrupt

    monkeypatch.setattr(cache, "shown", stop)


@pytest.mark.long
def test_an_interrupted_run_goes_on_to_the_same_numbers(
    record: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        interrupt(patch, "transpose-seed1", 1)
        again = ["--log", f"folder:{tmp_path}", *FLAGS, "--train.again"]
        assert command.main(["run", "ae", *again]) == 130
    stopped = newest(tmp_path)
    assert stopped.run.status == "KILLED"
    run(tmp_path, "--resume", "--train.again")
    resumed = newest(tmp_path)
    assert (resumed.run.id, resumed.run.status) == (stopped.run.id, "FINISHED")
    assert resumed.numbers == record.numbers
    for name in ("transpose-seed1", "upsample-seed0"):
        ours, theirs = (r.arrays(f"curve_{name}")["loss_test"] for r in (resumed, record))
        assert np.array_equal(ours, theirs)


def test_nothing_is_resumed_where_nothing_was_interrupted(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["run", "ae", "--log", f"folder:{store}", *FLAGS, "--resume"]) == 2
    assert "--resume needs an interrupted run of 'ae'" in capsys.readouterr().err


@pytest.mark.long
def test_redrawing_gives_the_same_figures(store: Path, record: Results) -> None:
    before = {path: path.read_bytes() for path in (record.folder / "figures").iterdir()}
    arguments = ["redraw", "ae", "--log", f"folder:{store}", "--run", record.run.id]
    assert command.main(arguments) == 0
    assert {path: path.read_bytes() for path in before} == before
