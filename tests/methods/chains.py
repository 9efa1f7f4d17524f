"""Networks that are one chain, written with modules and with functions."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

IMAGES = torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))


class Modules(nn.Module):
    """A small network of layers only."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 5, 3, padding=1)
        self.relu = nn.ReLU()
        self.pool = nn.MaxPool2d(3, 2)
        self.norm = nn.LocalResponseNorm(3)
        self.mean = nn.AvgPool2d(3)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(20, 6)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.pool(self.relu(self.conv1(x))))
        x = self.flatten(self.mean(self.relu(self.conv2(x))))
        out: Tensor = self.fc(x)
        return out


class Functions(Modules):
    """The same, as people write it."""

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.conv1(x), inplace=True), 3, stride=2)
        x = F.local_response_norm(x, 3)
        x = F.dropout(torch.relu(self.conv2(x)), training=self.training)
        x = F.avg_pool2d(F.dropout2d(x, 0.2, self.training), 3)
        out: Tensor = self.fc(x.view(x.size(0), -1))
        return out


class OtherFunctions(Modules):
    def forward(self, x: Tensor) -> Tensor:
        x = torch.max_pool2d(self.conv1(x).relu(), 3, 2)
        x = self.norm(x)
        x = F.adaptive_avg_pool2d(torch.relu_(self.conv2(x)), 2)
        out: Tensor = self.fc(torch.flatten(x, 1))
        return out


class Shifted(nn.Module):
    """Normalises by itself, with numbers and with buffers of several shapes."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 3)
        self.register_buffer("mean", torch.rand(1, 3, 1, 1))
        self.register_buffer("spread", torch.rand(16, 16) + 0.5)

    mean: Tensor
    spread: Tensor

    def forward(self, x: Tensor) -> Tensor:
        x = 0.2 + 255 * (torch.sub(x, self.mean).div(0.3) + 0.1)
        out: Tensor = self.conv(self.mean * (x * (2 * self.spread))) - 1.5
        return out


def twin(model: Modules) -> Modules:
    """A network of modules with the same weights."""
    other = Modules()
    other.load_state_dict(model.state_dict())
    return other


def hooked(model: nn.Module, images: Tensor) -> dict[str, Tensor]:
    """The outputs of a network's leaves, as hooks see them."""
    found: dict[str, Tensor] = {}
    handles = []
    for name, module in model.named_modules():
        if not list(module.children()):
            keep = lambda _m, _i, out, name=name: found.__setitem__(name, out.clone())  # noqa: E731
            handles.append(module.register_forward_hook(keep))
    with torch.no_grad():
        model(images)
    for handle in handles:
        handle.remove()
    return found


def as_model(forward: Callable[..., object]) -> nn.Module:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.other = nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 3, 3, padding=1)
            self.fc = nn.Linear(256, 5)

    Model.forward = forward
    return Model()
