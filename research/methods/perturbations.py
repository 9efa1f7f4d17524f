"""Is an attack universal? How alike the noises of samples are, and what one noise does to all.

A noise is a tensor (C, H, W) in [-eps, eps], eps in pixel units of [0, 1]; it is compared as it is
and scored on images clipped to [0, 1] after it was added. A noise *fools* a sample if it changes
the model's own clean prediction; give samples that the model gets right. Noises are made on one set
of samples and judged on another. Models are as in `fgsm`, and so are the mistakes that raise
an ArgumentError: images outside [0, 1], eps < 0.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

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


def sign_noise(gradient: Tensor, eps: float) -> Tensor:
    """eps · sign(gradient), before any clipping; where the gradient is 0, so is the noise.

    Example:
        >>> sign_noise(torch.tensor([-3.0, 0.0, 0.2]), eps=0.25).tolist()
        [-0.25, 0.0, 0.25]
    """
    check_eps(eps)
    return eps * gradient.sign()


def random_signs(count: int, shape: Sequence[int], eps: float, seed: int) -> Tensor:
    """Noises of independent signs, float32 (count, *shape) of ±eps on the CPU: the null.

    Example:
        >>> random_signs(4, (1, 28, 28), eps=0.25, seed=0).abs().unique().tolist()
        [0.25]
    """
    order = torch.Generator().manual_seed(seed)
    return sign_noise(torch.randint(0, 2, (count, *shape), generator=order) - 0.5, eps)


def cosine_matrix(noises: Tensor, others: Tensor | None = None) -> Tensor:
    """Cosines of noises or raw gradients, float64 (N, M) in [-1, 1]; 0 where one is all 0.

    Between independent random signs in d pixels it has mean 0 and standard deviation 1/√d.

    Example:
        >>> cosine_matrix(torch.tensor([[0.1, 0.1], [0.1, -0.1]])).round(decimals=6).tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """
    pair = (noises, noises if others is None else others)
    rows, columns = (F.normalize(x.double().flatten(1), dim=1, eps=1e-300) for x in pair)
    return rows @ columns.T


def spectrum(noises: Tensor) -> Tensor:
    """Singular values of the noises as rows, not centred, falling; float64 (min(N, C·H·W),).

    Example:
        >>> spectrum(torch.tensor([[3.0, 0.0], [0.0, 4.0]])).tolist()
        [4.0, 3.0]
    """
    values: Tensor = torch.linalg.svdvals(noises.double().flatten(1))
    return values


def energy(spectrum: Tensor) -> Tensor:
    """Share of the noises' squared norm that the first 1, 2, … directions hold, in [0, 1].

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
    model: nn.Module, images: Tensor, noises: Tensor, *, clip: bool = True, batch: int | None = None
) -> Tensor:
    """Whether noise i fools sample j, bool (noises, samples); `batch` attacked images at a time,
    those of `fgsm.batch_of` when absent.

    Example:
        >>> images = torch.tensor([[0.9, 0.2], [0.6, 0.5]])
        >>> fooling_matrix(nn.Flatten(), images, torch.tensor([[-0.1, 0.1]])).tolist()
        [[False, True]]
    """
    check_images(images)
    batch = batch or batch_of(images)
    clean = predictions(model, images, batch)
    parts = list(zip(torch.split(images, batch), torch.split(clean, batch), strict=True))
    groups = torch.split(noises, max(1, batch // len(images)))

    def fooled(noises: Tensor, images: Tensor, clean: Tensor) -> Tensor:
        pairs = added(images[None], noises[:, None], clip).flatten(0, 1)  # (n · N, C, H, W)
        preds: Tensor = model(pairs).argmax(1).view(len(noises), -1)
        return preds != clean

    with evaluation(model):
        rows = [torch.cat([fooled(group, *part) for part in parts], 1) for group in groups]
    return torch.cat(rows)


def transfer(
    models: Sequence[nn.Module], images: Tensor, labels: Tensor, noises: Sequence[Tensor],
    *, clip: bool = True, batch: int | None = None
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """How often a noise made on one model fools another, in the same pixels.

    Arguments:
        models: sources and targets alike, S of them.
        noises: of each source, one per sample (N, C, H, W) or one for all (C, H, W).

    Returns:
        fooled, samples: int64 (S, S), source by target. `samples` counts those that both models
        get right, `fooled` those among them that the target gets wrong under the source's noise.

    Example:
        >>> models, images = [nn.Flatten(), nn.Flatten()], torch.tensor([[0.9, 0.2], [0.6, 0.5]])
        >>> noises = [torch.tensor([-0.1, 0.1]), torch.tensor([0.1, -0.1])]
        >>> fooled, samples = transfer(models, images, torch.tensor([0, 0]), noises)
        >>> fooled.tolist(), samples.tolist()
        ([[1, 1], [0, 0]], [[2, 2], [2, 2]])
    """
    check_images(images)

    def right(inputs: Tensor) -> Tensor:  # (S, N)
        return torch.stack([predictions(model, inputs, batch) == labels for model in models])

    clean = right(images)
    both = clean[:, None] & clean
    broken = ~torch.stack([right(added(images, noise, clip)) for noise in noises])
    return (both & broken).sum(2), both.sum(2)


def class_blocks(
    matrix: Tensor, rows: Tensor, columns: Tensor, classes: int, *, paired: bool
) -> Tensor:
    """Mean of a noise × sample matrix in each class × class block, float64 (classes, classes).

    Arguments:
        matrix: (N, M), cosines or what fools what.
        rows, columns: labels of the noises (N,) and of the samples (M,).
        paired: noise i was made on sample i, so cell (i, i) is left out.

    Returns:
        nan in a block without cells.

    Example:
        >>> matrix, labels = torch.tensor([[1.0, 0.0], [0.5, 1.0]]), torch.tensor([0, 1])
        >>> class_blocks(matrix, labels, labels, classes=2, paired=False).tolist()
        [[1.0, 0.0], [0.5, 1.0]]
    """
    cells = _cells(matrix, paired)
    noises, samples = (F.one_hot(labels, classes).double() for labels in (rows, columns))
    return (noises.T @ (matrix.double() * cells) @ samples) / (noises.T @ cells @ samples)


def within_between(
    matrix: Tensor, rows: Tensor, columns: Tensor,
    *, paired: bool, draws: int = 2000, seed: int = 0
) -> dict[str, Number]:  # fmt: skip
    """Means of a matrix as in `class_blocks`: `cross`, and of it `within` and `between` classes.

    The 95 % intervals are percentiles of a bootstrap, since the N·M cells are not independent:
    noises and samples are drawn again, and a cell weighs the product of its two counts. In a paired
    matrix both sides are the same samples, so one draw serves both; two draws would make the
    interval too narrow by about √2. Otherwise each side has its own draw. A sample under its own
    noise, the diagonal of a paired matrix, takes no part; its mean is that of N independent trials.

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

    noises = drawn(matrix.shape[0])
    samples = noises if paired else drawn(matrix.shape[1])

    def number(mask: Tensor) -> Number:
        sums, counts = (((noises @ x) * samples).sum(1) for x in (values * mask, mask))
        means = sums / counts
        low, high = means[1:].nanquantile(means.new_tensor([0.025, 0.975])).tolist()
        return Number(means[0].item(), low=low, high=high)

    masks = {"cross": cells, "within": cells * same, "between": cells * (1 - same)}
    return {name: number(mask) for name, mask in masks.items()}


def _cells(matrix: Tensor, paired: bool) -> Tensor:
    """1 where a cell counts, else 0; float64 (N, M)."""
    cells = torch.ones_like(matrix, dtype=torch.float64)
    return cells.fill_diagonal_(0) if paired else cells


def global_mean_sign(noises: Tensor, eps: float) -> Tensor:
    """eps · sign of the mean noise, (C, H, W); 0 in a pixel where the noises balance.

    Example:
        >>> global_mean_sign(torch.tensor([[0.5, -0.25], [-0.25, -0.5]]), eps=0.25).tolist()
        [0.25, -0.25]
    """
    return sign_noise(noises.sum(0), eps)


def class_mean_sign(noises: Tensor, labels: Tensor, classes: int, eps: float) -> Tensor:
    """`global_mean_sign` of each class's noises, (classes, C, H, W); 0 for a class of none.

    Example:
        >>> class_mean_sign(torch.tensor([[0.5], [-0.5]]), torch.tensor([0, 1]), 2, 0.25).tolist()
        [[0.25], [-0.25]]
    """
    return torch.stack([global_mean_sign(noises[labels == y], eps) for y in range(classes)])


def principal_signs(noises: Tensor, eps: float) -> Tensor:
    """±eps · sign of the first right singular vector, (2, C, H, W).

    A singular vector has no sign of its own, so both are candidates; the first is the one whose
    products with the noises have a sum that is not negative.

    Example:
        >>> principal_signs(torch.tensor([[0.5, -0.5], [0.25, -0.25]]), eps=0.25).tolist()
        [[0.25, -0.25], [-0.25, 0.25]]
    """
    flat = noises.double().flatten(1)
    first: Tensor = torch.linalg.svd(flat, full_matrices=False).Vh[0]
    first = first if (flat @ first).sum() >= 0 else -first
    noise = sign_noise(first.view(noises.shape[1:]).to(noises.dtype), eps)
    return torch.stack([noise, -noise])


def gradient_uap(
    model: nn.Module, images: Tensor, labels: Tensor, eps: float,
    *, epochs: int = 20, batch: int = 128, step: float = 0.5, ceiling: float = 1.0, seed: int = 0
) -> Tensor:  # fmt: skip
    """One noise by projected sign ascent on the stable loss of all samples, (C, H, W).

    A sample whose wrong classes lead by `ceiling` nats stops pulling, so that the noise is not
    spent on the easiest. The gradient is taken at the clipped image and applied to the noise as it
    is: through the clipping, a pixel pushed below a black background could never come back.

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
    """One noise as a sum of least steps that fool one sample after another, (C, H, W).

    Each sample that is not fooled yet adds its `deepfool` step, and the sum is cut to [-eps, eps].
    It ends after `passes`, or when the share `enough` is fooled. Unlike the authors' code it looks
    at clipped images, as they are scored, and returns the noise of the best pass, since the share
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


def deepfool(
    model: nn.Module, inputs: Tensor, label: int,
    *, candidates: int = 10, steps: int = 50, overshoot: float = 0.02
) -> Tensor:  # fmt: skip
    """The least L2 noise that takes one input (1, C, H, W) away from a class, (C, H, W).

    Each step goes to the nearest boundary of the model made linear, towards one of the `candidates`
    most probable classes; one backward pass gives all their gradients. It is 0 for an input that
    is of another class already, and unbounded.

    References:
        DeepFool (Moosavi-Dezfooli et al., 2016), algorithm 2.

    Example:
        >>> deepfool(nn.Flatten(), torch.tensor([[[[0.75, 0.5]]]]), label=0, overshoot=0.0)
        tensor([[[-0.1250,  0.1250]]])
    """
    total = torch.zeros_like(inputs)
    for _ in range(steps):
        x = inputs + (1 + overshoot) * total
        with evaluation(model):
            logits: Tensor = model(x)[0]
        if logits.argmax() != label:
            break
        gaps, top = logits.topk(min(candidates, len(logits)))  # the label comes first
        copies = x.expand(len(top), -1, -1, -1)
        gradients = input_gradient(model, copies, top, lambda z, y: z.gather(1, y[:, None])[:, 0])
        normals, gaps = gradients[1:] - gradients[0], gaps[0] - gaps[1:]
        lengths = normals.flatten(1).norm(dim=1).clamp(min=1e-12)
        nearest = (gaps / lengths).argmin()
        total = total + gaps[nearest] / lengths[nearest] ** 2 * normals[nearest]
    return ((1 + overshoot) * total)[0]


def verdict(
    candidate: float, within: float, per_sample: float, random: Sequence[float],
    *, share: float = 0.5, percentile: float = 95
) -> Verdict:  # fmt: skip
    """The answer by a rule fixed beforehand; every rate is a fooling rate on held-out samples.

    A rate passes if it is at least `share` of the samples' own noises' and exceeds the percentile
    of random signs of the same L∞ norm.

    Arguments:
        candidate: of the one noise for all, chosen without the held-out samples.
        within: of the noises of a class on samples of that class.
        per_sample: of each held-out sample's own noise.
        random: of each random noise.

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
