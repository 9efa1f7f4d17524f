"""One network's part of a recording: what it steps through, and what a replay needs of it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from research.data.dataset import Indexed, Samples
from research.training import streams
from research.training.tape import Tape


@dataclass(eq=False)
class Track:
    """One network in training.

    Attributes:
        model: whose weights are trained.
        seen: what the objective is given: the model, or the model behind a rounding.
        samples: on the device of the model.
        objective: mean loss of a batch.
        batch: samples a step.
    """

    model: nn.Module
    seen: nn.Module
    samples: Samples
    objective: Callable[[nn.Module, Tensor, Tensor], Tensor]
    optimiser: Optimizer
    batch: int

    def step(self, inputs: Tensor, labels: Tensor) -> Tensor:
        """One step of training; the loss of the batch before it."""
        self.optimiser.zero_grad(set_to_none=True)
        loss = self.objective(self.seen, inputs, labels)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        return loss.detach()


class Part:
    """What a recording keeps of one network."""

    def __init__(self, track: Track, alone: bool) -> None:
        assert isinstance(track.samples, Indexed)
        self.track, self.samples = track, track.samples
        self.device = track.samples.device
        self.steps = len(track.samples) // track.batch
        self.stream = streams.stream(self.device)
        self.place = torch.zeros(1, dtype=torch.int64, device=self.device)
        self.orders = self.place.new_zeros((self.steps, track.batch))
        self.losses = torch.zeros(self.steps, device=self.device)
        self.tape = Tape(self.place, self.steps)
        # beside others it draws on the device from numbers of its own, as if it were alone
        self.generator = None if alone else streams.generator(self.device)
        make_capturable(track.optimiser, self.device)

    def begin(self, seed: int) -> None:
        """Before an epoch: the order of the samples, and what is drawn from."""
        self.track.model.train()
        self.seen: list[tuple[Tensor, int]] = []
        with self._drawing():
            order = self.samples.order(torch.manual_seed(seed))
        self.numbers = torch.get_rng_state()
        full = self.steps * self.track.batch
        self.orders.copy_(order[:full].view_as(self.orders))
        self.rest = order[full:].to(self.device)

    def start(self, count: int) -> None:
        """Steps through the first batches, and notes what the first of them draws."""
        self.place.fill_(count)
        with self._resumed():
            for place in range(count):
                with nullcontext() if place else self.tape.noting():
                    self._eager(self.orders[place])
        if count:
            self.losses = self.losses.to(self.seen[0][0].dtype)

    def draw(self, first: int) -> None:
        """Draws what the full batches from `first` on draw on the CPU."""
        with self._resumed():
            self.tape.fill(first)

    def finish(self, replayed: int) -> None:
        """Steps through the batches that are left: without a replay all, else the short one."""
        with self._resumed():
            if not replayed:
                for index in self.orders[len(self.seen) :]:
                    self._eager(index)
            if len(self.rest):
                self._eager(self.rest)

    def mean(self, first: int, replayed: int) -> float:
        """The mean loss of the epoch, `replayed` steps of which came after the first ones."""
        again = self.losses[first : first + replayed].tolist()
        eager = torch.stack([loss for loss, _ in self.seen]).tolist() if self.seen else []
        losses = eager[:first] + again + eager[first:]
        sizes = [size for _, size in self.seen]
        sizes = sizes[:first] + [self.track.batch] * replayed + sizes[first:]
        total = sum(loss * size for loss, size in zip(losses, sizes, strict=True))
        return float(total / len(self.samples))

    def static(self) -> None:
        """One step that takes nothing from the CPU, and moves the counter on."""
        index = self.orders.index_select(0, self.place)[0]
        with self._drawing(), self.tape.playing():
            loss = self.track.step(*self.samples.take(index))
        self.losses.index_copy_(0, self.place, loss.view(1))
        self.place.add_(1)

    def tried(self, first: int) -> float:
        """The loss of the step at `first`, which is undone. Raises RefusedError if it waits."""
        with self.undone():
            with streams.on(self.stream), streams.without_waiting(self.device):
                self.static()
            streams.wait(self.device)
            return self.loss_at(first)

    def loss_at(self, place: int) -> float:
        return self.losses[place].item()

    def _eager(self, index: Tensor) -> None:
        self.seen.append((self.track.step(*self.samples.take(index)), len(index)))

    @contextmanager
    def undone(self) -> Iterator[None]:
        """Afterwards all that a step changes is as it was before, but for the gradients."""
        model, states = self.track.model, self.track.optimiser.state.values()
        tensors = [*model.parameters(), *model.buffers(), self.place]
        tensors += [v for state in states for v in state.values() if isinstance(v, Tensor)]
        copies = [tensor.detach().clone() for tensor in tensors]
        draws = streams.draws(self.device, self.generator)
        streams.wait(self.device)
        try:
            yield
        finally:
            with torch.no_grad():
                for tensor, former in zip(tensors, copies, strict=True):
                    tensor.copy_(former)
            streams.source(self.device, self.generator).set_state(draws)
            streams.wait(self.device)

    @contextmanager
    def _resumed(self) -> Iterator[None]:
        """What is drawn on the CPU goes on where this network's draws stopped."""
        torch.set_rng_state(self.numbers)
        with self._drawing(), streams.on(self.stream):
            try:
                yield
            finally:
                self.numbers = torch.get_rng_state()

    @contextmanager
    def _drawing(self) -> Iterator[None]:
        """What is drawn on the device comes from this network's own numbers."""
        if self.generator is None:
            yield
            return
        default = streams.source(self.device, None)
        former = default.graphsafe_get_state()
        default.graphsafe_set_state(self.generator)
        try:
            yield
        finally:
            default.graphsafe_set_state(former)


def make_capturable(optimiser: Optimizer, device: torch.device) -> None:
    """Lets an optimiser that counts its steps count them on the device."""
    for group in optimiser.param_groups:
        if "capturable" in group:
            group["capturable"] = device.type == "cuda"
    for state in optimiser.state.values():
        if isinstance(state.get("step"), Tensor):
            state["step"] = state["step"].to(device)
    # it would warn of the steps that are not recorded
    optimiser._warned_capturable_if_run_uncaptured = True
