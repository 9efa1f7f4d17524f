"""Draws and networks of the study `zf-features` by hand."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from research.data import Dataset, Split
from research.records import Array
from tests.studies.zf.by_hand import Weights, normalised


def places(target: Dataset, seed: int) -> tuple[Tensor, Tensor]:
    """By classes, each in an order of its own: four of the first 18 images, five of the others."""
    labels = torch.cat([target.train.labels, target.test.labels])
    order = torch.Generator().manual_seed(seed)
    train, test = [], []
    for label in range(3):
        mixed = (labels == label).nonzero().flatten()
        mixed = mixed[torch.randperm(12, generator=order)]
        train.append([int(place) for place in mixed if place < 18][:4])
        test.append([int(place) for place in mixed if place >= 18][:5])
    return torch.tensor(train), torch.tensor(test).flatten()


def by_hand(w: Weights, images: Tensor) -> dict[str, Tensor]:
    """What each layer that there is passes on, and the logits, float64."""
    x, found = 255 * (images.double() - w["pixels.mean"]), {}
    for number, (stride, padding) in enumerate([(2, 1), (2, 0), *[(1, 1)] * 3], start=1):
        if f"conv{number}.weight" not in w:
            continue
        kernel, bias = w[f"conv{number}.weight"], w[f"conv{number}.bias"]
        x = F.conv2d(x, kernel, bias, stride, padding).clamp(min=0)
        if number in (1, 2, 5):
            x = F.max_pool2d(x, 3, 2, ceil_mode=True)
        if number in (1, 2):
            x = normalised(x)
        found[f"layer{number}"] = x
    x = x.flatten(1)
    for number in (6, 7):
        if f"fc{number}.weight" in w:
            x = F.linear(x, w[f"fc{number}.weight"], w[f"fc{number}.bias"]).clamp(min=0)
            found[f"layer{number}"] = x
    return found | {"logits": F.linear(x, w["fc8.weight"], w["fc8.bias"])}


def middles(split: Split) -> Tensor:
    return split.images[:, :, 2:-2, 2:-2].double() / 255


def thumbnail(image: Tensor) -> Array:
    """Each pixel the mean of the pixels of which it covers any part."""
    grey = np.tensordot([0.299, 0.587, 0.114], image.numpy().astype(float), 1)
    edges = [(i * 52 // 16, -(-(i + 1) * 52 // 16)) for i in range(16)]
    return np.array([[grey[a:b, c:d].mean() for c, d in edges] for a, b in edges])
