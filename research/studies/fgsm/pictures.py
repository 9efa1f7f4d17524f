"""What the noises of the study `fgsm` look like: those of single samples, and one for all."""

import torch
from torch import Tensor, nn

from research.data import Split
from research.methods.fgsm import input_gradient, predictions, signed_step
from research.methods.samples import halves, of_different_classes
from research.methods.universality import Battery
from research.models.inference import evaluation
from research.records import Array
from research.studies.fgsm.settings import TUTORIAL, Config, Models
from research.tracking import Log

SHOWN = 4
"""Digits that are shown under one noise."""


def measure_examples(models: Models, test: Split, config: Config, log: Log) -> None:
    """The first image of each class that is right and falls to the attack on the newer network.

    For each network of the tutorial, its first seed: `noise_ARM` of these images, `other_ARM` of
    the next image of the class that is right (NaN where there is none), and `cosine_ARM` of both.
    """
    images, labels = test.floats(), test.labels
    newer = models["cnn"][0]
    adv_inputs = signed_step(images, input_gradient(newer, images, labels), config.noise_eps)
    right = predictions(newer, images) == labels
    fooled = right & (predictions(newer, adv_inputs) != labels)
    classes = range(int(labels.max()) + 1)
    chosen = torch.cat([torch.nonzero(fooled & (labels == y))[:1, 0] for y in classes])
    log.arrays(
        "examples",
        clean=images[chosen].cpu().numpy(),
        adversarial=adv_inputs[chosen].cpu().numpy(),
        **answers(newer, clean=images[chosen], adversarial=adv_inputs[chosen]),
        **{
            f"{name}_{arm}": values
            for arm in TUTORIAL
            for name, values in noises_of(models[arm][0], images, labels, chosen, right).items()
        },
    )


def noises_of(
    model: nn.Module, images: Tensor, labels: Tensor, chosen: Tensor, right: Tensor
) -> dict[str, Array]:
    """Signs of the noises of some images, of others of their classes, and their cosines."""
    signs = input_gradient(model, images, labels).sign()
    others = torch.stack([other_of(int(one), right, labels, signs) for one in chosen])
    cosine = torch.cosine_similarity(signs[chosen].flatten(1), others.flatten(1))
    found = {"noise": signs[chosen], "other": others, "cosine": cosine}
    return {name: values.cpu().numpy() for name, values in found.items()}


def other_of(chosen: int, right: Tensor, labels: Tensor, signs: Tensor) -> Tensor:
    """The noise of the next image of a class that is right, NaN where there is none."""
    alike = right & (labels == labels[chosen])
    alike[: chosen + 1] = False
    places = torch.nonzero(alike)[:1, 0]
    return signs[places[0]] if len(places) else torch.full_like(signs[0], torch.nan)


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
