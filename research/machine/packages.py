"""Packages of the environment: what a verb imports, and which part of the project brings it."""

import importlib.util
from collections.abc import Sequence

from research.errors import UserError
from research.paths import SOURCE

REPORT = ("jinja2", "pikepdf", "pypandoc", "pypdfium2", "weasyprint", "ziamath")
TRACK = ("mlflow",)
CLUSTER = ("submitit",)
ARCHIVE = ("mlcroissant", "rocrate")
PARTS = {"archive": ARCHIVE, "cluster": CLUSTER, "report": REPORT, "track": TRACK}
"""optional part of the project -> the modules that it brings"""


def need(modules: Sequence[str], what: str) -> None:
    """Looks for modules before any work is done, without importing them.

    Raises:
        UserError: some are not installed; one line with what installs them.
    """
    lacking = [name for name in modules if importlib.util.find_spec(name) is None]
    if not lacking:
        return
    parts = ",".join(part for part, own in PARTS.items() if set(own) & set(lacking))
    listed = ", ".join(lacking)
    here = (SOURCE / "pyproject.toml").is_file()
    install = "make setup, or pip install '." if here else "pip install 'research-report-generator"
    raise UserError(f"{what} needs {listed}, which this Python lacks: {install}[{parts}]'")
