"""What several tests of methods start from."""

import pytest
import torch
from torch import Tensor, nn


@pytest.fixture(scope="session")
def nets() -> list[nn.Module]:
    from tests.methods.directions import small

    return [small(0), small(1)]


@pytest.fixture(scope="session")
def digits(nets: list[nn.Module]) -> tuple[Tensor, Tensor]:
    """200 test digits, about 20 of each class, that the first network gets right."""
    from research.methods.fgsm import predictions
    from tests.methods.directions import DATA

    images, labels = DATA.test.floats(), DATA.test.labels
    right = (predictions(nets[0], images) == labels).nonzero()[::4, 0]
    return images[right], labels[right]


@pytest.fixture
def seeded() -> None:
    """The weights of the networks that a test makes are the same each time."""
    torch.manual_seed(0)
