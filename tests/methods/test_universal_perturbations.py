"""One perturbation for all samples: linear models and planted universality."""

import torch
from torch import Tensor, nn

from research.methods.deepfool import deepfool
from research.methods.fgsm import input_gradient, predictions
from research.methods.perturbations import (
    deepfool_uap,
    fooling_matrix,
    global_mean_sign,
    gradient_uap,
    principal_signs,
    random_signs,
    sign_perturbation,
    verdict,
)
from tests.methods.directions import SHAPE, Direction


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
