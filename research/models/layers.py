"""Layers that PyTorch does not have as we need them."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

MNIST = (0.1307,), (0.3081,)
"""Mean and standard deviation of MNIST's training pixels, as the course normalises."""


class Normalise(nn.Module):
    """(x - mean) / std per channel, as a network's first layer; the constants are not trained.

    Example:
        >>> Normalise([0.5], [0.25])(torch.ones(1, 1, 1, 1)).item()
        2.0
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        for name, values in {"mean": mean, "std": std}.items():
            self.register_buffer(name, torch.tensor(values).view(-1, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        return (images - self.mean) / self.std


class FloatSigmoid(nn.Sigmoid):
    """A sigmoid evaluated in float32: under bfloat16 autocast its output would be as coarse as
    1/256 near one, which is a visible error in an image.

    Example:
        >>> FloatSigmoid()(torch.zeros(1, dtype=torch.bfloat16)).dtype
        torch.float32
    """

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input.float())


class CentredPixels(nn.Module):
    """255 · (images - mean) as a network's first layer: images in [0, 1] become 8-bit grey levels
    about 0. The mean image (C, H, W) in [0, 1] is not trained, but stored with the weights.

    Example:
        >>> CentredPixels(torch.full((1, 1, 2), 0.2))(torch.tensor([[[[0.2, 1.0]]]])).tolist()
        [[[[0.0, 204.0]]]]
    """

    mean: Tensor

    def __init__(self, mean: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean.detach().clone().float())

    def forward(self, images: Tensor) -> Tensor:
        return 255 * (images - self.mean)


class LogOf(nn.Module):
    """The logarithm of probabilities, which are logits of the same probabilities; finite for 0."""

    def forward(self, probabilities: Tensor) -> Tensor:
        return probabilities.clamp_min(torch.finfo(torch.float32).tiny).log()
