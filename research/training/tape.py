"""The random numbers that the steps of an epoch draw on the CPU, kept for recorded steps."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor

from research.data.draws import Make, drawn_by


class RefusedError(Exception):
    """Why steps cannot be recorded."""


_OWN = "the objective draws numbers that cannot be foretold"
_UNEQUAL = "the objective does not draw the same in every step"


class Tape:
    """Foretells what the steps of an epoch draw, in the order in which they come.

    Arguments:
        place: counter on the device, (1,): the step whose numbers `playing` hands out.
        steps: of an epoch.
    """

    def __init__(self, place: Tensor, steps: int) -> None:
        self._place, self._steps = place, steps
        self._makes: list[Make] = []
        self._numbers: list[Tensor] = []
        self._next = 0
        self._strange = False

    @contextmanager
    def noting(self) -> Iterator[None]:
        """One step, whose draws are noted. Raises RefusedError if there were others too."""
        before, hosts = torch.get_rng_state(), _host_states()
        with drawn_by(self._note):
            yield
        after = torch.get_rng_state()
        torch.set_rng_state(before)
        for make in self._makes:
            make(None)
        foretold = torch.equal(torch.get_rng_state(), after) and _host_states() == hosts
        torch.set_rng_state(after)
        if self._strange or not foretold:
            raise RefusedError(_OWN)

    @contextmanager
    def playing(self) -> Iterator[None]:
        """One step that gets its numbers from the device, those at the counter."""
        self._next = 0
        with drawn_by(self._play):
            yield
        if self._next != len(self._numbers):
            raise RefusedError(_UNEQUAL)

    def fill(self, first: int) -> None:
        """Draws for the steps from `first` to the last."""
        drawn = [[make(None) for make in self._makes] for _ in range(first, self._steps)]
        for slot, numbers in enumerate(zip(*drawn, strict=True)):
            stacked = torch.stack(numbers)
            if len(self._numbers) == slot:
                shape = (self._steps, *stacked.shape[1:])
                self._numbers.append(self._place.new_empty(shape, dtype=stacked.dtype))
            self._numbers[slot][first:].copy_(stacked)

    def _note(self, make: Make, generator: Generator | None, device: torch.device) -> Tensor:
        if generator is None or generator is torch.default_generator:
            self._makes.append(make)
        else:
            self._strange = True
        return make(generator).to(device)

    def _play(self, make: Make, generator: Generator | None, device: torch.device) -> Tensor:
        if self._next == len(self._numbers):
            raise RefusedError(_UNEQUAL)
        numbers = self._numbers[self._next]
        self._next += 1
        return numbers.index_select(0, self._place)[0]


def _host_states() -> tuple[Any, ...]:
    """Of the generators of Python and NumPy: who draws from them must be noticed."""
    state: Callable[..., dict[str, Any]] = np.random.get_state
    numpy = state(legacy=False)
    return random.getstate(), numpy["state"]["key"].tobytes(), numpy["state"]["pos"]


def told(error: Exception) -> str:
    """The first line of an error."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:160]
