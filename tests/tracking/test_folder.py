"""The plain folder: life and death of a run, resuming, finding; all without MLflow."""

import dataclasses
import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from research import records as results
from research.errors import UserError
from research.tracking.folder import FolderStore

from . import tiny
from .conftest import ROOT, points


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path)


def children(store: FolderStore, id: str) -> list[str]:
    lineage = json.loads((store.root / id / "tracking/lineage.json").read_text())
    return list(lineage["children"].values())


def facts_of(record: Path) -> list[str]:
    return [(record / name).read_text() for name in ("run.json", "tracking/lineage.json")]


def statuses(store: FolderStore, id: str) -> list[str]:
    records = [store.root / name for name in (id, *children(store, id))]
    return [json.loads((record / "run.json").read_text())["status"] for record in records]


def test_neither_mlflow_nor_torch_is_needed(tmp_path: Path) -> None:
    code = f"""
import sys
sys.modules["mlflow"] = sys.modules["torch"] = None
sys.path[:0] = [{str(ROOT)!r}, {str(Path(__file__).parent)!r}]
import tiny
tiny.main("folder:{tmp_path}/a b", "run")
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    (run,) = FolderStore(tmp_path / "a b").runs("tiny")
    assert (run.status, run.preset, run.config_digest) == ("FINISHED", "sample", "d1")


@pytest.mark.parametrize(
    ("error", "status"),
    [(ValueError("x"), "FAILED"), (KeyboardInterrupt(), "KILLED"), (SystemExit(0), "FINISHED")],
)
def test_a_run_that_ends_early_keeps_what_it_logged(
    store: FolderStore, error: BaseException, status: str
) -> None:
    def interrupt(child: str, step: int) -> None:
        if (child, step) == (tiny.CHILDREN[1], 2):
            raise error

    with pytest.raises(type(error)), store.start(tiny.OPENING) as log:
        tiny.study(log, interrupt)
    assert statuses(store, log.id) == [status, "FINISHED", status]
    last = store.root / children(store, log.id)[1]
    assert [step for step, _, _ in points(last)] == [1, 2]
    assert store.find(log.id).status == status


def test_a_child_may_fail_alone(store: FolderStore) -> None:
    with (
        store.start(tiny.OPENING) as log,
        pytest.raises(ValueError, match="diverged"),
        log.child("arm/seed0", {}),
    ):
        raise ValueError("diverged")
    assert statuses(store, log.id) == ["FINISHED", "FAILED"]


def test_sigterm_kills_the_run_and_its_open_child(
    store: FolderStore, tiny_process: Callable[..., Any]
) -> None:
    with tiny_process(f"folder:{store.root}", "hang") as process:
        process.stdout.readline()
        assert [run.status for run in store.runs()] == ["RUNNING"]
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 128 + signal.SIGTERM
    (run,) = store.runs()
    assert statuses(store, run.id) == ["KILLED", "FINISHED", "KILLED"]


def test_a_run_killed_outright_is_known_as_dead_and_can_be_resumed(
    store: FolderStore, tiny_process: Callable[..., Any]
) -> None:
    with tiny_process(f"folder:{store.root}", "hang") as process:
        process.stdout.readline()
        (run,) = store.runs()
        with (
            pytest.raises(UserError, match="still running"),
            store.start(tiny.OPENING, resume=run.id),
        ):
            pass
        process.kill()
        process.wait()
    (run,) = store.runs()
    assert run.status == "KILLED"
    before = [points(store.root / id) for id in children(store, run.id)]
    finished = facts_of(store.root / children(store, run.id)[0])

    with store.start(tiny.OPENING, resume=run.id[:8]) as log:
        tiny.study(log)
    assert log.id == run.id
    assert statuses(store, run.id) == ["FINISHED"] * 3
    for seed, id in enumerate(children(store, run.id)):
        curve = points(store.root / id)
        assert curve[: len(before[seed])] == before[seed]
        assert curve == [(step, "train/loss", tiny.loss(seed, step)) for step in (1, 2, 3)]
    assert facts_of(store.root / children(store, run.id)[0]) == finished
    assert results.load(log.folder).run.findings == ("It does.",)
    with pytest.raises(UserError, match="has finished"), store.start(tiny.OPENING, resume=run.id):
        pass


def test_a_resumed_run_may_measure_again(store: FolderStore) -> None:
    with pytest.raises(ValueError), store.start(tiny.OPENING) as log:
        log.number("loss", 1.0)
        log.number("same", 1.0)
        raise ValueError
    with store.start(tiny.OPENING, resume=log.id) as log:
        log.number("loss", 2.0)
        log.number("same", 1.0)
    assert results.load(log.folder).numbers["loss"].value == 2.0
    stored = points(log.folder, "tracking/numbers.jsonl")
    assert stored == [(0, "loss", 1.0), (0, "same", 1.0), (1, "loss", 2.0)]


def test_only_the_same_experiment_is_resumed(store: FolderStore) -> None:
    with pytest.raises(ValueError), store.start(tiny.OPENING) as log:
        raise ValueError
    config = {**tiny.OPENING.config, "train.lr": 0.2}
    other = dataclasses.replace(tiny.OPENING, config=config, config_digest="d2")
    with pytest.raises(UserError, match=r"train.lr was 0.1, now 0.2;"):
        store.start(other, resume=log.id).__enter__()
    with pytest.raises(UserError, match="is of the study 'tiny'"):
        store.start(dataclasses.replace(other, study="big"), resume=log.id).__enter__()


def test_only_children_get_the_weights_named_for_them(store: FolderStore) -> None:
    weights = Path("weights.safetensors")
    with store.start(tiny.OPENING, pretrained={"arm/seed1": weights, "": weights}) as log:
        assert log.pretrained is None
        for name, expected in zip(tiny.CHILDREN, (None, weights), strict=True):
            with log.child(name, {}) as child:
                assert child.pretrained == expected


def test_runs_are_listed_newest_first_and_found_by_their_first_letters(store: FolderStore) -> None:
    ids = []
    for study in ("tiny", "other", "tiny"):
        with store.start(dataclasses.replace(tiny.OPENING, study=study)) as log:
            ids.append(log.id)
    assert [run.id for run in store.runs()] == ids[::-1]
    assert [run.id for run in store.runs("tiny")] == [ids[2], ids[0]]
    assert store.find(ids[1][:10]).id == ids[1]
    near = ids[1][:6] + ("0" if ids[1][6] != "0" else "1") + ids[1][7]
    with pytest.raises(UserError, match=f"did you mean {ids[1][:8]}"):
        store.find(near)
    with pytest.raises(UserError, match="the newest are"):
        store.find("zzzz")


def test_letters_that_mean_several_runs_are_refused(store: FolderStore) -> None:
    ids: set[str] = set()
    while len({id[0] for id in ids}) == len(ids):
        with store.start(tiny.OPENING) as log:
            ids.add(log.id)
    with pytest.raises(UserError, match="one run is required, but 2 begin with"):
        store.find(log.id[0])
    with pytest.raises(UserError, match="holds no runs yet"):
        FolderStore(store.root / "empty").find("a")


def test_a_file_can_be_attached_to_a_finished_run(store: FolderStore, tmp_path: Path) -> None:
    with store.start(tiny.OPENING) as log:
        pass
    pdf = tmp_path / "x.pdf"
    pdf.write_bytes(b"%PDF")
    store.attach(log.id[:9], pdf, "report/ae.pdf")
    assert (log.folder / "report/ae.pdf").read_bytes() == b"%PDF"
