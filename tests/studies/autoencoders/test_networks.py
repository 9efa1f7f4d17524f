"""What the networks of the study `autoencoders` are made of and see in training."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from research.data import Dataset, Split
from research.methods.embedding import fit_pca
from research.models import DenseAutoencoder
from research.studies import autoencoders
from research.studies.autoencoders import measures, networks, settings
from research.studies.autoencoders.settings import PRESETS, recipes

from .by_hand import noise_of


def test_a_linear_autoencoder_comes_down_to_principal_components_and_not_below() -> None:
    torch.manual_seed(0)
    images = torch.rand(40, 1, 4, 4)
    model = DenseAutoencoder((1, 4, 4), [3], hidden="linear", output="linear")
    optimiser = torch.optim.LBFGS(
        model.parameters(), max_iter=500, tolerance_change=1e-12, line_search_fn="strong_wolfe"
    )
    objective = networks.objective_of(0)

    def closure() -> float:
        optimiser.zero_grad()
        loss = objective(model, images, torch.zeros(40))
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.item()

    optimiser.step(closure)  # type: ignore[no-untyped-call]
    flat = images.flatten(1).numpy()
    floor = measures.linear_errors(fit_pca(flat, 3), flat, flat)[3]
    reached = ((networks.reconstruct(model, images) - images) ** 2).mean().item()
    assert floor * (1 - 1e-5) <= reached <= floor * 1.005


def test_linear_errors_are_those_of_sklearn() -> None:
    rng = np.random.default_rng(0)
    train, test, noise = rng.random((3, 30, 6))
    for size in (1, 2, 4):
        pca = fit_pca(train, size)
        for inputs in (test, test + noise):
            rebuilt = pca.inverse_transform(pca.transform(inputs))
            found = measures.linear_errors(fit_pca(train, 5), inputs, test)
            assert found[size] == pytest.approx(((rebuilt - test) ** 2).mean())
    assert found[0] == pytest.approx(((train.mean(0) - test) ** 2).mean())
    assert measures.linear_error(found, 99) == found[5]


def test_what_ends_above_the_mean_image_has_come_apart() -> None:
    train, test = np.random.default_rng(0).random((2, 30, 6))
    constant = ((train.mean(0) - test) ** 2).mean()
    floor = measures.linear_errors(fit_pca(train, 3), test, test)
    exams: Any = {"digits": SimpleNamespace(floor=floor), "pictures": SimpleNamespace(floor=floor)}
    ends = [0.99 * constant, 1.01 * constant, 2 * constant]
    marks = measures.Marks(4, 9, ends, ends, ends, ends)
    for group, count in (("transpose", 2), ("picture_conv", 2), ("published", 0)):
        assert measures.collapsed(group, marks, exams) == count


def test_noise_is_the_same_for_all_and_clipped() -> None:
    images = torch.rand(200, 1, 8, 8)
    noise = networks.noisy(images, 0.5)
    torch.manual_seed(5)
    assert torch.equal(noise, networks.noisy(images, 0.5))
    assert torch.equal(noise, noise_of(images))
    assert noise.min() == 0 and noise.max() == 1
    assert networks.noisy(images, 0) is images


def test_in_training_networks_of_a_seed_see_one_noise_and_clean_targets() -> None:
    images = torch.rand(20, 1, 4, 4)
    torch.manual_seed(3)
    seen = (images + 0.5 * torch.randn(images.shape)).clamp(0, 1)
    torch.manual_seed(3)
    loss = networks.objective_of(0.5)(torch.nn.Identity(), images, torch.zeros(20))
    assert loss.item() == pytest.approx(((seen - images) ** 2).mean().item(), rel=1e-5)


def test_coloured_pictures_become_their_luminance() -> None:
    images = torch.tensor([[255, 0, 0, 200], [0, 255, 0, 100], [0, 0, 255, 50]]).view(1, 3, 1, 4)
    split = Split(images.byte(), torch.zeros(1, dtype=torch.int64))
    data = Dataset.of("a", split, split, ("x",), source="", licence="")
    grey = networks.in_grey(data)
    assert grey.train.images.flatten().tolist() == [76, 150, 29, 124]
    assert grey.test.images.dtype == torch.uint8
    assert networks.in_grey(grey).train is grey.train


def test_the_published_sizes_are_trained_whatever_is_asked_for() -> None:
    names = {recipe.name for recipe in recipes(PRESETS["full"])}
    assert (
        len(names) == len(recipes(PRESETS["full"])) == len(autoencoders.children(PRESETS["full"]))
    )
    assert {"upsample-seed0", "picture_conv-seed2", "simple-8maps-seed1"} <= names
    assert settings.sizes_of("digits", PRESETS["full"]) == [1, 2, 4, 8]
