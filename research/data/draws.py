"""Random numbers that belong to a batch, drawn on the CPU so that a seed gives them anywhere.

Whatever changes a batch at random asks for its numbers here. Where the steps of training are
recorded, the numbers of a whole epoch are drawn beforehand, in the same order, and a recorded step
reads those of its batch.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Generator, Tensor

Make = Callable[[Generator | None], Tensor]
"""Draws numbers from a generator on the CPU, torch's own where it is None; how many must not depend
on anything but the shape of the batch."""

Source = Callable[[Make, Generator | None, torch.device], Tensor]


def _now(make: Make, generator: Generator | None, device: torch.device) -> Tensor:
    return make(generator).to(device)


_SOURCE: ContextVar[Source] = ContextVar("source", default=_now)


def drawn(make: Make, generator: Generator | None, device: torch.device) -> Tensor:
    """What `make` draws from the generator, on a device."""
    return _SOURCE.get()(make, generator, device)


@contextmanager
def drawn_by(source: Source) -> Iterator[None]:
    """Lets a source answer `drawn` in this block."""
    token = _SOURCE.set(source)
    try:
        yield
    finally:
        _SOURCE.reset(token)
