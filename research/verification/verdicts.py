"""`research verify`: the verdict on each file, within bounded memory, as lines or as JSON."""

import dataclasses
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from research.errors import UserError
from research.records import load
from research.tracking import Store
from research.tracking.mutations import mutations
from research.verification.verify import Problem, Verdict, against, read_trail, verify

MEMORY = 4 << 30
"""Bytes of address space that reading a stranger's file may take beyond what is in use."""


def checked(path: Path, store: Store | None) -> Verdict:
    """The verdict on a PDF by itself and, where a store is given, on the run that it names."""
    with bounded():
        try:
            verdict = verify(path)
        except MemoryError:
            return Verdict(
                (Problem("refused", "", f"reading it takes more than {MEMORY >> 30} GiB"),)
            )
    if store is None or not verdict.run:
        return verdict
    found = _stored(path, verdict.run, store)
    return dataclasses.replace(verdict, problems=(*verdict.problems, *found))


def _stored(path: Path, run: str, store: Store) -> Iterator[Problem]:
    """What the store says: whether the run is still what it was, and what the PDF names."""
    trail = read_trail(path)
    try:
        summary = store.find(run)
        record = load(summary.folder)
    except (UserError, FileNotFoundError):
        yield from against(trail, None)
        return
    yield from (Problem("store", run[:8], line) for line in mutations(summary, store))
    yield from against(trail, record)


@contextmanager
def bounded() -> Iterator[None]:
    """Less memory than the machine has, where the system can promise that."""
    try:
        import resource
    except ImportError:  # not on Windows
        yield
        return
    import psutil

    former = resource.getrlimit(resource.RLIMIT_AS)
    # libraries that are loaded take gigabytes of it; at less than that nothing more can be had,
    # which C code answers by a crash
    ceiling = psutil.Process().memory_info().vms + MEMORY
    if former[1] != resource.RLIM_INFINITY:
        ceiling = min(ceiling, former[1])
    resource.setrlimit(resource.RLIMIT_AS, (ceiling, former[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, former)


def as_text(verdicts: Mapping[str, Verdict]) -> str:
    return "\n".join(line for path, verdict in verdicts.items() for line in _lines(path, verdict))


def _lines(path: str, verdict: Verdict) -> Iterator[str]:
    if verdict.ok:
        counts = ", ".join(f"{count} {name}" for name, count in verdict.counts.items())
        yield f"{path}: verified: {counts}; run {verdict.run}"
        return
    yield f"{path}: NOT verified, {len(verdict.problems)} found"
    yield from (f"  {problem}" for problem in verdict.problems)


def as_json(verdicts: Mapping[str, Verdict]) -> str:
    """path -> {ok, run, counts, problems: [{kind, where, message}]}"""
    content = {
        path: {
            "ok": verdict.ok, "run": verdict.run, "counts": dict(verdict.counts),
            "problems": [dataclasses.asdict(problem) for problem in verdict.problems],
        }
        for path, verdict in verdicts.items()
    }  # fmt: skip
    return json.dumps(content, indent=1, ensure_ascii=False)
