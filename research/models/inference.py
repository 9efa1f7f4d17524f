"""Networks in evaluation mode, and what they make of many images."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from research.data import Split, batches


@contextmanager
def evaluation(model: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients; afterwards each submodule is in the mode it was in.

    Example:
        >>> model = nn.Dropout()
        >>> with evaluation(model):
        ...     model(torch.ones(3)).tolist()
        [1.0, 1.0, 1.0]
        >>> model.training
        True
    """
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def predict(model: nn.Module, split: Split, batch: int = 512) -> Tensor:
    """The model's float32 outputs for every image of a split, in order, on the split's device.

    Example:
        >>> split = Split(torch.full((2, 1, 1, 3), 51, dtype=torch.uint8), torch.arange(2))
        >>> predict(nn.Flatten(), split)
        tensor([[0.2000, 0.2000, 0.2000],
                [0.2000, 0.2000, 0.2000]])
    """
    share = _SHARE.get()
    if share is None or len(split) < share.count:
        return _predict(model, split, batch)
    ends = [len(split) * rank // share.count for rank in range(share.count + 1)]
    first, last = ends[share.rank], ends[share.rank + 1]
    own = Split(split.images[first:last], split.labels[first:last])
    return share.gather(_predict(model, own, batch), [b - a for a, b in pairwise(ends)])


def _predict(model: nn.Module, split: Split, batch: int) -> Tensor:
    with evaluation(model):
        return torch.cat([model(images).float() for images, _ in batches(split, batch)])


@dataclass(frozen=True)
class Share:
    """One of several processes that predict together.

    Attributes:
        gather: makes the outputs of all of this process's and the numbers that each has.
    """

    rank: int
    count: int
    gather: Callable[[Tensor, Sequence[int]], Tensor]


_SHARE: ContextVar[Share | None] = ContextVar("share", default=None)


@contextmanager
def shared(share: Share) -> Iterator[None]:
    """Within the block `predict` looks at this process's share alone, and returns all outputs."""
    token = _SHARE.set(share)
    try:
        yield
    finally:
        _SHARE.reset(token)
