"""What a network does to an image, read with `torch.fx`: its layers one after the other.

Sizes are known while a network is read, so that a `forward` may loop over `x.shape` or ask for it;
values are not.
"""

import operator
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, fx, nn
from torch.fx.node import map_aggregate
from torch.nn import functional as F

from research.errors import ArgumentError
from research.methods.reversible import CALLS, KNOWN, SHOWN, attribute, kinds, made, relu
from research.methods.reversible import trouble as trouble_of


@dataclass(frozen=True)
class Link:
    """One layer of a chain.

    Attributes:
        name: as in the network; the second use of a module is `name:2`, and a function that
            `forward` calls has torch's name for it: `relu`, `relu:2`.
        module: computes it. An in-place ReLU is run out of place.
    """

    name: str
    module: nn.Module


def links(model: nn.Module, example: Tensor, *, open_end: bool = False) -> tuple[Link, ...]:
    """The layers of a network that does not branch, in the order in which an image passes them.

    Arguments:
        example: images (N, C, H, W).
        open_end: takes all that lies behind the last convolution and ReLU for one layer, whatever
            it is, where something in it has no way back.

    Raises:
        ArgumentError: the network cannot be read, branches, or has a layer whose way back is
            unknown.

    Example:
        >>> model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU())
        >>> [link.name for link in links(model, torch.rand(2, 1, 8, 8))]
        ['0', '1']
    """
    with torch.inference_mode(False), torch.no_grad(), _tidied(model):
        graph = _traced(model, example)
        found, current, trouble = _followed(graph, model)
        if not trouble:
            return tuple(found)
        rest = _rest(graph, model, current) if open_end else None
        if rest is None:
            raise ArgumentError(trouble)
        return (*found, Link("the rest", rest))


def _followed(graph: fx.Graph, model: nn.Module) -> tuple[list[Link], fx.Node, str]:
    """The layers up to the first that has no way back; the last node of them; what hinders."""
    found: list[Link] = []
    uses: dict[str, int] = {}
    [current] = (node for node in graph.nodes if node.op == "placeholder")
    while True:
        users = [node for node in current.users if not _asks_for_shape(node)]
        if len(users) != 1:
            return found, current, _branching(current, users, model)
        [node] = users
        if node.op == "output":
            straight = node.args[0] is current
            return found, current, "" if straight else _other_output(node, model)
        for part in _parts(node, model):
            name = _name(node)
            uses[name] = uses.get(name, 0) + 1
            shown = name if uses[name] == 1 else f"{name}:{uses[name]}"
            trouble = part if isinstance(part, str) else trouble_of(part)
            if trouble:
                place = f"({len(found) + 1} of {len(found) + _layers_from(node)})"
                return found, current, _told(shown, trouble, place, model, node)
            assert isinstance(part, nn.Module)
            found.append(Link(shown, part))
        current = node


def _branching(current: fx.Node, users: Sequence[fx.Node], model: nn.Module) -> str:
    names = ", ".join(_name(node) for node in users)
    return (
        f"a chain of layers does not branch, but behind '{_name(current)}' "
        f"{type(model).__name__} does: {names or 'nothing follows'}"
    )


def _other_output(node: fx.Node, model: nn.Module) -> str:
    return (
        f"forward() of {type(model).__name__} must return the output of its last layer, got a "
        f"{type(node.args[0]).__name__.removeprefix('immutable_')}"
    )


def _told(name: str, trouble: str, place: str, model: nn.Module, node: fx.Node) -> str:
    if node.op == "call_module":
        return f"layer '{name}' {place} {trouble}"
    return (
        f"forward() of {type(model).__name__} calls '{name}', {trouble}; use a layer of torch.nn "
        f"with a way back for it: {kinds()}"
    )


def _layers_from(node: fx.Node) -> int:
    """How many layers there are from this one on, as far as they do not branch."""
    count = 0
    while node.op != "output":
        count += 1
        users = [user for user in node.users if not _asks_for_shape(user)]
        if len(users) != 1:
            break
        [node] = users
    return count


def _parts(node: fx.Node, model: nn.Module) -> Sequence[nn.Module | str]:
    """A layer, or the modules that do what a function in forward() does, or what hinders."""
    if node.op == "call_module":
        return [model.get_submodule(str(node.target))]
    found = made(node, model)
    if found is None:
        return ["whose way back to the pixels is unknown"]
    return [one.eval() for one in (found if isinstance(found, nn.Sequential) else [found])]


# --- the graph -----------------------------------------------------------------------------------


@contextmanager
def _tidied(model: nn.Module) -> Iterator[None]:
    """Removes what tracing leaves in a network: constants that its forward() computes."""
    before = set(vars(model))
    try:
        yield
    finally:
        for name in set(vars(model)) - before:
            delattr(model, name)


class _Sized(fx.Proxy):
    """A step of the graph of which it can be found out what it is for the example."""

    tracer: "_Tracer"

    @property
    def known(self) -> Any:
        return self.tracer.known(self.node)

    def __getattr__(self, k: str) -> Any:
        if k in ("shape", "ndim"):
            return self.tracer.create_proxy("call_function", getattr, (self, k), {})
        return super().__getattr__(k)

    def __len__(self) -> int:
        return len(self.known)

    def __index__(self) -> int:
        if isinstance(self.known, int):
            return self.known
        raise ValueError("it depends on the values of the images")


class _Tracer(fx.Tracer):
    def __init__(self, example: Tensor) -> None:
        super().__init__()
        self._example = example
        self._computing = False

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, KNOWN) or super().is_leaf_module(m, module_qualified_name)

    def proxy(self, node: fx.Node) -> fx.Proxy:
        return _Sized(node, self)

    def iter(self, obj: fx.Proxy) -> Iterator[Any]:
        """Over a shape; the length of anything else is an accident of the images."""
        if isinstance(obj, _Sized) and isinstance(obj.known, tuple):
            return (operator.getitem(obj, place) for place in range(len(obj.known)))
        return iter(super().iter(obj))

    def to_bool(self, obj: fx.Proxy) -> bool:
        if isinstance(obj, _Sized) and isinstance(obj.known, bool | int):
            return bool(obj.known)
        return bool(super().to_bool(obj))

    # what the tracer puts in the place of modules and weights must not be in the way of computing

    def call_module(self, m: nn.Module, forward: Any, args: Any, kwargs: Any) -> Any:
        if self._computing:
            return forward(*args, **kwargs)
        return super().call_module(m, forward, args, kwargs)

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Any]) -> Any:
        return attr_val if self._computing else super().getattr(
            attr, attr_val, parameter_proxy_cache
        )  # fmt: skip

    def known(self, node: fx.Node) -> Any:
        """What a step is for the example; None where that cannot be computed."""
        if "known" not in node.meta:
            before, self._computing = self._computing, True
            try:
                node.meta["known"] = self._computed(node)
            except Exception:  # whatever the network does; running it tells, reading it need not
                node.meta["known"] = None
            finally:
                self._computing = before
        return node.meta["known"]

    def _computed(self, node: fx.Node) -> Any:
        given = (
            map_aggregate(one, lambda arg: self.known(arg) if isinstance(arg, fx.Node) else arg)
            for one in (node.args, node.kwargs)
        )
        args: Any
        more: Any
        args, more = given
        target: Any = node.target
        if node.op == "placeholder":
            return self._example.clone()
        if node.op == "get_attr":
            return attribute(self.root, target)
        if node.op == "call_module":
            return self.root.get_submodule(target).forward(*args, **more)
        if node.op == "call_method":
            return getattr(args[0], target)(*args[1:], **more)
        return target(*args, **more)


def _traced(model: nn.Module, example: Tensor) -> fx.Graph:
    tracer = _Tracer(example)
    try:
        graph = tracer.trace(model)
    except Exception as error:  # whatever forward() does with something that is not a tensor
        raise ArgumentError(
            f"forward() of {type(model).__name__} cannot be read as a chain of layers: "
            f"{' '.join(str(error).split())[:200]}"
        ) from None
    if sum(node.op == "placeholder" for node in graph.nodes) != 1:
        raise ArgumentError(
            f"forward() of {type(model).__name__} must take images and nothing else"
        )
    for node in graph.nodes:
        if node.target in (operator.getitem, "size"):
            tracer.known(node)
    return graph


def _rest(graph: fx.Graph, model: nn.Module, start: fx.Node) -> nn.Module | None:
    """All behind a step as one module; None where that looks at maps or at what came before."""
    rest = fx.Graph()
    features = rest.placeholder("features")
    copied = {start: rest.call_method("clone", (features,))}  # what works in place changes no input
    for node in _needed(graph, start):
        if _looks(node, model):
            return None
        try:
            copied[node] = rest.node_copy(node, lambda one: _carried(one, copied, rest, features))
        except KeyError:  # it takes something from before the start
            return None
    return fx.GraphModule(model, rest).eval()


def _needed(graph: fx.Graph, start: fx.Node) -> list[fx.Node]:
    """The steps behind one that the output follows from, in their order."""
    nodes = list(graph.nodes)
    after, found = nodes[nodes.index(start) + 1 :], {nodes[-1]}
    for node in reversed(after):
        if node in found:
            found.update(node.all_input_nodes)
    return [node for node in after if node in found]


def _carried(
    node: fx.Node, copied: dict[fx.Node, fx.Node], rest: fx.Graph, features: fx.Node
) -> Any:
    """A step of the network in the rest; parameters and sizes are known there too.

    Raises:
        KeyError: it is another step from before the start.
    """
    if node in copied:
        return copied[node]
    if node.op == "get_attr":
        return rest.node_copy(node)
    asked = node.target is operator.getitem and isinstance(node.args[0], fx.Node)
    if (asked and _asks_for_shape(cast(fx.Node, node.args[0]))) or node.target == "size":
        if node.args[1:] == (0,):  # not that of the example
            return rest.call_method("size", (features, 0))
        if isinstance(node.meta.get("known"), int):
            return node.meta["known"]
    raise KeyError(node.name)


def _looks(node: fx.Node, model: nn.Module) -> bool:
    """Whether a step is a layer whose maps would be looked at, or holds one."""
    if node.op == "call_module":
        module = model.get_submodule(str(node.target))
        return any(isinstance(one, SHOWN) for one in module.modules())
    return node.target in (F.conv2d, torch.conv2d) or CALLS.get(node.target) is relu


def _name(node: fx.Node) -> str:
    if node.op == "call_module":
        return str(node.target)
    if node.op in ("placeholder", "output"):
        return "images" if node.op == "placeholder" else "output"
    return node.target if isinstance(node.target, str) else str(node.target.__name__)


def _asks_for_shape(node: fx.Node) -> bool:
    """Whether only a size is asked for, as in `x.view(x.size(0), -1)`."""
    if node.op == "call_method":
        return node.target in ("size", "dim", "numel")
    return node.target is getattr and node.args[1:] in (("shape",), ("ndim",))
