"""Settings for the tests of the study `ae`."""

import json
from pathlib import Path
from typing import Any

from research import __main__ as command
from research.records import Results
from research.records import load as read

FLAGS = ["--data.name", "mnist-sample", "--sample", "3", "--sample-index", "2"]
FLAGS += ["--train.epochs", "2", "--train.batch", "100", "--seeds", "0", "1"]
FLAGS += ["--map-points", "150", "--map-perplexity", "10"]


def run(store: Path, *more: str) -> None:
    assert command.main(["run", "ae", "--log", f"folder:{store}", *FLAGS, *more]) == 0


def newest(store: Path) -> Results:
    """The parent record that started last."""
    found = [read(path.parent) for path in store.glob("*/run.json")]
    return max((r for r in found if not lineage(r)["parent"]), key=lambda r: lineage(r)["started"])


def lineage(record: Results) -> dict[str, Any]:
    return dict(json.loads((record.folder / "tracking/lineage.json").read_text()))
