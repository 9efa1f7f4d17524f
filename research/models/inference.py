"""Networks in evaluation mode, and what they make of many images."""

from collections.abc import Iterator
from contextlib import contextmanager

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
    with evaluation(model):
        return torch.cat([model(images).float() for images, _ in batches(split, batch)])
