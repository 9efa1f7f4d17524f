"""The network of the study `zf` by hand."""

from statistics import mean

import numpy as np
import numpy.typing as npt
import pytest
import torch
from safetensors.torch import load_file
from scipy.stats import t
from torch import Tensor
from torch.nn import functional as F

from research.records import Number, Results

Floats = npt.NDArray[np.float64]
Weights = dict[str, Tensor]
Outputs = dict[str, Tensor]
"""Of each layer, by name."""


def weights_of(record: Results, name: str) -> Weights:
    file = record.folder / f"weights/{name}.safetensors"
    return {name: weight.double() for name, weight in load_file(file).items()}


def by_hand(w: Weights, images: Tensor, first: str = "zf") -> Outputs:
    """Behind each ReLU, and the logits, of images in [0, 1], in float64."""
    geometry = {"zf": ((2, 1), (2, 0)), "alexnet": ((4, 2), (1, 2))}[first]
    x, found = 255 * (images.double() - w["pixels.mean"]), {}
    for number, (stride, padding) in enumerate((*geometry, *[(1, 1)] * 3), start=1):
        kernel, bias = w[f"conv{number}.weight"], w[f"conv{number}.bias"]
        found[f"relu{number}"] = x = F.conv2d(x, kernel, bias, stride, padding).clamp(min=0)
        if number in (1, 2, 5):
            x = F.max_pool2d(x, 3, 2, ceil_mode=True)
        if number in (1, 2):
            x = normalised(x)
    x = x.flatten(1)
    for number in (6, 7):
        x = F.linear(x, w[f"fc{number}.weight"], w[f"fc{number}.bias"]).clamp(min=0)
        found[f"relu{number}"] = x
    return found | {"logits": F.linear(x, w["fc8.weight"], w["fc8.bias"])}


def normalised(maps: Tensor) -> Tensor:
    """Each value over (2 + 1e-4 · the sum of squares in five neighbouring maps)^0.75."""
    squares = F.pad(maps.square(), (0, 0, 0, 0, 2, 2))
    count = maps.shape[1]
    total = sum((squares[:, i : i + count] for i in range(5)), torch.zeros_like(maps))
    return maps / (2 + 1e-4 * total) ** 0.75


def is_mean(found: object, values: list[float], rel: float = 1e-4, near: float = 1e-9) -> None:
    """A logged number is the mean of these values, with Student's interval.

    Arguments:
        near: absolute difference that is let pass.
    """
    assert isinstance(found, Number)
    assert found.value == pytest.approx(mean(values), rel=rel, abs=near)
    n = len(values)
    assert found.n == n
    if n == 2:
        assert found.span == pytest.approx(sorted(values), rel=1e-3, abs=2 * near)
    elif n > 2 and found.half_width is not None:  # that of a bounded quantity has another
        times = float(t.ppf(0.975, n - 1))
        reach = times * float(np.std(values, ddof=1)) / n**0.5
        assert found.half_width == pytest.approx(reach, rel=1e-3, abs=times * near)
