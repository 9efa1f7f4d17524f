"""Settings for the tests of the study `zf`."""

import html
import re
from pathlib import Path

from research import __main__ as command
from research.records import Results
from research.records import load as read

SIDE, WINDOW, STRIDE = 48, 12, 9
FLAGS = ["--preset", "sample", "--data.name", "folder", "--data.size", "52", "--side", str(SIDE)]
FLAGS += ["--seeds", "0", "1", "--width", "0.0625", "--train.epochs", "3", "--train.batch", "5"]
FLAGS += ["--train.lr", "0.006", "--lengths", "1", "2", "--shown", "2", "--window", str(WINDOW)]
FLAGS += ["--stride", str(STRIDE), "--occluded", "6", "--moved", "8"]


def run(store: Path, root: Path, *more: str) -> int:
    where = ["--log", f"folder:{store}", "--data.root", str(root)]
    return command.main(["run", "zf", *FLAGS, *where, *more])


def parents(store: Path) -> list[Results]:
    """The records of a store without those of single models, the newest first."""
    found = [read(path.parent.parent) for path in store.glob("*/tables/layers.json")]
    return sorted(found, key=lambda record: record.folder.stat().st_mtime, reverse=True)


def report(paper: Path, store: Path) -> str:
    """Builds the write-up in a folder; its text without tags."""
    assert command.main(["report", "zf", "--log", f"folder:{store}"]) == 0
    body = (paper / "zf.html").read_text().split("<body")[1].split("<script")[0]
    return " ".join(html.unescape(re.sub("<[^>]*>", "", body)).replace("’", "'").split())


def evenly(count: int) -> list[int]:
    """Places in 60 test images."""
    return [i * 60 // count for i in range(count)]
