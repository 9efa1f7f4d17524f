"""How the benchmark of a GPU measures: rows, checks and sections, told as they come."""

import statistics
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from research.data import Split
from research.training import graphs

CUDA = torch.cuda.is_available()
DEVICE = "cuda" if CUDA else "cpu"
PRECISION: Any = "bfloat16" if CUDA else "float32"
START = time.perf_counter()
ROWS: list[dict[str, Any]] = []
CHECKS: list[dict[str, Any]] = []


def wait() -> None:
    if CUDA:
        torch.cuda.synchronize()


def seconds(work: Callable[[], object]) -> float:
    wait()
    start = time.perf_counter()
    work()
    wait()
    return time.perf_counter() - start


def best(work: Callable[[], object], rounds: int = 3) -> float:
    """The median of some rounds after one that warms up."""
    work()
    return statistics.median(seconds(work) for _ in range(rounds))


def row(name: str, value: float, unit: str, goal: str = "", note: str = "") -> None:
    ROWS.append({"row": name, "value": value, "unit": unit, "goal": goal, "note": note})
    print(
        f"  [{time.perf_counter() - START:5.0f} s] {name}: {value:,.4g} {unit}  {note}", flush=True
    )


def check(name: str, passed: bool, note: str) -> None:
    CHECKS.append({"check": name, "passed": bool(passed), "note": note})
    print(f"  {'PASS' if passed else 'FAIL'} {name}: {note}", flush=True)


@contextmanager
def section(name: str) -> Iterator[None]:
    print(f"{name}", flush=True)
    try:
        yield
    except Exception as error:  # the other rows shall be measured all the same
        check(name, False, f"{type(error).__name__}: {str(error)[:300]}")
        traceback.print_exc()
    if CUDA:
        torch.cuda.empty_cache()


@contextmanager
def step_by_step(asked: bool = True) -> Iterator[None]:
    former = graphs.usable
    if asked:
        graphs.usable = lambda device: False
    try:
        yield
    finally:
        graphs.usable = former


def pictures(count: int, shape: tuple[int, int, int] = (3, 32, 32)) -> Split:
    order = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, *shape), dtype=torch.uint8, generator=order)
    return Split(images, torch.randint(0, 10, (count,), generator=order)).to(DEVICE)
