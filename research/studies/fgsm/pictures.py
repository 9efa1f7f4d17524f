"""What the noises of the study `fgsm` look like: those of single samples, and one for all."""

import torch
from torch import Tensor, nn

from research.data import Split
from research.methods.fgsm import input_gradient, predictions, signed_step
from research.methods.perturbations import class_mean_sign, sign_perturbation
from research.methods.samples import halves, of_different_classes
from research.methods.universality import Battery
from research.models.inference import evaluation
from research.records import Array
from research.studies.fgsm.settings import Config
from research.tracking import Log

SHOWN = 4
"""Digits that are shown under one noise."""


def measure_examples(model: nn.Module, test: Split, config: Config, log: Log) -> None:
    """The first image of each class that is right and falls to the attack at `noise_eps`.

    `noise` is its own, `other` that of the next image of its class that is right (NaN where there
    is none), `cosine` between these two, `mean` the sign of the mean noise of its class.
    """
    images, labels = test.floats(), test.labels
    gradient = input_gradient(model, images, labels)
    delta = sign_perturbation(gradient, config.noise_eps)
    adv_inputs = signed_step(images, gradient, config.noise_eps)
    right = predictions(model, images) == labels
    fooled = right & (predictions(model, adv_inputs) != labels)
    classes = int(labels.max()) + 1
    chosen = torch.cat([torch.nonzero(fooled & (labels == y))[:1, 0] for y in range(classes)])
    other = torch.stack([other_of(int(one), right, labels, delta) for one in chosen])
    means = class_mean_sign(delta[right], labels[right], classes, config.noise_eps)
    cosine = torch.cosine_similarity(delta[chosen].flatten(1), other.flatten(1))
    log.arrays(
        "examples",
        clean=images[chosen].cpu().numpy(),
        noise=delta[chosen].cpu().numpy(),
        other=other.cpu().numpy(),
        mean=means[labels[chosen]].cpu().numpy(),
        cosine=cosine.cpu().numpy(),
        adversarial=adv_inputs[chosen].cpu().numpy(),
        **answers(model, clean=images[chosen], adversarial=adv_inputs[chosen]),
    )


def other_of(chosen: int, right: Tensor, labels: Tensor, delta: Tensor) -> Tensor:
    """The noise of the next image of a class that is right, NaN where there is none."""
    alike = right & (labels == labels[chosen])
    alike[: chosen + 1] = False
    places = torch.nonzero(alike)[:1, 0]
    return delta[places[0]] if len(places) else torch.full_like(delta[0], torch.nan)


def answers(model: nn.Module, **inputs: Tensor) -> dict[str, Array]:
    """`label_NAME` and `confidence_NAME` of images: what the network takes them for, how surely."""
    found: dict[str, Array] = {}
    with evaluation(model):
        for name, images in inputs.items():
            sure, label = model(images).softmax(1).max(1)
            found |= {
                f"confidence_{name}": sure.cpu().numpy(),
                f"label_{name}": label.cpu().numpy(),
            }
    return found


def measure_one_for_all(
    arm: str, model: nn.Module, test: Split, found: Battery, config: Config, log: Log
) -> None:
    """The single noise that fools most samples that it was made of, and held-out digits with it.

    The first held-out sample of each class, fooled ones first.
    """
    best = found.best
    _, judged = halves(model, test, config.crafted, config.judged)
    noisy = (judged.images + found.deltas[best]).clamp(0, 1)
    fooled = predictions(model, noisy) != judged.labels
    shown = of_different_classes(judged.labels, fooled, SHOWN)
    log.arrays(
        f"one_{arm}",
        noise=found.deltas[best].cpu().numpy(),
        clean=judged.images[shown].cpu().numpy(),
        noisy=noisy[shown].cpu().numpy(),
        **answers(model, clean=judged.images[shown], noisy=noisy[shown]),
    )
