"""FGSM at seven eps here against foolbox's and the tutorial's, and one noise for all against ART's.

    python -m tests.bench.adversarial [THREADS]

Both sides attack the same network with the same cross-entropy on the same images of random pixels;
equal adversarial images and equal counts are asserted before anything is timed. They take turns in
one process, and each ratio is one of neighbours in time. Two noises for all cannot be equal: both
are made of the same samples of a trained network at the same eps, must keep to it, and are judged
on the same held-out samples, whose share that they fool is printed beside the times.
"""

import sys

import numpy as np
import torch
from art.attacks.evasion import UniversalPerturbation
from art.estimators.classification import (
    PyTorchClassifier,
)
from foolbox.attacks import FGSM
from foolbox.models.pytorch import PyTorchModel
from torch import Tensor, nn
from torch.nn import functional as F

from research.config import Data, Train
from research.data import load
from research.methods.fgsm import (
    accuracy_curve,
    cross_entropy_loss,
    input_gradient,
    predictions,
    signed_step,
)
from research.methods.perturbations import fooling_matrix, gradient_uap, random_signs
from research.methods.samples import Samples, halves
from research.methods.universality import fooled
from research.models import LeNet
from research.training.loop import Training, fit
from tests.bench.turns import EPS, ONCE, compare, lenet, tutorial

ROUNDS = 5
BATCH = 500


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


def seven_eps(model: nn.Module, images: Tensor, labels: Tensor) -> None:
    gradient = input_gradient(model, images, labels, cross_entropy_loss)
    reference = PyTorchModel(model, bounds=(0, 1), device="cpu")
    _, clipped, _ = FGSM()(reference, images, labels, epsilons=EPS)
    for eps, adv_inputs in zip(EPS, clipped, strict=True):
        assert torch.equal(signed_step(images, gradient, eps), adv_inputs), eps
    counts = ours(model, images, labels), theirs(model, images, labels)
    assert counts[0] == counts[1], counts
    print(f"equal work: {len(images)} images, right at each eps {counts[0]}")
    compare(
        {
            "foolbox": lambda: theirs(model, images, labels),
            "here": lambda: ours(model, images, labels),
        },
        ROUNDS,
        what="FGSM at seven eps, 1,000 images",
    )


def whole_set(model: nn.Module, images: Tensor, labels: Tensor) -> None:
    """The sweep over a test set of MNIST's size against the tutorial's loop."""
    counts = ours(model, images, labels), tutorial(model, images, labels)
    assert counts[0] == counts[1], counts
    print(f"equal work: {len(images):,} images, right at each eps {counts[0]}")
    compare(
        {
            "tutorial": lambda: tutorial(model, images, labels),
            "here": lambda: ours(model, images, labels),
        },
        1,
        what=f"FGSM at seven eps, {len(images):,} images",
    )


def trained() -> tuple[nn.Module, Samples, Samples]:
    """A LeNet of 5 epochs, and the samples on which noises are made and judged."""
    data = load(Data("mnist-sample"))
    torch.manual_seed(0)
    model = LeNet()
    optimiser = torch.optim.SGD(model.parameters(), lr=0.03, momentum=0.9)
    settings = Train(epochs=5, device="cpu", precision="float32")
    loss = lambda model, images, labels: F.cross_entropy(model(images), labels)  # noqa: E731
    for _ in fit(Training(model, data.train, loss, optimiser, settings, seed=0)):
        pass
    return model.eval(), *halves(model, data.test, 50, 500)


def one_for_all(eps: float = 0.2) -> None:
    """Our ascent against one pass of ART's sum of DeepFool steps, both otherwise as they come."""
    model, crafted, judged = trained()
    shape = tuple(crafted.images.shape[1:])
    classifier = PyTorchClassifier(
        model, loss=nn.CrossEntropyLoss(), input_shape=shape, nb_classes=10, clip_values=(0, 1)
    )

    def art() -> Tensor:
        attack = UniversalPerturbation(classifier, eps=eps, max_iter=1, verbose=False,
                                       attacker_params={"verbose": False})  # fmt: skip
        attack.generate(crafted.images.numpy())
        return torch.from_numpy(np.asarray(attack.noise, np.float32))[0]

    def here() -> Tensor:
        return gradient_uap(model, *crafted, eps)

    noises = {"ART": art(), "here": here()}
    for name, noise in noises.items():
        assert noise.abs().max() <= eps + 1e-6, name
        shares = [fooled(model, s, noise).double().mean().item() for s in (crafted, judged)]
        print(
            f"one noise for all by {name}: fools {shares[0]:.1%} crafted, {shares[1]:.1%} held out"
        )
    compare({"ART": art, "here": here}, 2, what="one noise for all images")


def matrix(model: nn.Module, images: Tensor) -> None:
    """What the n × n fooling matrix costs beyond classifying n² images that lie ready."""
    some, noises = images[:BATCH], random_signs(10, images.shape[1:], 0.2, seed=0)
    ready = torch.cat([(some + noise).clamp(0, 1) for noise in noises])
    rows = fooling_matrix(model, some, noises, batch=BATCH)
    changed = predictions(model, ready, BATCH).view(10, -1) != predictions(model, some, BATCH)
    assert torch.equal(rows, changed)
    print(f"fooling matrix: {len(noises)} noises × {len(some)} samples, equal to plain inference")
    compare(
        {
            "inference": lambda: predictions(model, ready, BATCH),
            "matrix": lambda: fooling_matrix(model, some, noises, batch=BATCH),
        },
        ROUNDS,
        ours=("matrix",),
        what="fooling matrix",
        goals={"inference": "≥ 0.8"},
    )


def main() -> None:
    torch.set_num_threads(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}")
    model = lenet()
    images = torch.rand(1000, 1, 28, 28)
    # as if nearly all were right, so that neither side has less to do
    labels = predictions(model, images)
    labels[:20] = (labels[:20] + 1) % 10
    seven_eps(model, images, labels)
    matrix(model, images)
    one_for_all()
    many = torch.rand(1_000 if ONCE else 10_000, 1, 28, 28)
    whole_set(model, many, predictions(model, many))


if __name__ == "__main__":
    main()
