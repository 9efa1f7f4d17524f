"""Every ratio once, within six minutes on two cores; a table at the end with the goals.

    python -m tests.bench.suite [--seconds 345] [--out docs/benchmarks/cpu.json]

Each benchmark runs in a process of its own. Those that time does not suffice for are named as not
measured; `make bench-full` measures all of them in many turns.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from research.machine import hardware
from tests.bench.document import DOCS, shown

BENCHES = ("train", "adversarial", "deconvnet", "occlusion", "distances", "workers")
"""the quick ones first"""


def measured(bench: str, seconds: float, file: Path) -> str:
    """Runs one benchmark, whose ratios go to the file; why it did not end well, or nothing."""
    if seconds < 5:
        return "not begun: out of time"
    command = [sys.executable, "-m", f"tests.bench.{bench}"]
    try:
        done = subprocess.run(
            command, env=os.environ | {"RESEARCH_BENCH": str(file)}, timeout=seconds
        )
    except subprocess.TimeoutExpired:
        return "stopped: out of time"
    return "" if done.returncode == 0 else f"failed with exit code {done.returncode}"


def facts() -> dict[str, Any]:
    machine = hardware.facts()
    return {
        "torch": torch.__version__,
        "python": platform.python_version(),
        "cpu": machine["cpu"],
        "cores": machine["cores"],
        "memory_gib": machine["memory_gib"],
        "threads": torch.get_num_threads(),
        "load": os.getloadavg()[0],
        "date": datetime.now(UTC).date().isoformat(),
    }


def children() -> float:
    """CPU time in s of all processes that were started here and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def table(rows: list[dict[str, Any]]) -> str:
    """What was measured, with the goal beside each."""
    width = max((len(row["row"]) for row in rows), default=0)
    lines = [f"{row['row']:{width}}  {shown(row):>24}  {row['goal']}" for row in rows]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=345)
    parser.add_argument("--out", type=Path, default=DOCS / "benchmarks/cpu.json")
    asked = parser.parse_args()
    start, machine, checks = time.monotonic(), facts(), []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "rows.jsonl")
        file.touch()
        for bench in BENCHES:
            print(f"--- {bench}", flush=True)
            # none takes more than its half, so that a busy machine still measures some of each
            left = asked.seconds - (time.monotonic() - start)
            before = children()
            why = measured(bench, min(left, asked.seconds / 2), file)
            # each asserts equal results before it times anything
            note = why or f"equal results on both sides; {children() - before:.0f} s of CPU time"
            checks.append({"check": bench, "passed": not why, "note": note})
        rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    content = {"machine": machine, "rows": rows, "checks": checks}
    asked.out.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"\n{table(rows)}\n")
    for one in checks:
        print(f"{'PASS' if one['passed'] else 'OPEN'} {one['check']}: {one['note']}")
    print(f"{time.monotonic() - start:.0f} s; python -m tests.bench.document writes the page")


if __name__ == "__main__":
    main()
