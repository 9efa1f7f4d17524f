"""The scripts that write pages of docs/, as modules."""

import importlib.util
import sys
from types import ModuleType

from research.paths import SOURCE


def script(name: str) -> ModuleType:
    """docs/NAME.py, imported."""
    spec = importlib.util.spec_from_file_location(name, SOURCE / f"docs/{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # its dataclasses look for it
    spec.loader.exec_module(module)
    return module
