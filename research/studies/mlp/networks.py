"""The networks of the study `mlp`: how they are trained and read out."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from research.data import Dataset, Split, batches
from research.methods.classification import class_weights, cross_entropy
from research.models import Mlp
from research.models.inference import evaluation, predict
from research.records import Array
from research.studies.mlp.settings import RARE, Config, Recipe
from research.tracking import Log
from research.training.cache import obtain
from research.training.loop import Objective, Training, placed


def thinned(split: Split, label: int, kept: int) -> Split:
    """The split without the first samples of a class, so that the last `kept` remain."""
    members = torch.nonzero(split.labels == label).flatten()
    chosen = torch.ones(len(split), dtype=torch.bool, device=split.labels.device)
    chosen[members[: len(members) - kept]] = False
    return Split(split.images[chosen], split.labels[chosen])


def train(recipe: Recipe, data: Dataset, config: Config, log: Log) -> Mlp:
    """One model, trained, found as trained before, or read from the weights that were given."""
    torch.manual_seed(recipe.seed)
    model = Mlp(recipe.hidden, inputs=int(np.prod(data.shape)), classes=len(data.classes))
    model = placed(model, config.train)
    split, test = data.train, data.test
    if recipe.ones is not None:
        split = thinned(split, data.class_index(RARE), recipe.ones)
    lr = recipe.lr or config.train.lr

    def test_scores(model: nn.Module) -> dict[str, float]:
        logits = predict(model, test)
        hits = logits.argmax(1) == test.labels
        loss = F.cross_entropy(logits, test.labels)
        return {"loss/test": loss.item(), "accuracy/test": hits.float().mean().item()}

    return obtain(
        Training(
            model,
            split,
            weighted(split, len(data.classes)) if recipe.weighted else cross_entropy,
            torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9),
            replace(config.train, lr=lr),
            seed=recipe.seed + recipe.order,
            evaluate=test_scores,
        ),
        name=recipe.name,
        params={"arm": recipe.arm, "seed": recipe.seed, "optimiser": "SGD", "lr": lr},
        log=log,
    )


def weighted(split: Split, classes: int) -> Objective:
    """Weighted cross-entropy of which every class has an equal share, summed over the split.

    An image counts as much in any batch: the weighted losses are divided by the number of images.
    Divided by the sum of the batch's weights, as PyTorch does it, a rare class would lose most of
    its weight in just the batches where it is.
    """
    balanced = class_weights(split.labels.cpu().numpy(), classes)
    weights = torch.tensor(balanced, dtype=torch.float32, device=split.labels.device)

    def objective(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        losses = F.cross_entropy(model(images).float(), labels, reduction="none")
        return (weights[labels] * losses).mean()

    return objective


def embed(model: Mlp, split: Split) -> tuple[Array, Array]:
    """The embeddings (N, D) and the logits (N, C) of a split."""
    return probe(model, (images for images, _ in batches(split, 4096)))


def probe(model: Mlp, inputs: Iterable[Tensor]) -> tuple[Array, Array]:
    """The embeddings (N, D) and the logits (N, C) of batches of images."""
    with evaluation(model):
        vectors = torch.cat([model.embed(images) for images in inputs])
        logits = model.head(model.relu(vectors))
    return vectors.double().cpu().numpy(), logits.double().cpu().numpy()
