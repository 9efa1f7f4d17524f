"""The network of the study `vgg` by hand."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

Weights = dict[str, Tensor]
Floats = npt.NDArray[np.float64]


def by_hand(w: Weights, images: Tensor) -> Tensor:
    """The network in evaluation mode, in float64: logits (N, 3)."""
    mean, std = torch.tensor([[0.4914, 0.4822, 0.4465], [0.2470, 0.2435, 0.2616]]).double()
    x = (images.double() - mean[:, None, None]) / std[:, None, None]
    for block, depth in enumerate((2, 2, 3, 3, 3), start=1):
        for number in range(1, depth + 1):
            layer = f"{block}_{number}"
            x = F.conv2d(x, w[f"features.conv{layer}.weight"], padding=1)
            norm = {
                key: w[f"features.norm{layer}.{key}"][:, None, None]
                for key in ("running_mean", "running_var", "weight", "bias")
            }
            x = (x - norm["running_mean"]) / (norm["running_var"] + 1e-5).sqrt()
            x = (x * norm["weight"] + norm["bias"]).clamp(min=0)
        x = x.unfold(2, 2, 2).unfold(3, 2, 2).amax((4, 5))
    return F.linear(x.flatten(1), w["fc.weight"], w["fc.bias"])


def noise_of(w: Weights, images: Tensor, labels: Tensor) -> Tensor:
    """Signs of the gradient of the cross-entropy, in float64."""
    inputs = images.double().requires_grad_()
    F.cross_entropy(by_hand(w, inputs), labels, reduction="sum").backward()  # type: ignore[no-untyped-call]
    assert inputs.grad is not None
    return inputs.grad.sign()


def labels_of(w: Weights, images: Tensor) -> Tensor:
    return by_hand(w, images).argmax(1)
