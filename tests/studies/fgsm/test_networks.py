"""How the study `fgsm` trains its networks."""

import dataclasses
from itertools import product
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.optim import SGD, Adadelta
from torch.optim.lr_scheduler import StepLR

from research.data import Dataset
from research.models import LeNet, Maxout, SoftmaxRegression, TutorialCnn
from research.records import Results
from research.studies import fgsm
from research.studies.fgsm import networks
from research.studies.fgsm.settings import Recipe
from research.training.loop import Training, resolve

from .by_hand import linear, maxout


def test_the_run_tells_which_models_it_trained(record: Results) -> None:
    names = {f"{arm}-seed{seed}" for arm, seed in product(("lenet", "cnn"), (0, 1))}
    names |= {f"{a}-seed0" for a in ("softmax", "logistic", "maxout", "adversarial", "signs")}
    assert set(record.run.models) == {*names, "uniform-seed0"}
    assert {model["origin"] for model in record.run.models.values()} == {"trained"}
    assert set(record.run.seconds) == {"data", "training", "analysis", "figures"}
    assert record.numbers["parameters_lenet"].value == 21_840
    assert record.numbers["parameters_cnn"].value == 1_199_882


def batch(data: Dataset) -> tuple[Tensor, Tensor]:
    return data.test.floats()[:40], data.test.labels[:40]


def test_the_adversarial_objective_of_a_linear_model_is_its_closed_form(data: Dataset) -> None:
    torch.manual_seed(0)
    model, (x, y) = SoftmaxRegression().double(), batch(data)
    x = x.double()
    loss = networks.adversarial_loss(model, x, y, 0.25)
    w = {name: value.detach() for name, value in model.named_parameters()}
    clean = linear(w, x).softmax(1) - F.one_hot(y, 10)
    adv_inputs = x + 0.25 * (clean @ w["fc.weight"]).sign().view_as(x)
    attacked = linear(w, adv_inputs).softmax(1) - F.one_hot(y, 10)
    halves = [-linear(w, inputs).log_softmax(1)[range(40), y].mean() for inputs in (x, adv_inputs)]
    # objectives are computed in float32
    assert loss.item() == pytest.approx((halves[0] + halves[1]).item() / 2, rel=1e-6)
    [gradient] = torch.autograd.grad(loss, [dict(model.named_parameters())["fc.weight"]])
    # that of constant inputs: nothing comes through the sign
    constant = (clean.T @ x.flatten(1) + attacked.T @ adv_inputs.flatten(1)) / 80
    assert torch.allclose(gradient, constant, atol=1e-6)
    assert adv_inputs.min() < 0 and adv_inputs.max() > 1


def test_the_attack_in_training_is_made_without_dropout(data: Dataset) -> None:
    torch.manual_seed(0)
    model, (x, y) = Maxout().train(), batch(data)
    torch.manual_seed(5)
    loss = networks.adversarial_loss(model, x, y, 0.25)
    assert model.training and all(p.grad is None for p in model.parameters())
    pixels = x.clone().requires_grad_()
    w = {name: value.detach() for name, value in model.named_parameters()}
    [gradient] = torch.autograd.grad(F.cross_entropy(maxout(w, pixels), y), pixels)
    torch.manual_seed(5)  # the dropout of the clean half comes first
    expected = (F.cross_entropy(model(x), y)
                + F.cross_entropy(model(x + 0.25 * gradient.sign()), y)) / 2  # fmt: skip
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("arm", ["signs", "uniform"])
def test_controls_see_half_clean_and_half_noisy_images(arm: str, data: Dataset) -> None:
    torch.manual_seed(0)
    model, (x, y) = SoftmaxRegression(), batch(data)
    seen: list[Tensor] = []
    model.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    loss = networks.objective_of(arm, 0.25)(model, x, y)
    clean, noisy = seen
    assert torch.equal(clean, x)
    noise = (noisy - x).flatten()
    assert noise.abs().max() <= 0.25 + 1e-6
    assert abs(noise.mean().item()) < 4 * 0.25 / len(noise) ** 0.5
    # the variance of ±eps is eps², of a uniform noise a third of it
    assert noise.var().item() == pytest.approx(0.0625 / (1 if arm == "signs" else 3), rel=0.02)
    assert (torch.allclose(noise.abs(), torch.tensor(0.25))) == (arm == "signs")
    both = [F.cross_entropy(model(inputs), y) for inputs in (x, noisy)]
    assert loss.item() == pytest.approx((both[0] + both[1]).item() / 2)


PAPER_ARMS = ("softmax", "logistic", "maxout", "adversarial", "signs", "uniform")
KINDS = dict.fromkeys(PAPER_ARMS[2:], Maxout) | dict.fromkeys(PAPER_ARMS[:2], SoftmaxRegression)


@pytest.mark.parametrize("arm", ["lenet", "cnn", *PAPER_ARMS])
def test_networks_are_trained_as_said(
    arm: str, data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = fgsm.PRESETS["full"]
    config = dataclasses.replace(config, train=resolve(config.train))
    asked: dict[str, Any] = {}

    def obtain(training: Training[Any], **more: object) -> object:
        asked.update(vars(training), **more)
        return training.model

    monkeypatch.setattr(networks, "obtain", obtain)
    model = networks.train(Recipe(arm, 3), data, config, Mock())
    kinds = {"lenet": LeNet, "cnn": TutorialCnn, **KINDS}
    assert type(model) is kinds[arm] and (asked["name"], asked["seed"]) == (f"{arm}-seed3", 3)
    [group], optimiser, settings = (
        asked["optimiser"].param_groups,
        asked["optimiser"],
        asked["settings"],
    )
    if arm == "cnn":
        assert (type(optimiser), group["lr"], group["weight_decay"]) == (Adadelta, 1.0, 0)
        scheduler = asked["scheduler"]
        assert isinstance(scheduler, StepLR) and scheduler.optimizer is optimiser
        assert (scheduler.step_size, scheduler.gamma) == (1, 0.7)
    else:
        rate = 0.01 if arm == "lenet" else 0.1
        assert (type(optimiser), group["lr"], group["momentum"]) == (SGD, rate, 0.5)
        assert not (group["nesterov"] or group["weight_decay"] or group["dampening"])
        assert asked["scheduler"] is None
    tutorial = {"lenet": 10, "cnn": 14}
    assert (settings.epochs, settings.batch, settings.lr) == (
        tutorial.get(arm, 20), 64 if arm in tutorial else 100, group["lr"]
    )  # fmt: skip
    assert list(asked["snapshots"]) == ([2, 5] if arm in tutorial else [])
    torch.manual_seed(3)
    same = zip(model.parameters(), networks.fresh(arm).parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in same)
    labels = data.train.labels
    expected = (labels[(labels == 3) | (labels == 7)] == 7).long() if arm == "logistic" else labels
    assert torch.equal(asked["samples"].labels, expected)
    assert asked["evaluate"](model).keys() == {"loss/test", "accuracy/test"}
    if arm in ("lenet", "cnn", "softmax", "maxout"):
        images, labels = batch(data)
        loss = F.cross_entropy(model.eval()(images), labels)
        assert torch.equal(asked["objective"](model, images, labels), loss)
