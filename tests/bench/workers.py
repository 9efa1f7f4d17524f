"""What processes of one thread each save in the sample run of `ae`, against one after the other.

    python -m tests.bench.workers

Whole runs, from reading the data to the figures, each with nothing kept of the others. They take
turns, and each ratio is one of neighbours in time. That the weights are the same, byte by byte, is
asserted before a ratio is printed.
"""

import hashlib
import os
import statistics
import tempfile
import time
from pathlib import Path

import torch

from research import launch, paths, studies
from research.config import Jobs
from research.machine import hardware
from research.tracking import open_store
from tests.bench.turns import ONCE, note

ROUNDS = 1 if ONCE else 3


def timed(jobs: Jobs) -> tuple[float, dict[str, str]]:
    """Seconds of a run, and the sha256 of each model's weights."""
    entry = studies.entry("ae")
    config = launch.study_of(entry).PRESETS["sample"]
    with tempfile.TemporaryDirectory() as folder:
        paths.MODELS = Path(folder, "models")
        store = open_store(f"folder:{folder}/runs")
        start = time.perf_counter()
        id = launch.launch(entry, config, launch.Options("sample", jobs=jobs), store)
        seconds = time.perf_counter() - start
        files = sorted((store.find(id).folder / "weights").glob("*.safetensors"))
        return seconds, {one.name: hashlib.sha256(one.read_bytes()).hexdigest() for one in files}


def main() -> None:
    cores = hardware.granted_cores()
    print(f"torch {torch.__version__}, {cores} cores, load {os.getloadavg()[0]:.1f}")
    ratios = []
    for _ in range(ROUNDS):
        (one, first), (many, second) = timed(1), timed("auto")
        assert first == second and len(first) > 1, (first, second)
        ratios.append(one / many)
        print(f"one process {one:6.1f} s, {cores} at once {many:6.1f} s: × {ratios[-1]:.2f}")
    note("sample run of ae: one process over --jobs auto", statistics.median(ratios), "≥ 1.3", "")
    print(f"ae, sample: × {statistics.median(ratios):.2f} with --jobs auto (goal, idle: 1.3)")


if __name__ == "__main__":
    main()
