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
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from research.data.dataset import Indexed
from research.training import streams
from research.training.recording import Part, Track
from research.training.tape import RefusedError, told

RECORDED = "CUDA graph"
FIRST = 2
"""Steps before a recording: they make the optimiser's state, and libraries choose their kernels."""
FEWEST = 4
"""Full batches of an epoch below which nothing is recorded."""
_CLOSE = 1e-3
"""Relative difference of a replayed loss from the true one, as kernels may make it that add up in
any order."""


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
        self._parts = [Part(track, len(tracks) == 1) for track in tracks]
        self._steps = self._parts[0].steps
        if any(part.steps != self._steps for part in self._parts):
            raise RefusedError("the networks side by side differ in the number of their steps")
        self._device = self._parts[0].device
        self._stream = streams.stream(self._device)
        self._graph: Any = None
        self._rates = ""

    def epoch(self, seeds: Sequence[int]) -> list[float]:
        for part, seed in zip(self._parts, seeds, strict=True):
            part.begin(seed)
        streams.wait(self._device)
        first = 0 if self._graph else FIRST
        replayed = 0
        try:
            for part in self._parts:
                part.start(first)
            self._prepare(first)
            with streams.on(self._stream):
                for _ in range(first, self._steps):
                    self._graph.replay()
            replayed = self._steps - first
        except RefusedError as error:
            self._graph, self.refused = None, str(error)
        streams.wait(self._device)
        for part in self._parts:
            part.finish(replayed)
        streams.wait(self._device)
        return [part.mean(first, replayed) for part in self._parts]

    def _prepare(self, first: int) -> None:
        """Makes the epoch's numbers ready, and the graph if there is none for these rates."""
        drawn = [part.numbers for part in self._parts]
        try:
            for part in self._parts:
                part.draw(first)
            streams.wait(self._device)
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
        states = [streams.draws(self._device, generator) for generator in generators]
        try:
            return record(self._all, self._stream, self._graph, [g for g in generators if g])
        except RuntimeError as error:
            # a recording that failed leaves generators that believe to be recorded still
            for part, state in zip(self._parts, states, strict=True):
                part.generator = _mended(self._device, part.generator, state)
            raise RefusedError(told(error)) from None

    def _all(self) -> None:
        """One step of each network, each on a stream of its own."""
        for part in self._parts:
            streams.follow(part.stream, self._stream)
            with streams.on(part.stream):
                part.static()
        for part in self._parts:
            streams.follow(self._stream, part.stream)

    def _compare(self, true: Sequence[float], first: int) -> None:
        """Raises RefusedError if the graph's next step does not give the true losses."""
        with ExitStack() as undone:
            for part in self._parts:
                undone.enter_context(part.undone())
            with streams.on(self._stream):
                self._graph.replay()
            streams.wait(self._device)
            found = [part.loss_at(first) for part in self._parts]
        streams.wait(self._device)
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


def _rates(parts: Sequence[Part]) -> str:
    """All that a scheduler may change in the optimisers."""
    groups = (group for part in parts for group in part.track.optimiser.param_groups)
    return repr([{k: v for k, v in group.items() if k != "params"} for group in groups])


def _close(found: float, true: float) -> bool:
    return math.isclose(found, true, rel_tol=_CLOSE, abs_tol=1e-6) or not math.isfinite(true)


# --- the device ----------------------------------------------------------------------------------


def _mended(
    device: torch.device, generator: torch.Generator | None, state: Tensor
) -> torch.Generator | None:
    """A generator in a state; for the one of the device nothing, which it is given itself."""
    fresh = torch.Generator(device)
    fresh.set_state(state)
    if generator is not None:
        return fresh
    if device.type == "cuda":
        streams.source(device, None).graphsafe_set_state(fresh)
    return None
