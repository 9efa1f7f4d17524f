"""Training that yields an epoch at a time, can be interrupted, and goes on to the same bits."""

import dataclasses
import math
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from research.config import Train
from research.data import Samples
from research.errors import UserError
from research.machine import hardware
from research.models.inference import evaluation
from research.records import damage
from research.training import ranks
from research.training.graphs import Steps
from research.training.recording import Track

M = TypeVar("M", bound=nn.Module)

Objective = Callable[[nn.Module, Tensor, Tensor], Tensor]
"""(model, inputs, labels) -> mean loss over the batch: of images (N, C, H, W) in [0, 1] and labels
(N,), or of the two sides of `data.Pairs`"""


class DivergenceError(UserError):
    """The loss is no longer a number."""


@dataclass(frozen=True)
class Epoch:
    """What one pass over the training set came to.

    Attributes:
        number: counted from 1.
        loss: mean training loss over the samples of the epoch, as they were seen.
        metrics: what `evaluate` returned after the epoch.
        seconds: wall time of the pass, without evaluation.
        images_per_second: training samples over `seconds`.
        peak_memory_mb: of the device if it is a GPU, else of the process, in MiB.
        restored: whether it was read from a checkpoint and not trained now.
        steps: on a GPU, how its steps were carried out, see `training.graphs.Steps.how`.
    """

    number: int
    loss: float
    metrics: Mapping[str, float]
    seconds: float
    images_per_second: float
    peak_memory_mb: float
    restored: bool = False
    steps: str = ""

    def values(self) -> dict[str, float]:
        """As a tracker wants them: one flat mapping."""
        return {
            "loss/train": self.loss,
            **self.metrics,
            "speed/images_per_second": self.images_per_second,
            "speed/epoch_seconds": self.seconds,
            "memory/peak_mb": self.peak_memory_mb,
        }


def resolve(settings: Train) -> Train:
    """Replaces `auto` in device and precision by what this machine offers.

    Raises:
        UserError: the device does not exist here.
    """
    cuda = torch.cuda.is_available()
    name = settings.device if settings.device != "auto" else ("cuda" if cuda else "cpu")
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError):
        raise UserError(
            f"--train.device must name a device of this machine, {name!r} is not one; "
            f"use {'cpu or cuda' if cuda else 'cpu'}"
        ) from None
    precision = settings.precision
    if precision == "auto":
        precision = "bfloat16" if name.startswith("cuda") else "float32"
    return dataclasses.replace(settings, device=name, precision=precision)


@contextmanager
def tf32(allowed: bool) -> Iterator[None]:
    """Whether CUDA may round the factors of float32 products to TF32; afterwards as it was.

    Of convolutions and recurrent layers alike, in which cuDNN rounds unless told not to.
    """
    cudnn: Any = torch.backends.cudnn
    products: tuple[Any, ...] = (torch.backends.cuda.matmul, cudnn.conv, cudnn.rnn)
    former = [kind.fp32_precision for kind in products]
    try:
        for kind in products:
            kind.fp32_precision = "tf32" if allowed else "ieee"
        yield
    finally:
        for kind, precision in zip(products, former, strict=True):
            kind.fp32_precision = precision


class Mixed(nn.Module):
    """A network that rounds to bfloat16 in its forward pass, where that keeps the range.

    What is computed from its outputs, the objective first of all, is float32 arithmetic on float32
    values: autocast refuses some losses, and rounds others.

    Attributes:
        network: the same network without rounding.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, *inputs: Tensor) -> Any:
        """The network's outputs, floating-point ones as float32."""
        with torch.autocast(inputs[0].device.type, torch.bfloat16):
            outputs = self.network(*inputs)
        return _float32(outputs)


def _float32(outputs: Any) -> Any:
    if isinstance(outputs, tuple):
        return tuple(map(_float32, outputs))
    return outputs.float() if outputs.is_floating_point() else outputs


def mixed(model: nn.Module, settings: Train) -> nn.Module:
    """The model as objectives see it: rounding to bfloat16 inside where that was asked for."""
    return Mixed(model) if settings.precision == "bfloat16" else model


def exact(model: nn.Module) -> nn.Module:
    """The model that an objective was given, without rounding; for what needs all the bits."""
    return model.network if isinstance(model, Mixed) else model


def placed(model: M, settings: Train) -> M:
    """The model on its device, its convolutions laid out channels-last.

    With that layout training is 1.3 to 1.5 times as fast on a CPU, and more on a GPU.
    """
    return model.to(settings.device, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


Evaluate = Callable[[nn.Module], Mapping[str, float]]
"""(model in evaluation mode) -> metrics by name"""


@dataclass(frozen=True, eq=False)
class Training(Generic[M]):
    """One training, before it begins: all that its outcome follows from, and nothing else.

    Attributes:
        model: as it is made, with its first weights; it is trained in place.
        samples: images or sentences, on the device of the model.
        objective: mean loss of a batch.
        settings: epochs, batch and precision; `auto` already resolved.
        seed: of the order of the samples, and of dropout.
        evaluate: called after each epoch on the model in evaluation mode.
        scheduler: stepped after each epoch.
    """

    model: M
    samples: Samples
    objective: Objective
    optimiser: Optimizer
    settings: Train
    _: KW_ONLY
    seed: int
    evaluate: Evaluate = lambda model: {}
    scheduler: LRScheduler | None = None

    @property
    def track(self) -> Track:
        seen = mixed(self.model, self.settings)
        return Track(
            self.model, seen, self.samples, self.objective, self.optimiser, self.settings.batch
        )

    def state(self) -> "_State":
        return _State(self.model, self.optimiser, self.scheduler)

    def restored(self, checkpoint: Path | None) -> list[Epoch]:
        """The epochs that a checkpoint holds, to whose state the model is brought."""
        return self.state().restore(checkpoint) if checkpoint and checkpoint.exists() else []

    def measured(self, number: int, loss: float, seconds: float, steps: str) -> Epoch:
        """What comes after the steps of an epoch. Raises DivergenceError."""
        if not (math.isfinite(loss) and _finite(self.model)):
            rates = sorted({f"{group['lr']:g}" for group in self.optimiser.param_groups})
            found = "weights that are not" if math.isfinite(loss) else f"a loss of {loss}"
            raise DivergenceError(
                f"training must stay finite, got {found} in epoch {number} at a learning rate of "
                f"{', '.join(rates)}; lower it (--train.lr is {self.settings.lr:g})"
            )
        if self.scheduler is not None:
            self.scheduler.step()
        with evaluation(self.model), ranks.sharing():
            metrics = dict(self.evaluate(self.model))
        speed, memory = len(self.samples) / seconds, peak_memory(self.settings.device)
        return Epoch(number, loss, metrics, seconds, speed, memory, steps=steps)


def _finite(model: nn.Module) -> bool:
    return all(bool(weight.isfinite().all()) for weight in model.parameters())


def fit(training: Training[Any], checkpoint: Path | None = None) -> Iterator[Epoch]:
    """Trains a model in place and yields after each epoch.

    With a `checkpoint` path, everything needed to go on (weights, optimiser, scheduler, the epochs
    so far) is stored there before an epoch is yielded; when the file already exists, its epochs
    are yielded first, marked `restored`, and training goes on behind them. The random state of an
    epoch, the order of its samples included, is a function of the seed and its number, so there is
    none to store that a caller could have disturbed meanwhile. On a CPU the result has the same
    bits as training that was never stopped.

    Raises:
        DivergenceError: the mean loss of an epoch, or a weight after it, is infinite or not a
            number.
    """
    yield from (epoch for [epoch] in fit_together([training], [checkpoint]))


def fit_together(
    trainings: Sequence[Training[Any]], checkpoints: Sequence[Path | None] = ()
) -> Iterator[list[Epoch]]:
    """Several trainings side by side, an epoch of each at a time; each as `fit` would do it.

    On a GPU their steps are taken at once, and the bits are those of a training alone. An epoch's
    wall time is shared out among them equally.

    Arguments:
        trainings: of one number of epochs and one precision.
        checkpoints: of each its own or none, and all as far as each other; without them none.
    """
    settings = trainings[0].settings
    pairs = [*zip(trainings, checkpoints or [None] * len(trainings), strict=True)]
    restored = [one.restored(checkpoint) for one, checkpoint in pairs]
    for epochs in zip(*restored, strict=True):
        yield [dataclasses.replace(epoch, restored=True) for epoch in epochs]
    tracks = [one.track for one in trainings]
    steps = ranks.Shares(tracks) if ranks.together() else Steps(tracks)
    for number in range(len(restored[0]) + 1, settings.epochs + 1):
        start = time.perf_counter()
        with tf32(settings.precision == "tf32"):
            losses = steps.epoch(
                [random.Random(f"{one.seed}/{number}").getrandbits(63) for one in trainings]
            )
        seconds = (time.perf_counter() - start) / len(trainings)
        for (one, checkpoint), loss, curve in zip(pairs, losses, restored, strict=True):
            curve.append(one.measured(number, loss, seconds, steps.how))
            if checkpoint and not ranks.RANK:
                one.state().save(checkpoint, curve)
        yield [curve[-1] for curve in restored]


def peak_memory(device: str) -> float:
    """The most memory used so far, in MiB: of the GPU's allocator, or of this process."""
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated(device) / 2**20
    return hardware.peak_memory() / 2**20


@dataclass
class _State:
    """Everything that training changes."""

    model: nn.Module
    optimiser: Optimizer
    scheduler: LRScheduler | None

    def save(self, path: Path, epochs: list[Epoch]) -> None:
        content = {
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "scheduler": self.scheduler.state_dict() if self.scheduler else None,
            "epochs": [dataclasses.asdict(epoch) for epoch in epochs],
        }
        # written aside and moved, so that a kill while writing leaves the former checkpoint whole
        part = path.with_suffix(".part")
        with damage.written(part):
            torch.save(content, part)
            part.replace(path)

    def restore(self, path: Path) -> list[Epoch]:
        with damage.told(path):
            content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        self.model.load_state_dict(content["model"])
        self.optimiser.load_state_dict(content["optimiser"])
        if self.scheduler:
            self.scheduler.load_state_dict(content["scheduler"])
        return [Epoch(**epoch) for epoch in content["epochs"]]
