"""The networks of the study `cnn`: how they are trained and read out."""

from copy import deepcopy

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from research.data import Dataset, Split
from research.methods.classification import scores
from research.models import CnnA
from research.models.inference import predict
from research.records import Array
from research.studies.cnn.settings import Config
from research.tracking import Log
from research.training.cache import obtain
from research.training.loop import Training, placed


def train(arm: str, seed: int, data: Dataset, config: Config, log: Log) -> CnnA:
    """One model of one arm, trained or read from the weights that were given."""
    model = placed(fresh(seed, relu_on_logits=arm == "relu"), config.train)
    test = data.test
    return obtain(
        Training(
            model,
            data.train,
            lambda model, images, labels: cross_entropy(model(images), labels),
            torch.optim.SGD(model.parameters(), lr=config.train.lr, momentum=0.9),
            config.train,
            seed=seed,
            evaluate=lambda model: scores(predict(model, test), test.labels),
        ),
        name=f"{arm}-seed{seed}",
        params={"arm": arm, "seed": seed, "optimiser": "SGD"},
        log=log,
    )


def fresh(seed: int, *, relu_on_logits: bool = False) -> CnnA:
    """The untrained network of a seed: the one from which training with this seed starts."""
    torch.manual_seed(seed)
    return CnnA(relu_on_logits=relu_on_logits)


def without_relus(model: CnnA) -> CnnA:
    """A copy of the model in which pooled values reach conv2 and fc1 with their negative ones."""
    other = deepcopy(model)
    other.features.relu1 = nn.Identity()
    other.features.relu2 = nn.Identity()
    return other


def embedder(model: CnnA) -> nn.Module:
    """Images to the output of fc2, as a module."""
    return nn.Sequential(model.normalise, model.features, model.neck)


def encode(module: nn.Module, split: Split) -> Array:
    return predict(module, split).cpu().numpy()
