"""A file of networks of the user's, for the tests of the study `zf`."""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

OWN = """
import torch
from torch import nn
from torch.nn import functional as F

class Functional(nn.Module):
    def __init__(self, classes=4):
        super().__init__()
        self.late = nn.Conv2d(8, 12, 3)
        self.early = nn.Conv2d(3, 8, 5, stride=2)
        self.norm = nn.BatchNorm2d(8)
        self.last = nn.Linear(12 * 9 * 9, classes)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.norm(self.early((x - 0.5) / 0.25))), 2)
        x = F.relu(self.late(x))
        return self.last(torch.flatten(x, 1))

def three():
    return Functional(3)

class Branching(Functional):
    def forward(self, x):
        x = F.max_pool2d(F.relu(self.early(x)), 2)
        x = F.relu(self.late(x))
        return self.last(torch.flatten(x + F.relu(x), 1))

def unsupported():
    layers = nn.Conv2d(3, 4, 5), nn.ReLU(), nn.Tanh(), nn.Conv2d(4, 4, 44), nn.Flatten()
    return nn.Sequential(*layers)

class Ending(Functional):
    def __init__(self):
        super().__init__()
        self.soft = nn.Softmax(1)

    def forward(self, x):
        n, c, h, w = x.shape
        assert c == 3
        x = F.max_pool2d(F.relu(self.norm(self.early((x - 0.5) / 0.25))), 2)
        x = torch.tanh(F.relu(self.late(x)))
        flat = x.contiguous().view(n, -1)
        return self.soft(self.last(flat) + 0.1 * self.last(flat.clamp_(min=0)))

def rows():
    return nn.Sequential(nn.Conv2d(3, 4, 5), nn.ReLU(), nn.Flatten(), Rows())

class Rows(nn.Module):
    def forward(self, x):
        return x.view(-1, 2 * 44 * 44)[:, :4]

def no_relu():
    return nn.Sequential(nn.Conv2d(3, 4, 5), nn.Flatten(), nn.Linear(4 * 44 * 44, 4))

def plane():
    return nn.Sequential(nn.Conv2d(3, 4, 5), nn.ReLU())

def too_large():
    return nn.Sequential(nn.Conv2d(3, 4, 60), nn.ReLU(), nn.Flatten(), nn.Linear(4, 4))

def number():
    return 3

def failing():
    raise ValueError("first line\\nsecond line")

class NeedsMore(nn.Module):
    def __init__(self, size):
        super().__init__()
"""
"""A file of the user's."""


def written(folder: Path) -> Path:
    """The file, with weights of its networks beside it."""
    file = folder / "nets.py"
    file.write_text(OWN)
    spaces: dict[str, Any] = {}
    exec(OWN, spaces)
    names = "Functional Ending rows three Branching unsupported no_relu plane too_large"
    for name in names.split():
        torch.manual_seed(3)
        save_file(spaces[name]().state_dict(), file.with_name(f"{name}.safetensors"))
    return file


def flags(own: Path, name: str, weights: str = "") -> list[str]:
    file = own.with_name(f"{weights or name}.safetensors")
    return ["--model", f"{own}:{name}", "--weights", str(file)]
