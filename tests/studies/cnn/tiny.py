"""Settings for the tests of the study `cnn`."""

from pathlib import Path

from research import __main__ as command
from research.records import Results
from research.records import load as read

FLAGS = ["--preset", "sample", "--seeds", "0", "1", "--relu-seeds", "1"]
FLAGS += ["--train.epochs", "1", "--train.lr", "0.03", "--resamples", "40", "--permutations", "19"]
FLAGS += ["--map-points", "150", "--perplexities", "10", "--sample-index", "3"]


def run(store: Path, *more: str) -> None:
    assert command.main(["run", "cnn", "--log", f"folder:{store}", *FLAGS, *more]) == 0


def parent(store: Path) -> Results:
    found = [read(path.parent) for path in store.glob("*/run.json")]
    return next(r for r in found if (r.folder / "tables/spaces.json").exists())
