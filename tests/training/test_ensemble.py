"""Models trained side by side before the study: found by it, with the bits of a training alone."""

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from research import paths
from research.config import Train
from research.data import Split, random_flip
from research.errors import UserError
from research.records import load as read
from research.tracking import Log, Opening, open_store
from research.training import cache as trained_models
from research.training import ensemble, graphs
from research.training.cache import obtain
from research.training.loop import DivergenceError, Training

SETTINGS = Train(epochs=2, batch=8, lr=0.1, device="cpu", precision="float32")
OPENING = Opening("small", "?", "sample", "small", {}, "d", (0,), "cpu")
NAMES = ["a", "b", "long", "after"]


@dataclasses.dataclass(frozen=True)
class Config:
    train: Train = SETTINGS
    lr: float = 0.1
    broken: bool = False


class Replayed:
    def __init__(self, work: Callable[[], None]) -> None:
        self.replay = work


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pretends that steps can be recorded; a replay does the work again."""
    monkeypatch.setattr(graphs, "usable", lambda device: True)
    monkeypatch.setattr(graphs, "record", lambda work, *_: Replayed(work))


@pytest.fixture(autouse=True)
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(paths, "MODELS", tmp_path / "models")
    return tmp_path / "models"


def split(seed: int = 0) -> Split:
    order = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (37, 1, 4, 4), dtype=torch.uint8, generator=order)
    return Split(images, torch.arange(37) % 3)


def flipped(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(model(random_flip(images, torch.default_generator)), labels)


def train(name: str, data: Split, config: Config, log: Log, **changes: Any) -> nn.Module:
    torch.manual_seed(NAMES.index(name))
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
    optimiser = torch.optim.SGD(model.parameters(), lr=config.lr, momentum=0.9)
    settings = dataclasses.replace(config.train, **changes)
    return obtain(
        Training(
            model,
            data,
            flipped,
            optimiser,
            settings,
            seed=NAMES.index(name),
            evaluate=lambda model: {"loss/test": 1.0},
        ),
        name=name,
        params={},
        log=log,
        snapshots=[1],
    )


def study(config: Config, log: Log) -> None:
    """Two models alike, one of more epochs, and one whose images follow from the first."""
    with log.part("data"):
        data = split()
        if config.broken:
            raise UserError("no such data")
    with log.part("training"):
        first = train("a", data, config, log)
        train("b", data, config, log)
        train("long", data, config, log, epochs=3)
        shift = int(100 * next(iter(first.parameters())).norm())
        train("after", Split(data.images + shift, data.labels), config, log)
    with log.part("analysis"):
        log.number("shift", shift)


def run(
    folder: Path, config: Config, beforehand: bool, resume: str | None = None
) -> tuple[Any, list[str]]:
    """A run of the study, and the models that were kept when it began."""
    with open_store(f"folder:{folder}").start(OPENING, resume=resume) as log:
        if beforehand:
            ensemble.train_beforehand(study, config, NAMES, log)
        there = sorted(path.name for path in paths.MODELS.glob("[0-9a-f]*"))
        study(config, log)
    return read(log.folder), there


def same_weights(record: Any, other: Any, name: str) -> bool:
    mine, theirs = (
        load_file(one.folder / f"weights/{name}.safetensors") for one in (record, other)
    )
    return mine.keys() == theirs.keys() and all(torch.equal(mine[key], theirs[key]) for key in mine)


@pytest.mark.usefixtures("recorded")
def test_models_side_by_side_are_those_that_a_study_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone, there = run(tmp_path / "alone", Config(), beforehand=False)
    assert there == []
    monkeypatch.setattr(paths, "MODELS", tmp_path / "others")
    together, there = run(tmp_path / "together", Config(), beforehand=True)
    wanted = {name: alone.run.models[name]["digest"] for name in NAMES}
    # the one that follows from a trained model was planned for the untrained one, and is not it
    assert {wanted["a"], wanted["b"]} < set(there)
    assert not {wanted["long"], wanted["after"]} & set(there)
    assert together.numbers["shift"].value == alone.numbers["shift"].value
    for name in NAMES:
        mine, other = together.run.models[name], alone.run.models[name]
        assert mine["digest"] == other["digest"]
        assert same_weights(together, alone, name)
        assert mine["origin"] == "trained"
        assert mine["steps"] == graphs.RECORDED
        curves = (record.arrays(f"curve_{name}")["loss_train"] for record in (together, alone))
        assert (next(curves) == next(curves)).all()
        assert (together.folder / f"weights/{name}-epoch1.safetensors").exists()


@pytest.mark.usefixtures("recorded")
def test_again_trains_each_model_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(tmp_path, Config(), beforehand=True)
    again = Config(dataclasses.replace(SETTINGS, again=True))
    trained: list[int] = []
    true = trained_models.train_together

    def counted(recipes: Any, log: Log) -> None:
        trained.append(len(recipes))
        true(recipes, log)

    monkeypatch.setattr(ensemble, "train_together", counted)
    record, _ = run(tmp_path, again, beforehand=True)
    assert trained == [3]  # with the one that was planned wrongly
    assert {record.run.models[name]["run"] for name in NAMES} == {record.run.id}
    run(tmp_path, Config(), beforehand=True)
    assert trained == [3]


@pytest.mark.usefixtures("recorded")
def test_what_the_plan_meets_the_study_tells(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such data"):
        run(tmp_path, Config(broken=True), beforehand=True)
    with pytest.raises(DivergenceError, match=r"^a: training must stay finite"):
        run(tmp_path, Config(lr=3e38), beforehand=True)


@pytest.mark.usefixtures("recorded")
def test_an_interrupted_training_side_by_side_is_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted, _ = run(tmp_path / "whole", Config(), beforehand=True)
    monkeypatch.setattr(paths, "MODELS", tmp_path / "others")

    def stop(epochs: Iterator[Any], label: str, total: int) -> Iterator[Any]:
        yield next(epochs)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("research.training.cache.shown", stop)
        run(tmp_path / "store", Config(), beforehand=True)
    [stopped] = open_store(f"folder:{tmp_path}/store").runs()
    record, _ = run(tmp_path / "store", Config(), beforehand=True, resume=stopped.id)
    for name in NAMES:
        assert same_weights(record, wanted, name)


def test_on_a_cpu_nothing_is_trained_beforehand(tmp_path: Path) -> None:
    _, there = run(tmp_path, Config(), beforehand=True)
    assert there == []
