"""Which perturbation fools which sample, against loops and sets drawn again."""

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from research.methods.fgsm import input_gradient
from research.methods.perturbations import (
    class_blocks,
    fooling_matrix,
    random_signs,
    sign_perturbation,
    transfer,
    within_between,
)
from tests.methods.directions import DATA, SHAPE


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
