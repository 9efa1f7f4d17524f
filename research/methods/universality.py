"""The whole examination of one model: is one perturbation enough for all samples?

`samples.halves` draws samples to make perturbations on and others to judge them on; `battery`
makes them, compares them, judges them, and gives the verdict by `perturbations.verdict`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

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
    sign_perturbation,
    spectrum,
    transfer,
    verdict,
    within_between,
)
from research.methods.samples import Samples
from research.methods.statistics import holm, mcnemar, over_seeds, wilson
from research.records import Array, Cell, Number, Table
from research.records.measured import CORRELATION, SHARE

SEEDED = {
    "cosine_within": CORRELATION, "cosine_between": CORRELATION, "effective_rank": None,
    "fooling_own": SHARE, "fooling_class": SHARE, "fooling_best": SHARE,
}  # fmt: skip
"""Numbers of a battery that `over_models` gives over models too, and their ranges."""
SIZES = ("crafted", "judged", "classes")
"""How many samples, and of how many classes, a battery had: of these the least of all models."""


@dataclass(frozen=True)
class Battery:
    """What `battery` found.

    Attributes:
        numbers: by name; rates and cosines, see `battery`.
        candidates: a row for each delta: its fooling rate on the crafted and on the held-out
            samples, and p, by McNemar's test against the random signs that fool most held-out
            samples, Holm-adjusted over the rows.
        arrays: `energy`, `energy_random` (K,); `blocks` and `cosines` (classes, classes), deltas by
            samples and deltas by deltas; `random` (R,), the rate of each draw of random signs.
        deltas: the one perturbation (C, H, W) for all samples, by candidate.
        verdict: by rule.
    """

    numbers: dict[str, Number]
    candidates: Table
    arrays: dict[str, Array]
    deltas: dict[str, Tensor]
    verdict: Verdict

    @property
    def best(self) -> str:
        """The candidate that fools most of the crafted samples, of several the first."""
        names, rates = (self.candidates.column(name) for name in ("candidate", "crafted"))
        known = {
            str(n): r.value for n, r in zip(names, rates, strict=True) if isinstance(r, Number)
        }
        return max(known, key=lambda name: known[name])


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
    """Compares the deltas of `crafted` with each other and judges them on `judged`.

    All deltas have the same L∞ norm, `eps` in [0, 1]; they are compared as they are, and added
    images are clipped to [0, 1].

    Arguments:
        crafted, judged: disjoint samples that the model gets right, from `halves`.
        cells: deltas, and held-out samples, of the fooling matrix.
        random: draws of random signs, the floor.
        deepfool: samples that DeepFool's delta is made of; it takes one after another.

    Example:
        >>> import torch
        >>> model = nn.Sequential(nn.Flatten(), nn.LogSoftmax(1))
        >>> images = torch.tensor([[0.9, 0.2], [0.2, 0.9]] * 2).view(4, 1, 1, 2)
        >>> samples = Samples(images, torch.tensor([0, 1, 0, 1]))
        >>> found = battery(model, samples, samples, 0.4, classes=2, cells=4, random=5, deepfool=2)
        >>> found.verdict, found.numbers["fooling_own"].value
        ('class-universal', 1.0)
    """
    gradient = input_gradient(model, *crafted)
    deltas = sign_perturbation(gradient, eps)
    null = random_signs(len(deltas), deltas.shape[1:], eps, seed)
    one_for_all = _candidates(model, crafted, deltas, eps, deepfool, seed)
    floor = random_signs(random, deltas.shape[1:], eps, seed + 1).to(deltas)
    geometry, figures = _compare(gradient, crafted.labels, null, classes, seed)
    shared, blocks = _share(model, deltas, crafted, judged, classes, cells, seed)
    own = _own_fooling(model, judged, eps)
    rates = fooling_matrix(model, judged.images, floor).double().mean(1).cpu()
    by_class = _class_fooling(model, judged, class_mean_sign(deltas, crafted.labels, classes, eps))
    table, best = _judge(model, crafted, judged, one_for_all, floor[rates.argmax()])
    numbers = {
        **geometry,
        **shared,
        "fooling_own": own,
        "fooling_class": by_class,
        "fooling_best": best,
        "fooling_random_p95": Number(float(np.percentile(rates, 95, method="higher"))),
        "fooling_random_max": Number(rates.max().item()),
        "crafted": Number(len(crafted.labels)),
        "judged": Number(len(judged.labels)),
        "classes": Number(len(torch.unique(crafted.labels))),
    }
    answer = verdict(best.value, by_class.value, own.value, rates.tolist())
    return Battery(numbers, table, {**figures, "blocks": blocks, "random": rates.numpy()},
                   one_for_all, answer)  # fmt: skip


def _candidates(
    model: nn.Module, crafted: Samples, deltas: Tensor, eps: float, deepfool: int, seed: int
) -> dict[str, Tensor]:
    """One delta for all samples, made in five ways, (C, H, W) each."""
    plus, minus = principal_signs(deltas, eps)
    some = crafted.first(deepfool).images
    return {
        "mean": global_mean_sign(deltas, eps),
        "first": plus,
        "first-": minus,
        "gradient": gradient_uap(model, *crafted, eps, seed=seed),
        "deepfool": deepfool_uap(model, some, eps, seed=seed),
    }


def _compare(
    gradient: Tensor, labels: Tensor, null: Tensor, classes: int, seed: int
) -> tuple[dict[str, Number], dict[str, Array]]:
    """How alike the deltas are: cosines within and between classes, and their spectrum.

    `null` are as many draws of random signs. The share of equal signs of two deltas without zeros
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
    """Share of pixels in which two deltas have the same sign other than 0, float64 (N, N).

    Example:
        >>> import torch
        >>> agreement_matrix(torch.tensor([[1.0, -1.0], [1.0, 1.0]])).tolist()
        [[1.0, 0.5], [0.5, 1.0]]
    """
    flat = signs.double().flatten(1)
    # of two vectors of -1, 0 and 1, the sum of products counts equal minus opposite signs, and
    # that of magnitudes counts both
    return (flat @ flat.T + flat.abs() @ flat.abs().T) / (2 * flat.shape[1])


def _share(
    model: nn.Module, deltas: Tensor, crafted: Samples, judged: Samples,
    classes: int, cells: int, seed: int,
) -> tuple[dict[str, Number], Array]:  # fmt: skip
    """The fooling matrix of crafted deltas by held-out samples: its means and its blocks."""
    rows, some = crafted.labels[:cells], judged.first(cells)
    matrix = fooling_matrix(model, some.images, deltas[:cells])
    found = within_between(matrix, rows, some.labels, paired=False, seed=seed)
    blocks = class_blocks(matrix, rows, some.labels, classes, paired=False)
    return {f"fooling_{kind}": number for kind, number in found.items()}, blocks.cpu().numpy()


def _own_fooling(model: nn.Module, judged: Samples, eps: float) -> Number:
    """How often a sample's own delta fools it."""
    deltas = sign_perturbation(input_gradient(model, *judged), eps)
    return rate_of(fooled(model, judged, deltas))


def _class_fooling(model: nn.Module, judged: Samples, deltas: Tensor) -> Number:
    """How often the delta of a class (classes, C, H, W) fools that class's samples."""
    return rate_of(fooled(model, judged, deltas[judged.labels]))


def fooled(model: nn.Module, samples: Samples, delta: Tensor) -> Tensor:
    """Whether a delta, one for all or one each, changes the prediction; bool (N,).

    Example:
        >>> import torch
        >>> samples = Samples(torch.tensor([[0.9, 0.2], [0.6, 0.5]]), torch.tensor([0, 0]))
        >>> fooled(nn.Flatten(), samples, torch.tensor([-0.1, 0.1])).tolist()
        [False, True]
    """
    attacked = predictions(model, added(samples.images, delta, clip=True))
    return attacked != predictions(model, samples.images)


def rate_of(flags: Tensor) -> Number:
    """A share of independent samples with Wilson's interval.

    Example:
        >>> import torch
        >>> rate_of(torch.tensor([True, False])).value
        0.5
    """
    return wilson(int(flags.sum()), len(flags))


def _judge(
    model: nn.Module,
    crafted: Samples,
    judged: Samples,
    deltas: Mapping[str, Tensor],
    random: Tensor,
) -> tuple[Table, Number]:
    """The table of `Battery`, and the held-out rate of the delta that was best on the crafted."""
    seen = {name: rate_of(fooled(model, crafted, delta)) for name, delta in deltas.items()}
    held = {name: fooled(model, judged, delta) for name, delta in deltas.items()}
    against = fooled(model, judged, random).cpu().numpy()
    p = holm([mcnemar(flags.cpu().numpy(), against) for flags in held.values()])
    rows: list[dict[str, Cell]] = [
        {"candidate": name, "crafted": seen[name], "held_out": rate_of(flags), "p": value}
        for (name, flags), value in zip(held.items(), p, strict=True)
    ]
    best = max(deltas, key=lambda name: seen[name].value)
    return Table.of(rows), rate_of(held[best])


def over_models(batteries: Sequence[Battery]) -> dict[str, Number]:
    """The first model's numbers, those of `SEEDED` over all models, and shares of the verdicts.

    Of `SIZES` also the least over all models.

    `universal` is the share of models with that verdict; `class_universal` that of models with this
    or the stronger one.

    Example:
        >>> import torch
        >>> model = nn.Sequential(nn.Flatten(), nn.LogSoftmax(1))
        >>> images = torch.tensor([[0.9, 0.2], [0.2, 0.9]] * 2).view(4, 1, 1, 2)
        >>> samples = Samples(images, torch.tensor([0, 1, 0, 1]))
        >>> found = battery(model, samples, samples, 0.4, classes=2, cells=4, random=5, deepfool=2)
        >>> over_models([found])["class_universal"].value
        1.0
    """
    seeded = {
        f"{name}_seeds": over_seeds([battery.numbers[name].value for battery in batteries], range=r)
        for name, r in SEEDED.items()
    }
    verdicts = [battery.verdict for battery in batteries]
    least = {f"{name}_least": _least(batteries, name) for name in SIZES}
    return batteries[0].numbers | seeded | least | {
        "universal": Number(share_of(verdicts, "universal")),
        "class_universal": Number(share_of(verdicts, "universal", "class-universal")),
    }  # fmt: skip


def _least(batteries: Sequence[Battery], name: str) -> Number:
    return min((battery.numbers[name] for battery in batteries), key=lambda number: number.value)


def shortfall(
    batteries: Sequence[Battery], crafted: int, judged: int, classes: int, network: str
) -> str:
    """A sentence on samples or classes that were wanted and are not there; empty where all are.

    Example:
        >>> import torch
        >>> model = nn.Sequential(nn.Flatten(), nn.LogSoftmax(1))
        >>> images = torch.tensor([[0.9, 0.2], [0.2, 0.9]] * 2).view(4, 1, 1, 2)
        >>> samples = Samples(images, torch.tensor([0, 1, 0, 1]))
        >>> found = battery(model, samples, samples, 0.4, classes=2, cells=4, random=5, deepfool=2)
        >>> shortfall([found], crafted=4, judged=4, classes=2, network="The network")
        ''
    """
    sizes = [int(_least(batteries, name).value) for name in SIZES]
    if all(size >= wanted for size, wanted in zip(sizes, (crafted, judged, classes), strict=True)):
        return ""
    of_classes = f" of {sizes[2]} of the {classes} classes" if sizes[2] < classes else ""
    return (
        f"{network} gets too few test images right: noises are made on {sizes[0]} instead of "
        f"{crafted} samples and judged on {sizes[1]} instead of {judged}{of_classes} (the least "
        f"of {len(batteries)} {'model' if len(batteries) == 1 else 'models'})."
    )


def transfer_rates(
    models: Sequence[nn.Module], batteries: Sequence[Battery], samples: Samples, eps: float
) -> dict[str, Array]:
    """How often deltas of one model fool another, (models, models) by source and target.

    `own`: of each sample its own; `shared`: the single delta made by ascent. Only samples count
    that both get right; take some on which no delta was made.

    Example:
        >>> import torch
        >>> model = nn.Sequential(nn.Flatten(), nn.LogSoftmax(1))
        >>> images = torch.tensor([[0.9, 0.2], [0.2, 0.9]] * 2).view(4, 1, 1, 2)
        >>> samples = Samples(images, torch.tensor([0, 1, 0, 1]))
        >>> found = battery(model, samples, samples, 0.4, classes=2, cells=4, random=5, deepfool=2)
        >>> transfer_rates([model], [found], samples, 0.4)["own"].tolist()
        [[1.0]]
    """
    kinds = {
        "own": [sign_perturbation(input_gradient(model, *samples), eps) for model in models],
        "shared": [battery.deltas["gradient"] for battery in batteries],
    }
    rates = {}
    for kind, deltas in kinds.items():
        fooled, both = transfer(models, *samples, deltas)
        rates[kind] = (fooled.double() / both.clamp(min=1)).cpu().numpy()
    return rates


def summary(batteries: Sequence[Battery]) -> Table:
    """What every delta does: a sample's own, its class's, one for all, random signs.

    Columns: `noise`, and the first model's `crafted` and `held_out` rates and `p` as in
    `Battery.candidates`; `seeds`, the held-out rate over all models. `random_p95` is the 95th
    percentile of random signs.

    Example:
        >>> import torch
        >>> model = nn.Sequential(nn.Flatten(), nn.LogSoftmax(1))
        >>> images = torch.tensor([[0.9, 0.2], [0.2, 0.9]] * 2).view(4, 1, 1, 2)
        >>> samples = Samples(images, torch.tensor([0, 1, 0, 1]))
        >>> found = battery(model, samples, samples, 0.4, classes=2, cells=4, random=5, deepfool=2)
        >>> len(summary([found]).rows)  # own, class, five for all, random signs
        8
    """
    first, rows = batteries[0], []

    def row(name: str, rates: Sequence[float], **cells: Cell) -> dict[str, Cell]:
        empty: dict[str, Cell] = {"noise": name, "crafted": None, "held_out": None, "p": None}
        return empty | cells | {"seeds": over_seeds(rates, range=SHARE)}

    for name in ("own", "class"):
        key = f"fooling_{name}"
        rates = [battery.numbers[key].value for battery in batteries]
        rows.append(row(name, rates, held_out=first.numbers[key]))
    for index, (candidate, crafted, held_out, p) in enumerate(first.candidates.rows):
        cells = [battery.candidates.column("held_out")[index] for battery in batteries]
        rates = [cell.value for cell in cells if isinstance(cell, Number)]
        rows.append(row(str(candidate), rates, crafted=crafted, held_out=held_out, p=p))
    rates = [battery.numbers["fooling_random_p95"].value for battery in batteries]
    return Table.of([*rows, row("random_p95", rates, held_out=first.numbers["fooling_random_p95"])])


def share_of(verdicts: Sequence[Verdict], *wanted: Verdict) -> float:
    """The share of models with one of these verdicts.

    Example:
        >>> share_of(["universal", "not universal"], "universal")
        0.5
    """
    return sum(one in wanted for one in verdicts) / len(verdicts)
