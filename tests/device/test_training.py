"""Training on a device against training on the CPU, and against itself when interrupted."""

import copy
import dataclasses
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from research.config import Train
from research.data import Split, batches, random_crop, random_flip
from research.data.sequences import Copying
from research.methods.classification import cross_entropy, scores
from research.methods.crops import random_one_of_ten
from research.methods.reconstruction import bce
from research.models import CnnA, ConvAutoencoder, FilterSgd, parameter_groups
from research.models.inference import predict
from research.records import load as read
from research.tracking import Opening, open_store
from research.training.cache import obtain
from research.training.loop import Training, fit, placed, resolve, tf32

pytestmark = pytest.mark.cuda

SETTINGS = Train(epochs=3, batch=32, lr=0.05, device="cpu", precision="float32")


def network(dropout: float = 0.0) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 8, 5, stride=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 16, 3), nn.ReLU(),
        nn.Flatten(), nn.Dropout(dropout), nn.Linear(256, 4),
    )  # fmt: skip


def trained(
    split: Split, device: str, precision: Any = "float32", epochs: int = 3,
    checkpoint: Path | None = None, dropout: float = 0.0,
) -> tuple[nn.Module, list[float]]:  # fmt: skip
    """A network after some epochs, and its losses."""
    settings = dataclasses.replace(SETTINGS, device=device, precision=precision, epochs=epochs)
    model = placed(network(dropout), settings)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.StepLR(optimiser, 2, 0.5)
    run = fit(
        Training(
            model, split.to(device), cross_entropy, optimiser, settings, seed=3, scheduler=scheduler
        ),
        checkpoint,
    )
    return model, [epoch.loss for epoch in run]


def same(first: nn.Module, second: nn.Module, tolerance: float) -> bool:
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(torch.allclose(a.cpu(), b.cpu(), atol=tolerance) for a, b in pairs)


def test_float32_training_is_that_of_the_cpu(digits: Split, device: str) -> None:
    (there, losses), (here, wanted) = trained(digits, device), trained(digits, "cpu")
    assert losses == pytest.approx(wanted, rel=2e-3)
    assert same(there, here, 5e-3)  # rounding grows over 36 steps
    assert losses[-1] < 0.8 * losses[0]
    first, second = (
        predict(model, digits.to(where)).argmax(1).cpu()
        for model, where in ((there, device), (here, "cpu"))
    )
    assert (first == second).double().mean() > 0.99


@pytest.mark.parametrize(("precision", "share"), [("bfloat16", 0.1), ("tf32", 0.02)])
def test_training_with_fewer_bits_comes_near_it(
    digits: Split, device: str, precision: str, share: float
) -> None:
    _, losses = trained(digits, device, precision)
    _, wanted = trained(digits, device)
    assert losses == pytest.approx(wanted, rel=share, abs=0.02)


def test_resumed_training_goes_on_where_it_was(digits: Split, device: str, tmp_path: Path) -> None:
    whole, losses = trained(digits, device, epochs=4, dropout=0.5)
    trained(digits, device, epochs=2, dropout=0.5, checkpoint=tmp_path / "c.pt")
    torch.rand(5, device=device)  # what a caller does between must not matter
    resumed, found = trained(digits, device, epochs=4, dropout=0.5, checkpoint=tmp_path / "c.pt")
    assert found == pytest.approx(losses, rel=1e-4)
    assert same(resumed, whole, 1e-3)


@pytest.mark.parametrize(
    "make",
    [
        lambda model: torch.optim.Adam(model.parameters(), lr=1e-3, fused=True),
        lambda model: torch.optim.Adadelta(model.parameters(), lr=1.0),
        lambda model: FilterSgd(parameter_groups(model, 0.01), lr=0.01, momentum=0.9),
        lambda model: torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, nesterov=True,
                                      weight_decay=5e-4),
    ],
    ids=["adam", "adadelta", "filters held", "nesterov"],
)  # fmt: skip
def test_every_optimiser_steps_as_on_the_cpu(
    make: Callable[[nn.Module], torch.optim.Optimizer], digits: Split, device: str
) -> None:
    models = [placed(network(), dataclasses.replace(SETTINGS, device=d)) for d in ("cpu", device)]
    for model, where in zip(models, ("cpu", device), strict=True):
        optimiser, split = make(model), digits.to(where)
        for images, labels in batches(split, 128):
            optimiser.zero_grad()
            F.cross_entropy(model(images), labels).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    assert same(models[0], models[1], 2e-4)


def test_the_loss_that_autocast_refuses_is_trained_with_rounding(
    pictures: Split, device: str
) -> None:
    def objective(model: nn.Module, images: Tensor, _: Tensor) -> Tensor:
        return bce(images, model(images)).mean()

    losses = {}
    for precision in ("float32", "bfloat16"):
        torch.manual_seed(0)
        settings = Train(epochs=4, batch=16, device=device, precision=precision)
        model = placed(ConvAutoencoder(), settings)
        adam = torch.optim.Adam(model.parameters(), lr=3e-3, fused=True)
        run = fit(Training(model, pictures.to(device), objective, adam, settings, seed=0))
        losses[precision] = [epoch.loss for epoch in run]
    assert losses["bfloat16"] == pytest.approx(losses["float32"], rel=0.01)


def test_a_seed_gives_the_same_images_on_every_device(pictures: Split, device: str) -> None:
    def drawn(where: str) -> list[Tensor]:
        split, images = pictures.to(where), pictures.to(where).images
        order = torch.Generator().manual_seed(7)
        changed = random_crop(random_flip(images, order), 4, order)
        crops = random_one_of_ten(images, 56, order)
        shuffled = [x for x, _ in split.batches(32, order)]
        copies = Copying(count=50, device=torch.device(where)).draw(order)
        return [changed, crops, *shuffled, copies.source, copies.target]

    for a, b in zip(drawn(device), drawn("cpu"), strict=True):
        # CUDA divides by 255 by way of its reciprocal: the last bit of a float may differ
        torch.testing.assert_close(a.cpu(), b, rtol=1.2e-7, atol=0)


def test_nothing_is_rounded_to_tf32_unless_asked_for(device: str) -> None:
    torch.manual_seed(0)
    images, matrix = torch.randn(4, 64, 24, 24), torch.randn(256, 256)
    conv, gru = nn.Conv2d(64, 64, 3), nn.GRU(64, 64, batch_first=True)

    def results(where: str, dtype: torch.dtype) -> list[Tensor]:
        a, b = images.to(where, dtype), matrix.to(where, dtype)
        one, other = (copy.deepcopy(m).to(where, dtype) for m in (conv, gru))
        with torch.no_grad():
            return [one(a).cpu(), (b @ b).cpu(), other(a.flatten(2)[:, :, :64])[0].cpu()]

    truth = results("cpu", torch.float64)
    errors = {}
    for allowed in (False, True):
        with tf32(allowed):
            found = results(device, torch.float32)
        errors[allowed] = [
            float((a.double() - b).abs().max() / b.abs().max())
            for a, b in zip(found, truth, strict=True)
        ]
    assert max(errors[False]) < 1e-5  # cuDNN's GRU approximates exponentials
    if device.startswith("cuda") and torch.cuda.get_device_capability()[0] >= 8:
        assert min(errors[True][:2]) > 2e-5  # else the above would show nothing


def test_a_model_trained_on_the_device_is_kept_and_found(
    digits: Split, device: str, tmp_path: Path
) -> None:
    data, store = digits.to(device), open_store(f"folder:{tmp_path}")
    settings = dataclasses.replace(SETTINGS, epochs=2, device=device)
    opening = Opening(
        study="small", question="?", preset="sample", name="small", config={}, config_digest="d",
        seeds=(0,), device=device,
    )  # fmt: skip

    def train() -> tuple[nn.Module, Any]:
        torch.manual_seed(4)
        model = placed(CnnA(), settings)
        with store.start(opening) as log:
            obtain(
                Training(
                    model,
                    data,
                    cross_entropy,
                    torch.optim.SGD(model.parameters(), lr=0.05),
                    settings,
                    seed=1,
                    evaluate=lambda model: scores(predict(model, data), data.labels),
                ),
                name="a",
                params={},
                log=log,
                snapshots=(1,),
            )
        return model, read(log.folder)

    (first, former), (second, latter) = train(), train()
    origins = [record.run.models["a"]["origin"] for record in (former, latter)]
    assert origins == ["trained", "found"]
    assert same(first, second, 0.0)
    assert next(second.parameters()).device.type == torch.device(device).type


def test_auto_is_the_device_with_rounding_where_there_is_cuda(
    device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = device.startswith("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    found = resolve(Train())
    assert (found.device, found.precision) == (
        ("cuda", "bfloat16") if there else ("cpu", "float32")
    )


def test_the_memory_that_the_gpu_holds_is_told(digits: Split, device: str) -> None:
    settings = dataclasses.replace(SETTINGS, device=device, epochs=2)
    model = placed(network(), settings)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.01)
    epochs = list(
        fit(Training(model, digits.to(device), cross_entropy, optimiser, settings, seed=0))
    )
    assert all(0 < a.peak_memory_mb <= b.peak_memory_mb for a, b in pairwise(epochs))
