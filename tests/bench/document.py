"""Writes docs/benchmarks.md from what benchmarks measured, docs/benchmarks/*.json.

    python -m tests.bench.document

Each file holds the machine's facts, the rows with their goals, and the checks that came first.
"""

import json
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parents[2] / "docs"
HEAD = """# Benchmarks
Both sides of each comparison ran in one process on the machine named; equal results were checked
before anything was timed. `make bench` measures a CPU anew, `python -m tests.bench.gpu --out
docs/benchmarks/gpu.json` a GPU; `python -m tests.bench.document` writes this page.
"""
BUSY = "Other work kept this machine busy: compare the ratios, not the times."
UNMEASURED = "## gpu\nNot measured yet.\n"


def page(path: Path) -> str:
    """One file of measurements as Markdown."""
    measured = json.loads(path.read_text(encoding="utf-8"))
    machine = ", ".join(f"{name} {value}" for name, value in _told(measured["machine"]).items())
    rows = [f"| {row['row']} | {shown(row)} | {row['goal']} | {row['note']} |"
            for row in measured["rows"]]  # fmt: skip
    checks = [
        f"- {'PASS' if one['passed'] else 'FAIL'} {one['check']}: {one['note']}"
        for one in measured["checks"]
    ]
    table = ["| what | measured | goal | |", "|---|---|---|---|", *rows]
    facts = measured["machine"]
    cores = facts.get("cores") or facts["cpus"]
    busy = ["", BUSY] if facts["load"] > cores / 2 else []
    return "\n".join(
        [f"## {path.stem}", machine, *busy, "", *table, "", "Checked first:", *checks, ""]
    )


def _told(machine: dict[str, Any]) -> dict[str, Any]:
    """The facts that matter to a reader, rounded."""
    return {key: round(value, 1) if isinstance(value, float) else value
            for key, value in machine.items()}  # fmt: skip


def shown(row: dict[str, Any]) -> str:
    """A value to four digits, with its unit."""
    value = float(row["value"])
    digits = f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"
    return f"{digits} {row['unit']}"


def main() -> None:
    pages = [page(path) for path in sorted((DOCS / "benchmarks").glob("*.json"))]
    if not (DOCS / "benchmarks/gpu.json").exists():
        pages.append(UNMEASURED)
    (DOCS / "benchmarks.md").write_text("\n".join([HEAD, *pages]), encoding="utf-8")


if __name__ == "__main__":
    main()
