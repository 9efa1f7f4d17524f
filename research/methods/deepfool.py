"""DeepFool: the least perturbation of one input that changes its class."""

import torch
from torch import Tensor, nn

from research.methods.fgsm import input_gradient
from research.models.inference import evaluation


def deepfool(
    model: nn.Module, inputs: Tensor, label: int,
    *, candidates: int = 10, steps: int = 50, overshoot: float = 0.02
) -> Tensor:  # fmt: skip
    """The least L2 perturbation that takes one input (1, C, H, W) away from a class, (C, H, W).

    Each step goes to the nearest boundary of the model made linear, towards one of the `candidates`
    most probable classes; one backward pass gives all their gradients. It is 0 for an input that
    is of another class already, and unbounded.

    References:
        DeepFool (Moosavi-Dezfooli et al., 2016), algorithm 2.

    Example:
        >>> deepfool(nn.Flatten(), torch.tensor([[[[0.75, 0.5]]]]), label=0, overshoot=0.0)
        tensor([[[-0.1250,  0.1250]]])
    """
    total = torch.zeros_like(inputs)
    for _ in range(steps):
        x = inputs + (1 + overshoot) * total
        with evaluation(model):
            logits: Tensor = model(x)[0]
        if logits.argmax() != label:
            break
        gaps, top = logits.topk(min(candidates, len(logits)))  # the label comes first
        copies = x.expand(len(top), -1, -1, -1)
        gradients = input_gradient(model, copies, top, lambda z, y: z.gather(1, y[:, None])[:, 0])
        normals, gaps = gradients[1:] - gradients[0], gaps[0] - gaps[1:]
        lengths = normals.flatten(1).norm(dim=1).clamp(min=1e-12)
        nearest = (gaps / lengths).argmin()
        total = total + gaps[nearest] / lengths[nearest] ** 2 * normals[nearest]
    return ((1 + overshoot) * total)[0]
