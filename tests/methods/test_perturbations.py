"""Noises against random matrix theory, brute force, linear models and planted universality."""

import copy
import itertools

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from research.config import Data
from research.data import load
from research.errors import UserError
from research.methods.deepfool import deepfool
from research.methods.fgsm import input_gradient, predictions, signed_step
from research.methods.perturbations import (
    class_blocks,
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
    within_between,
)

DATA = load(Data("mnist-sample"))
SHAPE = (1, 28, 28)


class Direction(nn.Module):
    """Two classes, decided by one direction of the pixels: w·(x - ½) < 0 is class 0."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(784, 2)
        w = torch.randn(784, generator=torch.Generator().manual_seed(3))
        self.layer.weight.data = torch.stack([-w, w])
        assert self.layer.bias is not None
        self.layer.bias.data = -self.layer.weight.detach().sum(1) / 2

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.layer(images.flatten(1))
        return logits


def small(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Conv2d(1, 8, 5, stride=2), nn.ReLU(), nn.Dropout(0.1), nn.Flatten(), nn.Linear(1152, 10)
    )
    for index in torch.split(torch.randperm(4000), 16):
        images, labels = DATA.train.images[index] / 255, DATA.train.labels[index]
        gradients = torch.autograd.grad(
            F.cross_entropy(model(images), labels), list(model.parameters())
        )
        for parameter, gradient in zip(model.parameters(), gradients, strict=True):
            parameter.data -= 0.1 * gradient
    return model.eval()


@pytest.fixture(scope="module")
def nets() -> list[nn.Module]:
    return [small(0), small(1)]


@pytest.fixture(scope="module")
def digits(nets: list[nn.Module]) -> tuple[Tensor, Tensor]:
    """200 test digits, about 20 of each class, that the first network gets right."""
    images, labels = DATA.test.floats(), DATA.test.labels
    right = (predictions(nets[0], images) == labels).nonzero()[::4, 0]
    return images[right], labels[right]


# --- how alike noises are ------------------------------------------------------------------------


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


# --- which noise fools which sample --------------------------------------------------------------


@pytest.mark.parametrize("clip", [True, False])
def test_fooling_matrix_is_that_of_one_image_at_a_time(
    nets: list[nn.Module], digits: tuple[Tensor, Tensor], clip: bool
) -> None:
    images, labels = (x[::8] for x in digits)
    wrong = labels.clone()  # the noise does not have to be made for the right class
    wrong[0] = (wrong[0] + 1) % 10
    noises = sign_perturbation(input_gradient(nets[0], images, wrong), 0.15)[:7]
    expected = torch.zeros(len(noises), len(images), dtype=torch.bool)
    with torch.no_grad():
        for (i, noise), (j, image) in itertools.product(enumerate(noises), enumerate(images)):
            adv_input = (image + noise).clamp(0, 1) if clip else image + noise
            clean = nets[1](image[None]).argmax()
            expected[i, j] = nets[1](adv_input[None]).argmax() != clean
    seen: list[int] = []
    handle = nets[1].register_forward_pre_hook(lambda module, args: seen.append(len(args[0])))
    for batch in (3, len(images), 60, 1000):
        seen.clear()
        matrix = fooling_matrix(nets[1], images, noises, clip=clip, batch=batch)
        assert torch.equal(matrix, expected)
        assert max(seen) == min(batch, len(images) * min(len(noises), batch // len(images) or 1))
    handle.remove()
    assert expected.any() and not expected.all()


def test_transfer_counts_what_both_models_get_right(
    nets: list[nn.Module], digits: tuple[Tensor, Tensor]
) -> None:
    images, labels = DATA.test.floats()[::10], DATA.test.labels[::10]
    own = sign_perturbation(input_gradient(nets[0], images, labels), 0.2)
    one = random_signs(1, SHAPE, 0.6, seed=0)[0]
    fooled, samples = transfer(nets, images, labels, [own, one])
    preds = [net(images).argmax(1) for net in nets]
    attacked = [(images + own).clamp(0, 1), (images + one).clamp(0, 1)]
    for s, t in itertools.product(range(2), range(2)):
        after, pair = nets[t](attacked[s]).argmax(1), (0, 0)
        for j, label in enumerate(labels):
            if preds[s][j] == label and preds[t][j] == label:
                pair = (pair[0] + int(after[j] != label), pair[1] + 1)
        assert (int(fooled[s, t]), int(samples[s, t])) == pair
    assert samples[0, 1] < min(samples[0, 0], samples[1, 1])
    assert fooled[0, 0] > fooled[1, 0] > 0


def test_blocks_are_those_of_a_loop() -> None:
    order = np.random.default_rng(0)
    matrix, rows = (
        torch.from_numpy(order.random((12, 12))),
        torch.from_numpy(order.integers(0, 3, 12)),
    )
    blocks = {
        paired: class_blocks(matrix, rows, rows, 4, paired=paired) for paired in (True, False)
    }
    means = within_between(matrix, rows, rows, paired=True, draws=10)
    cells: dict[str, list[float]] = {"within": [], "between": [], "cross": []}
    for i, j in itertools.product(range(12), range(12)):
        if i != j:
            kind = "within" if rows[i] == rows[j] else "between"
            cells[kind].append(matrix[i, j].item())
            cells["cross"].append(matrix[i, j].item())
    for name, values in cells.items():
        assert means[name].value == pytest.approx(np.mean(values))
    for a, b in itertools.product(range(3), range(3)):
        for paired in (True, False):
            values = [matrix[i, j].item() for i, j in itertools.product(range(12), range(12))
                      if rows[i] == a and rows[j] == b and not (paired and i == j)]  # fmt: skip
            assert blocks[paired][a, b] == pytest.approx(np.mean(values))
    assert blocks[True][3].isnan().all()


@pytest.mark.parametrize("paired", [True, False])
def test_a_bootstrap_interval_is_that_of_sets_drawn_again(paired: bool) -> None:
    """One draw serves both sides where they are the same samples."""
    order = np.random.default_rng(1)
    matrix, rows, columns = order.random((9, 9)) < 0.4, order.integers(0, 2, 9), np.arange(9) % 2
    draws = np.random.default_rng(7)
    first = draws.multinomial(9, np.full(9, 1 / 9), 40)
    second = first if paired else draws.multinomial(9, np.full(9, 1 / 9), 40)
    replicates = []
    for noise_counts, sample_counts in zip(first, second, strict=True):
        noises, samples = (np.repeat(np.arange(9), c) for c in (noise_counts, sample_counts))
        cells = [
            matrix[i, j]
            for i in noises
            for j in samples
            if (i != j or not paired) and rows[i] == columns[j]
        ]
        replicates.append(np.mean(cells))
    tensors = (torch.from_numpy(x) for x in (matrix, rows, columns))
    number = within_between(*tensors, paired=paired, draws=40, seed=7)["within"]
    assert number.bounds == pytest.approx(np.quantile(replicates, [0.025, 0.975]))


def test_the_interval_of_a_paired_matrix_covers_where_two_draws_would_not() -> None:
    """Cells of two samples' effects: a mean over pairs varies as twice the mean of the effects."""
    order, covered, apart = np.random.default_rng(0), 0, 0
    labels = torch.zeros(25, dtype=torch.long)
    for seed in range(100):
        effects = order.normal(size=25)
        matrix = torch.from_numpy(effects[:, None] + effects)
        for paired in (True, False):
            number = within_between(matrix, labels, labels, paired=paired, draws=200, seed=seed)
            low, high = number["cross"].bounds or (0, 0)
            covered += paired and low < 0 < high
            apart += not paired and low < 0 < high
    assert covered >= 87
    assert apart <= 85


def test_the_two_way_interval_covers_where_independent_cells_would_not() -> None:
    """Noises and samples with effects of their own: cells of one row or column are alike."""
    order, covered, naive = np.random.default_rng(0), 0, 0
    labels = torch.zeros(25, dtype=torch.long)
    for seed in range(100):
        effects = order.normal(size=(25, 1)) + order.normal(size=25)
        matrix = effects + order.normal(size=(25, 25))
        number = within_between(
            torch.from_numpy(matrix), labels, labels, paired=False, draws=200, seed=seed
        )["cross"]
        assert number.low is not None and number.high is not None
        covered += number.low < 0 < number.high
        naive += abs(matrix.mean()) < 1.96 * matrix.std() / 25
    assert covered >= 88
    assert naive < 50


# --- one noise for all ---------------------------------------------------------------------------


def test_gradient_uap_of_a_linear_model_is_the_sign_of_its_weights() -> None:
    model, images = Direction(), 0.4 + 0.2 * torch.rand(50, *SHAPE)
    w = model.layer.weight[1].detach().view(SHAPE)
    for label in (0, 1):
        noise = gradient_uap(model, images, torch.full((50,), label), 0.05, ceiling=torch.inf)
        assert torch.equal(noise, 0.05 * (1 - 2 * label) * w.sign())


def test_samples_fooled_beyond_the_ceiling_do_not_pull() -> None:
    """Three of class 0 that are taken for 1 by far, against two of class 1 that are not fooled."""
    model = Direction()
    w = model.layer.weight[1].detach().view(SHAPE)
    images, labels = (0.5 + 0.3 * w.sign()).expand(5, *SHAPE), torch.tensor([0, 0, 0, 1, 1])
    for ceiling, side in ((1.0, -1), (torch.inf, 1)):
        noise = gradient_uap(model, images, labels, 0.05, ceiling=ceiling)
        assert torch.equal(noise, side * 0.05 * w.sign())


def planted_side() -> tuple[Direction, Tensor]:
    """400 noisy images, all of the planted model's class 0."""
    model = Direction()
    images = torch.rand(900, *SHAPE, generator=torch.Generator().manual_seed(0))
    return model, images[predictions(model, images) == 0][:400]


def test_a_planted_universal_noise_is_found_and_random_signs_are_not_it() -> None:
    model, images = planted_side()
    labels, eps = torch.zeros(400, dtype=torch.long), 0.06
    craft, held_out = images[:200], images[200:]
    own = sign_perturbation(input_gradient(model, images, labels), eps)

    def rates(noises: Tensor) -> list[float]:
        scores: list[float] = fooling_matrix(model, held_out, noises).double().mean(1).tolist()
        return scores

    candidates = torch.stack([
        gradient_uap(model, craft, labels[:200], eps),
        deepfool_uap(model, craft[:60], eps),
        global_mean_sign(own[:200], eps),
        principal_signs(own[:200], eps)[0],
    ])  # fmt: skip
    found, random = rates(candidates), rates(random_signs(20, SHAPE, eps, seed=0))
    per_sample = fooling_matrix(model, held_out, own[200:]).diagonal().double().mean().item()
    assert candidates.abs().max() <= eps * (1 + 1e-6)
    assert min(found) > 0.9 and per_sample > 0.95
    assert max(random) < 0.5
    assert verdict(found[0], found[0], per_sample, random) == "universal"
    assert verdict(max(random), 0.0, per_sample, random) == "not universal"


def test_deepfool_of_a_linear_model_goes_just_over_the_nearest_boundary() -> None:
    torch.manual_seed(2)
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 5)).double()
    weights = next(model[1].parameters()).detach()
    for inputs in torch.rand(40, 1, 3, 2, 2, dtype=torch.float64):
        logits = model(inputs)[0].detach()
        label = int(logits.argmax())
        others = [k for k in range(5) if k != label]
        steps = [
            (logits[label] - logits[k]) / (weights[k] - weights[label]).square().sum()
            * (weights[k] - weights[label])
            for k in others
        ]  # fmt: skip
        nearest = min(steps, key=lambda step: step.norm().item())
        seen: list[int] = []
        handle = model.register_forward_pre_hook(lambda module, args: seen.append(len(args[0])))  # noqa: B023
        noise = deepfool(model, inputs, label, overshoot=0.02)
        handle.remove()
        assert seen == [1, 5, 1]  # one step, all gradients at once, and the look that it is enough
        assert torch.allclose(noise.flatten(), 1.02 * nearest, atol=1e-12)
        assert model(inputs + noise).argmax() != label
        assert (deepfool(model, inputs, others[0]) == 0).all()


def test_noises_for_a_trained_network_are_better_than_random(
    nets: list[nn.Module], digits: tuple[Tensor, Tensor]
) -> None:
    model, (images, labels), eps = nets[0], digits, 0.2
    craft, held_out = images[::2], images[1::2]
    random = fooling_matrix(model, held_out, random_signs(20, SHAPE, eps, 0)).double().mean(1)
    by_gradient = gradient_uap(model, craft, labels[::2], eps, seed=1)
    by_deepfool = deepfool_uap(model, craft, eps, passes=3, seed=1)
    noises = torch.stack([by_gradient, by_deepfool])
    rates = fooling_matrix(model, held_out, noises).double().mean(1)
    assert rates[0] > 2 * random.max() and rates[1] > random.max()
    assert noises.abs().max() <= eps * (1 + 1e-6)
    assert torch.equal(by_gradient, gradient_uap(model, craft, labels[::2], eps, seed=1))
    assert torch.equal(by_deepfool, deepfool_uap(model, craft, eps, passes=3, seed=1))
    for image, label in zip(held_out[:5, None], labels[1::2], strict=False):
        assert model(image + deepfool(model, image, int(label))).argmax() != label


def test_deepfool_uap_keeps_its_best_pass_and_stops_when_enough_is_fooled(
    nets: list[nn.Module], digits: tuple[Tensor, Tensor]
) -> None:
    images = digits[0][::5]

    def after(passes: int, enough: float = 2) -> tuple[Tensor, float]:
        noise = deepfool_uap(nets[0], images, 0.2, passes=passes, enough=enough, seed=5)
        return noise, fooling_matrix(nets[0], images, noise[None]).double().mean().item()

    results = [after(passes) for passes in range(1, 5)]
    rates = [rate for _, rate in results]
    assert rates == sorted(rates) and rates[-1] > rates[0]
    better = next(i for i, rate in enumerate(rates) if rate > rates[0])
    assert torch.equal(after(4, enough=rates[0])[0], results[0][0])
    assert torch.equal(after(4, enough=rates[better])[0], results[better][0])


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
