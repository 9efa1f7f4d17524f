"""The whole examination of one model: is one noise enough for all samples?

`halves` draws samples on which noises are made and others on which they are judged; `battery` makes
the noises, compares them, judges them, and gives the verdict by `perturbations.verdict`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from research.data import Split
from research.errors import UserError
from research.methods.fgsm import added, input_gradient, predictions
from research.methods.perturbations import (
    Verdict,
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
    sign_noise,
    spectrum,
    transfer,
    verdict,
    within_between,
)
from research.methods.statistics import holm, mcnemar, over_seeds, wilson
from research.records import Array, Cell, Number, Table

SEEDED = (
    "cosine_within", "cosine_between", "effective_rank", "fooling_own", "fooling_class",
    "fooling_best",
)  # fmt: skip
"""Numbers of a battery that `over_models` gives over models too."""


class Samples(NamedTuple):
    """Images (N, C, H, W) in [0, 1] and their labels (N,)."""

    images: Tensor
    labels: Tensor

    def first(self, count: int) -> "Samples":
        return Samples(self.images[:count], self.labels[:count])


@dataclass(frozen=True)
class Battery:
    """What `battery` found.

    Attributes:
        numbers: by name; rates and cosines, see `battery`.
        candidates: a row for each noise: its fooling rate on the crafted and on the held-out
            samples, and p, by McNemar's test against the random noise that fools most held-out
            samples, Holm-adjusted over the rows.
        arrays: `energy`, `energy_random` (K,); `blocks` and `cosines` (classes, classes), noises by
            samples and noises by noises; `random` (R,), the rate of each random noise.
        noises: one noise (C, H, W) for all samples by each candidate.
        verdict: by rule.
    """

    numbers: dict[str, Number]
    candidates: Table
    arrays: dict[str, Array]
    noises: dict[str, Tensor]
    verdict: Verdict


def halves(
    model: nn.Module, split: Split, crafted: int, judged: int, seed: int = 0
) -> tuple[Samples, Samples]:
    """Two disjoint sets of samples that the model gets right, drawn evenly from the classes.

    They come from the two `pools`, which are the same for all models of a study. Each holds the
    classes in turn, so that its first samples are as even as the whole.

    Raises:
        UserError: a class has too few samples that the model gets right.
    """
    images = split.images.float() / 255
    right = (predictions(model, images) == split.labels).cpu()
    first, second = pools(split, crafted, judged, seed)
    return (
        _samples(split, _turns(first, right, crafted)),
        _samples(split, _turns(second, right, judged)),
    )


def judged_alike(split: Split, crafted: int, judged: int, seed: int = 0) -> Samples:
    """Samples of which no model's `halves` makes noises, right or wrong, evenly from the classes.

    There may be fewer than `judged`.
    """
    _, second = pools(split, crafted, judged, seed)
    return _samples(split, second.flatten()[:judged])


def pools(split: Split, crafted: int, judged: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Indices on which noises may be made, and others, int64 (n, classes) each, drawn at random.

    All classes are as many as the smallest; the two pools share them as `crafted` to `judged`.
    """
    labels, order = split.labels.cpu(), torch.Generator().manual_seed(seed)
    members = [torch.nonzero(labels == y)[:, 0] for y in range(int(labels.max()) + 1)]
    drawn = [one[torch.randperm(len(one), generator=order)] for one in members]
    table = torch.stack([one[: min(map(len, members))] for one in drawn], 1)
    cut = -(-len(table) * crafted // (crafted + judged))
    return table[:cut], table[cut:]


def _turns(pool: Tensor, right: Tensor, count: int) -> Tensor:
    """`count` indices of a pool that are right, the classes in turn."""
    rounds = -(-count // pool.shape[1])
    columns = [column[right[column]][:rounds] for column in pool.T]
    if min(map(len, columns)) < rounds:
        raise UserError(
            f"{count} samples need {rounds} of each class that the model gets right, one class "
            f"has {min(map(len, columns))}; lower --crafted and --judged, or train longer"
        )
    return torch.stack(columns, 1).flatten()[:count]


def _samples(split: Split, index: Tensor) -> Samples:
    index = index.to(split.labels.device)
    return Samples(split.images[index].float() / 255, split.labels[index])


def check(crafted: int, judged: int, cells: int, deepfool: int, classes: int) -> None:
    """Finds numbers of samples with which a battery has nothing to compare.

    Raises:
        UserError: fewer than two samples of each class, or parts larger than their whole.
    """
    for name, value in {"crafted": crafted, "judged": judged}.items():
        if value < 2 * classes:
            raise UserError(
                f"--{name} must be at least two for each of the {classes} classes, got "
                f"{value}; give {2 * classes} or more"
            )
    if not 2 * classes <= cells <= min(crafted, judged):
        raise UserError(
            f"--cells must be {2 * classes} to {min(crafted, judged)}, at most --crafted and "
            f"--judged, got {cells}"
        )
    if not 1 <= deepfool <= crafted:
        raise UserError(f"--deepfool must be 1 to {crafted}, at most --crafted, got {deepfool}")


def battery(
    model: nn.Module,
    crafted: Samples,
    judged: Samples,
    eps: float,
    *,
    classes: int,
    cells: int,
    random: int,
    deepfool: int,
    seed: int = 0,
) -> Battery:
    """Compares the noises of `crafted` with each other and judges them on `judged`.

    All noises have the same L∞ norm, `eps` in [0, 1]; they are compared as they are, and added
    images are clipped to [0, 1].

    Arguments:
        crafted, judged: disjoint samples that the model gets right, from `halves`.
        cells: noises, and held-out samples, of the fooling matrix.
        random: noises of random signs, the floor.
        deepfool: samples that the DeepFool noise is made of; it takes one after another.
    """
    gradient = input_gradient(model, *crafted)
    noises = sign_noise(gradient, eps)
    null = random_signs(len(noises), noises.shape[1:], eps, seed)
    one_for_all = candidates(model, crafted, noises, eps, deepfool, seed)
    floor = random_signs(random, noises.shape[1:], eps, seed + 1).to(noises)
    geometry, figures = compare(gradient, crafted.labels, null, classes, seed)
    shared, blocks = share(model, noises, crafted, judged, classes, cells, seed)
    own = own_fooling(model, judged, eps)
    rates = fooling_matrix(model, judged.images, floor).double().mean(1).cpu()
    by_class = class_fooling(model, judged, class_mean_sign(noises, crafted.labels, classes, eps))
    table, best = judge(model, crafted, judged, one_for_all, floor[rates.argmax()])
    numbers = {
        **geometry,
        **shared,
        "fooling_own": own,
        "fooling_class": by_class,
        "fooling_best": best,
        "fooling_random_p95": Number(float(np.percentile(rates, 95, method="higher"))),
        "fooling_random_max": Number(rates.max().item()),
    }
    found = verdict(best.value, by_class.value, own.value, rates.tolist())
    return Battery(numbers, table, {**figures, "blocks": blocks, "random": rates.numpy()},
                   one_for_all, found)  # fmt: skip


def candidates(
    model: nn.Module, crafted: Samples, noises: Tensor, eps: float, deepfool: int, seed: int
) -> dict[str, Tensor]:
    """One noise for all samples, made in five ways, (C, H, W) each."""
    plus, minus = principal_signs(noises, eps)
    some = crafted.first(deepfool).images
    return {
        "mean": global_mean_sign(noises, eps),
        "first": plus,
        "first-": minus,
        "gradient": gradient_uap(model, *crafted, eps, seed=seed),
        "deepfool": deepfool_uap(model, some, eps, seed=seed),
    }


def compare(
    gradient: Tensor, labels: Tensor, null: Tensor, classes: int, seed: int
) -> tuple[dict[str, Number], dict[str, Array]]:
    """How alike the noises are: cosines within and between classes, and their spectrum.

    `null` are as many noises of random signs. The share of equal signs of two noises without zeros
    is (1 + cosine) / 2; where one is 0 the signs count as unequal.
    """
    numbers = {"null_sd": Number(gradient[0].numel() ** -0.5)}
    signs = gradient.sign()
    matrices = {
        "cosine": cosine_matrix(signs),
        "gradient_cosine": cosine_matrix(gradient),
        "sign_agreement": agreement_matrix(signs),
    }
    for name, matrix in matrices.items():
        found = within_between(matrix, labels, labels, paired=True, seed=seed)
        numbers |= {f"{name}_{kind}": found[kind] for kind in ("within", "between")}
    arrays = {
        "cosines": class_blocks(matrices["cosine"], labels, labels, classes, paired=True)
        .cpu()
        .numpy()
    }
    for suffix, values in {"": spectrum(signs), "_random": spectrum(null)}.items():
        shares = energy(values)
        numbers[f"effective_rank{suffix}"] = Number(effective_rank(values))
        numbers[f"energy_first{suffix}"] = Number(shares[0].item())
        arrays[f"energy{suffix}"] = shares.cpu().numpy()
    return numbers, arrays


def agreement_matrix(signs: Tensor) -> Tensor:
    """Share of pixels in which two noises have the same sign other than 0, float64 (N, N)."""
    flat = signs.double().flatten(1)
    # of two vectors of -1, 0 and 1, the sum of products counts equal minus opposite signs, and
    # that of magnitudes counts both
    return (flat @ flat.T + flat.abs() @ flat.abs().T) / (2 * flat.shape[1])


def share(
    model: nn.Module, noises: Tensor, crafted: Samples, judged: Samples,
    classes: int, cells: int, seed: int,
) -> tuple[dict[str, Number], Array]:  # fmt: skip
    """The fooling matrix of crafted noises by held-out samples: its means and its blocks."""
    rows, some = crafted.labels[:cells], judged.first(cells)
    matrix = fooling_matrix(model, some.images, noises[:cells])
    found = within_between(matrix, rows, some.labels, paired=False, seed=seed)
    blocks = class_blocks(matrix, rows, some.labels, classes, paired=False)
    return {f"fooling_{kind}": number for kind, number in found.items()}, blocks.cpu().numpy()


def own_fooling(model: nn.Module, judged: Samples, eps: float) -> Number:
    """How often a sample's own noise fools it."""
    noises = sign_noise(input_gradient(model, *judged), eps)
    return rate_of(fooled(model, judged, noises))


def class_fooling(model: nn.Module, judged: Samples, noises: Tensor) -> Number:
    """How often the noise of a class (classes, C, H, W) fools that class's samples."""
    return rate_of(fooled(model, judged, noises[judged.labels]))


def fooled(model: nn.Module, samples: Samples, noise: Tensor) -> Tensor:
    """Whether a noise, one for all or one each, changes the prediction; bool (N,)."""
    attacked = predictions(model, added(samples.images, noise, clip=True))
    return attacked != predictions(model, samples.images)


def rate_of(flags: Tensor) -> Number:
    """A share of independent samples with Wilson's interval."""
    return wilson(int(flags.sum()), len(flags))


def judge(
    model: nn.Module,
    crafted: Samples,
    judged: Samples,
    noises: Mapping[str, Tensor],
    random: Tensor,
) -> tuple[Table, Number]:
    """The table of `Battery`, and the held-out rate of the noise that was best on the crafted."""
    seen = {name: rate_of(fooled(model, crafted, noise)) for name, noise in noises.items()}
    held = {name: fooled(model, judged, noise) for name, noise in noises.items()}
    against = fooled(model, judged, random).cpu().numpy()
    p = holm([mcnemar(flags.cpu().numpy(), against) for flags in held.values()])
    rows: list[dict[str, Cell]] = [
        {"candidate": name, "crafted": seen[name], "held_out": rate_of(flags), "p": value}
        for (name, flags), value in zip(held.items(), p, strict=True)
    ]
    best = max(noises, key=lambda name: seen[name].value)
    return Table.of(rows), rate_of(held[best])


def over_models(found: Sequence[Battery]) -> dict[str, Number]:
    """The first model's numbers, those of `SEEDED` over all models, and shares of the verdicts.

    `universal` is the share of models with that verdict; `class_universal` that of models with this
    or the stronger one.
    """
    seeded = {
        f"{name}_seeds": over_seeds([one.numbers[name].value for one in found]) for name in SEEDED
    }
    verdicts = [one.verdict for one in found]
    return found[0].numbers | seeded | {
        "universal": Number(share_of(verdicts, "universal")),
        "class_universal": Number(share_of(verdicts, "universal", "class-universal")),
    }  # fmt: skip


def transfer_rates(
    models: Sequence[nn.Module], found: Sequence[Battery], samples: Samples, eps: float
) -> dict[str, Array]:
    """How often noises of one model fool another, (models, models) by source and target.

    `own`: of each sample its own; `shared`: the single noise made by ascent. Only samples count
    that both get right; take some of which no noise was made.
    """
    kinds = {
        "own": [sign_noise(input_gradient(model, *samples), eps) for model in models],
        "shared": [one.noises["gradient"] for one in found],
    }
    rates = {}
    for kind, noises in kinds.items():
        fooled, both = transfer(models, *samples, noises)
        rates[kind] = (fooled.double() / both.clamp(min=1)).cpu().numpy()
    return rates


def summary(found: Sequence[Battery]) -> Table:
    """What every noise does: a sample's own, its class's, one for all, random signs.

    Columns: `noise`, and the first model's `crafted` and `held_out` rates and `p` as in
    `Battery.candidates`; `seeds`, the held-out rate over all models. `random_p95` is the 95th
    percentile of the random noises.
    """
    first, rows = found[0], []

    def row(name: str, rates: Sequence[float], **cells: Cell) -> dict[str, Cell]:
        empty: dict[str, Cell] = {"noise": name, "crafted": None, "held_out": None, "p": None}
        return empty | cells | {"seeds": over_seeds(rates)}

    for name in ("own", "class"):
        key = f"fooling_{name}"
        rates = [one.numbers[key].value for one in found]
        rows.append(row(name, rates, held_out=first.numbers[key]))
    for index, (candidate, crafted, held_out, p) in enumerate(first.candidates.rows):
        cells = [one.candidates.column("held_out")[index] for one in found]
        rates = [cell.value for cell in cells if isinstance(cell, Number)]
        rows.append(row(str(candidate), rates, crafted=crafted, held_out=held_out, p=p))
    rates = [one.numbers["fooling_random_p95"].value for one in found]
    return Table.of([*rows, row("random_p95", rates, held_out=first.numbers["fooling_random_p95"])])


def share_of(verdicts: Sequence[Verdict], *wanted: Verdict) -> float:
    """The share of models with one of these verdicts."""
    return sum(one in wanted for one in verdicts) / len(verdicts)
