"""Digests of what functions do, together with the project's functions that they reach.

Two digests are equal if and only if the instructions are, so comments, layout, docstrings and names
of local files do not count, while a changed constant three calls away does. They hold for one
version of Python: another one compiles to other instructions.
"""

import dataclasses
import dis
import functools
import hashlib
import inspect
import types
from collections.abc import Callable, Iterator, Mapping
from pathlib import PurePath
from typing import Any

import numpy as np
import torch

PROJECT = __name__.split(".")[0]


def digest(*values: Any) -> str:
    """sha256 over functions, classes, tensors, arrays and plain data, in this order.

    A function stands for its instructions, its defaults, the values it closes over and every
    function, class and constant of the project that it names; a method also for its object. What
    libraries offer stands for itself by name. A path stands for nothing: where something lies is
    not what it is. Of objects other than data classes only the type counts.
    """
    hashed = hashlib.sha256()
    for part in _Walk().parts(values):
        hashed.update(part if isinstance(part, bytes) else part.encode())
        hashed.update(b"\0")
    return hashed.hexdigest()


class _Walk:
    """One pass over everything reachable; what was visited is afterwards only named."""

    def __init__(self) -> None:
        self._numbers: dict[int, int] = {}
        self._kept: list[Any] = []  # an id is only unique while its object lives

    def parts(self, value: Any) -> Iterator[str | bytes]:
        yield type(value).__name__
        if isinstance(value, torch.Tensor):
            value = value.detach().cpu().contiguous()
            yield f"{value.dtype} {tuple(value.shape)}"
            yield value.flatten().view(torch.uint8).numpy().tobytes()
        elif isinstance(value, np.ndarray):
            yield f"{value.dtype.str} {value.shape}"
            yield np.ascontiguousarray(value).tobytes()
        elif isinstance(value, Mapping):
            for key, inner in value.items():
                yield from self.parts(key)
                yield from self.parts(inner)
        elif isinstance(value, list | tuple):
            yield str(len(value))
            for inner in value:
                yield from self.parts(inner)
        elif isinstance(value, set | frozenset):
            yield from sorted(map(repr, value))
        elif value is None or isinstance(value, bool | int | float | complex | str | bytes):
            yield repr(value)
        else:
            yield from self._object(value)

    def _object(self, value: Any) -> Iterator[str | bytes]:
        if id(value) in self._numbers:
            yield str(self._numbers[id(value)])
            return
        self._numbers[id(value)] = len(self._numbers)
        self._kept.append(value)
        if isinstance(value, functools.partial):
            yield from self.parts([value.func, value.args, value.keywords])
        elif isinstance(value, types.MethodType):
            yield from self.parts([value.__func__, value.__self__])
        elif isinstance(value, staticmethod | classmethod):
            yield from self.parts(value.__func__)
        elif isinstance(value, property):
            yield from self.parts(value.fget)
        elif isinstance(value, functools._lru_cache_wrapper):
            yield from self.parts(value.__wrapped__)
        elif isinstance(value, types.FunctionType) and _ours(value):
            yield from self._function(value)
        elif inspect.isclass(value) and _ours(value):
            yield from self._class(value)
        elif dataclasses.is_dataclass(value) and not inspect.isclass(value):
            yield from self._fields(value)
        elif not isinstance(value, PurePath):
            named = value if hasattr(value, "__qualname__") else type(value)
            yield f"{getattr(named, '__module__', '')}.{named.__qualname__}"

    def _function(self, function: types.FunctionType) -> Iterator[str | bytes]:
        named = inspect.getattr_static(function, "__wrapped__", None)
        yield from self.parts([function.__defaults__, function.__kwdefaults__, named])
        yield from self._code(function.__code__, function.__globals__)
        for cell in function.__closure__ or ():
            yield from self.parts(_content(cell))

    def _code(self, code: types.CodeType, names: Mapping[str, Any]) -> Iterator[str | bytes]:
        for instruction in dis.get_instructions(code):
            yield instruction.opname
            argument = instruction.argval
            if isinstance(argument, types.CodeType):
                yield from self._code(argument, names)
            else:
                yield from self.parts(argument)
        for value in _named(code, names):
            yield from self.parts(value)

    def _class(self, kind: type) -> Iterator[str | bytes]:
        yield kind.__qualname__
        for base in kind.__bases__:
            yield from self.parts(base)
        for name, member in vars(kind).items():
            if _is_code(member) or not (name.startswith("__") or inspect.isdatadescriptor(member)):
                yield name
                yield from self.parts(member)

    def _fields(self, value: Any) -> Iterator[str | bytes]:
        yield from self.parts(type(value))
        for field in dataclasses.fields(value):
            yield field.name
            yield from self.parts(getattr(value, field.name))


def _ours(value: Callable[..., Any]) -> bool:
    return value.__module__.split(".")[0] == PROJECT or "<locals>" in value.__qualname__


def _is_code(member: Any) -> bool:
    return isinstance(member, types.FunctionType | staticmethod | classmethod | property)


def _content(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not filled yet
        return None


def _named(code: types.CodeType, names: Mapping[str, Any]) -> Iterator[Any]:
    """The project's values that some code names: globals, and attributes of its modules."""
    for name in code.co_names:
        value = names.get(name)
        if isinstance(value, types.ModuleType):
            if value.__name__.split(".")[0] == PROJECT:
                inner = (getattr(value, attribute, None) for attribute in code.co_names)
                yield from (one for one in inner if not isinstance(one, types.ModuleType))
        elif name in names:
            yield value
