"""Runs every study at its full size, or at the one that fits on a CPU: python docs/full.py

What fits stands in docs/full.toml. The studies run one after the other, the cheapest first, each
under its own time limit; a study that reaches it is stopped, and the others run all the same.
Models are kept, so that a second call trains only what the first one left. A folder of images
whose name ends in -partN holds every N-th image of each class, and is made here where it is
missing.
"""

import argparse
import os
import shlex
import subprocess
import sys
import time
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

SETTINGS = Path(__file__).resolve().with_suffix(".toml")


@dataclass(frozen=True)
class Size:
    """How one study is run.

    Attributes:
        data: flags that name the data at hand, on every device.
        cpu: further flags that make it smaller on a CPU.
        minutes: time limit on one core of a CPU.
    """

    data: str
    cpu: str
    minutes: float


def sizes(path: Path = SETTINGS) -> dict[str, Size]:
    """study -> its size, the cheapest first."""
    with path.open("rb") as file:
        return {study: Size(**given) for study, given in tomllib.load(file).items()}


def command(study: str, size: Size, device: str, jobs: str) -> list[str]:
    """What is called for a study: on a GPU the full preset, on a CPU what fits."""
    flags = [*shlex.split(size.data), "--train.device", device, "--jobs", jobs]
    if device == "cpu":
        flags += shlex.split(size.cpu)
    return [sys.executable, "-m", "research", "run", study, "--preset", "full", *flags]


def run(called: Sequence[str], limit: float) -> str:
    """Runs a command; how it ended, in a word: finished, stopped at the limit, or failed.

    Args:
        limit: seconds after which it is told to end, which it does as a run that can be resumed.
    """
    process = subprocess.Popen(called)
    try:
        code = process.wait(limit)
    except subprocess.TimeoutExpired:
        return "stopped at its time limit"
    finally:
        process.terminate()
        process.wait()
    return "finished" if code == 0 else f"failed with exit code {code}"


def thin(folder: Path) -> None:
    """Lays out every N-th image of each class of ROOT as ROOT-partN, by links to the same files."""
    whole, _, part = folder.name.rpartition("-part")
    if folder.exists() or not whole or not part.isdecimal():
        return
    aside = folder.with_name(f".{folder.name}")
    for group in sorted(folder.with_name(whole).glob("*/*/")):
        target = aside / group.parent.name / group.name
        target.mkdir(parents=True, exist_ok=True)
        for image in sorted(group.iterdir())[:: int(part)]:
            (target / image.name).unlink(missing_ok=True)
            (target / image.name).hardlink_to(image.resolve())
    aside.rename(folder)  # so that a folder of that name is whole


def main() -> int:
    known = sizes()
    parser = argparse.ArgumentParser(description="Runs every study at the size that fits.")
    parser.add_argument("studies", nargs="*", metavar="STUDY", help="which; all without")
    parser.add_argument("--device", default="cpu", help="cpu takes what fits, cuda the full size")
    parser.add_argument("--jobs", default="auto", help="networks that train at once, as `run`")
    parser.add_argument("--minutes", type=float, help="limit for each, instead of the file's")
    given = parser.parse_args()
    if strangers := [name for name in given.studies if name not in known]:
        print(f"{SETTINGS.name} knows {', '.join(known)}, got {strangers[0]}", file=sys.stderr)
        return 2
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    ends = {}
    for study in given.studies or known:
        start, size = time.monotonic(), known[study]
        called = command(study, size, given.device, given.jobs)
        for word in called:
            thin(Path(word))
        ends[study] = run(called, 60 * (given.minutes or size.minutes))
        print(f"{study}: {ends[study]} after {(time.monotonic() - start) / 60:.1f} min", flush=True)
    return 0 if set(ends.values()) == {"finished"} else 1


if __name__ == "__main__":
    sys.exit(main())
