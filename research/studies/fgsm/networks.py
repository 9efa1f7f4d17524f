"""The networks of the study `fgsm`: how they are trained."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, StepLR

from research.data import Dataset, Split
from research.methods.classification import cross_entropy, scores
from research.methods.fgsm import added, gradient_of
from research.models import LeNet, Maxout, SoftmaxRegression, TutorialCnn
from research.models.inference import predict
from research.studies.fgsm.settings import PAIR, Config, Recipe, epochs_of, lengths_of
from research.tracking import Log
from research.training.cache import has_snapshot, obtain, snapshot
from research.training.loop import Objective, Training, exact, placed

Stages = Mapping[int, Sequence[nn.Module]]


def train(recipe: Recipe, data: Dataset, config: Config, log: Log) -> nn.Module:
    """One model, trained, found as trained before, or read from the weights that were given."""
    arm, seed = recipe
    torch.manual_seed(seed)
    model = placed(fresh(arm), config.train)
    train, test = (of_pair(data, side) if arm == "logistic" else side
                   for side in (data.train, data.test))  # fmt: skip
    optimiser, scheduler, batch = optimiser_of(arm, model, config)
    return obtain(
        Training(
            model,
            train,
            objective_of(arm, config.paper_eps),
            optimiser,
            replace(
                config.train,
                epochs=epochs_of(arm, config),
                batch=batch,
                lr=optimiser.param_groups[0]["lr"],
            ),
            seed=seed,
            evaluate=lambda model: scores(predict(model, test), test.labels),
            scheduler=scheduler,
        ),
        name=recipe.name,
        params={"arm": arm, "seed": seed, "optimiser": type(optimiser).__name__},
        log=log,
        snapshots=lengths_of(arm, config)[:-1] if arm in ("lenet", "cnn") else (),
    )


def fresh(arm: str) -> nn.Module:
    if arm in ("lenet", "cnn"):
        return LeNet() if arm == "lenet" else TutorialCnn()
    if arm in ("softmax", "logistic"):
        return SoftmaxRegression(2 if arm == "logistic" else 10)
    return Maxout()


def stages(arm: str, trained: Sequence[nn.Module], config: Config, log: Log) -> Stages:
    """Epochs of training -> a network of the tutorial per seed as it was then, the last as it is.

    Given weights have no past: unless all seeds have theirs, an earlier epoch is left out.
    """
    *earlier, last = lengths_of(arm, config)
    names = [Recipe(arm, seed).name for seed in config.seeds]
    return {
        epoch: [snapshot(placed(fresh(arm), config.train), name, epoch, log) for name in names]
        for epoch in earlier
        if all(has_snapshot(name, epoch, log) for name in names)
    } | {last: list(trained)}


def of_pair(data: Dataset, split: Split) -> Split:
    """The two classes of the logistic regression, as 0 and 1."""
    first, second = (data.class_index(name) for name in PAIR)
    chosen = (split.labels == first) | (split.labels == second)
    return Split(split.images[chosen], (split.labels[chosen] == second).long())


def optimiser_of(
    arm: str, model: nn.Module, config: Config
) -> tuple[Optimizer, LRScheduler | None, int]:
    """The optimiser, its scheduler and the batch.

    The newer tutorial loads a network of PyTorch's MNIST example, the older one presumably too: of
    2017. The paper does not state any; rate, momentum and batch are those of the configuration
    published with maxout networks, without its decay and its bound on the weights' norm.
    """
    if arm == "cnn":
        adadelta = torch.optim.Adadelta(model.parameters(), lr=config.train.lr)
        return adadelta, StepLR(adadelta, step_size=1, gamma=0.7), config.train.batch
    lr, batch = (0.01, 64) if arm == "lenet" else (0.1, 100)
    return torch.optim.SGD(model.parameters(), lr=lr, momentum=0.5), None, batch


def objective_of(arm: str, eps: float) -> Objective:
    if arm == "adversarial":
        return partial(adversarial_loss, eps=eps)
    if arm in ("signs", "uniform"):
        return partial(noisy_loss, eps=eps, signs=arm == "signs")
    return cross_entropy


def adversarial_loss(model: nn.Module, images: Tensor, labels: Tensor, eps: float) -> Tensor:
    """½ J(x) + ½ J(x + eps · sign ∇J(x)), the attack made anew for each batch and not clipped.

    No gradient flows through the sign. The attack is made without dropout, which the paper leaves
    open, and with the stable loss.

    References:
        Explaining and Harnessing Adversarial Examples (Goodfellow et al., 2015), section 6.
    """
    gradient = gradient_of(exact(model), images, labels)  # a sign needs all its bits
    adv_inputs = added(images, eps * gradient.sign(), clip=False)
    clean, attacked = (cross_entropy(model, inputs, labels) for inputs in (images, adv_inputs))
    return (clean + attacked) / 2


def noisy_loss(
    model: nn.Module, images: Tensor, labels: Tensor, eps: float, signs: bool
) -> Tensor:  # fmt: skip
    """½ J(x) + ½ J(x + noise) with ±eps in each pixel, or uniform in [-eps, eps]: the controls."""
    noise = 2 * torch.rand_like(images) - 1
    noise = noise.sign() if signs else noise
    clean, noisy = (cross_entropy(model, x, labels) for x in (images, images + eps * noise))
    return (clean + noisy) / 2
