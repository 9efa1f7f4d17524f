"""What a network looks for and what it sees in an image: kernels and activation maps."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from research.models.inference import evaluation
from research.records import Array, Cell


def kernels(model: nn.Module) -> dict[str, Tensor]:
    """The weights of each convolution, transposed convolution and linear layer, in forward order.

    Returns:
        Layer name to a detached copy on the CPU: (out, in, h, w) of a convolution, (in, out, h, w)
        of a transposed one, as torch stores them; (out, in) of a linear layer.

    Example:
        >>> model = nn.Sequential(nn.Conv2d(3, 8, 5), nn.ReLU(), nn.ConvTranspose2d(8, 3, 5))
        >>> {name: tuple(weight.shape) for name, weight in kernels(model).items()}
        {'0': (8, 3, 5, 5), '2': (8, 3, 5, 5)}
    """
    kinds = (nn.modules.conv._ConvNd, nn.Linear)
    return {
        name: module.weight.detach().cpu().clone()
        for name, module in model.named_modules()
        if isinstance(module, kinds)
    }


def activation_maps(model: nn.Module, images: Tensor) -> dict[str, Tensor]:
    """The output of every layer for some images, in the order in which the layers ran.

    A layer that runs more than once appears as `name`, `name:2`, … Outputs are copied as soon as
    they are computed, so an in-place ReLU behind a convolution does not change what is reported
    for the convolution. The model runs in evaluation mode and is left as it was.

    Arguments:
        images: (N, C, H, W) in [0, 1], on the model's device.

    Returns:
        Layer name to activations (N, …) on the CPU, in float32.

    Example:
        >>> model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU())
        >>> maps = activation_maps(model, torch.rand(2, 1, 8, 8))
        >>> {name: tuple(values.shape) for name, values in maps.items()}
        {'0': (2, 4, 6, 6), '1': (2, 4, 6, 6)}
    """
    maps: dict[str, Tensor] = {}
    with evaluation(model), _recording(model, maps):
        model(images)
    return maps


def describe(values: Array) -> dict[str, Cell]:
    """Shape, range and share of zeros of one layer's activations, a row of a table.

    Example:
        >>> describe(np.array([[0.0, 2.0], [0.0, -1.0]]))
        {'shape': '2 × 2', 'min': -1.0, 'max': 2.0, 'zeros': 0.5}
    """
    return {
        "shape": " × ".join(map(str, values.shape)),
        "min": float(values.min()),
        "max": float(values.max()),
        "zeros": float((values == 0).mean()),
    }


def save_sheet(path: Path, values: Array, zoom: int = 8) -> None:
    """Writes kernels (a, b, h, w) or maps (n, h, w) as one grey picture for a quick look.

    All tiles share one scale from black (the least value) to white (the greatest). Each pixel is
    enlarged `zoom` times; mid-grey lines separate the tiles.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     save_sheet(Path(folder, "maps.png"), np.random.rand(4, 5, 5), zoom=2)
        ...     Image.open(Path(folder, "maps.png")).size
        (48, 12)
    """
    rows = values if values.ndim == 4 else values[None]
    grey = (rows - rows.min()) / max(float(np.ptp(rows)), 1e-12)
    framed = np.pad(grey, ((0, 0), (0, 0), (0, 1), (0, 1)), constant_values=0.5)
    sheet = np.concatenate([np.concatenate(list(row), axis=1) for row in framed], axis=0)
    pixels = np.round(255 * sheet).astype(np.uint8).repeat(zoom, 0).repeat(zoom, 1)
    Image.fromarray(pixels).save(path)


@contextmanager
def _recording(model: nn.Module, maps: dict[str, Tensor]) -> Iterator[None]:
    def record(name: str) -> None:
        def hook(_module: nn.Module, _inputs: object, output: Tensor) -> None:
            times = 1 + sum(key.split(":")[0] == name for key in maps)
            maps[name if times == 1 else f"{name}:{times}"] = output.detach().float().cpu().clone()

        handles.append(layers[name].register_forward_hook(hook))

    layers = {name: layer for name, layer in model.named_modules() if not any(layer.children())}
    handles: list[torch.utils.hooks.RemovableHandle] = []
    try:
        for name in layers:
            record(name)
        yield
    finally:
        for handle in handles:
            handle.remove()
