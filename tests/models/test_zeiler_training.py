"""The optimiser that holds the filters, against numpy, and training with it."""

from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import nn

from research.config import Train
from research.data import Split
from research.methods.classification import cross_entropy
from research.methods.crops import crop_loss
from research.models import (
    FilterSgd,
    ZFNet,
    parameter_groups,
    zeiler,
)
from research.models.zeiler import milestones
from research.training import fingerprint
from research.training.cache import digest_of
from research.training.loop import Epoch, Training, fit
from tests.models.zeiler import tiny

Floats = npt.NDArray[np.float64]


def numpy_step(w: Floats, v: Floats, g: Floats, rms: float | None) -> tuple[Floats, Floats]:
    """A step with learning rate 0.5 and momentum 0.9; returns the weights and the velocity."""
    v = 0.9 * v + g
    w = w - 0.5 * v
    for one in w if rms else ():
        size = np.sqrt((one**2).sum() / one.size)
        if size > rms:
            one *= rms / size
    return w, v


def test_a_step_is_that_of_sgd_and_then_scales_large_filters_back() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 6, 3), nn.Flatten(), nn.Linear(6 * 4, 3)).double()
    conv, linear = model[0], model[2]
    assert isinstance(conv, nn.Conv2d) and isinstance(linear, nn.Linear)
    with torch.no_grad():
        conv.weight *= torch.tensor([0.01, 0.1, 0.5, 1, 2, 0])[:, None, None, None]
        linear.weight *= 10
    optimiser = FilterSgd(parameter_groups(model, 0.1), lr=0.5, momentum=0.9)
    named = dict(model.named_parameters())
    hand = {name: (p.detach().numpy().copy(), np.zeros(p.shape)) for name, p in named.items()}
    held = []
    for _ in range(3):
        for name, p in named.items():
            p.grad = 0.03 * torch.randn_like(p)
            radius = 0.1 if name == "0.weight" else None
            hand[name] = numpy_step(*hand[name], p.grad.numpy(), radius)
        optimiser.step()
        for name, p in named.items():
            assert np.allclose(p.detach().numpy(), hand[name][0], rtol=1e-12, atol=1e-15), name
        sizes = conv.weight.detach().square().mean((1, 2, 3)).sqrt()
        assert sizes.max() <= 0.1 * (1 + 1e-12)
        held.append(int((sizes > 0.1 * (1 - 1e-12)).sum()))
    assert set(held) <= {1, 2, 3, 4, 5}  # some filters, not all
    assert linear.weight.std() > 0.5


def test_filters_within_the_radius_keep_the_bits_of_plain_sgd() -> None:
    data = torch.rand(4, 3, 47, 47)
    models = [tiny(), tiny()]
    models[1].load_state_dict(models[0].state_dict())
    optimisers = [
        FilterSgd(parameter_groups(models[0], 1e3), lr=0.1, momentum=0.9),
        torch.optim.SGD(models[1].parameters(), lr=0.1, momentum=0.9),
    ]
    for model, optimiser in zip(models, optimisers, strict=True):
        torch.manual_seed(0)
        model(data).square().mean().backward()
        optimiser.step()
    for mine, theirs in zip(models[0].parameters(), models[1].parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_a_step_calls_its_closure_with_gradients() -> None:
    weight = nn.Parameter(torch.full((1, 1, 1, 1), 0.3))
    optimiser = FilterSgd([{"params": [weight], "rms": 0.1}], lr=0.1)

    def closure() -> float:
        loss = weight.square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.item()

    assert optimiser.step(closure) == pytest.approx(0.09)
    assert weight.item() == pytest.approx(0.1)


def test_the_groups_hold_each_parameter_once_and_bound_the_filters_alone() -> None:
    model = tiny()
    filters, rest = parameter_groups(model, 0.1)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    assert [names[id(p)] for p in filters["params"]] == [f"conv{i}.weight" for i in range(1, 6)]
    assert filters["rms"] == 0.1 and "rms" not in rest
    assert sorted(names[id(p)] for g in (filters, rest) for p in g["params"]) == sorted(
        names.values()
    )


def test_the_rate_falls_twice() -> None:
    assert milestones(20) == [12, 17]


def split() -> Split:
    order = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (24, 3, 50, 50), dtype=torch.uint8, generator=order)
    return Split(images, torch.arange(24) % 3)


def run(seed: int, epochs: int, rms: float, checkpoint: Path | None) -> tuple[ZFNet, list[Epoch]]:
    torch.manual_seed(seed)
    model = tiny()
    optimiser = FilterSgd(parameter_groups(model, rms), lr=0.01, momentum=0.9)
    settings = Train(epochs=epochs, batch=8, lr=0.01, device="cpu", precision="float32")
    training = fit(
        Training(model, split(), partial(crop_loss, side=47), optimiser, settings, seed=3),
        checkpoint,
    )
    return model, list(training)


def test_resumed_training_has_the_same_bits_and_the_same_radius(tmp_path: Path) -> None:
    whole, epochs = run(0, 4, 0.03, None)
    run(0, 2, 0.03, tmp_path / "c.pt")
    resumed, again = run(9, 4, 0.5, tmp_path / "c.pt")  # radius from the checkpoint
    for name, weight in whole.named_parameters():
        assert torch.equal(weight, resumed.get_parameter(name)), name
    assert [epoch.loss for epoch in again] == [epoch.loss for epoch in epochs]
    sizes = whole.get_parameter("conv2.weight").detach().square().mean((1, 2, 3)).sqrt()
    assert sizes.max() == pytest.approx(0.03, rel=1e-5)  # the radius did something
    free, _ = run(0, 4, 1.0, None)
    assert not torch.equal(whole.get_parameter("fc8.weight"), free.get_parameter("fc8.weight"))


def test_radius_and_code_of_the_optimiser_are_part_of_a_models_digest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    torch.manual_seed(0)
    model = tiny()

    def digest(rms: float, kind: type[torch.optim.SGD] = FilterSgd) -> str:
        optimiser = kind(parameter_groups(model, rms), lr=0.01)
        settings = Train(epochs=1, device="cpu", precision="float32")
        return digest_of(Training(model, split(), cross_entropy, optimiser, settings, seed=0))

    first = digest(0.1)
    assert digest(0.1) == first
    assert len({first, digest(0.2), digest(0.1, torch.optim.SGD)}) == 3
    kind = fingerprint.digest(FilterSgd)
    monkeypatch.setattr(zeiler, "_scale_back", lambda filters, rms: None)
    assert fingerprint.digest(FilterSgd) != kind
    assert digest(0.1) != first
