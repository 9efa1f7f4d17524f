"""What the tests that compare a device with the CPU have in common."""

from collections.abc import Iterator

import pytest
import torch

from research.data import Split
from research.training.loop import tf32


@pytest.fixture(autouse=True)
def float32_proper() -> Iterator[None]:
    """As `launch` has it: nothing rounds to TF32."""
    with tf32(False):
        yield


@pytest.fixture(scope="session")
def digits() -> Split:
    """Grey pictures (1, 28, 28) of bars in four directions, in noise, that a network can learn."""
    return stripes(1, 28, 96, seed=0)


@pytest.fixture(scope="session")
def pictures() -> Split:
    """The same in colours, (3, 64, 64)."""
    return stripes(3, 64, 24, seed=1)


def stripes(channels: int, side: int, of_each: int, seed: int) -> Split:
    order = torch.Generator().manual_seed(seed)
    labels = torch.arange(4 * of_each) % 4
    x, y = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="xy")
    axes = torch.stack([x, y, (x + y) / 2**0.5, (x - y) / 2**0.5]).float()
    phases = 6.3 * torch.rand(len(labels), channels, 1, 1, generator=order)
    waves = 0.5 + 0.3 * torch.sin(0.8 * axes[labels][:, None] + phases)
    noise = 0.1 * torch.randn(len(labels), channels, side, side, generator=order)
    return Split((255 * (waves + noise).clamp(0, 1)).byte(), labels)
