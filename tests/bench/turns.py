"""What all benchmarks share: sides that take turns in one process, and networks that peers know.

Each ratio is one of neighbours in time, so that a machine whose speed drifts does not decide it.
RESEARCH_BENCH=FILE, which `tests.bench.suite` sets, has ratios noted there after a few
turns each.
"""

import json
import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from torch import Tensor, nn
from torch.nn import functional as F

Work = Callable[[], object]

ONCE = os.environ.get("RESEARCH_BENCH", "")
"""file of the ratios where each is measured once, at a size for minutes"""

ENOUGH = 2.0
"""seconds after which no more turns are begun where there are minutes for all ratios"""

EPS = (0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3)
"""the tutorial's attacks"""


def seconds(work: Work) -> tuple[float, float]:
    """Wall and CPU time of some work."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def compare(
    works: Mapping[str, Work],
    rounds: int,
    ours: Sequence[str] = ("here",),
    *,
    what: str,
    goals: Mapping[str, str] = {},
) -> None:
    """Times all sides in turn, and prints how much longer each other takes than each of ours.

    Arguments:
        what: is compared, for the table of all benchmarks.
        goals: of the ratios, by the other side's name.
    """
    found = _turns(works, rounds)
    for index, clock in enumerate(("wall", "CPU")):
        times = {name: [each[name][index] for each in found] for name in works}
        for name, values in times.items():
            least, middle = (1000 * value for value in (min(values), statistics.median(values)))
            print(f"  {clock:4}  {name:18} min {least:8.1f} median {middle:8.1f} ms", end="")
            for own in ours if name not in ours else ():
                print(f", {_ratio(found, name, own, index):6.2f} × {own}", end="")
            print(flush=True)
    for name, own in ((name, own) for name in works if name not in ours for own in ours):
        wall, cpu = (_ratio(found, name, own, index) for index in (0, 1))
        about = f"{1000 * min(each[name][0] for each in found):.0f} ms; {cpu:.3g} in CPU time"
        note(f"{what}: {name} over {own}", wall, goals.get(name, ""), about)


_Times = dict[str, tuple[float, float]]


def _turns(works: Mapping[str, Work], rounds: int) -> list[_Times]:
    """Wall and CPU times of all sides, round by round; for the table as many as seconds allow."""
    found: list[_Times] = []
    start = time.perf_counter()
    while len(found) < rounds and not (ONCE and found and time.perf_counter() - start > ENOUGH):
        found.append({name: seconds(work) for name, work in works.items()})
    return found


def _ratio(found: Sequence[_Times], name: str, own: str, index: int) -> float:
    return statistics.median(each[name][index] / each[own][index] for each in found)


def note(row: str, value: float, goal: str, about: str, unit: str = "times as long") -> None:
    """Adds a row to the table of all benchmarks, where one is being made."""
    if ONCE:
        with Path(ONCE).open("a", encoding="utf-8") as file:
            line = {"row": row, "value": value, "unit": unit, "goal": goal, "note": about}
            file.write(json.dumps(line) + "\n")


def lenet() -> nn.Sequential:
    """The first FGSM tutorial's network without its dropout."""
    return nn.Sequential(
        nn.Conv2d(1, 10, 5),
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Conv2d(10, 20, 5),
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(320, 50),
        nn.ReLU(),
        nn.Linear(50, 10),
    ).eval()


def tutorial(model: nn.Module, images: Tensor, labels: Tensor) -> list[int]:
    """One image at a time, and its gradient anew for every eps, as the tutorial's `test` does."""
    counts = []
    for eps in EPS:
        correct = 0
        for i in range(len(images)):
            x, y = images[i : i + 1].clone().requires_grad_(), labels[i : i + 1]
            output = model(x)
            if output.argmax(1).item() != y.item():
                continue
            model.zero_grad()
            F.cross_entropy(output, y).backward()  # type: ignore[no-untyped-call]
            assert x.grad is not None
            attacked = model((x + eps * x.grad.sign()).clamp(0, 1))
            correct += int(attacked.argmax(1).item() == y.item())
        counts.append(correct)
    return counts
