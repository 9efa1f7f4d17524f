"""Digests of what functions do, together with the functions of package and user they reach.

A module is the user's own unless it comes with Python or lies where packages are installed: what
was written in the project, beside a script, in a notebook or in an editable package may be changed
at any time.

Two digests are equal if and only if the instructions are, so comments, layout, docstrings and names
of local files do not count, while a changed constant three calls away does. They hold for one
version of Python: another one compiles to other instructions.
"""

import dataclasses
import dis
import functools
import hashlib
import inspect
import sys
import sysconfig
import types
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import torch

PACKAGE = __name__.split(".")[0]

INSTALLED = frozenset({"site-packages", "dist-packages"})
"""Folders of packages, in any environment; what lies there is told by its version."""

PYTHON = tuple(Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib"))


def digest(*values: Any) -> str:
    """sha256 over functions, classes, tensors, arrays and plain data, in this order.

    A function stands for its instructions, its defaults, the values it closes over and every
    function, class and constant of package and user that it names; a method also for its object.
    What libraries offer stands for itself by name. A path stands for nothing: where something lies
    is not what it is. Of a module of PyTorch its settings and tensors count, of objects other than
    that and data classes only the type.
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
        elif isinstance(value, torch.nn.Module):
            yield from self._module(value)
        elif not isinstance(value, PurePath):
            yield from self._named(value)

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

    def _module(self, module: torch.nn.Module) -> Iterator[str | bytes]:
        """A loss with its settings, or a network that teaches another, with its weights."""
        yield from self.parts(type(module))
        for name, member in vars(module).items():
            kept = name in ("_parameters", "_buffers", "_modules") or not name.startswith("_")
            if kept and name != "training":  # which whoever uses it sets
                yield name
                yield from self.parts(member)

    def _named(self, value: Any) -> Iterator[str | bytes]:
        named = value if hasattr(value, "__qualname__") else type(value)
        yield f"{getattr(named, '__module__', '')}.{named.__qualname__}"
        if named is not value and _ours(named):
            yield from self.parts(named)

    def _fields(self, value: Any) -> Iterator[str | bytes]:
        yield from self.parts(type(value))
        for field in dataclasses.fields(value):
            yield field.name
            yield from self.parts(getattr(value, field.name))


def _ours(value: Callable[..., Any]) -> bool:
    if "<locals>" in value.__qualname__:
        return True
    code = getattr(value, "__code__", None)
    return _is_own(value.__module__ or "", code.co_filename if code else "")


def _is_own(name: str, file: str = "") -> bool:
    """Whether a module may change without another version being installed.

    Arguments:
        file: where the code lies, for one that was not imported as usual.
    """
    top = name.split(".")[0]
    if top == PACKAGE or top in sys.stdlib_module_names:
        return top == PACKAGE
    # of its package first, for modules made while running name no file, or none that there is
    files = (getattr(sys.modules.get(module), "__file__", None) for module in (top, name))
    return next((_is_written_here(one) for one in files if one), not file or _is_written_here(file))


@functools.cache
def _is_written_here(file: str) -> bool:
    path = Path(file).resolve()
    if INSTALLED & {*path.parts}:
        return False
    return not any(path.is_relative_to(folder) for folder in PYTHON)


def _is_code(member: Any) -> bool:
    return isinstance(member, types.FunctionType | staticmethod | classmethod | property)


def _content(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not filled yet
        return None


def _named(code: types.CodeType, names: Mapping[str, Any]) -> Iterator[Any]:
    """The values that some code names: globals, and attributes of modules that are own."""
    for name in code.co_names:
        value = names.get(name)
        if isinstance(value, types.ModuleType):
            if _is_own(value.__name__):
                inner = (getattr(value, attribute, None) for attribute in code.co_names)
                yield from (one for one in inner if not isinstance(one, types.ModuleType))
        elif name in names:
            yield value
