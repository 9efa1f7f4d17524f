"""What the convolutions of the study `cnn` hold: kernels and maps; and the four digits."""

from collections.abc import Mapping, Sequence

import numpy as np
from torch import Tensor

from research.data import Dataset
from research.methods.activations import activation_maps, describe, kernels, save_sheet
from research.models import CnnA
from research.records import Array, Table
from research.tracking import Log

ALIKE = 0.7
"""Correlation, of either sign, from which a map is called a copy of the image."""


def measure_layers(model: CnnA, untrained: CnnA, sample: Tensor, log: Log) -> None:
    """Kernels of both convolutions, and the output of every layer for one image.

    Arguments:
        untrained: the network from which `model` was trained.
        sample: one image (1, 1, H, W) in [0, 1].
    """
    weights, first = (convolutions(one) for one in (model, untrained))
    maps = {short(name): m[0].numpy() for name, m in activation_maps(model, sample).items()}
    # dropout is off and flattening changes no value
    maps = {name: m for name, m in maps.items() if not name.startswith(("dropout", "flatten"))}
    for kind, layers in {"kernels": weights, "activations": maps}.items():
        log.arrays(kind, **layers)
        for name, values in layers.items():
            np.save(log.path(f"{kind}/{name}.npy"), values)
            if values.ndim > 1:
                save_sheet(log.path(f"{kind}/{name}.png"), values)
    image = sample[0].cpu().numpy()
    log.arrays("sample", image=image)
    log.table("layers", Table.of([{"layer": name} | describe(m) for name, m in maps.items()]))
    log_kernels(weights, first, log)
    log_maps(image[0], maps, log)


def short(layer: str) -> str:
    return layer.split(".")[-1]


def convolutions(model: CnnA) -> dict[str, Array]:
    """Layer -> kernels (out, in, h, w)."""
    return {short(name): w.numpy() for name, w in kernels(model).items() if w.ndim == 4}


def log_kernels(weights: Mapping[str, Array], first: Mapping[str, Array], log: Log) -> None:
    """How far training has turned the kernels, and what conv1's are made of."""
    for name, values in weights.items():
        log.number(f"kernels_kept_{name}", float(np.median(cosines(values, first[name]))))
    for name, values in {"": weights["conv1"], "_untrained": first["conv1"]}.items():
        even, slope = parts_of(values)
        log.number(f"kernels_even{name}", even)
        log.number(f"kernels_slope{name}", slope)


def cosines(kernels: Array, others: Array) -> Array:
    """Cosine of each output channel's kernel with the same one of the other network. (out,)"""
    a, b = (one.reshape(len(one), -1).astype(np.float64) for one in (kernels, others))
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    found: Array = (a * b).sum(1) / np.maximum(norms, 1e-300)
    return found


def parts_of(kernels: Array) -> tuple[float, float]:
    """Shares of the kernels' squared weights that are constant, and that are a slope.

    A constant kernel sums up brightness, a slope answers to an edge. Of kernels of side k whose
    weights are drawn independently with mean 0, they are 1/k² and 2/k² on average.

    Arguments:
        kernels: (..., k, k), k at least 2.
    """
    side = kernels.shape[-1]
    flat = kernels.reshape(-1, side, side).astype(np.float64)
    ramp = np.arange(side) - (side - 1) / 2
    ramp /= np.sqrt(side * (ramp**2).sum())
    whole = (flat**2).sum()
    even = (flat.sum((1, 2)) ** 2).sum() / side**2
    slope = sum(((flat.sum(axis) @ ramp) ** 2).sum() for axis in (1, 2))
    return float(even / whole), float(slope / whole)


def log_maps(image: Array, maps: Mapping[str, Array], log: Log) -> None:
    """How many maps of conv1 copy the image, and how much the ReLUs make blank."""
    seen = np.array([likeness(image, one) for one in maps["conv1"]])
    log.number("maps_conv1", len(seen))
    log.number("maps_copying", int((seen >= ALIKE).sum()))
    log.number("maps_negative", int((seen <= -ALIKE).sum()))
    log.number("maps_other", int((abs(seen) < ALIKE).sum()))
    for name in ("relu1", "relu2"):
        log.number(f"zeros_{name}", float((maps[name] == 0).mean()))
        log.number(f"blank_{name}", int((maps[name] == 0).all((1, 2)).sum()))
    log.number("maps_conv2", len(maps["conv2"]))


def likeness(image: Array, found: Array) -> float:
    """Correlation of a map with the middle of the image, where its kernels lie; 0 if constant."""
    trim = (len(image) - len(found)) // 2
    middle = image[trim : trim + len(found), trim : trim + len(found)]
    if not np.ptp(found) or not np.ptp(middle):
        return 0.0
    return float(np.corrcoef(middle.ravel(), found.ravel())[0, 1])


def log_digits(data: Dataset, indices: Sequence[int], log: Log) -> None:
    """The images whose distances the assignment asks for, by their places in the test set."""
    chosen = list(indices)
    labels = data.test.labels.cpu()[chosen].tolist()
    log.arrays(
        "digits",
        images=data.test.floats().cpu()[chosen].numpy(),
        places=np.array(chosen),
        classes=np.array([data.classes[label] for label in labels]),
    )
