"""Noises against random matrix theory and brute force: how alike they are, what a verdict is."""

import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from research.errors import UserError
from research.methods.fgsm import signed_step
from research.methods.perturbations import (
    class_mean_sign,
    cosine_matrix,
    deepfool_uap,
    effective_rank,
    energy,
    fooling_matrix,
    global_mean_sign,
    gradient_uap,
    principal_signs,
    random_signs,
    sign_perturbation,
    spectrum,
    transfer,
    verdict,
)
from tests.methods.directions import SHAPE


def test_random_signs_have_the_cosines_of_theory() -> None:
    noises = random_signs(100, SHAPE, 0.2, seed=0)
    assert set(noises.abs().flatten().tolist()) == {torch.tensor(0.2).item()}
    assert noises.mean().abs() < 0.2 * 4 / noises.numel() ** 0.5
    pairs = cosine_matrix(noises)[np.triu_indices(100, 1)]
    assert abs(pairs.mean()) < 4 / 28 / len(pairs) ** 0.5
    assert pairs.std() == pytest.approx(1 / 28, rel=0.05)
    assert torch.equal(noises, random_signs(100, SHAPE, 0.2, seed=0))
    assert not torch.equal(noises, random_signs(100, SHAPE, 0.2, seed=1))


def test_cosines_are_those_of_a_loop() -> None:
    a, b = torch.randn(4, 2, 3, 3) * 1e-12, torch.randn(5, 2, 3, 3)
    a[1] = 0
    expected = [[np.dot(x, y) / max(np.linalg.norm(x) * np.linalg.norm(y), 1e-99) for y in b]
                for a, b in [(a.flatten(1).double().numpy(), b.flatten(1).double().numpy())]
                for x in a]  # fmt: skip
    assert np.allclose(cosine_matrix(a, b), expected, atol=1e-12)
    assert torch.equal(cosine_matrix(b), cosine_matrix(b, b))


def test_singular_values_of_random_signs_fill_the_marchenko_pastur_band() -> None:
    values = spectrum(random_signs(196, SHAPE, 1, seed=0))
    assert values.shape == (196,)
    assert values[0].item() == pytest.approx(28 + 14, rel=0.05)
    assert values[-1].item() == pytest.approx(28 - 14, rel=0.05)


def test_energy_and_effective_rank_of_known_spectra() -> None:
    rotation = torch.linalg.qr(torch.randn(6, 6, dtype=torch.float64)).Q
    noises = (torch.diag(torch.tensor([3.0, 1, 0, 0])).double() @ rotation[:4]).view(4, 1, 2, 3)
    values = spectrum(noises)
    assert values.tolist() == pytest.approx([3, 1, 0, 0], abs=1e-12)
    assert energy(values).tolist() == pytest.approx([0.9, 1, 1, 1])
    entropy = -(0.75 * np.log(0.75) + 0.25 * np.log(0.25))
    assert effective_rank(values) == pytest.approx(np.exp(entropy))
    assert effective_rank(torch.ones(7)) == pytest.approx(7)


@pytest.mark.parametrize("side", [1, -1])
def test_a_planted_common_noise_is_recovered(side: int) -> None:
    """Each noise agrees with the planted one in 80 % of its signs."""
    order = torch.Generator().manual_seed(0)
    planted = random_signs(1, SHAPE, 0.1, seed=5)[0]
    kept = torch.rand(150, *SHAPE, generator=order) < 0.8
    noises = side * planted * torch.where(kept, 1.0, -1.0)
    assert torch.equal(global_mean_sign(noises, 0.1), side * planted)
    first, second = principal_signs(noises, 0.1)
    assert torch.equal(second, -first)
    assert (first == side * planted).double().mean() > 0.999
    # E[σ1²] / (N·d) = 0.6² + a share of the rest that the band's edge bounds
    assert energy(spectrum(noises))[0].item() == pytest.approx(0.36, abs=0.02)
    random = effective_rank(spectrum(random_signs(150, SHAPE, 0.1, seed=1)))
    assert effective_rank(spectrum(noises)) < 0.95 * random


def test_the_first_principal_sign_leans_to_the_noises() -> None:
    for seed in range(12):
        noises = torch.randn(6, 1, 3, 3, generator=torch.Generator().manual_seed(seed)).double()
        first = torch.linalg.svd(noises.flatten(1)).Vh[0]
        leaning = first * (noises.flatten(1) @ first).sum().sign()
        assert torch.equal(principal_signs(noises, 2)[0].flatten(), 2 * leaning.sign())


def test_class_means_are_those_of_a_loop() -> None:
    noises, labels = random_signs(40, (1, 2, 3), 0.3, seed=0), torch.arange(40) % 3
    means = class_mean_sign(noises, labels, 4, 0.3)
    for label in range(3):
        total = sum(noise for noise, own in zip(noises, labels, strict=True) if own == label)
        assert isinstance(total, Tensor)
        assert torch.equal(means[label], 0.3 * total.sign())
    assert (means[3] == 0).all()


def test_the_rule_of_the_verdict() -> None:
    random = list(np.linspace(0, 0.2, 101))  # its 95th percentile is 0.19
    assert verdict(0.5, 0.9, 1.0, random) == "universal"
    assert verdict(0.49, 0.5, 1.0, random) == "class-universal"
    assert verdict(0.49, 0.49, 1.0, random) == "not universal"
    assert verdict(0.195, 0.3, 0.2, random) == "universal"
    assert verdict(0.185, 0.195, 0.2, random) == "class-universal"
    assert verdict(0.19, 0.19, 0.2, random) == "not universal"
    assert verdict(0.25, 0.3, 1.0, random, share=0.25) == "universal"
    assert verdict(0.12, 0.1, 0.2, random, percentile=50) == "universal"


def test_model_images_and_random_state_are_left_as_they_were(
    nets: list[nn.Module], digits: tuple[Tensor, Tensor]
) -> None:
    model = copy.deepcopy(nets[0]).train()
    images, labels = (x[:10].clone() for x in digits)
    rng, before = torch.get_rng_state(), [p.clone() for p in model.parameters()]
    noise = gradient_uap(model, images, labels, 0.1, epochs=2)
    deepfool_uap(model, images, 0.1, passes=1)
    noises = random_signs(50, SHAPE, 0.2, seed=0)  # dropout would change some of so many
    expected = fooling_matrix(nets[0], images, noises)
    assert torch.equal(fooling_matrix(model, images, noises), expected)
    transfer([model], images, labels, [noise])
    random_signs(3, SHAPE, 0.1, seed=0)
    assert all(module.training for module in model.modules())
    assert all(p.grad is None for p in model.parameters())
    assert all(map(torch.equal, model.parameters(), before))
    assert torch.equal(images, digits[0][:10])
    assert torch.equal(torch.get_rng_state(), rng)


def test_a_mistake_is_named(nets: list[nn.Module], digits: tuple[Tensor, Tensor]) -> None:
    model, (images, labels) = nets[0], digits
    noise, outside = torch.zeros(1, *SHAPE), 2 * images - 1
    for act in (
        lambda: fooling_matrix(model, outside, noise),
        lambda: transfer([model], outside, labels, [noise]),
        lambda: gradient_uap(model, outside, labels, 0.1),
        lambda: deepfool_uap(model, outside, 0.1),
    ):
        with pytest.raises(UserError, match=r"images in \[0, 1\], got -1 to 1"):
            act()
    for act in (
        lambda: sign_perturbation(noise, -1),
        lambda: random_signs(1, SHAPE, -1, 0),
        lambda: gradient_uap(model, images, labels, -1),
        lambda: deepfool_uap(model, images, -1),
        lambda: signed_step(images, images, -1),
    ):
        with pytest.raises(UserError, match="eps must be at least 0, got -1"):
            act()
