"""The arm of the study `vgg` on ImageNet's features: new linear layers on frozen convolutions."""

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from research.data import Dataset, Split, batches
from research.methods.classification import scores
from research.methods.fgsm import input_gradient, predictions, signed_step
from research.methods.universality import rate_of
from research.models.inference import evaluation, predict
from research.models.pretrained import (
    FrozenVgg16,
    MissingWeightsError,
    imagenet_file,
    imagenet_weights,
)
from research.records import Cell, Table
from research.studies.vgg.measures import some
from research.studies.vgg.settings import FROZEN, Config
from research.tracking import Log
from research.training.cache import obtain
from research.training.loop import Training, placed

_BATCH = 32
"""enlarged pictures at a time: a convolution's output holds 13 MB of each"""


def weights_file(config: Config, log: Log) -> Path | None:
    """The file of ImageNet's weights. None, said and logged, where it cannot be had.

    Raises:
        UserError: it is not where the user says, or its checksum is wrong.
    """
    if not config.frozen_epochs:
        return None
    try:
        return imagenet_file(config.imagenet)
    except MissingWeightsError as error:
        text = f"The arm on ImageNet's features is left out: {error}."
        print(f"vgg  {text}", file=sys.stderr, flush=True)
        log.finding(text)
        return None


def train_frozen(path: Path, data: Dataset, config: Config, log: Log) -> dict[str, FrozenVgg16]:
    """Both classifiers on the same features, which are computed once, without augmentation."""
    models = {arm: fresh(arm, path, data, config) for arm in FROZEN}
    encoder = models[FROZEN[0]].encoder
    train, test = (encode(encoder, split) for split in (data.train, data.test))
    for arm, model in models.items():
        train_head(arm, model.head, train, test, config, log)
    return models


def fresh(arm: str, path: Path, data: Dataset, config: Config) -> FrozenVgg16:
    torch.manual_seed(config.seeds[0])
    classes = len(data.classes) if arm == "replaced" else None
    return placed(FrozenVgg16(imagenet_weights(path), classes), config.train)


def encode(encoder: nn.Module, split: Split) -> Split:
    """The features (N, D, 1, 1) of a split's images in half precision, in the place of pixels."""
    with evaluation(encoder):
        parts = [encoder(images).half() for images, _ in batches(split, _BATCH)]
    return Split(torch.cat(parts)[:, :, None, None], split.labels)


class Features(nn.Module):
    """What `batches` makes of features, back to vectors (N, D): it divides them as if pixels."""

    def forward(self, images: Tensor) -> Tensor:
        return 255 * images.flatten(1)


def train_head(
    arm: str, head: nn.Module, train: Split, test: Split, config: Config, log: Log
) -> None:
    """Trains the linear layers by the notebook's rule."""
    settings = replace(config.train, epochs=config.frozen_epochs, batch=32, lr=0.001)
    obtain(
        Training(
            head,
            train,
            feature_loss,
            torch.optim.SGD(head.parameters(), lr=settings.lr, momentum=0.9),
            settings,
            seed=config.seeds[0],
            evaluate=lambda head: scores(
                predict(nn.Sequential(Features(), head), test), test.labels
            ),
        ),
        name=f"frozen-{arm}",
        params={"arm": f"frozen-{arm}", "seed": config.seeds[0], "optimiser": "SGD"},
        log=log,
    )
    head.eval()


def feature_loss(head: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    return cross_entropy(head(255 * images.flatten(1)).float(), labels)


def measure_frozen(
    models: Mapping[str, FrozenVgg16], data: Dataset, config: Config, log: Log
) -> None:
    """What FGSM does to both, and how many of its labels are none of the data's classes."""
    images, labels = some(data.test, config.judged)
    steps = sorted({0.0, config.noise_eps, max(config.eps)})
    rows: list[dict[str, Cell]] = []
    for arm, model in models.items():
        gradient = input_gradient(model, images, labels, batch=_BATCH)
        for eps in steps:
            preds = predictions(model, signed_step(images, gradient, eps), _BATCH)
            found = {
                "right": rate_of(preds == labels),
                "outside": rate_of(preds >= len(data.classes)),
            }
            rows.append({"arm": arm, "eps": eps, "steps": 255 * eps, **found})
            if eps in (0.0, config.noise_eps):
                suffix = "attacked" if eps else "clean"
                for name, number in found.items():
                    log.number(f"frozen_{arm}_{name}_{suffix}", number)
    log.table("frozen", Table.of(rows))
