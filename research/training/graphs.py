"""The steps of an epoch, on a GPU recorded once as a CUDA graph and replayed for each full batch.

A small network's step is a hundred kernels that take less time than asking for them. A graph asks
once for all of them, and for those of several networks that are trained beside each other.

Recorded are the batch, taken out of the data by a counter on the device, the objective, its
gradient and the optimiser's step: the same kernels on the same numbers, hence the same bits. The
first batches of the first epoch and the short batch at the end of each are stepped through as ever;
so is everything where a step cannot be recorded, and `Steps.how` says why. A graph whose replay
does not give the loss of the step that it repeats is not trusted.
"""

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from research.data.dataset import Indexed, Samples
from research.training.tape import RefusedError, Tape

RECORDED = "CUDA graph"
FIRST = 2
"""Steps before a recording: they make the optimiser's state, and libraries choose their kernels."""
FEWEST = 4
"""Full batches of an epoch below which nothing is recorded."""
_CLOSE = 1e-3
"""Relative difference of a replayed loss from the true one, as kernels may make it that add up in
any order."""


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


class Steps:
    """Goes through epochs of one network, or of several side by side.

    Attributes:
        how: `RECORDED`, or "step by step" and why; on a CPU, where there is no choice, empty.
    """

    def __init__(self, tracks: Sequence[Track]) -> None:
        self._tracks = tracks
        self._recording: _Recording | None = None
        self.how = ""
        if usable(tracks[0].samples.device):
            self.how = RECORDED
            try:
                self._recording = _Recording(tracks)
            except RefusedError as error:
                self.how = f"step by step: {error}"

    def epoch(self, seeds: Sequence[int]) -> list[float]:
        """Each network's mean loss over the samples of the epoch, as they were seen.

        Arguments:
            seeds: of each network's order of samples, and of all that it draws in the epoch.
        """
        if self._recording is None:
            return [_step_by_step(*pair) for pair in zip(self._tracks, seeds, strict=True)]
        try:
            return self._recording.epoch(seeds)
        finally:
            if self._recording.refused:
                self.how = f"step by step: {self._recording.refused}"
                self._recording = None


def recordable(track: Track) -> bool:
    """Whether nothing is known that speaks against a recording of a network's steps."""
    try:
        _check(track)
    except RefusedError:
        return False
    return usable(track.samples.device)


def usable(device: torch.device) -> bool:
    return device.type == "cuda"


def _step_by_step(track: Track, seed: int) -> float:
    track.model.train()
    order = torch.manual_seed(seed)
    # summed on the device: asking for each step's value would make a GPU wait for every step
    total = torch.zeros((), dtype=torch.float64, device=track.samples.device)
    for inputs, labels in track.samples.batches(track.batch, order):
        total += track.step(inputs, labels).double() * len(inputs)
    return total.item() / len(track.samples)


# --- the recording -------------------------------------------------------------------------------


class _Recording:
    """A graph of one step of each network, side by side, and what is needed to replay it.

    Attributes:
        refused: why it was given up, once it was.
    """

    def __init__(self, tracks: Sequence[Track]) -> None:
        for track in tracks:
            _check(track)
        self.refused = ""
        self._parts = [_Part(track, len(tracks) == 1) for track in tracks]
        self._steps = self._parts[0].steps
        if any(part.steps != self._steps for part in self._parts):
            raise RefusedError("the networks side by side differ in the number of their steps")
        self._device = self._parts[0].device
        self._stream = _stream(self._device)
        self._graph: Any = None
        self._rates = ""

    def epoch(self, seeds: Sequence[int]) -> list[float]:
        for part, seed in zip(self._parts, seeds, strict=True):
            part.begin(seed)
        _wait(self._device)
        first = 0 if self._graph else FIRST
        replayed = 0
        try:
            for part in self._parts:
                part.start(first)
            self._prepare(first)
            with _on(self._stream):
                for _ in range(first, self._steps):
                    self._graph.replay()
            replayed = self._steps - first
        except RefusedError as error:
            self._graph, self.refused = None, str(error)
        _wait(self._device)
        for part in self._parts:
            part.finish(replayed)
        _wait(self._device)
        return [part.mean(first, replayed) for part in self._parts]

    def _prepare(self, first: int) -> None:
        """Makes the epoch's numbers ready, and the graph if there is none for these rates."""
        drawn = [part.numbers for part in self._parts]
        try:
            for part in self._parts:
                part.draw(first)
            _wait(self._device)
            rates = _rates(self._parts)
            if first:
                true = [part.tried(first) for part in self._parts]
                self._graph = self._record()
                self._compare(true, first)
            elif rates != self._rates:  # the scheduler's: numbers in a graph are what they were
                self._graph = self._record()
            self._rates = rates
        except RefusedError:
            for part, numbers in zip(self._parts, drawn, strict=True):
                part.numbers = numbers
            raise

    def _record(self) -> Any:
        generators = [part.generator for part in self._parts]
        states = [_draws(self._device, generator) for generator in generators]
        try:
            return record(self._all, self._stream, self._graph, [g for g in generators if g])
        except RuntimeError as error:
            # a recording that failed leaves generators that believe to be recorded still
            for part, state in zip(self._parts, states, strict=True):
                part.generator = _mended(self._device, part.generator, state)
            raise RefusedError(_told(error)) from None

    def _all(self) -> None:
        """One step of each network, each on a stream of its own."""
        for part in self._parts:
            _follow(part.stream, self._stream)
            with _on(part.stream):
                part.static()
        for part in self._parts:
            _follow(self._stream, part.stream)

    def _compare(self, true: Sequence[float], first: int) -> None:
        """Raises RefusedError if the graph's next step does not give the true losses."""
        with ExitStack() as undone:
            for part in self._parts:
                undone.enter_context(part.undone())
            with _on(self._stream):
                self._graph.replay()
            _wait(self._device)
            found = [part.loss_at(first) for part in self._parts]
        _wait(self._device)
        if not all(map(_close, found, true)):
            raise RefusedError("a replayed step does not give the loss of the true one")


def record(
    work: Callable[[], None],
    stream: Any,
    former: torch.cuda.CUDAGraph | None,
    generators: Sequence[torch.Generator],
) -> torch.cuda.CUDAGraph:
    """A graph of the work, in the memory of the former one, which is not replayed any more."""
    graph = torch.cuda.CUDAGraph()
    for generator in generators:
        graph.register_generator_state(generator)
    pool = former.pool() if former else None
    # of this thread only: a thread that shows progress or logs the machine's state may go on
    with torch.cuda.graph(graph, pool, stream, capture_error_mode="thread_local"):
        work()
    return graph


# --- one network's part of it --------------------------------------------------------------------


class _Part:
    """What a recording keeps of one network."""

    def __init__(self, track: Track, alone: bool) -> None:
        assert isinstance(track.samples, Indexed)
        self.track, self.samples = track, track.samples
        self.device = track.samples.device
        self.steps = len(track.samples) // track.batch
        self.stream = _stream(self.device)
        self.place = torch.zeros(1, dtype=torch.int64, device=self.device)
        self.orders = self.place.new_zeros((self.steps, track.batch))
        self.losses = torch.zeros(self.steps, device=self.device)
        self.tape = Tape(self.place, self.steps)
        # beside others it draws on the device from numbers of its own, as if it were alone
        self.generator = None if alone else _generator(self.device)
        _make_capturable(track.optimiser, self.device)

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
            with _on(self.stream), _without_waiting(self.device):
                self.static()
            _wait(self.device)
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
        draws = _draws(self.device, self.generator)
        _wait(self.device)
        try:
            yield
        finally:
            with torch.no_grad():
                for tensor, former in zip(tensors, copies, strict=True):
                    tensor.copy_(former)
            _source(self.device, self.generator).set_state(draws)
            _wait(self.device)

    @contextmanager
    def _resumed(self) -> Iterator[None]:
        """What is drawn on the CPU goes on where this network's draws stopped."""
        torch.set_rng_state(self.numbers)
        with self._drawing(), _on(self.stream):
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
        default = _source(self.device, None)
        former = default.graphsafe_get_state()
        default.graphsafe_set_state(self.generator)
        try:
            yield
        finally:
            default.graphsafe_set_state(former)


def _check(track: Track) -> None:
    """Raises RefusedError for what is known not to be recordable."""
    if not isinstance(track.samples, Indexed):
        raise RefusedError("its batches differ in shape")
    if track.batch < 1 or len(track.samples) // track.batch < FEWEST:
        raise RefusedError(f"an epoch has fewer than {FEWEST} full batches")
    if not _recordable(track.optimiser):
        raise RefusedError(f"{type(track.optimiser).__name__} may count its steps on the CPU")


def _recordable(optimiser: Optimizer) -> bool:
    """Whether all that a step of an optimiser goes by is on the device, or does not change."""
    kind = type(optimiser)
    if not (kind.__module__.startswith("torch.optim.") or getattr(kind, "recordable", False)):
        return False
    groups = optimiser.param_groups
    return isinstance(optimiser, torch.optim.SGD) or all("capturable" in one for one in groups)


def _make_capturable(optimiser: Optimizer, device: torch.device) -> None:
    """Lets an optimiser that counts its steps count them on the device."""
    for group in optimiser.param_groups:
        if "capturable" in group:
            group["capturable"] = device.type == "cuda"
    for state in optimiser.state.values():
        if isinstance(state.get("step"), Tensor):
            state["step"] = state["step"].to(device)
    # it would warn of the steps that are not recorded
    optimiser._warned_capturable_if_run_uncaptured = True


def _rates(parts: Sequence[_Part]) -> str:
    """All that a scheduler may change in the optimisers."""
    groups = (group for part in parts for group in part.track.optimiser.param_groups)
    return repr([{k: v for k, v in group.items() if k != "params"} for group in groups])


def _close(found: float, true: float) -> bool:
    return math.isclose(found, true, rel_tol=_CLOSE, abs_tol=1e-6) or not math.isfinite(true)


def _told(error: Exception) -> str:
    """The first line of an error."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:160]


# --- the device ----------------------------------------------------------------------------------


def _stream(device: torch.device) -> Any:
    return torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]


def _on(stream: Any) -> AbstractContextManager[Any]:
    return torch.cuda.stream(stream) if stream else nullcontext()


def _follow(stream: Any, other: Any) -> None:
    """What comes on a stream waits for what is on the other."""
    if stream is not other:
        stream.wait_stream(other)


def _wait(device: torch.device) -> None:
    """For all streams: what one has written, another may read, and memory changes hands."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@contextmanager
def _without_waiting(device: torch.device) -> Iterator[None]:
    """Raises RefusedError if something in the block waits for the device."""
    if device.type != "cuda":
        yield
        return
    former = torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Synchronization debug mode")
        torch.cuda.set_sync_debug_mode("error")
        try:
            yield
        except RuntimeError as error:
            raise RefusedError(_told(error)) from None
        finally:
            torch.cuda.set_sync_debug_mode(former)


def _generator(device: torch.device) -> torch.Generator | None:
    return torch.Generator(device) if device.type == "cuda" else None


def _source(device: torch.device, generator: torch.Generator | None) -> torch.Generator:
    """A generator: the one given, or the one from which layers on the device draw."""
    if generator is not None:
        return generator
    if device.type != "cuda":
        return torch.default_generator
    return torch.cuda.default_generators[
        torch.cuda.current_device() if device.index is None else device.index
    ]


def _draws(device: torch.device, generator: torch.Generator | None) -> Tensor:
    return _source(device, generator).get_state()


def _mended(
    device: torch.device, generator: torch.Generator | None, state: Tensor
) -> torch.Generator | None:
    """A generator in a state; for the one of the device nothing, which it is given itself."""
    fresh = torch.Generator(device)
    fresh.set_state(state)
    if generator is not None:
        return fresh
    if device.type == "cuda":
        _source(device, None).graphsafe_set_state(fresh)
    return None
