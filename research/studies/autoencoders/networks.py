"""The networks of the study `autoencoders`: how they are made, trained and read out."""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from research.data import Dataset, Split
from research.methods import reconstruction
from research.models import (
    ConvAutoencoder,
    DenoisingAutoencoder,
    DenseAutoencoder,
    Output,
    PooledAutoencoder,
)
from research.models.inference import evaluation
from research.studies.autoencoders.settings import NOISY, Config, Recipe
from research.tracking import Log
from research.training.cache import obtain
from research.training.loop import Objective, Training, placed

DEEP = (256, 128, 64, 32, 16)


def train(recipe: Recipe, data: Dataset, config: Config, log: Log) -> nn.Module:
    """One model, trained, found as trained before, or read from the weights that were given."""
    torch.manual_seed(recipe.seed)
    settings = config.train
    if recipe.set == "pictures":
        settings = replace(settings, epochs=config.picture_epochs, batch=config.picture_batch)
    model = placed(fresh(recipe, data.shape), settings)
    noise = config.noise if recipe.arm in NOISY else 0.0
    images = data.test.floats()
    inputs = noisy(images, noise)

    def test_loss(model: nn.Module) -> dict[str, float]:
        return {"loss/test": reconstruction.mse(images, reconstruct(model, inputs)).mean().item()}

    return obtain(
        Training(
            model,
            data.train,
            objective_of(noise),
            torch.optim.Adam(model.parameters(), lr=settings.lr, fused=True),
            settings,
            seed=recipe.seed,
            evaluate=test_loss,
        ),
        name=recipe.name,
        params={"arm": recipe.arm, "seed": recipe.seed, "optimiser": "Adam"},
        log=log,
    )


def fresh(recipe: Recipe, shape: tuple[int, int, int]) -> nn.Module:
    """An untrained network, for images of a shape."""
    arm, maps, pixels = recipe.arm, recipe.maps, shape[1] * shape[2]
    if arm in ("picture_conv", "noisy_conv"):
        return PooledAutoencoder(maps)
    if arm in ("picture_simple", "noisy_simple"):
        code = maps * pixels // 64
        return DenseAutoencoder(shape, [code], [code], hidden="linear")
    makers: dict[str, Callable[[], nn.Module]] = {
        "linear": lambda: DenseAutoencoder(shape, [32], hidden="linear", output="linear"),
        "shallow": lambda: DenseAutoencoder(shape, [32]),
        "agarap": lambda: DenseAutoencoder(shape, [128, 128], [128], output="relu"),
        "published": lambda: deep(shape, "relu"),
        "mended": lambda: deep(shape, "tanh"),
        "simple": lambda: DenseAutoencoder(shape, [maps * pixels // 16]),
        "transpose": lambda: ConvAutoencoder(1, "transpose"),
        "upsample": lambda: ConvAutoencoder(1, "upsample", maps),
        "denoiser": DenoisingAutoencoder,
    }
    return makers[arm]()


def deep(shape: tuple[int, int, int], output: Output) -> DenseAutoencoder:
    """The deep network and its mirror, on pixels in [-1, 1]; as published its output is a ReLU."""
    return DenseAutoencoder(shape, DEEP, DEEP[-2::-1], output=output, centred=True)


def objective_of(noise: float) -> Objective:
    """Mean squared error in pixel units, of images that the network sees with noise or without."""

    def objective(model: nn.Module, images: Tensor, _: Tensor) -> Tensor:
        inputs = (images + noise * torch.randn_like(images)).clamp(0, 1) if noise else images
        return reconstruction.mse(images, model(inputs).float()).mean()

    return objective


def noisy(images: Tensor, noise: float) -> Tensor:
    """Images with Gaussian noise, the same in every call, clipped to [0, 1]. (N, C, H, W)"""
    if not noise:
        return images
    drawn = torch.randn(images.shape, generator=torch.Generator().manual_seed(0))
    return (images + noise * drawn.to(images)).clamp(0, 1)


def reconstruct(model: nn.Module, inputs: Tensor, part: int = 512) -> Tensor:
    """The network's float32 outputs for float images, in order."""
    with evaluation(model):
        return torch.cat([model(images).float() for images in torch.split(inputs, part)])


def code_size(model: nn.Module, image: Tensor) -> int:
    """Values in the code of an image (1, C, H, W)."""
    with evaluation(model):
        return int(model.get_submodule("encoder")(image).numel())


def in_grey(data: Dataset) -> Dataset:
    """Images of one channel: the luminance (Rec. 601) of coloured ones, rounded."""

    def grey(split: Split) -> Split:
        if split.images.shape[1] == 1:
            return split
        weights = torch.tensor([0.299, 0.587, 0.114], device=split.images.device).view(1, 3, 1, 1)
        parts = torch.split(split.images, 1000)
        images = [(part.float() * weights).sum(1, keepdim=True).round().byte() for part in parts]
        return Split(torch.cat(images), split.labels)

    return replace(data, train=grey(data.train), test=grey(data.test))
