"""The examples in docstrings are run as they stand, each from the same random state."""

import doctest
import inspect
from dataclasses import is_dataclass
from importlib import import_module
from pathlib import Path

import pytest
import torch

import research

ROOT = Path(research.__file__).parent
ROOMS = ("methods", "models", "data", "records", "report")
MODULES = ["research"] + [
    f"research.{room}" if path.stem == "__init__" else f"research.{room}.{path.stem}"
    for room in ROOMS
    for path in sorted((ROOT / room).glob("*.py"))
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_give_what_they_say(name: str) -> None:
    runner = doctest.DocTestRunner()
    said: list[str] = []
    with torch.random.fork_rng(devices=[]):
        for example in doctest.DocTestFinder(exclude_empty=True).find(import_module(name)):
            torch.manual_seed(0)
            runner.run(example, out=said.append)
    assert not runner.failures, "".join(said)


@pytest.mark.parametrize("name", [name for name in MODULES if name.startswith("research.methods.")])
def test_every_public_method_has_an_example(name: str) -> None:
    """Functions, and classes that a caller makes; a record is seen where a function returns it."""
    module = import_module(name)
    public = [
        member
        for key, member in vars(module).items()
        if not key.startswith("_") and getattr(member, "__module__", "") == name
        if inspect.isfunction(member) or (inspect.isclass(member) and not is_record(member))
    ]
    assert public
    assert [x.__qualname__ for x in public if ">>>" not in (inspect.getdoc(x) or "")] == []


def is_record(kind: type) -> bool:
    return is_dataclass(kind) or issubclass(kind, tuple)
