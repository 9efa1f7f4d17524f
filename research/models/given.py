"""A network of the user's: a class or function in a Python file, and its weights.

The file is imported as Python would run it from its own folder: it finds the modules that lie
beside it. It is no script here: one that ends the process or reads the command line is refused.
"""

import importlib
import importlib.util
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from torch import nn

from research.errors import UserError


def built(where: str) -> nn.Module:
    """The network that a class or function without arguments makes: FILE.py:NAME.

    Raises:
        UserError: no such file or name, the file is a script, or it does not make a network.
    """
    file, _, name = where.rpartition(":")
    path = Path(file).expanduser()
    if path.suffix != ".py" or not path.is_file():
        raise UserError(
            f"--model must be zfnet, torchvision:NAME or FILE.py:NAME, got '{where}'"
            + (f"; there is no file {path}" if path.suffix == ".py" else "")
        )
    try:
        with _beside(path.resolve()):
            model = getattr(_imported(path.resolve()), name)()
    except (SystemExit, _FlagsReadError) as error:
        did = "ends the process" if isinstance(error, SystemExit) else "reads the command line"
        raise UserError(
            f"--model {where} cannot be made: the file {did} when it is imported, as a script "
            f"does; put '{name}' into a file that only defines it, or guard the script by "
            "if __name__ == '__main__'"
        ) from None
    except Exception as error:  # it is the user's code: whatever happens there is told in one line
        raise UserError(
            f"--model {where} cannot be made ({told(error)}); "
            f"'{name}' must be a class or function of that file that needs no arguments"
        ) from None
    if not isinstance(model, nn.Module):
        raise UserError(
            f"--model {where} must make a torch.nn.Module, got a {type(model).__name__}"
        )
    return model


def told(error: Exception) -> str:
    """What happened, in a line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"


# --- importing -----------------------------------------------------------------------------------


class _FlagsReadError(Exception):
    """The command line was read: what is made would depend on flags that nobody gave."""


class _NoFlags(list[str]):
    """A command line of which nothing but the script's own name can be read."""

    def __getitem__(self, place: Any) -> Any:
        if place == 0:
            return super().__getitem__(0)
        raise _FlagsReadError

    def __len__(self) -> int:
        raise _FlagsReadError

    def __iter__(self) -> Iterator[str]:
        raise _FlagsReadError


class _Finder(MetaPathFinder):
    """Finds modules beside a file before any installed package, but none of Python's own names."""

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder)

    def find_spec(
        self, fullname: str, path: Any = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if path is not None or fullname in sys.stdlib_module_names:
            return None
        spec = PathFinder.find_spec(fullname, [self._folder])
        # a folder without __init__.py is a package only where nobody else has one of its name
        return spec if spec and spec.loader else None


def _refuse_to_end(status: int) -> NoReturn:
    """In place of `os._exit`, after which nobody could tell that the run has failed."""
    raise SystemExit(status)


@contextmanager
def _beside(path: Path) -> Iterator[None]:
    """Within the block modules beside a file are found; afterwards none of them is left behind."""
    root = _root(path)
    finder, argv, before = _Finder(root), sys.argv, set(sys.modules)
    ends = os._exit
    importlib.invalidate_caches()
    sys.meta_path.insert(0, finder)
    sys.path.append(str(root))
    sys.argv = _NoFlags([str(path)])
    os._exit = _refuse_to_end
    try:
        yield
    finally:
        os._exit, sys.argv = ends, argv
        sys.path.remove(str(root))
        sys.meta_path.remove(finder)
        for name in set(sys.modules) - before:
            if not name.startswith("_given_") and _lies_in(sys.modules[name], root):
                del sys.modules[name]  # another file may have others of these names beside it


def _root(path: Path) -> Path:
    """The folder from which a file's imports are looked for: that of its topmost package."""
    folder = path.parent
    while (folder / "__init__.py").is_file():
        folder = folder.parent
    return folder


def _lies_in(module: ModuleType, folder: Path) -> bool:
    places = [getattr(module, "__file__", None), *getattr(module, "__path__", [])]
    return any(place and folder in Path(place).resolve().parents for place in places)


def _imported(path: Path) -> ModuleType:
    """The file as a module; one of a package by its name there, so that `from .` works."""
    inner = path.with_suffix("").relative_to(_root(path)).parts
    if len(inner) > 1:
        return importlib.import_module(".".join(inner))
    spec = importlib.util.spec_from_file_location(f"_given_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
