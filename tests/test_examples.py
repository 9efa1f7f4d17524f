"""The examples in docstrings are run as they stand, each from the same random state."""

import doctest
from importlib import import_module
from pathlib import Path

import pytest
import torch

import research

ROOT = Path(research.__file__).parent
ROOMS = ("methods", "models", "data")
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
