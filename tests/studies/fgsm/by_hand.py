"""The networks of the study `fgsm` by hand, and the plain attack on them."""

from collections.abc import Callable

import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional as F

from research.records import Results

Weights = dict[str, Tensor]
Network = Callable[[Weights, Tensor], Tensor]


def lenet(w: Weights, x: Tensor) -> Tensor:
    for i in (1, 2):
        x = F.max_pool2d(F.conv2d(x, w[f"conv{i}.weight"], w[f"conv{i}.bias"]), 2).relu()
    x = F.linear(x.flatten(1), w["fc1.weight"], w["fc1.bias"]).relu()
    return F.linear(x, w["fc2.weight"], w["fc2.bias"])


def cnn(w: Weights, x: Tensor) -> Tensor:
    x = (x - 0.1307) / 0.3081
    for i in (1, 2):
        x = F.conv2d(x, w[f"conv{i}.weight"], w[f"conv{i}.bias"]).relu()
    x = F.linear(F.max_pool2d(x, 2).flatten(1), w["fc1.weight"], w["fc1.bias"]).relu()
    return F.linear(x, w["fc2.weight"], w["fc2.bias"])


def linear(w: Weights, x: Tensor) -> Tensor:
    return x.flatten(1) @ w["fc.weight"].T + w["fc.bias"]


def maxout(w: Weights, x: Tensor) -> Tensor:
    x = x.flatten(1)
    for name in ("fc1", "fc2"):
        pieces = (x @ w[f"{name}.weight"].T + w[f"{name}.bias"]).view(len(x), 240, 5)
        x = pieces.max(2).values
    return x @ w["head.weight"].T + w["head.bias"]


FORWARD: dict[str, Network] = {"lenet": lenet, "cnn": cnn, "softmax": linear, "logistic": linear}


def weights(record: Results, name: str, dtype: torch.dtype = torch.float32) -> Weights:
    stored = load_file(record.folder / f"weights/{name}.safetensors")
    return {key: value.to(dtype) for key, value in stored.items()}


class Hand:
    """A stored network, and the plain attack on it: in float64, the largest one in float32."""

    def __init__(self, record: Results, name: str) -> None:
        self.forward = FORWARD.get(name.split("-")[0], maxout)
        self.dtype = torch.float32 if self.forward is cnn else torch.float64
        self.weights = weights(record, name, self.dtype)

    def logits(self, x: Tensor) -> Tensor:
        parts = torch.split(x.to(self.dtype), 100)
        return torch.cat([self.forward(self.weights, part) for part in parts])

    def noise(self, x: Tensor, labels: Tensor) -> Tensor:
        parts = []
        for image, label in zip(
            *(torch.split(v, 100) for v in (x.to(self.dtype), labels)), strict=True
        ):
            pixels = image.requires_grad_()
            loss = F.cross_entropy(self.forward(self.weights, pixels), label, reduction="sum")
            parts += torch.autograd.grad(loss, pixels)
        return torch.cat(parts).sign()

    def right(self, x: Tensor, labels: Tensor) -> Tensor:
        return self.logits(x).argmax(1) == labels


def mean(flags: Tensor) -> float:
    return flags.double().mean().item()
