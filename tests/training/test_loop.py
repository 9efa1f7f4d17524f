"""Training against by-hand loops, closed forms, and itself when interrupted."""

import dataclasses
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from research.config import Train
from research.data import Split
from research.errors import UserError
from research.models.inference import evaluation, predict
from research.training.loop import DivergenceError, Epoch, Training, fit, resolve

SETTINGS = Train(epochs=5, batch=8, lr=0.01, device="cpu", precision="float32")


def tiny_split(count: int = 30, seed: int = 0) -> Split:
    order = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (count, 1, 4, 4), dtype=torch.uint8, generator=order)
    return Split(images, torch.randint(0, 3, (count,), generator=order))


def tiny_model(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Dropout(0.5), nn.Flatten(), nn.Linear(16, 3)
    )


def cross_entropy(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    return nn.functional.cross_entropy(model(images), labels)


def run(
    model: nn.Module, epochs: int, checkpoint: Path | None = None, disturb: bool = False
) -> list[Epoch]:
    """Trains up to an epoch, with a momentum optimiser and a scheduler, and stops there."""
    optimiser = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.StepLR(optimiser, 2, 0.5)
    training = fit(
        Training(
            model, tiny_split(), cross_entropy, optimiser, SETTINGS, seed=3, scheduler=scheduler
        ),
        checkpoint,
    )
    done = []
    for epoch in training:
        done.append(epoch)
        if disturb:
            torch.rand(7)
        if epoch.number == epochs:
            break
    return done


def weights(model: nn.Module) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in model.parameters()]


@pytest.mark.parametrize("stop", [1, 2, 4, 5])
def test_resumed_training_has_the_same_bits(tmp_path: Path, stop: int) -> None:
    whole, broken, resumed = tiny_model(), tiny_model(), tiny_model(seed=99)
    losses = [epoch.loss for epoch in run(whole, 5)]
    run(broken, stop, tmp_path / "c.pt", disturb=True)
    epochs = run(resumed, 5, tmp_path / "c.pt")
    assert all(map(torch.equal, weights(resumed), weights(whole)))
    assert [epoch.loss for epoch in epochs] == losses
    assert [epoch.restored for epoch in epochs] == [True] * stop + [False] * (5 - stop)


KILLED = """
import sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from test_loop import run, tiny_model

import test_loop, time
loss = test_loop.cross_entropy
def slow(*args):
    time.sleep(0.02)
    return loss(*args)
test_loop.cross_entropy = slow
import research.training.loop as t
for number in range(1):
    model = tiny_model()
    original = t._State.save
    def save(self, path, epochs):
        original(self, path, epochs)
        print(len(epochs), flush=True)
    t._State.save = save
    run(model, 5, Path({checkpoint!r}))
"""


@pytest.mark.long
def test_killed_training_loses_at_most_one_epoch(tmp_path: Path) -> None:
    checkpoint = tmp_path / "c.pt"
    code = KILLED.format(tests=str(Path(__file__).parent), checkpoint=str(checkpoint))
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    target = int(np.random.default_rng(os.getpid()).integers(1, 5))
    for line in process.stdout:  # one line for each epoch that is safe
        if int(line) == target:
            break
    process.send_signal(signal.SIGKILL)
    process.wait()
    whole, resumed = tiny_model(), tiny_model(seed=1)
    run(whole, 5)
    restored = [epoch for epoch in run(resumed, 5, checkpoint) if epoch.restored]
    assert len(restored) >= target
    assert all(map(torch.equal, weights(resumed), weights(whole)))


def test_loss_is_the_mean_over_images_of_a_by_hand_loop() -> None:
    split, model = tiny_split(), nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
    by_hand = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
    by_hand.load_state_dict(model.state_dict())
    settings = Train(epochs=1, batch=30, lr=0.1, device="cpu", precision="float32")
    [epoch] = fit(
        Training(
            model,
            split,
            cross_entropy,
            torch.optim.SGD(model.parameters(), lr=0.1),
            settings,
            seed=0,
        )
    )
    x, y = split.images.flatten(1).double() / 255, split.labels
    w, b = (p.detach().double() for p in by_hand.parameters())
    p = torch.softmax(x @ w.T + b, 1)
    loss = -p[torch.arange(30), y].log().mean()
    gradient = (p - nn.functional.one_hot(y, 3)).T @ x / 30
    assert epoch.loss == pytest.approx(loss.item(), rel=1e-6)
    assert torch.allclose(next(model.parameters()).double(), w - 0.1 * gradient, atol=1e-6)


def test_mean_weighs_a_short_last_batch_by_its_images() -> None:
    split = tiny_split(10)

    def brightness(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        loss: Tensor = images.mean() + 0 * model(images).sum()
        return loss

    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
    [epoch] = fit(
        Training(
            model,
            split,
            brightness,
            torch.optim.SGD(model.parameters(), lr=0.1),
            Train(epochs=1, batch=8, device="cpu", precision="float32"),
            seed=0,
        )
    )
    assert epoch.loss == pytest.approx(split.images.double().mean().item() / 255, rel=1e-6)


def test_divergence_stops_with_the_learning_rate_named() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
    optimiser = torch.optim.SGD(model.parameters(), lr=1e30)

    def squared(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        loss: Tensor = model(images).square().mean()
        return loss

    settings = Train(epochs=9, batch=8, lr=1e30, device="cpu", precision="float32")
    with pytest.raises(DivergenceError, match=r"epoch \d+ at .* of 1e\+30; lower it"):
        list(fit(Training(model, tiny_split(), squared, optimiser, settings, seed=0)))


class TiedLinear(nn.Module):
    """An autoencoder whose decoder is its encoder transposed."""

    def __init__(self, mean: Tensor, size: int) -> None:
        super().__init__()
        self.mean = mean
        self.weight = nn.Parameter(0.1 * torch.randn(size, len(mean)))

    def forward(self, images: Tensor) -> Tensor:
        flat = images.flatten(1) - self.mean
        rebuilt: Tensor = flat @ self.weight.T @ self.weight + self.mean
        return rebuilt.view_as(images)


def test_linear_tied_autoencoder_reaches_the_error_of_pca() -> None:
    torch.manual_seed(0)
    factors = torch.randn(300, 5) @ torch.randn(5, 16) * 25 + 0.1 * torch.randn(300, 16) * 25
    images = (128 + factors).clamp(0, 255).byte().view(-1, 1, 4, 4)
    split = Split(images, torch.zeros(300, dtype=torch.long))
    flat = images.flatten(1).double() / 255
    spectrum = torch.linalg.svdvals(flat - flat.mean(0)).square()
    best = (spectrum[3:].sum() / flat.numel()).item()
    model = TiedLinear(flat.mean(0).float(), 3)
    settings = Train(epochs=400, batch=300, lr=0.02, device="cpu", precision="float32")
    optimiser = torch.optim.Adam(model.parameters(), lr=0.02)
    *_, last = fit(
        Training(
            model,
            split,
            lambda model, images, _: (model(images) - images).square().mean(),
            optimiser,
            settings,
            seed=0,
        )
    )
    assert best <= last.loss * (1 + 1e-6)
    assert last.loss == pytest.approx(best, rel=1e-3)


def test_predict_is_the_same_in_any_batch_and_leaves_the_modes() -> None:
    model, split = tiny_model(), tiny_split()
    model[2].eval()  # type: ignore[index]  # one layer frozen, the others training
    modes = [module.training for module in model.modules()]
    one, many = predict(model, split, batch=1), predict(model, split, batch=30)
    assert torch.allclose(one, many, atol=1e-6)
    assert [module.training for module in model.modules()] == modes
    assert not one.requires_grad


def test_evaluation_restores_the_modes_after_an_error() -> None:
    model = tiny_model()
    with pytest.raises(ZeroDivisionError), evaluation(model):
        assert not model.training
        _ = 1 / 0
    assert model.training


def test_a_device_that_is_not_there_is_named() -> None:
    with pytest.raises(UserError, match="'cuda:99' is not one; use cpu"):
        resolve(Train(device="cuda:99"))
    with pytest.raises(UserError, match="'gpu' is not one"):
        resolve(Train(device="gpu"))


@pytest.mark.parametrize(("precision", "products"), [("tf32", "tf32"), ("float32", "ieee")])
def test_tf32_is_allowed_while_training_only_if_asked_for(
    precision: Literal["tf32", "float32"], products: str
) -> None:
    seen: list[str] = []

    def note(*_: object) -> None:
        cudnn = torch.backends.cudnn
        kinds = (torch.backends.cuda.matmul, cudnn.conv, cudnn.rnn)  # type: ignore[attr-defined]
        seen.extend(kind.fp32_precision for kind in kinds)

    def objective(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        note()  # forward
        loss = cross_entropy(model, images, labels)
        loss.register_hook(note)  # type: ignore[no-untyped-call]  # backward
        return loss

    model = tiny_model()
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    settings = Train(epochs=1, batch=30, lr=0.1, device="cpu", precision=precision)
    note()
    list(fit(Training(model, tiny_split(), objective, optimiser, settings, seed=0)))
    note()
    before, *during, after = zip(seen[::3], seen[1::3], seen[2::3], strict=True)
    assert during == [(products,) * 3] * 2
    assert before == after


def test_weights_that_are_lost_in_the_last_step_are_told() -> None:
    """The loss was that of the step before."""

    def steep(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        loss: Tensor = model(images).square().sum() * 1e30
        return loss

    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 1))
    optimiser = torch.optim.SGD(model.parameters(), lr=1e10)
    settings = dataclasses.replace(SETTINGS, epochs=1)
    with pytest.raises(DivergenceError, match=r"^training must stay finite, got weights that are"):
        list(fit(Training(model, tiny_split(8), steep, optimiser, settings, seed=0)))
