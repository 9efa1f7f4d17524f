"""The networks of the study `zf`: trained as the paper trains, or given by the user."""

import sys
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import MultiStepLR

from research.config import GIVEN
from research.data import Dataset
from research.errors import UserError
from research.machine import threads
from research.methods.classification import scores
from research.methods.crops import centre, crop_loss, cropped, mean_image
from research.models import FilterSgd, Normalise, ZFNet, parameter_groups
from research.models.given import built, told
from research.models.inference import evaluation, predict
from research.models.layers import LogOf
from research.models.pretrained import IMAGENET, TORCHVISION, imagenet_file, imagenet_weights
from research.models.weights import fill
from research.models.zeiler import First, milestones
from research.records import sha256
from research.studies.zf.settings import ARMS, Config, name_of
from research.tracking import Log
from research.training import cost
from research.training.cache import has_snapshot, obtain, snapshot
from research.training.loop import Training, placed

Stages = Mapping[int, Sequence[nn.Module]]
"""Networks of one arm as they were after an epoch, one per seed."""

RMS = 0.1
"""The radius to which filters are scaled back."""


def train(arm: str, seed: int, data: Dataset, config: Config, log: Log) -> ZFNet:
    """One network, trained, found as trained before, or read from the weights that were given."""
    model = beginning(seed, data, config, arm)
    groups = parameter_groups(model, RMS)
    optimiser = FilterSgd(groups, lr=config.train.lr, momentum=0.9)
    epochs = config.train.epochs
    test = cropped(data.test, config.side)
    return obtain(
        Training(
            model,
            data.train,
            partial(crop_loss, side=config.side),
            optimiser,
            config.train,
            seed=seed,
            evaluate=lambda model: scores(predict(model, test), test.labels),
            scheduler=MultiStepLR(optimiser, milestones(epochs), gamma=0.1),
        ),
        name=name_of(arm, seed),
        params={"arm": arm, "seed": seed, "optimiser": "SGD, filters held"},
        log=log,
        snapshots=[n for n in config.lengths if n < epochs] if arm == "zf" else (),
    )


def beginning(seed: int, data: Dataset, config: Config, arm: str = "zf") -> ZFNet:
    """The network of a seed before training, on its device."""
    torch.manual_seed(seed)
    return placed(fresh(arm, data, config), config.train)


def fresh(arm: str, data: Dataset, config: Config) -> ZFNet:
    """A network as it is before training, its per-pixel mean that of the training images."""
    return ZFNet(
        config.width, len(data.classes), side=config.side, channels=data.shape[0],
        first=cast(First, arm), mean=mean_image(data.train, config.side),
    )  # fmt: skip


def check_networks(data: Dataset, config: Config) -> None:
    """Raises UserError for images that are too small for one of the arms."""
    with torch.device("meta"):  # without weights
        for arm in ARMS:
            ZFNet(config.width, len(data.classes), side=config.side, first=cast(First, arm))


def stages(trained: Sequence[ZFNet], data: Dataset, config: Config, log: Log) -> Stages:
    """Epochs of training -> the networks as they were then; given weights have no past."""
    names = [name_of("zf", seed) for seed in config.seeds]
    return {
        epoch: [
            snapshot(placed(fresh("zf", data, config), config.train), name, epoch, log)
            for name in names
        ]
        for epoch in sorted(set(config.lengths))
        if all(has_snapshot(name, epoch, log) for name in names)
    } | {config.train.epochs: list(trained)}


# --- a network of the user's ---------------------------------------------------------------------


def given(data: Dataset, config: Config, log: Log) -> nn.Module:
    """The network that `--model` names, with its weights, in evaluation mode.

    Raises:
        UserError: there is none, its weights are missing or another's, or it does not answer images
            of this size with logits.
    """
    with log.child(GIVEN, {"arm": config.model}) as child:
        if config.model.startswith("torchvision:"):
            model, file = of_torchvision(config, child.pretrained)
        else:
            model, file = built(config.model), file_of(child.pretrained)
            for line in fill(model, file):
                print(f"zf  {line}", file=sys.stderr)
    log.model(GIVEN, {"origin": "given", "sha256": sha256(file)})
    odd = {str(one.dtype)[6:] for one in model.parameters() if one.dtype != torch.float32}
    if odd:
        print(f"zf  weights in {', '.join(sorted(odd))} are used in float32", file=sys.stderr)
    # in its own layout: forward() may rely on it; images are float32
    model = model.to(config.train.device).float().eval()
    answering = with_logits(model, data, config)
    threads.widen(suited(model, data, config))
    return answering


def suited(model: nn.Module, data: Dataset, config: Config) -> int:
    """The number of threads for looking at a network of the user's, as for training it."""
    image = centre(data.test.images[:1], config.side).float() / 255
    with torch.no_grad():
        image_cost = cost.of(lambda: model(image))
    return threads.suited(image_cost.operations * config.train.batch)


def of_torchvision(config: Config, weights: Path | None) -> tuple[nn.Module, Path]:
    """AlexNet or VGG16 behind the normalisation that it was made for, and its file of weights.

    Raises:
        UserError: another name, a file that is missing or not the right one, or other weights.
    """
    name = config.model.partition(":")[2]
    if name not in TORCHVISION:
        raise UserError(f"--model torchvision:NAME can be {' or '.join(TORCHVISION)}, got '{name}'")
    if weights:
        raise UserError(
            f"--model torchvision:{name} comes with ImageNet's weights, got {weights} too; "
            "leave one of them out"
        )
    from torchvision import models

    file = imagenet_file(config.imagenet, TORCHVISION[name])
    network = getattr(models, name)()
    network.load_state_dict(imagenet_weights(file))
    return nn.Sequential(OrderedDict(normalise=Normalise(*IMAGENET), network=network)), file


def class_names(outputs: int, config: Config) -> tuple[str, ...]:
    """Names for outputs that are not the data's classes: ImageNet's where known, else numbers."""
    if config.model.startswith("torchvision:"):
        from torchvision.models import get_model_weights

        weights = get_model_weights(config.model.partition(":")[2])["IMAGENET1K_V1"]
        names = tuple(weights.meta["categories"])
        if len(names) == outputs:
            return names
    return tuple(map(str, range(outputs)))


def file_of(weights: Path | None) -> Path:
    """The file of weights. Raises UserError if none was given."""
    if weights is None:
        raise UserError("--model FILE.py:NAME needs its weights: add --weights FILE.safetensors")
    return weights


def with_logits(model: nn.Module, data: Dataset, config: Config) -> nn.Module:
    """The network; one that answers with probabilities with their logarithms behind it.

    Raises:
        UserError: images of this size are not answered with logits (N, K).
    """
    images = centre(data.test.images[:2], config.side).float() / 255
    wanted = f"--model {config.model} must answer images of 3 × {config.side} × {config.side}"
    try:
        with evaluation(model):
            logits = model(images)
    except Exception as error:  # whatever the user's forward() does
        raise UserError(f"{wanted} ({told(error)}); try another --side and --data.size") from None
    found = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
    if not (isinstance(found, tuple) and len(found) == 2 and found[1] > 1):
        raise UserError(f"{wanted} with logits (images, classes), it returned {found}")
    if found[0] != len(images):
        raise UserError(
            f"{wanted} with a row of logits for each, got {found[0]} rows for {len(images)}: a "
            "view() in its forward() is made for another size; try another --side and --data.size"
        )
    if not logits.isfinite().all():
        raise UserError(f"{wanted} with finite logits, it returned NaN or infinity")
    if bool((logits >= 0).all()) and torch.allclose(logits.sum(1), torch.ones(len(images))):
        print("zf  the network answers with probabilities: their logarithms are the logits",
              file=sys.stderr)  # fmt: skip
        return nn.Sequential(OrderedDict(network=model, log=LogOf()))
    return model
