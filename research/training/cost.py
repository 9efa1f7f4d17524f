"""What one sample costs a network: the operations of its products, and the memory of its values."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from research.data import Samples


@dataclass(frozen=True)
class Cost:
    """Of a computation, counted while it is carried out.

    Attributes:
        operations: floating-point operations of a convolution or matrix product, in the mean.
        memory: bytes of all that was computed on the way, which training keeps for its gradients.
    """

    operations: float
    memory: int


def of(work: Callable[[], object]) -> Cost:
    """In inference mode no products are seen."""
    with _Counted() as counted:
        work()
    products = counted.operations
    return Cost(sum(products) / len(products) if products else 0.0, counted.memory)


def of_sample(
    model: nn.Module, samples: Samples, objective: Callable[[nn.Module, Tensor, Tensor], Tensor]
) -> Cost:
    """An image's cost in training, without the way back. That of a sentence is not counted: 0.

    Arguments:
        model: on the device of the samples; neither it nor a random state is changed.
        objective: it is tried on one sample.
    """
    # a generator of its own: the order of the training is not touched
    inputs, labels = next(samples.batches(1, Generator()))
    if inputs.ndim != 4:
        return Cost(0.0, 0)
    with _still(model), torch.random.fork_rng([]):
        return of(lambda: objective(model, inputs, labels))


@contextmanager
def _still(model: nn.Module) -> Iterator[None]:
    """Evaluation mode, in which no running statistic changes; then each module's own again."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


class _Counted(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operations: list[int] = []
        self.memory = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = kwargs or {}
        result = func(*args, **given)
        if count := flop_registry.get(func._overloadpacket):
            self.operations.append(count(*args, **given, out_val=result))
        if not func.is_view and isinstance(result, Tensor):
            self.memory += result.nbytes
        return result
