"""The networks of the study `zf-features`, trained on the source or on the target alone."""

from dataclasses import replace
from functools import partial
from typing import NamedTuple

import torch
from torch import Generator, Tensor, nn
from torch.optim.lr_scheduler import MultiStepLR

from research.data import Dataset, Split
from research.data.draws import drawn
from research.methods.classification import cross_entropy, scores
from research.methods.crops import crop_loss, cropped, mean_image
from research.models import FilterSgd, ZFNet, parameter_groups
from research.models.inference import predict
from research.models.zeiler import milestones
from research.studies.zf_features.settings import ARMS, BASELINE, Config, Recipe, scratch_name
from research.tracking import Log
from research.training.cache import obtain
from research.training.loop import Training, placed

RMS = 0.1
"""The radius to which filters are scaled back."""


class Source(NamedTuple):
    """The images of the source, and what is computed of them once.

    Attributes:
        mean: of each pixel of the training images, (C, side, side).
        train, test: the images by their middle.
    """

    data: Dataset
    mean: Tensor
    train: Split
    test: Split


def source_of(data: Dataset, side: int) -> Source:
    middles = (cropped(split, side) for split in (data.train, data.test))
    return Source(data, mean_image(data.train, side), *middles)


def train(recipe: Recipe, source: Source, config: Config, log: Log) -> ZFNet:
    """One network, trained, found as trained before, or read from the weights that were given."""
    model = beginning(recipe.seed, source, config, recipe.arm)
    optimiser = FilterSgd(parameter_groups(model, RMS), lr=config.train.lr, momentum=0.9)
    test = source.test
    return obtain(
        Training(
            model,
            source.data.train,
            partial(crop_loss, side=config.side),
            optimiser,
            replace(config.train, epochs=recipe.epochs),
            seed=recipe.seed,
            evaluate=lambda model: scores(predict(model, test), test.labels),
            scheduler=MultiStepLR(optimiser, milestones(recipe.epochs), gamma=0.1),
        ),
        name=recipe.name,
        params={"arm": recipe.arm, "seed": recipe.seed, "optimiser": "SGD, filters held"},
        log=log,
    )


def beginning(seed: int, source: Source, config: Config, arm: str = BASELINE) -> ZFNet:
    """The network of a seed before training, on its device."""
    data = source.data
    changed = ARMS.get(arm, ARMS[BASELINE])
    torch.manual_seed(seed)
    model = ZFNet(
        config.width, len(data.classes), side=config.side, channels=data.shape[0],
        maps=changed.maps, hidden=changed.hidden, without=changed.without, mean=source.mean,
    )  # fmt: skip
    return placed(model, config.train)


def train_scratch(split: Split, classes: int, number: int, config: Config, log: Log) -> ZFNet:
    """The control: the same network, of which the target's images are all it ever saw.

    Arguments:
        split: as many images of each class.
        number: of the draw, and seed of the network.
    """
    torch.manual_seed(number)
    model = ZFNet(
        config.width, classes, side=config.side, channels=split.images.shape[1],
        mean=mean_image(split, config.side),
    )  # fmt: skip
    model = placed(model, config.train)
    epochs = scratch_epochs(len(split), config)
    optimiser = FilterSgd(parameter_groups(model, RMS), lr=config.train.lr, momentum=0.9)
    return obtain(
        Training(
            model,
            split,
            partial(crop_loss if config.mirrored else shifted_loss, side=config.side),
            optimiser,
            replace(config.train, epochs=epochs, batch=config.scratch_batch),
            seed=number,
            scheduler=MultiStepLR(optimiser, milestones(epochs), gamma=0.1),
        ),
        name=scratch_name(len(split) // classes, number),
        params={"arm": "scratch", "seed": number, "optimiser": "SGD, filters held"},
        log=log,
    )


def scratch_epochs(images: int, config: Config) -> int:
    """Passes over so few images that come to the wanted number of updates, or a few more."""
    per_epoch = -(-images // config.scratch_batch)
    return -(-config.scratch_steps // per_epoch)


def shifted_loss(model: nn.Module, images: Tensor, labels: Tensor, side: int) -> Tensor:
    """Mean cross-entropy of a batch of which each image is seen at a random place, not mirrored."""
    crops = random_crops(images, side)
    return cross_entropy(model, crops.contiguous(memory_format=torch.channels_last), labels)


def random_crops(images: Tensor, side: int, generator: Generator | None = None) -> Tensor:
    """A crop of each image at a random place, (N, C, side, side)."""
    number, channels, height, width = images.shape
    device = images.device
    tops, lefts = (
        drawn(partial(_places, room - side + 1, number), generator, device)
        for room in (height, width)
    )
    pixel = torch.arange(side, device=device)
    rows, columns = tops[:, None] + pixel, lefts[:, None] + pixel
    image = torch.arange(number, device=device)[:, None, None, None]
    channel = torch.arange(channels, device=device)[:, None, None]
    return images[image, channel, rows[:, None, :, None], columns[:, None, None, :]]


def _places(room: int, number: int, generator: Generator | None) -> Tensor:
    return torch.randint(room, (number,), generator=generator)
