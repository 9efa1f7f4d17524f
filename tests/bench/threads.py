"""Two threads against one on the networks' own batches, on this machine as it is and kept busy.

    python -m tests.bench.threads [--idle]

Both sides make the same steps from the same weights; equal losses and gradients are asserted
before anything is timed. They take turns in one process, and each ratio is one of neighbours in
time. Beside them run two processes that do nothing but count, unless `--idle` is given.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from research.machine import threads
from research.models import ConvAutoencoder, TutorialCnn, Vgg16, ZFNet
from research.training import cost

ROUNDS, SECONDS = 3, 3.0

Net = tuple[str, Callable[[], nn.Module], tuple[int, int, int, int]]

NETS: tuple[Net, ...] = (
    ("autoencoder, 32 of 32²", lambda: ConvAutoencoder(3, "transpose"), (32, 3, 32, 32)),
    ("autoencoder, 128 of 32²", lambda: ConvAutoencoder(3, "transpose"), (128, 3, 32, 32)),
    ("ZFNet / 8, 32 of 64²", lambda: ZFNet(0.125, 4, side=64), (32, 3, 64, 64)),
    ("VGG16 / 4, 64 of 32²", lambda: Vgg16(0.25), (64, 3, 32, 32)),
    ("tutorial's CNN, 64 of 28²", TutorialCnn, (64, 1, 28, 28)),
    ("VGG16, 32 of 32²", lambda: Vgg16(1), (32, 3, 32, 32)),
    ("VGG16, 128 of 32²", lambda: Vgg16(1), (128, 3, 32, 32)),
    ("ZFNet, 32 of 224²", lambda: ZFNet(1, 10), (32, 3, 224, 224)),
)


@contextmanager
def busy(count: int) -> Iterator[None]:
    """So many processes that take a core each, where they can."""
    spinning = [subprocess.Popen([sys.executable, "-c", "while 1: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in spinning:
            process.kill()
            process.wait()


def step(model: nn.Module, images: Tensor) -> float:
    model.zero_grad()
    loss = model(images).square().mean()
    loss.backward()
    return float(loss.detach())


def check(model: nn.Module, images: Tensor) -> None:
    """Raises AssertionError unless both numbers of threads give the same but for rounding."""
    model.eval()  # no dropout
    found = []
    for count in (1, 2):
        with threads.limited(count):
            loss = step(model, images)
        found.append((loss, [w.grad.clone() for w in model.parameters() if w.grad is not None]))
    (one, first), (two, second) = found
    assert abs(one - two) <= 1e-4 * abs(one), (one, two)
    for a, b in zip(first, second, strict=True):
        assert float((a - b).norm()) <= 1e-2 * float(a.norm()) + 1e-12
    model.train()


def timed(model: nn.Module, images: Tensor, count: int) -> tuple[float, float]:
    """Seconds of wall and of CPU time of a step."""
    with threads.limited(count):
        step(model, images)
        steps, wall, cpu = 0, time.perf_counter(), time.process_time()
        while time.perf_counter() - wall < SECONDS:
            step(model, images)
            steps += 1
        return (time.perf_counter() - wall) / steps, (time.process_time() - cpu) / steps


def compare(name: str, make: Callable[[], nn.Module], shape: tuple[int, int, int, int]) -> None:
    torch.manual_seed(0)
    layout = torch.channels_last
    model = make().to(memory_format=layout)
    images = torch.rand(shape).contiguous(memory_format=layout)
    check(model, images)
    with torch.no_grad():
        size = cost.of(lambda: model(images)).operations
    pairs = [(timed(model, images, 1), timed(model, images, 2)) for _ in range(ROUNDS)]
    wall, cpu = (statistics.median(two[i] / one[i] for one, two in pairs) for i in (0, 1))
    rule = "all" if threads.suited(size) > 1 else "one"
    print(f"{name:28} {size:8.1e}  wall × {wall:5.2f}  CPU × {cpu:5.2f}  rule: {rule}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--idle", action="store_true", help="start no processes beside")
    beside = 0 if parser.parse_args().idle else 2
    print(f"torch {torch.__version__}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    print(f"two threads over one, {beside} busy processes beside; operations of a product:")
    with busy(beside):
        for name, make, shape in NETS:
            compare(name, make, shape)


if __name__ == "__main__":
    main()
