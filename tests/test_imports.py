"""The arrow from settings to paper goes one way; the contracts stand in `pyproject.toml`."""

import subprocess
import sys
from pathlib import Path

import pytest

from research.paths import ROOT


def test_imports_keep_the_contracts() -> None:
    lint = Path(sys.executable).with_name("lint-imports")
    if not lint.exists():
        pytest.skip("import-linter is not installed beside this Python")
    done = subprocess.run(
        [lint, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("library", ["torch", "mlflow", "matplotlib", "sklearn", "pandas"])
def test_reading_and_writing_up_loads_no_heavy_library(library: str) -> None:
    code = "import sys, research.__main__, research.report; print(sys.argv[1] in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code, library], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"
