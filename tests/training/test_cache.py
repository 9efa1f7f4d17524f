"""A trained model is found again if and only if nothing that it follows from has changed."""

import dataclasses
import json
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
from research.data import Split
from research.errors import UserError
from research.models import save_weights
from research.records import load as read
from research.tracking import Log, Opening, open_store
from research.training import cache as trained
from research.training.cache import obtain, snapshot
from research.training.loop import Training

SETTINGS = Train(epochs=2, batch=8, lr=0.1, device="cpu", precision="float32")
OPENING = Opening(
    study="small", question="?", preset="sample", name="small", config={}, config_digest="d",
    seeds=(0,), device="cpu",
)  # fmt: skip


class Small(nn.Module):
    def __init__(self, slope: float = 0.1) -> None:
        super().__init__()
        self.config = {"slope": slope}
        self.fc = nn.Linear(4, 3)
        self.act = nn.LeakyReLU(slope)

    def forward(self, images: Tensor) -> Tensor:
        out: Tensor = self.act(self.fc(images.flatten(1)))
        return out


def split(seed: int = 0) -> Split:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (20, 1, 2, 2), generator=generator, dtype=torch.uint8)
    return Split(images, torch.arange(20) % 3)


def cross_entropy(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(model(images), labels)


def weighted(weight: float) -> Callable[[nn.Module, Tensor, Tensor], Tensor]:
    def loss(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(model(images), labels, torch.tensor([weight, 1.0, 1.0]))

    return loss


def accuracy(model: nn.Module) -> dict[str, float]:
    data = split()
    right = model(data.floats()).argmax(1) == data.labels
    return {"accuracy/train": right.float().mean().item()}


def train(
    log: Log, *, name: str = "a", data: Split | None = None, start: int = 0, slope: float = 0.1,
    momentum: float = 0.9, objective: Any = cross_entropy, seed: int = 0, evaluate: Any = accuracy,
    gamma: float | None = None, decay: float | None = None, frozen: bool = False,
    only: tuple[str, ...] = ("fc.weight", "fc.bias"), snapshots: tuple[int, ...] = (),
    **settings: Any,
) -> Small:  # fmt: skip
    torch.manual_seed(start)
    model = Small(slope)
    model.fc.bias.requires_grad_(not frozen)
    trained = [weight for name, weight in model.named_parameters() if name in only]
    optimiser = torch.optim.SGD(trained, lr=0.1, momentum=momentum)
    schedule: Any = torch.optim.lr_scheduler.ExponentialLR(optimiser, gamma) if gamma else None
    if decay:
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda epoch: decay**epoch)
    return obtain(
        Training(
            model,
            data or split(),
            objective,
            optimiser,
            dataclasses.replace(SETTINGS, **settings),
            seed=seed,
            evaluate=evaluate,
            scheduler=schedule,
        ),
        name=name,
        params={"seed": seed},
        log=log,
        snapshots=snapshots,
    )


@pytest.fixture(autouse=True)
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(paths, "MODELS", tmp_path / "models")
    return tmp_path / "models"


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Runs one training in a run of its own; returns its record and the model."""

    def run(pretrained: dict[str, Path] | None = None, **changes: Any) -> Any:
        with open_store(f"folder:{tmp_path}/store").start(
            OPENING, pretrained=pretrained or {}
        ) as log:
            model = train(log, **changes)
        return read(log.folder), model

    yield run


def test_the_same_again_is_found_with_its_weights_and_curve(
    started: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    first, model = started()
    assert "found" not in capsys.readouterr().err
    second, again = started(name="another")
    told = capsys.readouterr().err
    assert f"another  found: trained by run {first.run.id[:8]}" in told
    assert "epoch" not in told
    assert all(
        torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True)
    )
    ours, theirs = second.arrays("curve_another"), first.arrays("curve_a")
    assert ours.keys() == {"loss_train", "accuracy_train"}
    assert all((ours[key] == theirs[key]).all() for key in ours)
    assert first.run.models["a"]["origin"] == "trained"
    origin = second.run.models["another"]
    assert (origin["origin"], origin["run"]) == ("found", first.run.id)
    assert origin["digest"] == first.run.models["a"]["digest"]
    methods = {"parameters", "optimiser", "lr", "epochs", "batch"}
    assert {k: origin[k] for k in methods} == {k: first.run.models["a"][k] for k in methods}
    assert (second.folder / "weights/another.safetensors").exists()


@pytest.mark.parametrize(
    "change",
    [
        {"data": split(1)},
        {"start": 1},
        {"slope": 0.2},
        {"momentum": 0.8},
        {"objective": weighted(2.0)},
        {"seed": 1},
        {"evaluate": lambda model: {"accuracy/train": 0.0}},
        {"gamma": 0.5},
        {"decay": 0.5},
        {"frozen": True},
        {"only": ("fc.weight",)},
        {"epochs": 3},
        {"batch": 4},
        {"precision": "bfloat16"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_whatever_it_follows_from_makes_another_model(
    change: dict[str, Any], started: Callable[..., Any]
) -> None:
    started()
    assert started(**change)[0].run.models["a"]["origin"] == "trained"
    assert started(**change)[0].run.models["a"]["origin"] == "found"


def test_what_a_loss_closes_over_counts(started: Callable[..., Any]) -> None:
    started(objective=weighted(2.0))
    assert started(objective=weighted(2.0))[0].run.models["a"]["origin"] == "found"
    assert started(objective=weighted(3.0))[0].run.models["a"]["origin"] == "trained"


def test_what_the_rule_for_the_learning_rate_closes_over_counts(
    started: Callable[..., Any],
) -> None:
    started(decay=0.5)
    assert started(decay=0.25)[0].run.models["a"]["origin"] == "trained"


def test_which_parameters_are_trained_counts(started: Callable[..., Any]) -> None:
    started(only=("fc.weight",))
    assert started(only=("fc.bias",))[0].run.models["a"]["origin"] == "trained"


def test_it_is_trained_anew_when_asked(started: Callable[..., Any]) -> None:
    started()
    assert started(again=True)[0].run.models["a"]["origin"] == "trained"


@pytest.mark.parametrize("file", ["weights.safetensors", "model.json"])
@pytest.mark.parametrize("damage", [bytes.upper, lambda old: old[:-9], lambda old: b""])
def test_a_damaged_one_is_not_taken(
    file: str, damage: Callable[[bytes], bytes], started: Callable[..., Any], models: Path
) -> None:
    _, model = started()
    (path,) = models.glob(f"*/{file}")
    path.write_bytes(damage(path.read_bytes()))
    record, again = started()
    assert record.run.models["a"]["origin"] == "trained"
    assert torch.equal(model.fc.weight, again.fc.weight)
    assert started()[0].run.models["a"]["origin"] == "found"


def test_snapshots_are_the_models_of_a_shorter_training(
    started: Callable[..., Any], models: Path
) -> None:
    _, short = started(epochs=1)
    record, _ = started(epochs=3, snapshots=(1, 2, 9))
    found, _ = started(epochs=3, snapshots=(1,))
    assert found.run.models["a"]["origin"] == "found"
    for one in (record, found):
        weights = load_file(one.folder / "weights/a-epoch1.safetensors")
        assert torch.equal(weights["fc.weight"], short.fc.weight)
    names = {path.name for path in (record.folder / "weights").iterdir()}
    assert names == {"a.safetensors", "a-epoch1.safetensors", "a-epoch2.safetensors"}
    (models / record.run.models["a"]["digest"] / "epoch1.safetensors").write_bytes(b"")
    assert started(epochs=3, snapshots=(1,))[0].run.models["a"]["origin"] == "trained"


def test_a_model_kept_without_snapshots_is_trained_anew_for_them(
    started: Callable[..., Any],
) -> None:
    started()
    assert started(snapshots=(1,))[0].run.models["a"]["origin"] == "trained"


def test_snapshots_asked_for_at_different_times_are_kept_together(
    started: Callable[..., Any],
) -> None:
    started(epochs=3, snapshots=(1,))
    started(epochs=3, snapshots=(2,))
    found, _ = started(epochs=3, snapshots=(1, 2))
    assert found.run.models["a"]["origin"] == "found"


def test_what_other_code_has_begun_is_not_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, started: Callable[..., Any]
) -> None:
    def stop(epochs: Iterator[Any], label: str, total: int) -> Iterator[Any]:
        yield next(epochs)
        raise KeyboardInterrupt

    store = open_store(f"folder:{tmp_path}/store")
    with monkeypatch.context() as patch:
        patch.setattr(trained, "shown", stop)
        with pytest.raises(KeyboardInterrupt), store.start(OPENING) as log:
            train(log, objective=weighted(2.0))
    with store.start(OPENING, resume=log.id) as resumed:
        mended = train(resumed, objective=weighted(3.0))
    _, fresh = started(objective=weighted(3.0), again=True)
    assert torch.equal(mended.fc.weight, fresh.fc.weight)


def test_a_loss_that_diverges_is_told_with_the_models_name(started: Callable[..., Any]) -> None:
    def worse(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(model(images), labels) * torch.inf

    with pytest.raises(
        UserError, match=r"^a: .* got a loss of (inf|nan) in epoch 1 .* 0\.1; lower"
    ):
        started(objective=worse)


def test_a_snapshot_that_the_kill_left_out_is_made_up_for(
    tmp_path: Path, started: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    started(epochs=2, snapshots=(1,))
    (folder,) = paths.MODELS.iterdir()
    wanted = (folder / "epoch1.safetensors").read_bytes()

    def stop(epochs: Iterator[Any], model: nn.Module, files: Any) -> Iterator[Any]:
        yield next(epochs)
        raise KeyboardInterrupt

    store = open_store(f"folder:{tmp_path}/store")
    with monkeypatch.context() as patch:
        patch.setattr(trained, "_photographed", stop)
        with pytest.raises(KeyboardInterrupt), store.start(OPENING) as log:
            train(log, epochs=2, snapshots=(1,), again=True)
    with store.start(OPENING, resume=log.id) as resumed:
        train(resumed, epochs=2, snapshots=(1,), again=True)
        state = snapshot(Small(), "a", 1, resumed).fc.weight
    assert torch.equal(state, load_file(folder / "epoch1.safetensors")["fc.weight"])
    assert (folder / "epoch1.safetensors").read_bytes()[-48:] == wanted[-48:]


def test_a_given_model_is_neither_trained_nor_looked_for(
    started: Callable[..., Any], tmp_path: Path
) -> None:
    started()
    given = Small()
    save_weights(tmp_path / "given.safetensors", given, "a")
    record, model = started(pretrained={"a": tmp_path / "given.safetensors"})
    assert torch.equal(model.fc.weight, given.fc.weight)
    assert record.run.models["a"]["origin"] == "given"
    assert "curve_a" not in record.names("arrays")


def test_a_run_that_was_stopped_takes_its_own_models_as_trained(tmp_path: Path) -> None:
    store = open_store(f"folder:{tmp_path}/store")
    with pytest.raises(KeyboardInterrupt), store.start(OPENING) as log:
        train(log)
        raise KeyboardInterrupt
    with store.start(OPENING, resume=log.id) as resumed:
        train(resumed)
    assert read(resumed.folder).run.models["a"]["origin"] == "trained"


def test_nothing_unfinished_is_kept(
    tmp_path: Path, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(epochs: Iterator[Any], label: str, total: int) -> Iterator[Any]:
        yield next(epochs)
        raise KeyboardInterrupt

    monkeypatch.setattr(trained, "shown", stop)
    store = open_store(f"folder:{tmp_path}/store")
    with pytest.raises(KeyboardInterrupt), store.start(OPENING) as log:
        train(log)
    assert not list(models.glob("*"))


def test_a_model_is_kept_with_what_is_needed_to_judge_it(
    started: Callable[..., Any], models: Path
) -> None:
    record, _ = started()
    (folder,) = models.iterdir()
    facts = json.loads((folder / "model.json").read_text())
    assert folder.name == record.run.models["a"]["digest"]
    assert facts["run"] == record.run.id
    assert [epoch["number"] for epoch in facts["epochs"]] == [1, 2]
