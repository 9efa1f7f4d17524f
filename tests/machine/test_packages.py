"""Packages that an environment lacks, because only part of the project was installed."""

import importlib.util
import tomllib
from pathlib import Path

import pytest

from research.errors import UserError
from research.machine import packages

ROOT = Path(packages.__file__).parents[2]
BROUGHT_BY = {"pypandoc": "pypandoc-binary"}
"""module -> its package, where that is called otherwise"""


def test_what_is_missing_is_told_with_what_installs_it() -> None:
    packages.need(["json", "numpy"], "a test")
    with pytest.raises(UserError, match=r"^a test needs nosuch, which this Python lacks: make"):
        packages.need(["json", "nosuch"], "a test")


def test_the_part_of_the_project_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"needs jinja2, mlflow, which .*'\.\[report,track\]'$"):
        packages.need(["jinja2", "mlflow"], "a test")
    with pytest.raises(UserError, match=r"'\.\[track\]'$"):
        packages.need(packages.TRACK, "a test")


def test_parts_are_those_of_the_project_and_hold_what_is_asked_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    parts = project["optional-dependencies"]
    for part, modules in packages.PARTS.items():
        named = {line.split("=")[0].split(">")[0] for line in parts[part]}
        assert {BROUGHT_BY.get(name, name.replace("_", "-")) for name in modules} <= named
