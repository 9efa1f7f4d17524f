"""What the study `vgg` measures on its networks."""

import sys
from collections.abc import Sequence
from itertools import permutations

import numpy as np
import torch
from torch import Tensor

from research.data import Dataset, Split, pixel_std
from research.methods.classification import scores
from research.methods.fgsm import (
    accuracy_curve,
    cross_entropy_loss,
    input_gradient,
    predictions,
    signed_step,
    stable_loss,
)
from research.methods.perturbations import random_signs, sign_perturbation
from research.methods.samples import Samples, halves, judged_alike, of_different_classes
from research.methods.signs import tied_pixels, wrong_signs
from research.methods.statistics import claim_of, over_seeds
from research.methods.universality import (
    Battery,
    battery,
    over_models,
    shortfall,
    summary,
    transfer_rates,
)
from research.models import Vgg16, count_parameters
from research.models.inference import evaluation, predict
from research.records import Cell, Table
from research.records.measured import SHARE
from research.studies.vgg.settings import Config, Models
from research.tracking import Log

SHOWN = 4
"""Samples of the figure of examples."""

# --- how well the networks classify, clean and attacked ------------------------------------------


def measure_models(models: Models, data: Dataset, config: Config, log: Log) -> None:
    """Test scores over seeds, and the scale of the pixels that eps is to be read against."""
    found = [scores(predict(model, data.test), data.test.labels) for model in models]
    log.number("accuracy", over_seeds([run["accuracy/test"] for run in found], range=SHARE))
    log.number("loss", over_seeds([run["loss/test"] for run in found], "nat"))
    log.number("parameters", count_parameters(models[0]))
    std = pixel_std(data.train)
    log.number("pixel_std", std)
    log.number("relative_eps", config.noise_eps / std)
    log.number("noise_steps", 255 * config.noise_eps)


def measure_curves(models: Models, data: Dataset, config: Config, log: Log) -> None:
    """Test accuracy under FGSM and under random signs of the same size, clipped, at every eps."""
    steps = sorted({0.0, *config.eps, config.noise_eps})
    images, labels = data.test.floats(), data.test.labels
    noise = random_signs(len(images), images.shape[1:], 1.0, seed=0).to(images)

    def shares(model: Vgg16, direction: Tensor) -> list[float]:
        counts = accuracy_curve(model, images, labels, direction, steps)
        return [count / len(images) for count in counts]

    curves = {
        "fgsm": np.array([shares(m, input_gradient(m, images, labels)) for m in models]),
        "random": np.array([shares(m, noise) for m in models]),
    }
    log.arrays("curves", eps=np.array(steps), **curves)
    found = {
        name: [over_seeds(list(c), range=SHARE) for c in curve.T] for name, curve in curves.items()
    }
    rows: list[dict[str, Cell]] = [
        {"eps": eps, "steps": 255 * eps, **{name: found[name][i] for name in found}}
        for i, eps in enumerate(steps)
    ]
    log.table("curves", Table.of(rows))
    for name, numbers in found.items():
        log.number(f"accuracy_{name}", numbers[steps.index(config.noise_eps)])


def measure_signs(model: Vgg16, data: Dataset, config: Config, log: Log) -> None:
    """How many signs of float32 gradients are wrong, by float64, where there is a unique one."""
    images, labels = some(data.test, config.checked)
    truth = input_gradient(model, images, labels, dtype=torch.float64, batch=128)
    tied = tied_pixels(model, images, labels)
    for name, loss in {"cross_entropy": cross_entropy_loss, "stable": stable_loss}.items():
        gradient = input_gradient(model, images, labels, loss)
        log.number(f"wrong_{name}", wrong_signs(gradient, truth, tied))
        log.number(f"zero_{name}", (gradient == 0).double().mean().item())
    log.number("tied", tied.double().mean().item())


def some(split: Split, count: int) -> Samples:
    """Samples drawn at random, the same for every model."""
    drawn = torch.randperm(len(split), generator=torch.Generator().manual_seed(0))[:count]
    drawn = drawn.to(split.labels.device)
    return Samples(split.images[drawn].float() / 255, split.labels[drawn])


# --- is the attack universal ---------------------------------------------------------------------


def measure_noises(models: Models, data: Dataset, config: Config, log: Log) -> list[Battery]:
    """The battery for every seed: the first one's in full, and what is printed over seeds."""
    found: list[Battery] = []
    for model in models:
        crafted, judged = halves(model, data.test, config.crafted, config.judged)
        if not found:
            measure_examples(model, judged, data, config.noise_eps, log)
        found.append(battery(
            model, crafted, judged, config.noise_eps, classes=len(data.classes),
            cells=config.cells, random=config.random, deepfool=config.deepfool,
        ))  # fmt: skip
        if len(found) == 1:
            measure_one_for_all(model, judged, found[0], data, config.noise_eps, log)
    first = found[0]
    for name, number in over_models(found).items():
        log.number(f"vgg_{name}", number)
        if name in ("cosine_within", "cosine_between"):
            test = "bootstrap interval over noises and samples"
            log.claim(
                f"alike_{name.removeprefix('cosine_')}", claim_of(number, "greater", test=test)
            )
    log.table("candidates", summary(found))
    log.arrays("noises", classes=np.array(data.classes), **first.arrays)
    log.arrays("candidates", **{name: n.cpu().numpy() for name, n in first.deltas.items()})
    tell(first, config, log)
    text = shortfall(found, config.crafted, config.judged, len(data.classes), "The network")
    log.number("vgg_short", bool(text))
    if text:
        print(f"vgg  {text}", file=sys.stderr, flush=True)
        log.finding(text)
    return found


def tell(first: Battery, config: Config, log: Log) -> None:
    """The finding, in a sentence."""
    numbers = {name: number.value for name, number in first.numbers.items()}
    log.finding(
        f"At eps = {255 * config.noise_eps:g}/255 a sample's own noise fools "
        f"{numbers['fooling_own']:.1%} of the held-out samples, the best single noise "
        f"{numbers['fooling_best']:.1%}, random signs at most {numbers['fooling_random_max']:.1%} "
        f"(first seed): the attack is {first.verdict}."
    )


def measure_examples(model: Vgg16, judged: Samples, data: Dataset, eps: float, log: Log) -> None:
    """A few samples of different classes under their own noises, fooled ones first."""
    images, labels = judged
    gradient = input_gradient(model, images, labels)
    adv_inputs = signed_step(images, gradient, eps)
    with evaluation(model):
        clean, attacked = (model(x).softmax(1).max(1) for x in (images, adv_inputs))
    chosen = of_different_classes(labels, attacked.indices != labels, SHOWN)
    log.arrays(
        "examples",
        eps=np.array(eps),
        classes=np.array(data.classes),
        **{
            name: values[chosen].cpu().numpy()
            for name, values in {
                "clean": images, "noise": sign_perturbation(gradient, eps), "attacked": adv_inputs,
                "clean_class": clean.indices, "clean_confidence": clean.values,
                "attacked_class": attacked.indices, "attacked_confidence": attacked.values,
            }.items()
        },
    )  # fmt: skip


def measure_one_for_all(
    model: Vgg16, judged: Samples, found: Battery, data: Dataset, eps: float, log: Log
) -> None:
    """The single noise that fools most samples that it was made of, on held-out samples."""
    noise = found.deltas[found.best]
    noisy = (judged.images + noise).clamp(0, 1)
    clean, attacked = (predictions(model, x) for x in (judged.images, noisy))
    chosen = of_different_classes(judged.labels, attacked != judged.labels, SHOWN)
    log.arrays(
        "one", eps=np.array(eps), noise=noise.cpu().numpy(), noisy=noisy[chosen].cpu().numpy(),
        clean_class=clean[chosen].cpu().numpy(), noisy_class=attacked[chosen].cpu().numpy(),
        classes=np.array(data.classes),
    )  # fmt: skip


def measure_transfer(
    models: Models, batteries: Sequence[Battery], data: Dataset, config: Config, log: Log
) -> None:
    """How often noises of one seed's network fool another's, by samples that both get right."""
    if len(models) < 2:
        return
    samples = judged_alike(data.test, config.crafted, config.judged)
    for kind, rates in transfer_rates(models, batteries, samples, config.noise_eps).items():
        pairs = [float(rates[i, j]) for i, j in permutations(range(len(models)), 2)]
        log.number(f"transfer_{kind}", float(np.mean(pairs)))
        log.number(f"transfer_{kind}_least", min(pairs))
        log.number(f"transfer_{kind}_most", max(pairs))
        log.number(f"transfer_{kind}_itself", float(np.mean(np.diag(rates))))
