"""A pretended CUDA device: its tensors lie on the CPU, but answer and refuse as CUDA's do.

It finds, on a machine without a GPU, what would break on one: an array taken from a tensor of the
device, tensors of two devices in one operation, random numbers of a CPU generator drawn for the
device. What only a real device can show (rounding, missing kernels, speed) it cannot.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, Self

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

DEVICE = "meta:0"
"""a type of device of which PyTorch knows no hardware that it would look for"""
CUDA, CPU = torch.device(DEVICE), torch.device("cpu")
_CROSSING = {"aten::_to_copy", "aten::copy_", "aten::to"}
"""operations that may take tensors from one device to another"""
_INDEXED = {
    "aten::index", "aten::index_put", "aten::index_put_", "aten::_index_put_impl_",
    "aten::_unsafe_index", "aten::_unsafe_index_put",
}  # fmt: skip
"""operations whose indices may lie on the CPU"""

_COUNTED = {
    "aten::_pack_padded_sequence", "aten::_pad_packed_sequence",
    "aten::_pack_padded_sequence_backward", "aten::gru",
}  # fmt: skip
"""operations on packed sequences, whose lengths must lie on the CPU"""


class MixedDevicesError(RuntimeError):
    """Tensors of two devices met."""


class OnDevice(Tensor):
    """A tensor that says it is on CUDA; `inner` holds its values on the CPU."""

    inner: Tensor  # type: ignore[assignment]

    @staticmethod
    def __new__(cls, inner: Tensor) -> Self:
        made = Tensor._make_wrapper_subclass(
            cls, inner.size(), strides=inner.stride(), storage_offset=inner.storage_offset(),
            dtype=inner.dtype, layout=inner.layout, device=CUDA, requires_grad=False,
        )  # fmt: skip
        made.inner = inner
        return made

    def __init__(self, inner: Tensor) -> None:
        pass

    def __repr__(self, **_: Any) -> str:  # type: ignore[override]
        return f"OnDevice({self.inner!r})"

    def numpy(self, *, force: bool = False) -> Any:
        if not force:
            raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu()")
        return self.inner.numpy(force=True)

    def __array__(self, *_: Any) -> Any:
        return self.numpy()

    def new_tensor(self, data: Any, **more: Any) -> Tensor:  # type: ignore[override]
        return torch.tensor(data, dtype=more.get("dtype", self.dtype)).to(CUDA)

    def __getitem__(self, index: Any) -> Tensor:
        return super().__getitem__(_known(index))

    def __setitem__(self, index: Any, value: Any) -> None:
        super().__setitem__(_known(index), value)

    def tolist(self) -> Any:
        return self.inner.tolist()

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.inner.__reduce_ex__(protocol)  # type: ignore[no-untyped-call]

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        return _computed(function, args, kwargs or {})


class Pretending(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sends what is made on `cuda` there."""

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        return _computed(function, args, kwargs or {})


def _computed(function: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """An operation done on the CPU, its result where CUDA would have put it."""
    name = function._schema.name
    given = [*_tensors(args), *_tensors(kwargs)]
    asked = [one for one in (*args, kwargs.get("device")) if isinstance(one, torch.device)]
    on_device = any(isinstance(one, OnDevice) for one in given)
    if asked:
        [target] = asked
        args, kwargs = tree_map(_on_cpu, (args, kwargs))
        on_device = target == CUDA
    elif name == "aten::copy_":
        on_device = isinstance(args[0], OnDevice)
    if name == "aten::to" and args[1:] and isinstance(args[1], Tensor):
        on_device = isinstance(args[1], OnDevice)
    generator = kwargs.get("generator")
    if on_device and generator is not None:
        raise MixedDevicesError(f"{name}: Expected a 'cuda' device type for generator, found 'cpu'")
    if any(one.is_meta and not isinstance(one, OnDevice) and one.device == CUDA for one in given):
        raise RuntimeError(f"{name} of a tensor that was made on the device out of sight")
    if on_device and name not in _CROSSING:
        _check(name, args, given)
    if kwargs.get("pin_memory"):
        kwargs = {**kwargs, "pin_memory": False}
    found = function(*tree_map(_inner, args), **tree_map(_inner, kwargs))
    known = {id(_inner(one)): one for one in given}
    # a view of what was made outside of inference mode counts as made there, too
    view = any(one.alias_info for one in function._schema.returns)
    outside = view and not all(one.is_inference() for one in given)

    def outer(value: Any) -> Any:
        if not isinstance(value, Tensor) or isinstance(value, OnDevice):
            return value
        former = known.get(id(value))
        if former is not None and isinstance(former, OnDevice) == on_device:
            return former  # changed in place, or left as it is
        value = value if former is None else value.clone()  # another device has its own copy
        with torch.inference_mode(False) if outside else nullcontext():
            return OnDevice(value) if on_device else value

    if name == "aten::_pack_padded_sequence":
        return outer(found[0]), found[1]
    return tree_map(outer, found)


def _check(name: str, args: Any, given: list[Tensor]) -> None:
    """CUDA takes a CPU tensor beside its own where it is a single number, or an index."""
    tensors = given
    if name in _INDEXED:
        tensors = [args[0], *_tensors(args[2:3])]
    if name in _COUNTED:
        tensors = [args[0]]
    strangers = [one for one in tensors if not isinstance(one, OnDevice) and one.ndim > 0]
    if strangers:
        shapes = ", ".join(str(tuple(one.shape)) for one in strangers)
        raise MixedDevicesError(
            f"{name}: Expected all tensors to be on the same device, but found at least two "
            f"devices, cuda:0 and cpu! (of the shapes {shapes})"
        )


def _tensors(value: Any) -> list[Tensor]:
    found: list[Tensor] = []
    tree_map(lambda one: found.append(one) if isinstance(one, Tensor) else None, value)
    return found


def _known(index: Any) -> Any:
    """Lists and arrays as tensors of the CPU; made on the device, nothing could be told of them."""
    if isinstance(index, tuple):
        return tuple(map(_known, index))
    return torch.as_tensor(index) if isinstance(index, list | np.ndarray) else index


def _on_cpu(value: Any) -> Any:
    return CPU if isinstance(value, torch.device) else value


def _inner(value: Any) -> Any:
    return value.inner if isinstance(value, OnDevice) else value


@contextmanager
def pretended() -> Iterator[None]:
    """Within, `DEVICE` is a device of this machine."""
    overwrites = torch.__future__.get_overwrite_module_params_on_conversion()
    with pytest.MonkeyPatch.context() as patch, Pretending():  # type: ignore[no-untyped-call]
        # else a parameter would get a tensor of the device as its data, and stay one of the CPU
        torch.__future__.set_overwrite_module_params_on_conversion(True)
        patch.setattr(torch.optim, "Adam", _plain_adam)
        for name in ("tensor", "as_tensor"):
            patch.setattr(torch, name, _moved_there(getattr(torch, name)))
        try:
            yield
        finally:
            torch.__future__.set_overwrite_module_params_on_conversion(overwrites)


def _moved_there(make: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Numbers become a tensor of the CPU first; made on the device, nothing could be told of it."""

    def made(data: Any, *, dtype: torch.dtype | None = None, device: Any = None) -> Tensor:
        if isinstance(data, Tensor):
            return data.to(device=device or data.device, dtype=dtype or data.dtype)
        found = make(data, dtype=dtype)
        return found if device is None else found.to(device)

    return made


_ADAM = torch.optim.Adam


def _plain_adam(*given: Any, fused: bool = False, **more: Any) -> torch.optim.Adam:
    """Adam step by step: the fused one knows its devices by name."""
    return _ADAM(*given, **more)
