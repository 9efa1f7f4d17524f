"""Settings for the tests of the study `seq2seq`."""

from pathlib import Path

from research import __main__ as command
from research.records import Results
from research.records import load as read
from research.tracking import open_store

SIZES = {"size": 150, "valid": 20, "test": 25, "min_count": 1}
FLAGS = [f"--data.{name.replace('_', '-')}={value}" for name, value in SIZES.items()]
FLAGS += ["--train.epochs=3", "--train.lr=0.01", "--embedding=12", "--hidden=16", "--beam=3"]
FLAGS += ["--copy-epochs=1", "--seeds"]


def run(store: Path, *more: str) -> Results:
    """Runs with tiny settings, then `more`: the seeds first; the record."""
    start = ["run", "seq2seq", "--preset", "sample", "--log", f"folder:{store}", *FLAGS, *more]
    assert command.main(start) == 0
    return read(open_store(f"folder:{store}").runs("seq2seq")[0].folder)
