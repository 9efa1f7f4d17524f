"""The networks of the study `zf`: trained as the paper trains, or given by the user."""

import importlib.util
import sys
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.optim.lr_scheduler import MultiStepLR

from research.config import GIVEN
from research.data import Dataset
from research.errors import UserError
from research.methods.classification import scores
from research.methods.crops import centre, crop_loss, cropped, mean_image
from research.models import FilterSgd, Normalise, ZFNet, parameter_groups
from research.models.inference import evaluation, predict
from research.models.pretrained import IMAGENET, TORCHVISION, imagenet_file, imagenet_weights
from research.models.zeiler import First, milestones
from research.records import sha256
from research.studies.zf.settings import ARMS, Config, name_of
from research.tracking import Log
from research.training.cache import has_snapshot, obtain, snapshot
from research.training.loop import placed

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
        model,
        data.train,
        partial(crop_loss, side=config.side),
        optimiser,
        config.train,
        name=name_of(arm, seed),
        params={"arm": arm, "seed": seed, "optimiser": "SGD, filters held"},
        seed=seed,
        log=log,
        evaluate=lambda model: scores(predict(model, test), test.labels),
        scheduler=MultiStepLR(optimiser, milestones(epochs), gamma=0.1),
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
            model, file = loaded(built(config.model), child.pretrained)
    log.model(GIVEN, {"origin": "given", "sha256": sha256(file)})
    model = model.to(config.train.device).eval()  # in its own layout: forward() may rely on it
    check_answers(model, data, config)
    return model


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


def built(where: str) -> nn.Module:
    """The network that a class or function without arguments makes: FILE.py:NAME.

    Raises:
        UserError: no such file or name, or it does not make a network.
    """
    file, _, name = where.rpartition(":")
    path = Path(file).expanduser()
    if path.suffix != ".py" or not path.is_file():
        raise UserError(
            f"--model must be zfnet, torchvision:NAME or FILE.py:NAME, got '{where}'"
            + (f"; there is no file {path}" if path.suffix == ".py" else "")
        )
    spec = importlib.util.spec_from_file_location(f"_given_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
        model = getattr(module, name)()
    except Exception as error:  # it is the user's code: whatever happens there is told in one line
        raise UserError(
            f"--model {where} cannot be made ({told(error)}); "
            f"'{name}' must be a class or function of that file that needs no arguments"
        ) from None
    if not isinstance(model, nn.Module):
        raise UserError(
            f"--model {where} must make a torch.nn.Module, not a {type(model).__name__}"
        )
    return model


def loaded(model: nn.Module, path: Path | None) -> tuple[nn.Module, Path]:
    """The network with the weights of a safetensors file, and the file.

    Raises:
        UserError: no file was given, it cannot be read, or it holds the weights of another network.
    """
    if path is None:
        raise UserError("--model FILE.py:NAME needs its weights: add --weights FILE.safetensors")
    try:
        model.load_state_dict(load_file(path))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise UserError(
            f"--weights {path} must be a safetensors file of the model's weights ({told(error)})"
        ) from None
    return model, path


def check_answers(model: nn.Module, data: Dataset, config: Config) -> None:
    """Raises UserError unless images of this size are answered with logits (N, K)."""
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


def told(error: Exception) -> str:
    """What happened, in a line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"
