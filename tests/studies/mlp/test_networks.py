"""How the study `mlp` trains its networks, and on what."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from research.config import Data
from research.data import load
from research.methods.classification import cross_entropy
from research.models import Mlp
from research.records import Results
from research.studies import mlp
from research.studies.mlp import networks, settings
from research.training.loop import Training, resolve

from .planted import notebook
from .tiny import ARMS


def test_every_model_is_stored_under_its_name(record: Results) -> None:
    names = {path.stem for path in (record.folder / "weights").glob("*.safetensors")}
    assert names == {f"{arm}-seed{seed}" for arm in ARMS for seed in (0, 1)} | {
        f"{arm}-seed0"
        for arm in (
            "ones0", "ones60", "baseline-weighted", "biased-weighted", "ones60-weighted",
        )
    }  # fmt: skip
    assert set(record.run.seconds) == {"data", "training", "analysis", "figures"}


def test_arms_share_their_first_weights_and_differ_where_they_should() -> None:
    config = mlp.PRESETS["full"]
    found = {one.name: one for one in settings.recipes(config)}
    assert len(found) == len(settings.recipes(config)) == len(mlp.children(config))
    torch.manual_seed(3)
    first = Mlp().state_dict()
    torch.manual_seed(3)
    again = Mlp(found["biased-seed3"].hidden).state_dict()
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert found["lr-seed3"].lr == 0.05 and found["baseline-seed3"].lr is None
    assert found["deep-seed3"].hidden == (128, 64, 32)
    assert found["biased-seed3"].ones == 242 and not found["biased-seed3"].weighted
    assert found["reordered-seed3"].order and not found["baseline-seed3"].order
    assert "ones0-weighted-seed0" not in found and found["ones8-weighted-seed2"].weighted


def test_the_first_ones_are_deleted_and_nothing_else() -> None:
    train = load(Data("mnist-sample")).train
    left = networks.thinned(train, 1, 14)
    images, labels = train.images.numpy(), train.labels.numpy()
    assert np.array_equal(left.images[left.labels == 1].numpy(), images[labels == 1][-14:])
    assert np.array_equal(left.images[left.labels != 1].numpy(), images[labels != 1])
    assert len(networks.thinned(train, 1, 0)) == 3600
    assert len(networks.thinned(train, 1, 400)) == 4000


def test_every_class_has_the_same_share_of_the_weighted_loss() -> None:
    train = load(Data("mnist-sample")).train
    model, batch = Mlp(), train.images[:50].float() / 255
    left = networks.thinned(train, 1, 14)
    weights = np.array([len(left) / (10 * (14 if c == 1 else 400)) for c in range(10)])
    labels = torch.randint(10, (50,))
    objective = networks.weighted(left, 10)
    loss = objective(model, batch, labels).item()
    log_p = model(batch).log_softmax(1).detach().numpy()[np.arange(50), labels]
    assert loss == pytest.approx(-(weights[labels] * log_p).sum() / 50, rel=1e-5)
    # equal logits cost ln 10 nat each: over the split, whatever its batches, a tenth per class
    level = torch.nn.Module()
    level.forward = lambda images: torch.zeros(len(images), 10)
    shares = np.zeros(10)
    for start in range(0, len(left), 64):
        part = left.labels[start : start + 64]
        for c in range(10):
            same = part[part == c]
            shares[c] += objective(level, same, same).item() * len(same) if len(same) else 0
    assert shares / len(left) == pytest.approx(np.full(10, np.log(10) / 10), rel=1e-4)
    plain = cross_entropy(model, batch, labels).item()
    assert plain == pytest.approx(-log_p.mean(), rel=1e-5)


def test_another_arms_rate_is_told_where_it_diverges(tmp_path: Path) -> None:
    config = replace(mlp.PRESETS["sample"], high_lr=7.0)
    given: list[Any] = []

    def obtain(training: Training[Mlp], **_: Any) -> Mlp:
        given.append(training.settings)
        return training.model

    data = load(Data("mnist-sample"))
    config = replace(config, train=resolve(replace(config.train, device="cpu")))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(networks, "obtain", obtain)
        for recipe in settings.recipes(config)[:4:3]:
            networks.train(recipe, data, config, notebook()[1])
    assert [one.lr for one in given] == [0.003, 7.0]
    assert given[1] == replace(config.train, lr=7.0)
