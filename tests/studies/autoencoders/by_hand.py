"""The networks of the study `autoencoders` by hand, and what is measured of them."""

import torch
from safetensors.torch import load_file
from skimage.metrics import structural_similarity
from torch import Tensor
from torch.nn import functional as F

from research.data import Split
from research.records import Array, Results

Weights = dict[str, Tensor]


def weights(record: Results, group: str) -> list[Weights]:
    files = [record.folder / f"weights/{group}-seed{seed}.safetensors" for seed in (0, 1)]
    return [{name: w.double() for name, w in load_file(file).items()} for file in files]


def layer(x: Tensor, w: Weights, name: str) -> Tensor:
    return F.linear(x, w[f"{name}.weight"], w[f"{name}.bias"])


def conv(x: Tensor, w: Weights, name: str) -> Tensor:
    return F.conv2d(x, w[f"{name}.weight"], w[f"{name}.bias"], padding=1)


def back(x: Tensor, w: Weights, name: str, stride: int = 2, padding: int = 0) -> Tensor:
    return F.conv_transpose2d(x, w[f"{name}.weight"], w[f"{name}.bias"], stride, padding)


def dense_by_hand(w: Weights, x: Tensor, group: str) -> Tensor:
    """linear, shallow, agarap, published and mended, in float64."""
    deep = group in ("published", "mended")
    names = sorted(
        {name.rsplit(".", 1)[0] for name in w},
        key=lambda name: (name.startswith("decoder"), int(name.split(".")[1])),
    )
    out = x.flatten(1) * 2 - 1 if deep else x.flatten(1)
    for name in names[:-1]:
        out = layer(out, w, name)
        out = out if group == "linear" else out.clamp(min=0)
    out = layer(out, w, names[-1])
    if group in ("shallow", "mended"):
        out = out.sigmoid() if group == "shallow" else out.tanh()
    elif group != "linear":
        out = out.clamp(min=0)
    return ((out + 1) / 2 if deep else out).view(x.shape)


def upsample_by_hand(w: Weights, x: Tensor) -> Tensor:
    for i in (1, 2):
        x = F.max_pool2d(conv(x, w, f"encoder.conv{i}").clamp(min=0), 2)
    for i in (1, 2):
        x = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
        x = conv(x, w, f"decoder.conv{i}")
        x = x.clamp(min=0) if i == 1 else torch.sigmoid(x)
    return x


def denoiser_by_hand(w: Weights, x: Tensor) -> Tensor:
    for i in (0, 3, 6):
        x = F.max_pool2d(conv(x, w, f"encoder.{i}").clamp(min=0), 2)
    for i in (0, 2, 4):
        x = back(x, w, f"decoder.{i}").clamp(min=0)
    return torch.sigmoid(conv(x, w, "decoder.6"))


def pooled_by_hand(w: Weights, x: Tensor) -> Tensor:
    for i in (0, 2, 4):
        x = F.max_pool2d(conv(x, w, f"encoder.{i}"), 2)
    for i in (0, 1, 2, 3):
        x = back(x, w, f"decoder.{i}", 1 if i == 3 else 2, 1)
    return torch.sigmoid(x)


def similarity(a: Array, b: Array) -> float:
    found = structural_similarity(  # type: ignore[no-untyped-call]
        a, b, data_range=1, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    return float(found)


def errors(outputs: list[Tensor], images: Tensor) -> list[float]:
    return [((out - images) ** 2).mean().item() for out in outputs]


def floats(split: Split) -> Tensor:
    return split.images.double() / 255


def noise_of(images: Tensor, noise: float = 0.5) -> Tensor:
    drawn = torch.randn(images.shape, generator=torch.Generator().manual_seed(0))
    return (images + noise * drawn).clamp(0, 1)
