"""FGSM at seven eps here against foolbox's, which takes a gradient for each eps.

    python tests/bench_adversarial.py

Both sides attack the same network with the same cross-entropy on the same 1,000 images of random
pixels in batches of 500; equal adversarial images and equal counts are asserted before anything is
timed. They take turns in one process, and each ratio is one of neighbours in time.
"""

import statistics
import time
from collections.abc import Callable

import torch
from foolbox.attacks import FGSM
from foolbox.models.pytorch import PyTorchModel
from torch import Tensor, nn

from research.adversarial import (
    accuracy_curve,
    cross_entropy_loss,
    fgsm,
    input_gradient,
    predictions,
)
from research.universal import fooling_matrix, random_signs

ROUNDS = 5
BATCH = 500
EPS = [0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3]


def lenet() -> nn.Module:
    torch.manual_seed(0)
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


def ours(model: nn.Module, images: Tensor, labels: Tensor) -> list[int]:
    gradient = input_gradient(model, images, labels, cross_entropy_loss, batch=BATCH)
    return accuracy_curve(model, images, labels, gradient, EPS, batch=BATCH)


def theirs(model: nn.Module, images: Tensor, labels: Tensor) -> list[int]:
    reference = PyTorchModel(model, bounds=(0, 1), device="cpu")
    counts = torch.zeros(len(EPS), dtype=torch.long)
    for x, y in zip(torch.split(images, BATCH), torch.split(labels, BATCH), strict=True):
        _, _, success = FGSM()(reference, x, y, epsilons=EPS)
        counts += (~success).sum(1)
    result: list[int] = counts.tolist()
    return result


def seconds(work: Callable[[], object]) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def compare(names: tuple[str, str], works: tuple[Callable[[], object], ...]) -> None:
    """Times the two in turn and prints how much longer the first takes."""
    pairs = [[seconds(work) for work in works] for _ in range(ROUNDS)]
    for index, clock in enumerate(("wall", "CPU")):
        first, second = ([pair[side][index] for pair in pairs] for side in (0, 1))
        ratio = statistics.median(a / b for a, b in zip(first, second, strict=True))
        print(
            f"  {clock:4}  {names[0]} min {min(first):.2f} median "
            f"{statistics.median(first):.2f} s, {names[1]} min {min(second):.2f} median "
            f"{statistics.median(second):.2f} s, ratio {ratio:.2f}"
        )


def seven_eps(model: nn.Module, images: Tensor, labels: Tensor) -> None:
    gradient = input_gradient(model, images, labels, cross_entropy_loss)
    reference = PyTorchModel(model, bounds=(0, 1), device="cpu")
    _, clipped, _ = FGSM()(reference, images, labels, epsilons=EPS)
    for eps, adv_inputs in zip(EPS, clipped, strict=True):
        assert torch.equal(fgsm(images, gradient, eps), adv_inputs), eps
    counts = ours(model, images, labels), theirs(model, images, labels)
    assert counts[0] == counts[1], counts
    print(f"equal work: {len(images)} images, right at each eps {counts[0]}")
    compare(
        ("foolbox", "here"),
        (lambda: theirs(model, images, labels), lambda: ours(model, images, labels)),
    )


def matrix(model: nn.Module, images: Tensor) -> None:
    """What the n × n fooling matrix costs beyond classifying n² images that lie ready."""
    some, noises = images[:BATCH], random_signs(10, images.shape[1:], 0.2, seed=0)
    ready = torch.cat([(some + noise).clamp(0, 1) for noise in noises])
    rows = fooling_matrix(model, some, noises, batch=BATCH)
    changed = predictions(model, ready, BATCH).view(10, -1) != predictions(model, some, BATCH)
    assert torch.equal(rows, changed)
    print(f"fooling matrix: {len(noises)} noises × {len(some)} samples, equal to plain inference")
    compare(
        ("inference", "matrix"),
        (
            lambda: predictions(model, ready, BATCH),
            lambda: fooling_matrix(model, some, noises, batch=BATCH),
        ),
    )


def main() -> None:
    torch.set_num_threads(1)
    model = lenet()
    images = torch.rand(1000, 1, 28, 28)
    # as if nearly all were right, so that neither side has less to do
    labels = predictions(model, images)
    labels[:20] = (labels[:20] + 1) % 10
    seven_eps(model, images, labels)
    matrix(model, images)


if __name__ == "__main__":
    main()
