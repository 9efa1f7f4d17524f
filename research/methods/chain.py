"""A network as a chain: the layers that an image passes one after the other, each by its name.

What projects an activation back to the pixels has to know every layer on the way, those written as
functions in `forward` too. The network is traced with `torch.fx`; one that branches, or that has a
layer of which the way back is not known, is refused with the layer's place.
"""

import operator
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from research.errors import ArgumentError
from research.models.inference import evaluation
from research.models.layers import CentredPixels, Normalise


class Scale(nn.Module):
    """x · factor + offset with constants that broadcast over (C, H, W)."""

    def __init__(self, factor: Tensor | float = 1.0, offset: Tensor | float = 0.0) -> None:
        super().__init__()
        self.register_buffer("factor", _exact(factor))
        self.register_buffer("offset", _exact(offset))

    factor: Tensor
    offset: Tensor

    def forward(self, images: Tensor) -> Tensor:
        return images * self.factor + self.offset


def _exact(value: Tensor | float) -> Tensor:
    """A number in float64, which does not change the type of what it is multiplied with."""
    return value if isinstance(value, Tensor) else torch.tensor(value, dtype=torch.float64)


SCALES = (Normalise, CentredPixels, nn.BatchNorm2d, nn.BatchNorm1d, Scale)
"""Layers that multiply each place by a constant and add one; batch norm does so when evaluating."""
PASSED = (nn.LocalResponseNorm, nn.Dropout, nn.Dropout2d, nn.Identity)
"""Layers that are passed over on the way back: contrast normalisation as in the paper."""
MIXED = (nn.Linear, nn.Flatten, nn.AvgPool2d, nn.AdaptiveAvgPool2d)
"""Linear layers of which the way back is taken over the whole plane."""
_KNOWN = (nn.Conv2d, nn.ReLU, nn.MaxPool2d, *MIXED, *PASSED, *SCALES)


@dataclass(frozen=True)
class Link:
    """One layer of a chain.

    Attributes:
        name: as in the network; the second use of one module is `name:2`, and what `forward` writes
            as a function is called as torch calls it: `relu`, `relu:2`.
        module: computes it. A ReLU in place is run out of place.
    """

    name: str
    module: nn.Module


@dataclass(frozen=True)
class Passage:
    """What images left behind on their way through a chain, up to some layer.

    Attributes:
        links: the layers passed, in order.
        shapes: of the input of each of them, (C, H, W) or (D,).
        switches: by position of a max-pooling layer, the place of each maximum in its input plane,
            flat, int64 (N, C, H', W').
        output: of the last layer, (N, …).
    """

    links: Sequence[Link]
    shapes: Sequence[torch.Size]
    switches: dict[int, Tensor]
    output: Tensor


class Chain:
    """A network's layers in the order in which an image passes them.

    Raises:
        ArgumentError: the network branches, has a layer of which the way back is not known, or
            computes something else than its layers one after the other.
    """

    def __init__(self, model: nn.Module, example: Tensor) -> None:
        """Reads a network and checks the chain on `example`, images (N, C, H, W) in [0, 1]."""
        self.model = model
        with evaluation(model), torch.inference_mode(False), _tidied(model):
            self.links = tuple(_links(model))
        for place, link in enumerate(self.links, start=1):
            trouble = _trouble(link.module)
            if trouble:
                where = f"layer '{link.name}' ({place} of {len(self.links)})"
                raise ArgumentError(f"{where} {trouble}")
        self._check_outputs(example)

    @property
    def names(self) -> list[str]:
        return [link.name for link in self.links]

    def index(self, layer: str) -> int:
        """The position of a layer. Raises ArgumentError for an unknown one."""
        if layer in self.names:
            return self.names.index(layer)
        nearest = get_close_matches(layer, self.names, 1)
        hint = f"did you mean '{nearest[0]}'?" if nearest else f"choose from {_list(self.names)}"
        raise ArgumentError(f"the network has no layer '{layer}': {hint}")

    def forward(self, images: Tensor) -> Iterator[tuple[str, Tensor]]:
        """Yields each layer's output (N, …) under its name as soon as it is computed."""
        for link in self.links:
            # not around the loop: what the caller does between two layers is its own affair
            with evaluation(link.module):
                images = apply(link.module, images)
            yield link.name, images

    def outputs(self, images: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        """The outputs (N, …) of some layers; what lies behind the last of them is not computed."""
        found = dict(self.some(images, layers))
        return {layer: found[layer] for layer in layers}

    def some(self, images: Tensor, layers: Sequence[str]) -> Iterator[tuple[str, Tensor]]:
        """As `forward`, but only these layers, in the network's order, and none behind them."""
        count = 1 + max((self.index(layer) for layer in layers), default=-1)
        for _, (name, output) in zip(range(count), self.forward(images), strict=False):
            if name in layers:
                yield name, output

    def passage(self, images: Tensor, layer: str) -> Passage:
        """Passes images up to a layer and remembers the way back."""
        links = self.links[: self.index(layer) + 1]
        shapes: list[torch.Size] = []
        switches: dict[int, Tensor] = {}
        for place, link in enumerate(links):
            shapes.append(images.shape[1:])
            with evaluation(link.module):
                if isinstance(link.module, nn.MaxPool2d):
                    images, switches[place] = pooled(link.module, images)
                else:
                    images = apply(link.module, images)
        return Passage(links, shapes, switches, images)

    def _check_outputs(self, example: Tensor) -> None:
        with evaluation(self.model):
            wanted = self.model(example)
        if not _equal(self._output(example), wanted):
            raise ArgumentError(
                f"the layers of {type(self.model).__name__} one after the other do not give what "
                "the network gives: let forward() pass its input through layers only"
            )

    def _output(self, images: Tensor) -> Tensor | None:
        """Of the last layer, or None where the layers do not fit together."""
        for link in self.links:
            if isinstance(link.module, nn.Linear) and images.ndim != 2:
                raise ArgumentError(
                    f"layer '{link.name}' is linear along one side of the maps; flatten them first"
                )
            try:
                with evaluation(link.module):
                    images = apply(link.module, images)
            except RuntimeError:
                return None
        return images


def _equal(found: Tensor | None, wanted: Any) -> bool:
    """Up to rounding, relative to the largest value; NaN is no difference."""
    if found is None or not isinstance(wanted, Tensor) or found.shape != wanted.shape:
        return False
    return not bool((found - wanted).abs().max() > 1e-4 * wanted.abs().max())


def apply(module: nn.Module, images: Tensor) -> Tensor:
    """A layer's output without what hooks make of it; the input is left as it is."""
    output: Tensor = F.relu(images) if isinstance(module, nn.ReLU) else module.forward(images)
    return output


def pooled(pool: nn.MaxPool2d, images: Tensor) -> tuple[Tensor, Tensor]:
    """Maxima and their places in each plane of the input, flat."""
    maxima, places = F.max_pool2d(
        images, pool.kernel_size, pool.stride, pool.padding, pool.dilation, pool.ceil_mode,
        return_indices=True,
    )  # fmt: skip
    return maxima, places


def _trouble(module: nn.Module) -> str | None:
    """Why there is no way back through a layer, if there is none."""
    known = next((kind for kind in _KNOWN if isinstance(module, kind)), None)
    # an instance may have a forward() of its own, too
    if known is None or getattr(module.forward, "__func__", None) is not known.forward:
        return (
            f"is a {type(module).__name__}, of which the way back to the pixels is not known; "
            f"known are {_list([kind.__name__ for kind in _KNOWN if kind is not Scale])}"
        )
    if isinstance(module, nn.Conv2d) and not _padded_evenly(module):
        return (
            f"pads with padding={module.padding!r}, padding_mode='{module.padding_mode}'; "
            "give numbers and padding_mode='zeros'"
        )
    if isinstance(module, nn.BatchNorm2d | nn.BatchNorm1d) and module.running_var is None:
        return "keeps no running statistics, its output depends on the batch; let it track them"
    if isinstance(module, nn.Flatten) and (module.start_dim, module.end_dim) != (1, -1):
        return "does not make one vector of each image; give nn.Flatten() without arguments"
    return None


def _padded_evenly(module: nn.Conv2d) -> bool:
    return module.padding_mode == "zeros" and not isinstance(module.padding, str)


def _list(names: Sequence[str]) -> str:
    return ", ".join(names)


# --- reading a network ---------------------------------------------------------------------------


@contextmanager
def _tidied(model: nn.Module) -> Iterator[None]:
    """Removes what tracing leaves in a network: constants that its forward() computes."""
    before = set(vars(model))
    try:
        yield
    finally:
        for name in set(vars(model)) - before:
            delattr(model, name)


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, _KNOWN) or super().is_leaf_module(m, module_qualified_name)


def _links(model: nn.Module) -> Iterator[Link]:
    """The layers of a network that does not branch."""
    graph = _traced(model)
    uses: dict[str, int] = {}
    [current] = (node for node in graph.nodes if node.op == "placeholder")
    while True:
        users = [node for node in current.users if not _asks_for_shape(node)]
        if len(users) != 1:
            names = _list([_name(node) for node in users])
            raise ArgumentError(
                f"a chain of layers does not branch, but behind '{_name(current)}' "
                f"{type(model).__name__} does: {names or 'nothing follows'}"
            )
        [current] = users
        if current.op == "output":
            return
        name = _name(current)
        uses[name] = uses.get(name, 0) + 1
        shown = name if uses[name] == 1 else f"{name}:{uses[name]}"
        yield Link(shown, _module(current, model, shown))


def _traced(model: nn.Module) -> fx.Graph:
    try:
        graph = _Tracer().trace(model)
    except Exception as error:  # whatever forward() does with what is no tensor
        raise ArgumentError(
            f"forward() of {type(model).__name__} cannot be read as a chain of layers: "
            f"{' '.join(str(error).split())[:200]}"
        ) from None
    if sum(node.op == "placeholder" for node in graph.nodes) != 1:
        raise ArgumentError(
            f"forward() of {type(model).__name__} must take images and nothing else"
        )
    return graph


def _name(node: fx.Node) -> str:
    if node.op == "call_module":
        return str(node.target)
    if node.op in ("placeholder", "output"):
        return "images" if node.op == "placeholder" else "output"
    return node.target if isinstance(node.target, str) else str(node.target.__name__)


def _asks_for_shape(node: fx.Node) -> bool:
    """Whether only a size is asked for, as in `x.view(x.size(0), -1)`."""
    if node.op == "call_method":
        return node.target in ("size", "dim")
    return node.target is getattr and node.args[1:] == ("shape",)


def _module(node: fx.Node, model: nn.Module, name: str) -> nn.Module:
    """A layer, or the module that does what a function in forward() does."""
    if node.op == "call_module":
        return model.get_submodule(str(node.target))
    made = _made(node, model)
    if made is None:
        raise ArgumentError(
            f"forward() of {type(model).__name__} calls '{name}', of which the way back to the "
            "pixels is not known; use a layer of torch.nn for it"
        )
    return made.eval()


def _made(node: fx.Node, model: nn.Module) -> nn.Module | None:
    args = list(node.args)
    if node.target in (*_TIMES, *_PLUS) and not _flows(args[0]):
        args.reverse()
    if node.target not in _CALLS or not args or not _flows(args[0]):
        return None
    try:
        return _CALLS[node.target](*(_constant(arg, model) for arg in args[1:]), **node.kwargs)
    except (TypeError, RuntimeError):  # arguments that the layer does not take
        return None


def _flows(arg: Any) -> bool:
    """Whether an argument comes from the images, and is no constant."""
    return isinstance(arg, fx.Node) and arg.op != "get_attr"


def _constant(arg: Any, model: nn.Module) -> Any:
    """An argument of a call; a buffer or parameter of the network as its tensor."""
    if isinstance(arg, fx.Node) and arg.op == "get_attr":
        owner, _, name = str(arg.target).rpartition(".")
        return getattr(model.get_submodule(owner), name).detach()
    return arg


def _relu(inplace: bool = False) -> nn.Module:
    return nn.ReLU()


def _max_pool(
    kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
    ceil_mode: bool = False, return_indices: bool = False,
) -> nn.Module:  # fmt: skip
    # who wants the indices takes them from a tuple, which is refused
    return nn.MaxPool2d(kernel_size, stride or None, padding, dilation, ceil_mode=ceil_mode)


def _flatten(start_dim: int = 0, end_dim: int = -1) -> nn.Module | None:
    return nn.Flatten() if (start_dim, end_dim) == (1, -1) else None


def _view(*sizes: Any) -> nn.Module | None:
    """A view as (N, -1), (-1, D) or (N, D); that it flattens is seen when outputs are compared."""
    if len(sizes) == 1 and isinstance(sizes[0], tuple | list):
        sizes = tuple(sizes[0])
    return nn.Flatten() if len(sizes) == 2 else None


def _dropout(p: float = 0.5, training: bool = True, inplace: bool = False) -> nn.Module | None:
    return None if training else nn.Identity()


_TIMES, _OVER = (operator.mul, torch.mul, "mul"), (operator.truediv, torch.div, "div")
_PLUS, _MINUS = (operator.add, torch.add, "add"), (operator.sub, torch.sub, "sub")
_CALLS: dict[Any, Callable[..., nn.Module | None]] = {
    **dict.fromkeys((F.relu, torch.relu, torch.relu_, "relu", "relu_"), _relu),
    # torch has the name twice: as what it offers, and as what that calls
    **dict.fromkeys((F.max_pool2d, torch.max_pool2d), _max_pool),
    **dict.fromkeys((torch.flatten, "flatten"), _flatten),
    **dict.fromkeys((torch.reshape, "view", "reshape"), _view),
    **dict.fromkeys((F.dropout, F.dropout2d, torch.dropout), _dropout),
    F.avg_pool2d: nn.AvgPool2d,
    F.adaptive_avg_pool2d: nn.AdaptiveAvgPool2d,
    F.local_response_norm: nn.LocalResponseNorm,
    **dict.fromkeys(_TIMES, Scale),
    **dict.fromkeys(_OVER, lambda value: Scale(1 / _exact(value))),
    **dict.fromkeys(_PLUS, lambda value: Scale(1.0, value)),
    **dict.fromkeys(_MINUS, lambda value: Scale(1.0, -_exact(value))),
}
"""What makes a layer of the arguments of a function or method behind the first."""
