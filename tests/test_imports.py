"""Who may import whom: the arrow from configuration to PDF goes one way."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import research

ROOT = Path(research.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
ONLY = {
    "mlflow": ("research.tracking",),
    "jinja2": ("research.report.render",),
    "weasyprint": ("research.report.pdf",),
    "sacrebleu": ("research.methods.translation",),
    "tyro": ("research.__main__", "research.launch"),
}
"""library -> the modules that may import it"""

FORBIDDEN = {
    "research.report": ("torch", "torchvision", "matplotlib", "research.studies"),
    "research.tracking": ("torch", "matplotlib", "research.studies", "research.report"),
    "research.data": ("research.tracking", "research.figures", "research.studies"),
    "research.figures": ("torch", "research.tracking", "research.studies", "research.report"),
    "research.records": ("torch", "mlflow", "matplotlib"),
    **{
        f"research.{method}": ("research.tracking", "research.figures", "research.studies")
        for method in (
            "activations",
            "adversarial",
            "chain",
            "classification",
            "code",
            "correspondence",
            "crops",
            "deconvnet",
            "distances",
            "duplicates",
            "embedding",
            "filters",
            "invariance",
            "models",
            "occlusion",
            "probes",
            "receptive",
            "reconstruction",
            "seq2seq",
            "stats",
            "strongest",
            "train",
            "universal",
            "universality",
        )
    },
}
"""module or package -> what nothing in it may import"""


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> set[str]:
    """Every module that a file imports, at its top or inside a function."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_imports_go_one_way(path: Path) -> None:
    module, imported = name_of(path), imports(path)
    for library, owners in ONLY.items():
        if not any(within(module, owner) for owner in owners):
            assert not any(within(name, library) for name in imported), f"{module}: {library}"
    for package, forbidden in FORBIDDEN.items():
        if within(module, package):
            for name in forbidden:
                assert not any(within(other, name) for other in imported), f"{module}: {name}"
    if within(module, "research.studies"):
        own = ".".join(module.split(".")[:3])
        others = {
            name for name in imported if within(name, "research.studies") and not within(name, own)
        }
        assert not others, f"{module} imports {others}: studies never import each other"


def test_the_table_speaks_of_modules_that_exist() -> None:
    modules = {name_of(path) for path in FILES}
    named = {*FORBIDDEN, *(owner for owners in ONLY.values() for owner in owners)}
    assert named - {"research.launch"} <= modules


@pytest.mark.parametrize("library", ["torch", "mlflow", "matplotlib", "sklearn", "pandas"])
def test_reading_and_writing_up_loads_no_heavy_library(library: str) -> None:
    code = "import sys, research.__main__, research.report; print(sys.argv[1] in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code, library], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"
