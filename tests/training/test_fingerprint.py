"""A digest of code changes with what the code does, and with nothing else."""

import functools
import importlib
import importlib.util
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from research import models
from research.data import Split
from research.training import fingerprint, graphs, loop
from research.training.fingerprint import digest

SOURCE = """
from functools import cache
LIMIT = 3

def helper(x):
    return x + 1

def step(x, scale=2.0):
    y = helper(x) * scale
    return y if y < LIMIT else [y for y in (x, y)]

class Net:
    SLOPE = 0.5

    def forward(self, x):
        return step(x) * self.SLOPE

@cache
def remembered(x):
    return x * 7

def user(x):
    return remembered(x)
"""


def module(text: str, folder: Path, package: str = fingerprint.PACKAGE) -> ModuleType:
    """The text imported as a module of a package that lies in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "written.py"
    path.write_text(text)
    spec = importlib.util.spec_from_file_location(f"{package}.written", path)
    assert spec and spec.loader
    made = importlib.util.module_from_spec(spec)
    # compiled here: an import would take another text of the same second from the cache
    exec(compile(text, str(path), "exec"), made.__dict__)
    return made


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("\nLIMIT", "\n# a comment\n\n\nLIMIT"),
        ("    return x + 1", '    """Says what it does."""\n    return x + 1'),
        ("helper(x) * scale", "(\n        helper(x)\n        * scale\n    )"),
        ("def helper(x):", "def helper(x: int) -> int:"),
        ("class Net:", 'class Net:\n    """A network."""\n'),
        ("LIMIT = 3", "LIMIT = 3\nUNUSED = 4"),
    ],
)
def test_comments_layout_docstrings_and_strangers_do_not_count(
    old: str, new: str, tmp_path: Path
) -> None:
    before, after = (module(text, tmp_path) for text in (SOURCE, SOURCE.replace(old, new)))
    assert SOURCE.replace(old, new) != SOURCE
    for name in ("step", "Net", "user"):
        assert digest(getattr(before, name)) == digest(getattr(after, name))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("LIMIT = 3", "LIMIT = 4"),
        ("x + 1", "x + 2"),
        ("x + 1", "x - 1"),
        ("scale=2.0", "scale=2.5"),
        ("y < LIMIT", "y > LIMIT"),
        ("(x, y)]", "(y, x)]"),
        ("step(x) *", "step(x, 1.0) *"),
        ("SLOPE = 0.5", "SLOPE = 0.25"),
    ],
)
def test_what_is_done_counts_however_far_away(old: str, new: str, tmp_path: Path) -> None:
    before, after = (module(text, tmp_path) for text in (SOURCE, SOURCE.replace(old, new)))
    assert digest(before.Net) != digest(after.Net)


def test_a_function_that_remembers_counts_by_what_it_does(tmp_path: Path) -> None:
    before, after = (module(t, tmp_path) for t in (SOURCE, SOURCE.replace("x * 7", "x * 8")))
    assert digest(before.user) != digest(after.user)


@pytest.mark.parametrize("place", ["lib/python3/site-packages", "dist-packages"])
def test_libraries_count_by_name_only(place: str, tmp_path: Path) -> None:
    other = SOURCE.replace("x + 1", "x + 2")
    before, after = (module(text, tmp_path / place, "somewhere") for text in (SOURCE, other))
    assert digest(before.step) == digest(after.step)
    assert digest(before.step) != digest(before.helper)


@pytest.mark.parametrize("package", ["somewhere", "research.studies"])
def test_what_the_user_wrote_counts_wherever_it_lies(package: str, tmp_path: Path) -> None:
    other = SOURCE.replace("x + 1", "x + 2")
    before, after = (module(text, tmp_path, package) for text in (SOURCE, other))
    assert digest(before.Net) != digest(after.Net)
    assert digest(before.Net()) != digest(after.Net())  # an object by its type


def test_a_module_that_a_study_imports_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def imported(text: str) -> ModuleType:
        (tmp_path / "nets_of_a_user.py").write_text(text)
        sys.modules.pop("nets_of_a_user", None)
        importlib.invalidate_caches()
        return importlib.import_module("nets_of_a_user")

    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    study = "import nets_of_a_user\ndef study(x):\n    return nets_of_a_user.step(x)"
    digests = set()
    for text in (SOURCE, SOURCE.replace("x + 1", "x + 22"), "# a comment\n" + SOURCE):
        imported(text)
        digests.add(digest(module(study, tmp_path / "studies", "research.studies").study))
    assert len(digests) == 2
    sys.modules.pop("nets_of_a_user")


def test_python_and_torch_stand_for_themselves() -> None:
    for name in ("functools", "json.decoder", "torch._C._nn", "torch.ops", "torch.nn.functional"):
        assert not fingerprint._is_own(name)
    assert fingerprint._is_own("research.training.loop")


def closing_over(value: Any) -> Callable[[], Any]:
    return lambda: value


@dataclass
class Pair:
    first: Any
    second: Any


@dataclass
class Scaled:
    factor: float

    def __call__(self, x: float) -> float:
        return self.factor * x


@dataclass
class Shifted:
    factor: float

    def __call__(self, x: float) -> float:
        return self.factor + x


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (Scaled(2.0).__call__, Scaled(3.0).__call__),
        (Scaled(2.0), Shifted(2.0)),
        (1, 2),
        (1, 1.0),
        (1, True),
        ("1", 1),
        (torch.tensor([1.0, 2.0]), torch.tensor([2.0, 1.0])),
        (torch.zeros(2, 3), torch.zeros(3, 2)),
        (torch.zeros(2), torch.zeros(2, dtype=torch.int32)),
        (np.zeros(2), np.ones(2)),
        ([1, [2]], [[1], 2]),
        ({"a": 1}, {"a": 2}),
        (Pair(1, torch.tensor(1)), Pair(1, torch.tensor(2))),
        (functools.partial(closing_over, 1), functools.partial(closing_over, 2)),
        (nn.ReLU, nn.Sigmoid),
        (nn.ReLU(), nn.Sigmoid()),
        (nn.CrossEntropyLoss(label_smoothing=0.1), nn.CrossEntropyLoss(label_smoothing=0.2)),
        (nn.CrossEntropyLoss(torch.ones(2)), nn.CrossEntropyLoss(torch.zeros(2))),
        (nn.Sequential(nn.Linear(2, 2)), nn.Sequential(nn.Linear(2, 2))),  # of other first weights
    ],
)
def test_values_count_also_where_a_function_closes_over_them(a: Any, b: Any) -> None:
    assert digest(a) == digest(a)
    assert digest(a) != digest(b)
    assert digest(closing_over(a)) == digest(closing_over(a))
    assert digest(closing_over(a)) != digest(closing_over(b))


def test_the_place_of_a_file_does_not_count() -> None:
    assert digest(closing_over(Path("/a"))) == digest(closing_over(Path("/b/c")))


def test_functions_that_call_each_other_come_to_an_end(tmp_path: Path) -> None:
    text = (
        "def even(n):\n    return n == 0 or odd(n - 1)\ndef odd(n):\n    return n and even(n - 1)"
    )
    before, after = (module(t, tmp_path) for t in (text, text.replace("== 0", "== 1")))
    assert digest(before.odd) != digest(after.odd)


def test_the_training_loop_is_reached_through_its_helpers() -> None:
    visited: list[Any] = []
    walk = fingerprint._Walk()
    visited += list(walk.parts([loop.fit, Split]))  # its samples are digested beside it
    assert graphs._step_by_step in walk._kept
    assert any(getattr(one, "__name__", "") == "batches" for one in walk._kept)


def test_another_process_gives_the_same_digest() -> None:
    program = (
        "from research import models; from research.training import loop;"
        "from research.training.fingerprint import digest;"
        "print(digest(models.CnnA, loop.fit, {'a', 'b', 'c'}))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == digest(models.CnnA, loop.fit, {"a", "b", "c"})
