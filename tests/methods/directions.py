"""Small networks and digits that tests of perturbations share."""

from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from research.config import Data
from research.data import load

DATA = load(Data("mnist-sample"))
SHAPE = (1, 28, 28)
Model = TypeVar("Model", bound=nn.Module)


class Direction(nn.Module):
    """Two classes, decided by one direction of the pixels: w·(x - ½) < 0 is class 0."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(784, 2)
        w = torch.randn(784, generator=torch.Generator().manual_seed(3))
        self.layer.weight.data = torch.stack([-w, w])
        assert self.layer.bias is not None
        self.layer.bias.data = -self.layer.weight.detach().sum(1) / 2

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.layer(images.flatten(1))
        return logits


def descended(model: Model) -> Model:
    """A network after plain gradient descent over the training digits once, in evaluation mode."""
    for index in torch.split(torch.randperm(4000), 16):
        images, labels = DATA.train.images[index] / 255, DATA.train.labels[index]
        gradients = torch.autograd.grad(
            F.cross_entropy(model(images), labels), list(model.parameters())
        )
        for parameter, gradient in zip(model.parameters(), gradients, strict=True):
            parameter.data -= 0.1 * gradient
    return model.eval()


def small(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Conv2d(1, 8, 5, stride=2), nn.ReLU(), nn.Dropout(0.1), nn.Flatten(), nn.Linear(1152, 10)
    )
    return descended(model)
