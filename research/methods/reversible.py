"""Layers with a known way back from an activation to the pixels, and functions that act as such."""

import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from research.models.layers import CentredPixels, Normalise


class Scale(nn.Module):
    """x · factor + offset with constants that broadcast over (C, H, W).

    Example:
        >>> Scale(2.0, 0.5)(torch.ones(3)).tolist()
        [2.5, 2.5, 2.5]
    """

    def __init__(self, factor: Tensor | float = 1.0, offset: Tensor | float = 0.0) -> None:
        super().__init__()
        self.register_buffer("factor", _exact(factor))
        self.register_buffer("offset", _exact(offset))

    factor: Tensor
    offset: Tensor

    def forward(self, images: Tensor) -> Tensor:
        return images * self.factor + self.offset


def _exact(value: Tensor | float) -> Tensor:
    """A number as float64, which does not change the type of the tensor it multiplies."""
    return value if isinstance(value, Tensor) else torch.tensor(value, dtype=torch.float64)


SCALES = (Normalise, CentredPixels, nn.BatchNorm2d, nn.BatchNorm1d, Scale)
"""Layers that multiply each place by a constant and add another, batch norm in evaluation."""
PASSED = (
    nn.LocalResponseNorm, nn.Identity,
    nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout,
)  # fmt: skip
"""Layers skipped on the way back, contrast normalisation among them, as in the paper."""
MIXED = (nn.Linear, nn.Flatten, nn.AvgPool2d, nn.AdaptiveAvgPool2d)
"""Linear layers whose way back covers the whole plane."""
KNOWN = (nn.Conv2d, nn.ReLU, nn.MaxPool2d, *MIXED, *PASSED, *SCALES)
SHOWN = (nn.Conv2d, nn.ReLU)
"""Layers whose maps are looked at."""


def trouble(module: nn.Module) -> str | None:
    """Why there is no way back through a layer, if there is none.

    Example:
        >>> trouble(nn.ReLU()), trouble(nn.GELU())[:61]
        (None, 'is a GELU, whose way back to the pixels is unknown; known are')
    """
    known = next((kind for kind in KNOWN if isinstance(module, kind)), None)
    # an instance may have a forward() of its own, too
    if known is None or getattr(module.forward, "__func__", None) is not known.forward:
        return (
            f"is a {type(module).__name__}, whose way back to the pixels is unknown; "
            f"known are {kinds()}"
        )
    if isinstance(module, nn.Conv2d) and not _padded_evenly(module):
        return (
            f"pads with padding={module.padding!r}, padding_mode='{module.padding_mode}'; "
            "give numbers and padding_mode='zeros'"
        )
    if isinstance(module, nn.BatchNorm2d | nn.BatchNorm1d) and module.running_var is None:
        return "keeps no running statistics, its output depends on the batch; let it track them"
    if isinstance(module, nn.Flatten) and not _flattens(module.start_dim, module.end_dim):
        return "does not make one vector of each image; give nn.Flatten() without arguments"
    return None


def _padded_evenly(module: nn.Conv2d) -> bool:
    return module.padding_mode == "zeros" and not isinstance(module.padding, str)


def _flattens(start: int, end: int) -> bool:
    """Whether maps (N, C, H, W) become vectors (N, C · H · W)."""
    return start in (1, -3) and end in (-1, 3)


def kinds() -> str:
    """The names of the layers with a way back, for a message.

    Example:
        >>> kinds()[:23]
        'Conv2d, ReLU, MaxPool2d'
    """
    return ", ".join(kind.__name__ for kind in KNOWN if kind is not Scale)


# --- layers that are written as functions --------------------------------------------------------


def made(node: fx.Node, model: nn.Module) -> nn.Module | None:
    """The layer that does what a step of a traced `forward` calls; None where none is known.

    Example:
        >>> class Doubled(nn.Module):
        ...     def forward(self, images):
        ...         return 2 * images.relu()
        >>> _, relu, times, _ = fx.symbolic_trace(Doubled()).graph.nodes
        >>> made(relu, Doubled()), made(times, Doubled())
        (ReLU(), Scale())
    """
    args = list(node.args)
    if node.target in (*_TIMES, *_PLUS) and not _flows(args[0]):
        args.reverse()
    if node.target not in CALLS or not args or not _flows(args[0]):
        return None
    try:
        return CALLS[node.target](*(_constant(arg, model) for arg in args[1:]), **node.kwargs)
    except (TypeError, RuntimeError):  # arguments that the layer does not take
        return None


def _flows(arg: Any) -> bool:
    """Whether an argument comes from the images, and is no constant."""
    return isinstance(arg, fx.Node) and arg.op != "get_attr"


def _constant(arg: Any, model: nn.Module) -> Any:
    """An argument of a call; a buffer or parameter of the network as its tensor."""
    if isinstance(arg, fx.Node) and arg.op == "get_attr":
        return attribute(model, str(arg.target)).detach()
    return arg


def attribute(model: nn.Module, name: str) -> Any:
    """A parameter, buffer or constant of a network by its dotted name.

    Example:
        >>> attribute(nn.Sequential(nn.Linear(3, 2)), "0.weight").shape
        torch.Size([2, 3])
    """
    owner, _, own = name.rpartition(".")
    return getattr(model.get_submodule(owner), own)


def relu(inplace: bool = False) -> nn.Module:
    """The layer of a function `relu`, out of place whatever was asked for.

    Example:
        >>> relu(inplace=True)
        ReLU()
    """
    return nn.ReLU()


def _max_pool(
    kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
    ceil_mode: bool = False, return_indices: bool = False,
) -> nn.Module:  # fmt: skip
    # code that wants the indices takes them from a tuple, which is refused
    return nn.MaxPool2d(kernel_size, stride or None, padding, dilation, ceil_mode=ceil_mode)


def _flatten(start_dim: int = 0, end_dim: int = -1) -> nn.Module | None:
    return nn.Flatten() if _flattens(start_dim, end_dim) else None


def _mean(dim: Any = None, keepdim: bool = False) -> nn.Module | None:
    """The mean of each map, as a pooling layer takes it."""
    if not isinstance(dim, tuple | list) or {side % 4 for side in dim} != {2, 3}:
        return None
    pool = nn.AdaptiveAvgPool2d(1)
    return pool if keepdim else nn.Sequential(pool, nn.Flatten())


def _squeeze(*sides: Any) -> nn.Module | None:
    """Of maps of one pixel; comparing outputs shows whether they are."""
    return nn.Flatten() if not sides or sides in (((2, 3),), ((-1, -2),), ((-2, -1),)) else None


def _view(*sizes: Any) -> nn.Module | None:
    """A view as (N, -1), (-1, D) or (N, D); comparing outputs shows whether it flattens."""
    if len(sizes) == 1 and isinstance(sizes[0], tuple | list):
        sizes = tuple(sizes[0])
    return nn.Flatten() if len(sizes) == 2 else None


def _dropout(p: float = 0.5, training: bool = True, inplace: bool = False) -> nn.Module | None:
    return None if training else nn.Identity()


_TIMES, _OVER = (operator.mul, torch.mul, "mul"), (operator.truediv, torch.div, "div")
_PLUS, _MINUS = (operator.add, torch.add, "add"), (operator.sub, torch.sub, "sub")
CALLS: dict[Any, Callable[..., nn.Module | None]] = {
    **dict.fromkeys((F.relu, torch.relu, torch.relu_, "relu", "relu_"), relu),
    # torch has the name twice: the public function and the one that it calls
    **dict.fromkeys((F.max_pool2d, torch.max_pool2d), _max_pool),
    **dict.fromkeys((torch.flatten, "flatten"), _flatten),
    **dict.fromkeys((torch.reshape, "view", "reshape"), _view),
    **dict.fromkeys((torch.mean, "mean"), _mean),
    **dict.fromkeys((torch.squeeze, "squeeze"), _squeeze),
    **dict.fromkeys(("contiguous", "clone", "float"), nn.Identity),
    **dict.fromkeys((F.dropout, F.dropout2d, torch.dropout), _dropout),
    F.avg_pool2d: nn.AvgPool2d,
    F.adaptive_avg_pool2d: nn.AdaptiveAvgPool2d,
    F.local_response_norm: nn.LocalResponseNorm,
    **dict.fromkeys(_TIMES, Scale),
    **dict.fromkeys(_OVER, lambda value: Scale(1 / _exact(value))),
    **dict.fromkeys(_PLUS, lambda value: Scale(1.0, value)),
    **dict.fromkeys(_MINUS, lambda value: Scale(1.0, -_exact(value))),
}
"""Makes a layer from the arguments of a function or method after the first."""
