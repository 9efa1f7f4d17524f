"""Recorded steps against a loop written out by hand; without a GPU a replay steps through them."""

import random
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from research.data import Samples, Split, random_crop, random_flip
from research.data.sequences import Copying
from research.methods.crops import crop_loss
from research.models import FilterSgd, parameter_groups
from research.training import graphs
from research.training.graphs import RECORDED, Steps
from research.training.recording import Track

Loss = Callable[[nn.Module, Tensor, Tensor], Tensor]


class Stepping:
    """In the place of a graph: a replay does the work again."""

    def __init__(self, work: Callable[[], None]) -> None:
        self.replay = work


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> list[Stepping]:
    made: list[Stepping] = []

    def record(work: Callable[[], None], *_: Any) -> Stepping:
        made.append(Stepping(work))
        return made[-1]

    monkeypatch.setattr(graphs, "usable", lambda device: True)
    monkeypatch.setattr(graphs, "record", record)
    return made


def split(count: int = 37, side: int = 8, seed: int = 0) -> Split:
    order = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8, generator=order)
    return Split(images, torch.randint(0, 3, (count,), generator=order))


def network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    layers = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(2)
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(16, 3))


def plain(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(model(images), labels)


def augmented(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    order = torch.default_generator
    return plain(model, random_crop(random_flip(images, order), 2, order), labels)


def sgd(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, nesterov=True)


def adam(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.Adam(model.parameters(), lr=0.01, fused=True)


def held(model: nn.Module) -> torch.optim.Optimizer:
    return FilterSgd(parameter_groups(model, 0.1), lr=0.1, momentum=0.9)


def by_hand(
    model: nn.Module, data: Split, loss: Loss, optimiser: torch.optim.Optimizer, seeds: list[int]
) -> list[float]:
    """Epochs of batches of 8 in the order of a seed, the last one short."""
    means = []
    for seed in seeds:
        torch.manual_seed(seed)
        order, total = torch.randperm(len(data)), 0.0
        for index in order.split(8):  # type: ignore[no-untyped-call]
            images = data.images[index].float().div_(255)
            optimiser.zero_grad()
            value = loss(model, images.contiguous(memory_format=torch.channels_last),
                         data.labels[index])  # fmt: skip
            value.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            total += value.item() * len(index)
        means.append(total / len(data))
    return means


def track(
    model: nn.Module,
    loss: Loss,
    optimiser: torch.optim.Optimizer,
    data: Samples | None = None,
    batch: int = 8,
) -> Track:
    return Track(model, model, data or split(), loss, optimiser, batch)


def same(model: nn.Module, other: nn.Module) -> bool:
    pairs = zip(model.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(*pair) for pair in pairs)


@pytest.mark.parametrize("made", [sgd, adam, held])
@pytest.mark.parametrize("loss", [plain, augmented, partial(crop_loss, side=6)])
@pytest.mark.usefixtures("recorded")
def test_recorded_epochs_have_the_bits_of_a_loop(
    made: Callable[[nn.Module], torch.optim.Optimizer], loss: Loss
) -> None:
    true, model, seeds = network(), network(), [3, 1, 4]
    wanted = by_hand(true, split(), loss, made(true), seeds)
    steps = Steps([track(model, loss, made(model))])
    assert [steps.epoch([seed])[0] for seed in seeds] == wanted
    assert steps.how == RECORDED
    assert same(model, true)


@pytest.mark.usefixtures("recorded")
def test_networks_side_by_side_have_the_bits_that_each_has_alone() -> None:
    sets, losses = [split(seed=0), split(seed=1), split(seed=0)], [augmented, plain, augmented]
    models, others = ([network(seed) for seed in range(3)] for _ in range(2))
    seeds = [[3, 1], [4, 5], [6, 7]]
    wanted = [
        by_hand(model, data, loss, sgd(model), own)
        for model, data, loss, own in zip(models, sets, losses, seeds, strict=True)
    ]
    steps = Steps(
        [track(m, loss, sgd(m), d) for m, loss, d in zip(others, losses, sets, strict=True)]
    )
    found = [steps.epoch(list(numbers)) for numbers in zip(*seeds, strict=True)]
    assert [list(means) for means in zip(*found, strict=True)] == wanted
    assert steps.how == RECORDED
    assert all(map(same, others, models))


def test_a_step_is_recorded_anew_when_the_rate_changes(recorded: list[Stepping]) -> None:
    model = network()
    optimiser = sgd(model)
    steps, scheduler = Steps([track(model, plain, optimiser)]), []
    for rate in (0.1, 0.1, 0.05, 0.05):
        optimiser.param_groups[0]["lr"] = rate
        steps.epoch([1])
        scheduler.append(len(recorded))
    assert scheduler == [1, 1, 2, 2]


def hidden_torch(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    return plain(model, images + 0.1 * torch.rand(len(images))[:, None, None, None], labels)


def hidden_numpy(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    return plain(model, images * float(np.random.uniform()), labels)


def hidden_python(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    return plain(model, images * random.random(), labels)


def own(order: torch.Generator, model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    return plain(model, random_flip(images, order), labels)


@pytest.mark.parametrize("loss", [hidden_torch, hidden_numpy, hidden_python, own])
@pytest.mark.usefixtures("recorded")
def test_numbers_that_cannot_be_foretold_are_drawn_step_by_step(loss: Any) -> None:
    def fresh() -> Loss:
        random.seed(0)
        np.random.seed(0)
        generator = torch.Generator().manual_seed(0)
        return partial(loss, generator) if loss is own else loss

    true, model = network(), network()
    wanted = by_hand(true, split(), fresh(), sgd(true), [3, 1])
    steps = Steps([track(model, fresh(), sgd(model))])
    assert [steps.epoch([seed])[0] for seed in (3, 1)] == wanted
    assert steps.how == "step by step: the objective draws numbers that cannot be foretold"
    assert same(model, true)


class Counting:
    """An objective that is another one in every step."""

    def __init__(self) -> None:
        self.steps = 0

    def __call__(self, model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        self.steps += 1
        return self.steps * plain(model, images, labels)


@pytest.mark.usefixtures("recorded")
def test_a_replay_that_gives_another_loss_is_not_trusted() -> None:
    model = network()
    steps = Steps([track(model, Counting(), sgd(model))])
    steps.epoch([0])
    assert steps.how == "step by step: a replayed step does not give the loss of the true one"


def test_a_step_that_cannot_be_recorded_is_taken_all_the_same(
    recorded: list[Stepping], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> Stepping:
        raise RuntimeError("operation not permitted\nwhile capturing")

    monkeypatch.setattr(graphs, "record", refuse)
    true, model = network(), network()
    wanted = by_hand(true, split(), augmented, sgd(true), [3, 1])
    steps = Steps([track(model, augmented, sgd(model))])
    assert [steps.epoch([seed])[0] for seed in (3, 1)] == wanted
    assert steps.how == "step by step: operation not permitted"
    assert same(model, true)


class Host(torch.optim.SGD):
    """Who knows what it counts."""


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"data": Copying(count=64)}, "its batches differ in shape"),
        ({"batch": 12}, "an epoch has fewer than 4 full batches"),
        ({"optimiser": lambda w: torch.optim.Adagrad(w)}, "Adagrad may count its steps on the CPU"),
        ({"optimiser": lambda w: Host(w, lr=0.1)}, "Host may count its steps on the CPU"),
    ],
)
@pytest.mark.usefixtures("recorded")
def test_what_is_not_recorded_is_said(change: dict[str, Any], why: str) -> None:
    model = network()
    optimiser = change.pop("optimiser", lambda w: torch.optim.SGD(w, lr=0.1))
    steps = Steps([track(model, plain, optimiser(model.parameters()), **change)])
    assert steps.how == f"step by step: {why}"


def test_on_a_cpu_nothing_is_recorded_or_said() -> None:
    true, model = network(), network()
    wanted = by_hand(true, split(), augmented, sgd(true), [3, 1])
    steps = Steps([track(model, augmented, sgd(model))])
    assert [steps.epoch([seed])[0] for seed in (3, 1)] == wanted
    assert steps.how == ""
    assert same(model, true)


@pytest.fixture(autouse=True)
def numbers_as_they_were() -> Iterator[None]:
    state = torch.get_rng_state()
    yield
    torch.set_rng_state(state)
