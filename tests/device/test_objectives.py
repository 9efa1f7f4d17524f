"""Every objective of every study where the network rounds to bfloat16, as it does on a GPU.

CUDA refuses some losses under autocast that a CPU computes, rounded, so that results alone do not
tell. It is looked at what an objective computes itself: nothing of it may be rounded.
"""

import copy
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import cache
from types import CellType, FunctionType
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD
from torch.overrides import TorchFunctionMode

from research.launch import study_of
from research.studies import entries
from research.training import loop
from research.training.loop import Objective, Training, fit, mixed, placed

from .small import SETTINGS, config_of, patched


class TrainedError(Exception):
    """All models are known; there is nothing to analyse."""


class Noted:
    """A log that forgets all but the end of the training."""

    def part(self, name: str) -> AbstractContextManager[None]:
        if name == "analysis":
            raise TrainedError
        return nullcontext()

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_, **__: None


@cache
def trainings(slug: str) -> dict[str, Training[Any]]:
    """Every model that a study trains, by name, untrained."""
    found: dict[str, Training[Any]] = {}
    study = study_of(next(entry for entry in entries() if entry.slug == slug))

    def obtain(training: Training[Any], *, name: str, **_: Any) -> Any:
        found[name] = training
        return training.model

    with patched(study, obtain=obtain), pytest.raises(TrainedError):
        study.study(config_of(slug, study), Noted())  # type: ignore[arg-type]
    return found


NAMES = {entry.slug: study_of(entry).children(config_of(entry.slug, study_of(entry)))
         for entry in entries()}  # fmt: skip
CASES = [(slug, name) for slug, names in NAMES.items() for name in names]


class RoundedError(AssertionError):
    """An objective computed something with less than 24 bits, or left it to autocast."""


class Unrounded(TorchFunctionMode):
    """Raises where an objective computes in bfloat16 or under autocast, outside of its network."""

    def __init__(self) -> None:
        self.inside = 0

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        result = function(*args, **kwargs or {})
        if not self.inside:
            if torch.is_autocast_enabled("cpu"):
                raise RoundedError(f"{function.__name__} is computed under autocast")
            if isinstance(result, Tensor) and result.dtype == torch.bfloat16:
                raise RoundedError(f"{function.__name__} returns bfloat16")
        return result

    @contextmanager
    def network(self) -> Iterator[None]:
        self.inside += 1
        try:
            yield
        finally:
            self.inside -= 1


@dataclass
class Seen:
    """What became of one step.

    Attributes:
        inputs: what the network was given, call by call.
        losses: as the objective returned them.
    """

    inputs: list[Tensor]
    losses: list[Tensor]
    gradients: list[Tensor]


def step(training: Training[Any], precision: Any) -> Seen:
    """One step of training with one batch."""
    model, watch, seen = copy.deepcopy(training.model), Unrounded(), Seen([], [], [])
    entered: list[AbstractContextManager[None]] = []

    def note(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        with watch.network():
            seen.inputs.extend(one.detach().clone() for one in inputs)

    def enter(*_: Any) -> None:
        entered.append(watch.network())
        entered[-1].__enter__()

    def leave(*_: Any) -> None:
        entered.pop().__exit__(None, None, None)

    def objective(network: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
        # what is wrapped around the network belongs to it
        handles = [
            network.register_forward_pre_hook(enter), network.register_forward_hook(leave),
            model.register_forward_pre_hook(note),
        ]  # fmt: skip
        with watch:
            loss = training.objective(network, inputs, labels)
        for handle in handles:
            handle.remove()
        seen.losses.append(loss.detach())
        return loss

    trained = [weight for weight in model.parameters() if weight.requires_grad]
    settings = replace(SETTINGS, precision=precision)
    batch = next(iter(training.samples.batches(20, torch.Generator().manual_seed(0))))
    list(fit(Training(model, OneBatch(batch), objective, SGD(trained, lr=0.0), settings, seed=0)))
    seen.gradients += [one.grad for one in trained if one.grad is not None]
    return seen


@dataclass
class OneBatch:
    """Samples that are seen at once, in their order."""

    batch: tuple[Tensor, Tensor]
    device = torch.device("cpu")

    def __len__(self) -> int:
        return len(self.batch[0])

    def batches(self, size: int, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        yield self.batch


@pytest.mark.parametrize(("slug", "name"), CASES, ids=lambda value: str(value))
def test_an_objective_is_float32_where_the_network_rounds(slug: str, name: str) -> None:
    training = trainings(slug)[name]
    exact, rounded = (step(training, precision) for precision in ("float32", "bfloat16"))
    # attacks, noise, crops: the network is shown the very same
    assert all(map(torch.equal, exact.inputs, rounded.inputs))
    assert len(exact.inputs) == len(rounded.inputs) > 0
    [loss], [whole] = rounded.losses, exact.losses
    assert loss.dtype == torch.float32
    # bfloat16 has 8 bits; sums over layers and words add up
    assert loss.item() == pytest.approx(whole.item(), rel=0.02, abs=0.002)
    assert rounded.gradients and all(one.isfinite().all() for one in rounded.gradients)
    assert all(one.dtype == torch.float32 for one in rounded.gradients)
    assert any((one != 0).any() for one in rounded.gradients)


@pytest.mark.parametrize("slug", ["ae", "autoencoders", "fgsm", "mlp", "seq2seq"])
def test_autocast_around_a_whole_objective_is_found(
    slug: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Around(nn.Module):
        """What a model saw before: autocast goes on behind its forward pass."""

        def __init__(self, network: nn.Module) -> None:
            super().__init__()
            self.network = network

        def forward(self, *inputs: Tensor) -> Any:
            torch.set_autocast_enabled("cpu", True)
            return self.network(*inputs)

    monkeypatch.setattr(loop, "Mixed", Around)
    try:
        with pytest.raises(RoundedError):
            step(trainings(slug)[NAMES[slug][-1]], "bfloat16")
    finally:
        torch.set_autocast_enabled("cpu", False)


@pytest.mark.cuda
@pytest.mark.parametrize(("slug", "name"), CASES, ids=lambda value: str(value))
def test_an_objective_of_the_device_is_that_of_the_cpu(slug: str, name: str, device: str) -> None:
    training = trainings(slug)[name]
    order = torch.Generator().manual_seed(0)
    batch = [one.to(device) for one in next(iter(training.samples.batches(20, order)))]
    found: dict[str, float] = {}
    model = placed(copy.deepcopy(training.model), replace(SETTINGS, device=device)).train()
    for precision in ("float32", "bfloat16"):
        settings = replace(SETTINGS, precision=precision, device=device)
        model.zero_grad()
        torch.manual_seed(0)
        loss = training_objective(training, device)(mixed(model, settings), *batch)
        loss.backward()  # type: ignore[no-untyped-call]
        gradients = [one.grad for one in model.parameters() if one.grad is not None]
        assert loss.dtype == torch.float32 and loss.device.type == torch.device(device).type
        assert gradients and all(one.isfinite().all() for one in gradients)
        found[precision] = loss.item()
    [whole] = step(training, "float32").losses
    # dropout and noise are others on another device
    assert found["float32"] == pytest.approx(whole.item(), rel=0.3, abs=0.02)
    # dropout draws other masks in another type, on a GPU
    assert found["bfloat16"] == pytest.approx(found["float32"], rel=0.06, abs=0.002)


def training_objective(training: Training[Any], device: str) -> Objective:
    """The objective with what it closes over, as class weights, on the device."""
    objective = training.objective
    cells = getattr(objective, "__closure__", None) or ()
    if not any(isinstance(cell.cell_contents, Tensor) for cell in cells):
        return objective
    moved = tuple(
        CellType(cell.cell_contents.to(device)) if isinstance(cell.cell_contents, Tensor) else cell
        for cell in cells
    )
    code, names = objective.__code__, objective.__globals__
    return FunctionType(code, names, closure=moved)


def test_every_model_of_every_study_was_tried() -> None:
    for slug, names in NAMES.items():
        assert set(trainings(slug)) == set(names)
