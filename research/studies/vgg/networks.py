"""The networks of the study `vgg`: how they are trained."""

import math
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim.lr_scheduler import LambdaLR

from research.data import Dataset, random_crop, random_flip
from research.methods.classification import scores
from research.models import Vgg16
from research.models.inference import predict
from research.studies.vgg.settings import Config
from research.tracking import Log
from research.training.cache import obtain
from research.training.loop import Training, placed


def train(seed: int, data: Dataset, config: Config, log: Log) -> Vgg16:
    """One network from scratch, trained, found as trained before, or of given weights."""
    torch.manual_seed(seed)
    model = Vgg16(config.width, len(data.classes), side=data.shape[1])
    model = placed(model, config.train)
    optimiser = torch.optim.SGD(
        model.parameters(), lr=config.train.lr, momentum=0.9, nesterov=True, weight_decay=5e-4
    )
    test = data.test
    return obtain(
        Training(
            model,
            data.train,
            augmented_loss,
            optimiser,
            config.train,
            seed=seed,
            evaluate=lambda model: scores(predict(model, test), test.labels),
            scheduler=LambdaLR(optimiser, partial(rate, epochs=config.train.epochs)),
        ),
        name=f"scratch-seed{seed}",
        params={"arm": "scratch", "seed": seed, "optimiser": "SGD"},
        log=log,
    )


def augmented_loss(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy of a batch whose images are mirrored at random and shifted by up to 4."""
    order = torch.default_generator  # seeded for each epoch by the training
    images = random_crop(random_flip(images, order), 4, order)
    images = images.contiguous(memory_format=torch.channels_last)
    return cross_entropy(model(images).float(), labels)


def rate(epoch: int, epochs: int) -> float:
    """The learning rate of an epoch, counted from 0, as a share of the highest, in (0, 1].

    It rises over the first tenth of the epochs, since high rates break a network that has learned
    nothing yet, and falls along half a cosine from the beginning.
    """
    rise = math.ceil(epochs / 10)
    return min(1.0, (epoch + 1) / (rise + 1)) * (1 + math.cos(math.pi * epoch / epochs)) / 2
