"""How many threads compute on a CPU: one, unless a network's batches are large.

Threads that share a small product wait for each other after it. On a machine that does anything
else, one of them does not run just then, and the others wait for its turn: milliseconds, for a
product that takes a tenth of one. So batches of small images are 5 to 35 times slower on two busy
cores with two threads than with one (`tests/bench/threads.py`).

The rule looks at the network and its batch, never at the load or, where the batch is small, at the
number of cores: the sums of another number of threads have other last bits, and these are to be
the same everywhere.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

AVAILABLE = torch.get_num_threads()
"""As PyTorch found it when it was loaded: the cores, or what OMP_NUM_THREADS says."""

LARGE = 4e9
"""Floating-point operations of a batch in a product, in the mean, from which all threads are used:
about a tenth of a second on one core, which is many times a scheduler's turn."""


def suited(operations: float) -> int:
    """The number of threads on which a network computes on a CPU: one, or `AVAILABLE`.

    Of the networks here at their sources' sizes, VGG16 has them from 90 images of 32² pixels a
    batch, and Zeiler and Fergus's from 14 of 224². Sentences are read word by word, in small
    products.

    Arguments:
        operations: of a batch in a convolution or matrix product, the mean over those of a forward
            pass: the batch times `cost.Cost.operations`.
    """
    return AVAILABLE if operations >= LARGE else 1


@contextmanager
def limited(count: int) -> Iterator[None]:
    """PyTorch's threads, and those of the linear algebra beneath numpy; afterwards as before."""
    former = torch.get_num_threads()
    with threadpool_limits(count):
        torch.set_num_threads(count)
        try:
            yield
        finally:
            torch.set_num_threads(former)


def sparing(device: str) -> AbstractContextManager[None]:
    """One thread on a CPU until a large network is met; with an accelerator the host keeps its."""
    return limited(1) if device.startswith("cpu") else nullcontext()


def widen(count: int) -> None:
    """Gives PyTorch at least so many threads from now on: a large network's analysis is large."""
    torch.set_num_threads(max(count, torch.get_num_threads()))
