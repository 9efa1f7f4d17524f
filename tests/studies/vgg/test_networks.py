"""How the study `vgg` trains its network."""

import dataclasses
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from torch.optim import SGD
from torch.optim.lr_scheduler import LambdaLR

from research.data import Dataset
from research.models import Vgg16
from research.studies import vgg
from research.studies.vgg import networks
from research.training.loop import Objective, resolve


def test_networks_are_trained_by_the_rule_that_the_paper_states(
    data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = Mock(side_effect=lambda training, **_: training.model)
    monkeypatch.setattr(networks, "obtain", seen)
    config = vgg.PRESETS["full"]
    config = dataclasses.replace(config, width=0.0625, train=resolve(config.train))
    networks.train(3, data, config, Mock())
    training, given = seen.call_args.args[0], seen.call_args.kwargs
    optimiser = training.optimiser
    assert isinstance(optimiser, SGD) and isinstance(training.scheduler, LambdaLR)
    group = optimiser.param_groups[0]
    assert (group["initial_lr"], group["momentum"], group["weight_decay"]) == (0.1, 0.9, 5e-4)
    assert group["nesterov"] and given["name"] == "scratch-seed3"


def test_the_rate_rises_for_a_tenth_of_the_epochs_and_falls_to_nearly_nothing() -> None:
    rates = [networks.rate(epoch, 60) for epoch in range(60)]
    assert rates[0] == pytest.approx(1 / 7) and max(rates) == rates[6]
    assert sorted(rates[6:], reverse=True) == rates[6:]
    assert 0 < rates[-1] < 0.001
    assert networks.rate(30, 60) == pytest.approx(0.5)
    assert networks.rate(0, 1) == 0.5


def test_a_batch_is_mirrored_and_shifted_as_by_hand(data: Dataset) -> None:
    images, labels = data.train.floats()[:6], data.train.labels[:6]
    model = Vgg16(0.0625, 3).eval()

    torch.manual_seed(1)
    objective: Objective = networks.augmented_loss
    loss = objective(model, images, labels)

    torch.manual_seed(1)
    flips, (down, right) = torch.rand(6) < 0.5, torch.randint(9, (2, 6))
    changed = []
    for image, flip, top, left in zip(images.numpy(), flips, down, right, strict=True):
        padded = np.pad(image[..., ::-1] if flip else image, ((0, 0), (4, 4), (4, 4)))
        changed.append(padded[:, top : top + 32, left : left + 32])
    expected = F.cross_entropy(model(torch.from_numpy(np.stack(changed))), labels)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
