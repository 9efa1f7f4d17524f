"""Attacks and universality on a device against the CPU: signs, rates, noises, the verdict."""

import copy

import pytest
import torch
from torch import Tensor, nn

from research.config import Train
from research.data import Split
from research.methods.classification import cross_entropy
from research.methods.deepfool import deepfool
from research.methods.fgsm import (
    accuracy_curve,
    cross_entropy_loss,
    fooling_step,
    input_gradient,
    signed_step,
)
from research.methods.perturbations import (
    cosine_matrix,
    deepfool_uap,
    fooling_matrix,
    gradient_uap,
    principal_signs,
    spectrum,
    transfer,
    within_between,
)
from research.methods.samples import Samples, halves
from research.methods.signs import tied_pixels, wrong_signs
from research.methods.universality import battery
from research.records import Number
from research.training.loop import Training, fit, placed

pytestmark = pytest.mark.cuda

EPS = 0.15


@pytest.fixture(scope="session")
def network(digits: Split) -> nn.Module:
    """With ReLUs, poolings and dropout, trained on the CPU: both sides get the same weights."""
    torch.manual_seed(0)
    settings = Train(epochs=12, batch=32, lr=0.003, device="cpu", precision="float32")
    model = nn.Sequential(
        nn.Conv2d(1, 8, 5, stride=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 16, 3), nn.ReLU(),
        nn.Flatten(), nn.Dropout(0.2), nn.Linear(256, 4),
    )  # fmt: skip
    optimiser = torch.optim.Adam(model.parameters(), lr=0.003)
    list(fit(Training(placed(model, settings), digits, cross_entropy, optimiser, settings, seed=0)))
    return model


@pytest.fixture
def there(network: nn.Module, device: str) -> nn.Module:
    """A copy of it on the device."""
    return placed(copy.deepcopy(network), Train(device=device))


def images_of(split: Split, device: str, count: int = 200) -> tuple[Tensor, Tensor]:
    return split.floats()[:count].to(device), split.labels[:count].to(device)


def test_signs_are_those_of_float64_on_the_cpu(
    network: nn.Module, there: nn.Module, digits: Split, device: str
) -> None:
    here = images_of(digits, "cpu")
    truth = input_gradient(network, *here, dtype=torch.float64)
    tied = tied_pixels(network, *here)
    gradient = input_gradient(there, *images_of(digits, device)).cpu()
    assert wrong_signs(gradient, truth, tied) < 1e-3
    exact = input_gradient(there, *images_of(digits, device), dtype=torch.float64).cpu()
    assert wrong_signs(exact, truth, tied) < 1e-6
    assert torch.allclose(exact[~tied], truth[~tied], rtol=1e-6, atol=1e-9)
    found = tied_pixels(there, *images_of(digits, device)).cpu()
    assert (found != tied).double().mean() < 1e-3


def test_attacked_images_and_curves_are_those_of_the_cpu(
    network: nn.Module, there: nn.Module, digits: Split, device: str
) -> None:
    steps = (0.0, 0.05, 0.1, 0.2)
    found = []
    for model, where in ((network, "cpu"), (there, device)):
        images, labels = images_of(digits, where)
        gradient = input_gradient(model, images, labels)
        plain = input_gradient(model, images, labels, cross_entropy_loss)
        curve = accuracy_curve(model, images, labels, gradient, steps)
        moved = fooling_step(model, images, labels.flip(0), 2.0)
        found.append((signed_step(images, gradient, EPS).cpu(), plain.cpu(), curve, moved.cpu()))
    (first, plain, curve, moved), (second, other, counts, shifted) = found
    assert ((first - second).abs() > 1e-6).double().mean() < 5e-3  # where a sign is another
    assert torch.allclose(plain, other, rtol=1e-3, atol=1e-5)
    assert torch.allclose(moved, shifted, atol=1e-4)
    assert curve[0] > 150 > curve[-1]
    assert counts == pytest.approx(curve, abs=3)


def test_geometry_of_noises_is_that_of_the_cpu(digits: Split, device: str) -> None:
    order = torch.Generator().manual_seed(0)
    noises = torch.randn(30, 1, 12, 12, generator=order)
    labels = torch.arange(30) % 4
    for name, measure in {"cosines": cosine_matrix, "spectrum": spectrum}.items():
        assert torch.allclose(measure(noises.to(device)).cpu(), measure(noises)), name
    found, wanted = (
        within_between(cosine_matrix(x), y, y, paired=True)
        for x, y in ((noises.to(device), labels.to(device)), (noises, labels))
    )
    for key, number in wanted.items():
        ends = [number.value, *(number.bounds or ())]
        assert [found[key].value, *(found[key].bounds or ())] == pytest.approx(ends, abs=1e-9)
    signs = principal_signs(noises.to(device), EPS).cpu()
    assert (signs == principal_signs(noises, EPS)).double().mean() > 0.99


def test_noises_for_all_and_what_they_fool_are_those_of_the_cpu(
    network: nn.Module, there: nn.Module, digits: Split, device: str
) -> None:
    found = []
    for model, where in ((network, "cpu"), (there, device)):
        images, labels = images_of(digits, where, 60)
        shared = gradient_uap(model, images, labels, EPS, epochs=3, batch=20)
        least = deepfool(model, images[:1], int(model.eval()(images[:1]).argmax()))
        summed = deepfool_uap(model, images[:8], EPS, passes=1)
        own = EPS * input_gradient(model, images, labels).sign()
        matrix = fooling_matrix(model, images, torch.stack([shared, summed, *own[:5]]))
        counts = transfer([model, model], images, labels, [own, shared])
        found.append([x.cpu() for x in (shared, least, summed, matrix, *counts)])
    (shared, least, summed, matrix, fooled, both), second = found
    assert (second[0] - shared).abs().mean() < 0.02 * EPS
    assert torch.allclose(second[1], least, atol=1e-3)
    assert (second[2] - summed).abs().mean() < 0.02 * EPS
    assert (second[3] != matrix).double().mean() < 0.02
    assert (second[4] - fooled).abs().max() <= 2 and (second[5] - both).abs().max() <= 1


def test_the_battery_draws_the_same_samples_and_comes_to_the_same_verdict(
    network: nn.Module, there: nn.Module, digits: Split, device: str
) -> None:
    found = []
    for model, where in ((network, "cpu"), (there, device)):
        sets = halves(model, digits.to(where), 40, 60)
        examined = battery(model, *sets, EPS, classes=4, cells=24, random=8, deepfool=4)
        found.append((sets, examined))
    (sets, wanted), (others, other) = found
    for one, two in zip(sets, others, strict=True):
        assert isinstance(one, Samples)
        apart = (one.images - two.images.cpu()).abs() > 1e-6  # the last bit is each device's own
        share = apart.flatten(1).any(1).double().mean()
        assert share < 0.1  # an image at a boundary may be right on one side alone
    assert other.verdict == wanted.verdict
    for name, number in wanted.numbers.items():
        tolerance = 0.05 if "fooling" in name else 0.02 * max(1.0, abs(number.value))
        assert other.numbers[name].value == pytest.approx(number.value, abs=tolerance), name
    for column in ("crafted", "held_out"):
        cells = zip(wanted.candidates.column(column), other.candidates.column(column), strict=True)
        for rate, its in cells:
            assert isinstance(rate, Number) and isinstance(its, Number)
            assert its.value == pytest.approx(rate.value, abs=0.08)
