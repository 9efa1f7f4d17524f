"""The door of a record: a file that cannot be read, or is not what it should be, is named there.

written ─▶ whole or not at all; a full disk names the file
read    ─▶ JSON of the declared shape, or one line with the file's name
"""

import dataclasses
import errno
import json
import os
import pickle
import re
import shutil
import struct
import tokenize
import types
import typing
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from research.errors import UserError, hidden

_FORMLESS = (
    ValueError, KeyError, TypeError, AttributeError, IndexError, EOFError, RuntimeError,
    SyntaxError, pickle.UnpicklingError, struct.error, tokenize.TokenError, zipfile.BadZipFile,
    zlib.error,
)  # fmt: skip
"""What readers of JSON, of CSV and of zipped arrays raise on damaged bytes."""


_UNWRITTEN = re.compile(
    r"write failed|PytorchStreamWriter|inline_container|iostream error|i/o error|os error",
    re.IGNORECASE,
)
"""What PyTorch and safetensors say where a file cannot be written."""

ROOM = 1 << 20
"""Bytes; a disk with less is full."""


class DamagedError(UserError):
    """A file of a record is not what a run wrote."""


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Around the reading of one file and nothing else: what its bytes break is told by its name.

    Raises:
        DamagedError: the file is there, but is not what it should be.
    """
    try:
        yield
    except (OSError, UserError) as error:
        if isinstance(error, OSError):
            error.filename = error.filename or str(path)
        raise
    except _FORMLESS as error:
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise DamagedError(
            f"{path} must be as the run wrote it, but is damaged: {reason}; bring it back from a "
            f"copy, or run the study again"
        ) from error


@contextmanager
def named(path: Path) -> Iterator[None]:
    """An error of the system that names no file, as that of a full disk, names this one."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


@contextmanager
def written(path: Path) -> Iterator[None]:
    """Around a library's own writing of a file: what its C code makes of a full disk is an error of
    the system again, which names the file."""
    try:
        with named(path):
            yield
    except (RuntimeError, SafetensorError) as error:
        said = " ".join(str(error).split())
        if not _UNWRITTEN.search(said):
            raise
        full = shutil.disk_usage(path.parent).free < ROOM or "os error 28" in said
        number = errno.ENOSPC if full else errno.EIO
        raise OSError(number, os.strerror(number), str(path)) from error


# --- writing -------------------------------------------------------------------------------------


def write(path: Path, content: bytes) -> None:
    """Writes whole or not at all, so that a killed run or a full disk leaves no half file."""
    part = path.with_name(f"{path.name}.part")
    try:
        with named(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            part.write_bytes(content)
            part.replace(path)
    except OSError:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise


def as_bytes(value: Any) -> bytes:
    """JSON as a record keeps it: UTF-8, a password in an address hidden."""
    text = hidden(json.dumps(value, indent=1, ensure_ascii=False)) + "\n"
    # a file's name may hold bytes that are no text, which Python keeps as lone surrogates
    return text.encode("utf-8", errors="surrogateescape").decode("utf-8", "replace").encode()


# --- reading -------------------------------------------------------------------------------------


def read_json(path: Path, kind: Any = Any) -> Any:
    """The content of a JSON file as the declared type, see `shaped`.

    Raises:
        DamagedError: it is not JSON, or of another shape.
        OSError: it cannot be read.
    """
    with told(path):
        return shaped(kind, json.loads(path.read_bytes().decode("utf-8-sig")))


def shaped(kind: Any, value: Any, where: str = "") -> Any:
    """Plain JSON as a dataclass, a tuple, a mapping or a plain value, whichever is declared.

    Raises:
        TypeError: it is something else; the message says where and what.
    """
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return value
    if dataclasses.is_dataclass(kind):
        return _object(kind, value, where)
    if origin in (typing.Union, types.UnionType):
        return _one_of(inner, value, where)
    if origin is typing.Literal:
        if value not in inner:
            _refuse(f"one of {', '.join(inner)}", value, where)
        return value
    if origin is tuple:
        _demand(list, value, where)
        return tuple(shaped(inner[0], item, f"{where}[{n}]") for n, item in enumerate(value))
    if origin is dict:
        _demand(dict, value, where)
        return {key: shaped(inner[1], item, f"{where}.{key}") for key, item in value.items()}
    return _plain(kind, value, where)


def _object(kind: Any, value: Any, where: str) -> Any:
    _demand(dict, value, where)
    fields = {field.name: field for field in dataclasses.fields(kind)}
    if unknown := value.keys() - fields.keys():
        raise TypeError(f"{_at(where)} has an unknown entry '{min(unknown)}'")
    for name, field in fields.items():
        bare = (field.default, field.default_factory)
        if name not in value and bare == (dataclasses.MISSING, dataclasses.MISSING):
            raise TypeError(f"{_at(where)} has no '{name}'")
    hints = _hints(kind)
    return kind(**{n: shaped(hints[n], item, f"{where}.{n}") for n, item in value.items()})


@cache
def _hints(kind: Any) -> Mapping[str, Any]:
    return typing.get_type_hints(kind)


def _one_of(kinds: tuple[Any, ...], value: Any, where: str) -> Any:
    if type(value) in kinds:  # a plain value; tables hold many
        return value
    refused = TypeError(f"{_at(where)} is of no known kind")
    for kind in kinds:
        try:
            return shaped(kind, value, where)
        except TypeError as error:
            refused = error
    raise refused


def _plain(kind: Any, value: Any, where: str) -> Any:
    kind = type(None) if kind is None else kind
    fits = isinstance(value, (int, float) if kind is float else kind)
    if not fits or (isinstance(value, bool) and kind is not bool):
        _refuse(kind.__name__, value, where)
    return value


def _demand(kind: type, value: Any, where: str) -> None:
    if not isinstance(value, kind):
        _refuse("a list" if kind is list else "an object", value, where)


def _refuse(required: str, value: Any, where: str) -> typing.NoReturn:
    raise TypeError(f"{_at(where)} must be {required}, got {json.dumps(value)[:40]}")


def _at(where: str) -> str:
    return f"'{where.lstrip('.')}'" if where.strip(".") else "its content"
