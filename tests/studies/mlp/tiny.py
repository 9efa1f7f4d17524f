"""Settings for the tests of the study `mlp`."""

import json
from pathlib import Path
from typing import Any

from research import __main__ as command
from research.records import Results
from research.records import load as read

FLAGS = ["--preset", "sample", "--train.epochs", "2", "--train.batch", "100"]
FLAGS += ["--seeds", "0", "1", "--doses", "0", "60", "--dose-seeds", "1", "--noise-images", "40"]
ARMS = ("baseline", "lr", "deep", "biased", "reordered")


def run(store: Path, *more: str) -> Results:
    assert command.main(["run", "mlp", "--log", f"folder:{store}", *FLAGS, *more]) == 0
    found = [read(path.parent) for path in store.glob("*/run.json")]
    (record,) = (one for one in found if "/" not in one.run.name and not lineage(one)["parent"])
    return record


def lineage(record: Results) -> dict[str, Any]:
    return dict(json.loads((record.folder / "tracking/lineage.json").read_text()))
