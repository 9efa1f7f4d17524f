"""What a recording needs of a device: streams, and numbers drawn for one network alone.

On a CPU there are no streams, and what is drawn comes from torch's own generator.
"""

import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor

from research.training.tape import RefusedError, told


def stream(device: torch.device) -> Any:
    return torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]


def on(stream: Any) -> AbstractContextManager[Any]:
    return torch.cuda.stream(stream) if stream else nullcontext()


def follow(stream: Any, other: Any) -> None:
    """What comes on a stream waits for what is on the other."""
    if stream is not other:
        stream.wait_stream(other)


def wait(device: torch.device) -> None:
    """For all streams: what one has written, another may read, and memory changes hands."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@contextmanager
def without_waiting(device: torch.device) -> Iterator[None]:
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
            raise RefusedError(told(error)) from None
        finally:
            torch.cuda.set_sync_debug_mode(former)


def generator(device: torch.device) -> torch.Generator | None:
    return torch.Generator(device) if device.type == "cuda" else None


def source(device: torch.device, generator: torch.Generator | None) -> torch.Generator:
    """A generator: the one given, or the one from which layers on the device draw."""
    if generator is not None:
        return generator
    if device.type != "cuda":
        return torch.default_generator
    return torch.cuda.default_generators[
        torch.cuda.current_device() if device.index is None else device.index
    ]


def draws(device: torch.device, generator: torch.Generator | None) -> Tensor:
    return source(device, generator).get_state()
