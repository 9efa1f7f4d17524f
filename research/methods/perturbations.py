"""Is an attack universal? How alike samples' perturbations are, and what one does to all.

A perturbation, delta, is a tensor (C, H, W) in [-eps, eps], eps in pixel units of [0, 1]. It is
compared as it is and scored on images clipped to [0, 1] after it was added. It *fools* a sample if
it changes the model's own clean prediction; give samples that the model gets right. Perturbations
are made on one set of samples and judged on another. Models are as in `fgsm`, and so are the
mistakes that raise an ArgumentError: images outside [0, 1], eps < 0.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from research.methods.deepfool import deepfool
from research.methods.fgsm import (
    added,
    batch_of,
    check_eps,
    check_images,
    input_gradient,
    predictions,
)
from research.methods.fgsm import stable_loss as stable
from research.models.inference import evaluation
from research.records import Number

Verdict = Literal["universal", "class-universal", "not universal"]


def sign_perturbation(gradient: Tensor, eps: float) -> Tensor:
    """eps · sign(gradient), before any clipping; 0 where the gradient is 0.

    Example:
        >>> sign_perturbation(torch.tensor([-3.0, 0.0, 0.2]), eps=0.25).tolist()
        [-0.25, 0.0, 0.25]
    """
    check_eps(eps)
    return eps * gradient.sign()


def random_signs(count: int, shape: Sequence[int], eps: float, seed: int) -> Tensor:
    """Noise of independent signs, float32 (count, *shape) of ±eps on the CPU: the null.

    Example:
        >>> random_signs(4, (1, 28, 28), eps=0.25, seed=0).abs().unique().tolist()
        [0.25]
    """
    order = torch.Generator().manual_seed(seed)
    return sign_perturbation(torch.randint(0, 2, (count, *shape), generator=order) - 0.5, eps)


def cosine_matrix(deltas: Tensor, others: Tensor | None = None) -> Tensor:
    """Cosines of perturbations or raw gradients, float64 (N, M) in [-1, 1]; 0 where one is 0.

    Between independent random signs in d pixels it has mean 0 and standard deviation 1/√d.

    Example:
        >>> cosine_matrix(torch.tensor([[0.1, 0.1], [0.1, -0.1]])).round(decimals=6).tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """
    pair = (deltas, deltas if others is None else others)
    rows, columns = (F.normalize(x.double().flatten(1), dim=1, eps=1e-300) for x in pair)
    return rows @ columns.T


def spectrum(deltas: Tensor) -> Tensor:
    """Singular values of perturbations as rows, uncentred, falling; float64 (min(N, C·H·W),).

    Example:
        >>> spectrum(torch.tensor([[3.0, 0.0], [0.0, 4.0]])).tolist()
        [4.0, 3.0]
    """
    values: Tensor = torch.linalg.svdvals(deltas.double().flatten(1))
    return values


def energy(spectrum: Tensor) -> Tensor:
    """Share of the squared norm that the first 1, 2, … directions hold, in [0, 1].

    Example:
        >>> energy(torch.tensor([2.0, 1.0]))
        tensor([0.8000, 1.0000])
    """
    squares = spectrum.square()
    return squares.cumsum(0) / squares.sum()


def effective_rank(spectrum: Tensor) -> float:
    """exp of the entropy of the singular values divided by their sum: between 1 and the rank.

    References:
        The effective rank: a measure of effective dimensionality (Roy and Vetterli, 2007).

    Example:
        >>> round(effective_rank(torch.ones(5)), 6)
        5.0
    """
    shares = spectrum / spectrum.sum()
    return float(torch.special.entr(shares).sum().exp())


def fooling_matrix(
    model: nn.Module, images: Tensor, deltas: Tensor, *, clip: bool = True, batch: int | None = None
) -> Tensor:
    """Whether delta i fools sample j, bool (deltas, samples).

    Arguments:
        batch: attacked images at a time; those of `fgsm.batch_of` when absent.

    Example:
        >>> images = torch.tensor([[0.9, 0.2], [0.6, 0.5]])
        >>> fooling_matrix(nn.Flatten(), images, torch.tensor([[-0.1, 0.1]])).tolist()
        [[False, True]]
    """
    check_images(images)
    batch = batch or batch_of(images)
    clean = predictions(model, images, batch)
    parts = list(zip(torch.split(images, batch), torch.split(clean, batch), strict=True))
    groups = torch.split(deltas, max(1, batch // len(images)))

    def fooled(deltas: Tensor, images: Tensor, clean: Tensor) -> Tensor:
        pairs = added(images[None], deltas[:, None], clip).flatten(0, 1)  # (n · N, C, H, W)
        preds: Tensor = model(pairs).argmax(1).view(len(deltas), -1)
        return preds != clean

    with evaluation(model):
        rows = [torch.cat([fooled(group, *part) for part in parts], 1) for group in groups]
    return torch.cat(rows)


def transfer(
    models: Sequence[nn.Module], images: Tensor, labels: Tensor, deltas: Sequence[Tensor],
    *, clip: bool = True, batch: int | None = None
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """How often a perturbation made on one model fools another, in the same pixels.

    Arguments:
        models: sources and targets alike, S of them.
        deltas: of each source, one per sample (N, C, H, W) or one for all (C, H, W).

    Returns:
        fooled, samples: int64 (S, S), source by target. `samples` counts those that both models
        get right, `fooled` those among them that the target gets wrong under the source's delta.

    Example:
        >>> models, images = [nn.Flatten(), nn.Flatten()], torch.tensor([[0.9, 0.2], [0.6, 0.5]])
        >>> deltas = [torch.tensor([-0.1, 0.1]), torch.tensor([0.1, -0.1])]
        >>> fooled, samples = transfer(models, images, torch.tensor([0, 0]), deltas)
        >>> fooled.tolist(), samples.tolist()
        ([[1, 1], [0, 0]], [[2, 2], [2, 2]])
    """
    check_images(images)

    def right(inputs: Tensor) -> Tensor:  # (S, N)
        return torch.stack([predictions(model, inputs, batch) == labels for model in models])

    clean = right(images)
    both = clean[:, None] & clean
    broken = ~torch.stack([right(added(images, delta, clip)) for delta in deltas])
    return (both & broken).sum(2), both.sum(2)


def class_blocks(
    matrix: Tensor, rows: Tensor, columns: Tensor, classes: int, *, paired: bool
) -> Tensor:
    """Mean of a delta × sample matrix in each class × class block, float64 (classes, classes).

    Arguments:
        matrix: (N, M), cosines or what fools what.
        rows, columns: labels of the deltas (N,) and of the samples (M,).
        paired: delta i was made on sample i, so cell (i, i) is left out.

    Returns:
        nan in a block without cells.

    Example:
        >>> matrix, labels = torch.tensor([[1.0, 0.0], [0.5, 1.0]]), torch.tensor([0, 1])
        >>> class_blocks(matrix, labels, labels, classes=2, paired=False).tolist()
        [[1.0, 0.0], [0.5, 1.0]]
    """
    cells = _cells(matrix, paired)
    deltas, samples = (F.one_hot(labels, classes).double() for labels in (rows, columns))
    return (deltas.T @ (matrix.double() * cells) @ samples) / (deltas.T @ cells @ samples)


def within_between(
    matrix: Tensor, rows: Tensor, columns: Tensor,
    *, paired: bool, draws: int = 2000, seed: int = 0
) -> dict[str, Number]:  # fmt: skip
    """Means of a matrix as in `class_blocks`: `cross`, and of it `within` and `between` classes.

    The 95 % intervals are percentiles of a bootstrap, since the N·M cells are not independent:
    deltas and samples are drawn again, and a cell weighs the product of its two counts. In a paired
    matrix both sides are the same samples, so one draw serves both; two draws would make the
    interval too narrow by about √2. Otherwise each side has its own draw. A sample under its own
    delta, the diagonal of a paired matrix, takes no part; its mean is that of N independent trials.

    References:
        The pigeonhole bootstrap (Owen, 2007).

    Example:
        >>> labels = torch.tensor([0, 0, 1, 1])
        >>> means = within_between(labels[:, None] == labels, labels, labels, paired=True, draws=99)
        >>> means["within"].value, means["between"].value
        (1.0, 0.0)
    """
    values, cells = matrix.double(), _cells(matrix, paired)
    same = (rows[:, None] == columns).double()
    order = np.random.default_rng(seed)

    def drawn(n: int) -> Tensor:  # the first row is the set itself, each once
        counts = order.multinomial(n, np.full(n, 1 / n), draws)
        return torch.from_numpy(np.vstack([np.ones(n), counts])).to(values)

    deltas = drawn(matrix.shape[0])
    samples = deltas if paired else drawn(matrix.shape[1])

    def number(mask: Tensor) -> Number:
        sums, counts = (((deltas @ x) * samples).sum(1) for x in (values * mask, mask))
        means = sums / counts
        low, high = means[1:].nanquantile(means.new_tensor([0.025, 0.975])).tolist()
        return Number(means[0].item(), low=low, high=high)

    masks = {"cross": cells, "within": cells * same, "between": cells * (1 - same)}
    return {name: number(mask) for name, mask in masks.items()}


def _cells(matrix: Tensor, paired: bool) -> Tensor:
    """1 where a cell counts, else 0; float64 (N, M)."""
    cells = torch.ones_like(matrix, dtype=torch.float64)
    return cells.fill_diagonal_(0) if paired else cells


def global_mean_sign(deltas: Tensor, eps: float) -> Tensor:
    """eps · sign of the mean delta, (C, H, W); 0 in a pixel where the deltas balance.

    Example:
        >>> global_mean_sign(torch.tensor([[0.5, -0.25], [-0.25, -0.5]]), eps=0.25).tolist()
        [0.25, -0.25]
    """
    return sign_perturbation(deltas.sum(0), eps)


def class_mean_sign(deltas: Tensor, labels: Tensor, classes: int, eps: float) -> Tensor:
    """`global_mean_sign` of each class's deltas, (classes, C, H, W); 0 for a class of none.

    Example:
        >>> class_mean_sign(torch.tensor([[0.5], [-0.5]]), torch.tensor([0, 1]), 2, 0.25).tolist()
        [[0.25], [-0.25]]
    """
    return torch.stack([global_mean_sign(deltas[labels == y], eps) for y in range(classes)])


def principal_signs(deltas: Tensor, eps: float) -> Tensor:
    """±eps · sign of the first right singular vector, (2, C, H, W).

    A singular vector has no sign of its own, so both are candidates; the first is the one whose
    products with the deltas have a sum that is not negative.

    Example:
        >>> principal_signs(torch.tensor([[0.5, -0.5], [0.25, -0.25]]), eps=0.25).tolist()
        [[0.25, -0.25], [-0.25, 0.25]]
    """
    flat = deltas.double().flatten(1)
    first: Tensor = torch.linalg.svd(flat, full_matrices=False).Vh[0]
    first = first if (flat @ first).sum() >= 0 else -first
    delta = sign_perturbation(first.view(deltas.shape[1:]).to(deltas.dtype), eps)
    return torch.stack([delta, -delta])


def gradient_uap(
    model: nn.Module, images: Tensor, labels: Tensor, eps: float,
    *, epochs: int = 20, batch: int = 128, step: float = 0.5, ceiling: float = 1.0, seed: int = 0
) -> Tensor:  # fmt: skip
    """One delta by projected sign ascent on the stable loss of all samples, (C, H, W).

    A sample whose wrong classes lead by `ceiling` nats stops pulling, so that delta is not spent
    on the easiest. The gradient is taken at the clipped image and applied to delta as it is:
    through the clipping, a pixel pushed below a black background could never come back.

    Arguments:
        labels: the classes to lead away from.
        step: of the first epoch's updates, in units of eps; it falls linearly to 0.
        seed: of the order of the samples.

    References:
        Universal Adversarial Training (Shafahi et al., 2020), section 3, with the clipped stable
        loss for its clipped cross-entropy.

    Example:
        >>> images, labels = torch.tensor([[0.9, 0.2], [0.6, 0.5]]), torch.tensor([0, 0])
        >>> gradient_uap(nn.Flatten(), images, labels, eps=0.25).tolist()
        [-0.25, 0.25]
    """
    check_images(images)
    check_eps(eps)

    def clipped(logits: Tensor, labels: Tensor) -> Tensor:
        return stable(logits, labels).clamp(max=ceiling)

    order, delta = torch.Generator().manual_seed(seed), torch.zeros_like(images[0])
    for epoch in range(epochs):
        for index in torch.split(torch.randperm(len(images), generator=order), batch):
            chosen = index.to(images.device)
            inputs = added(images[chosen], delta, clip=True)
            gradient = input_gradient(model, inputs, labels[chosen], clipped).sum(0)
            delta += step * eps * (1 - epoch / epochs) * gradient.sign()
            delta.clamp_(-eps, eps)
    return delta


def deepfool_uap(
    model: nn.Module, images: Tensor, eps: float,
    *, passes: int = 5, enough: float = 0.8, candidates: int = 10, steps: int = 10, seed: int = 0
) -> Tensor:  # fmt: skip
    """One delta as a sum of least steps that fool one sample after another, (C, H, W).

    Each sample that is not fooled yet adds its `deepfool` step, and the sum is cut to [-eps, eps].
    It ends after `passes`, or when the share `enough` is fooled. Unlike the authors' code it looks
    at clipped images, as they are scored, and returns the delta of the best pass, since the share
    fooled rises and falls.

    References:
        Universal adversarial perturbations (Moosavi-Dezfooli et al., 2017), algorithm 1, p = ∞.

    Example:
        >>> images = torch.tensor([[0.9, 0.2], [0.6, 0.5]]).view(2, 1, 1, 2)
        >>> delta = deepfool_uap(nn.Flatten(), images, eps=0.5)
        >>> fooling_matrix(nn.Flatten(), images, delta[None]).tolist()
        [[True, True]]
    """
    check_images(images)
    check_eps(eps)
    order, delta = torch.Generator().manual_seed(seed), torch.zeros_like(images[0])
    clean, best, most = predictions(model, images), delta, 0.0
    for _ in range(passes):
        for i in torch.randperm(len(images), generator=order).tolist():
            inputs = added(images[i : i + 1], delta, clip=True)
            step = deepfool(model, inputs, int(clean[i]), candidates=candidates, steps=steps)
            delta = (delta + step).clamp(-eps, eps)
        fooled = fooling_matrix(model, images, delta[None]).double().mean().item()
        best, most = (delta, fooled) if fooled > most else (best, most)
        if most >= enough:
            break
    return best


def verdict(
    candidate: float, within: float, per_sample: float, random: Sequence[float],
    *, share: float = 0.5, percentile: float = 95
) -> Verdict:  # fmt: skip
    """The answer by a rule fixed beforehand; every rate is a fooling rate on held-out samples.

    A rate passes if it is at least `share` of the samples' own deltas' and exceeds the percentile
    of random signs of the same L∞ norm.

    Arguments:
        candidate: of the one delta for all, chosen without the held-out samples.
        within: of the deltas of a class on samples of that class.
        per_sample: of each held-out sample's own delta.
        random: of each draw of random signs.

    Example:
        >>> verdict(candidate=0.8, within=0.9, per_sample=1.0, random=[0.1, 0.2])
        'universal'
    """
    floor = float(np.percentile(random, percentile, method="higher"))

    def passes(rate: float) -> bool:
        return rate >= share * per_sample and rate > floor

    if passes(candidate):
        return "universal"
    return "class-universal" if passes(within) else "not universal"
