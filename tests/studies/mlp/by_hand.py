"""The networks of the study `mlp` by hand."""

import numpy as np
import torch
from safetensors.torch import load_file

from research.records import Array, Results


def space(record: Results, name: str, images: torch.Tensor) -> tuple[Array, Array]:
    """Embedding before the last ReLU and logits, by hand from stored weights."""
    weights = load_file(record.folder / f"weights/{name}.safetensors")
    out = (images.flatten(1) - 0.1307) / 0.3081
    layers = sorted({key.rsplit(".", 1)[0] for key in weights if key.startswith("body")})
    for number, layer in enumerate(layers):
        out = out if number == 0 else out.clamp(min=0)
        out = out @ weights[f"{layer}.weight"].T + weights[f"{layer}.bias"]
    logits = out.clamp(min=0) @ weights["head.weight"].T + weights["head.bias"]
    return out.double().numpy(), logits.double().numpy()


def preds(record: Results, name: str, images: torch.Tensor) -> Array:
    return np.asarray(space(record, name, images)[1].argmax(1))
