"""What the study `fgsm` measures on the tutorial's networks."""

import sys
from collections.abc import Mapping, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from research.data import Dataset, Split, pixel_std
from research.methods.comparison import beside
from research.methods.fgsm import (
    accuracy_curve,
    cross_entropy_loss,
    input_gradient,
    resists,
)
from research.methods.samples import halves, judged_alike
from research.methods.signs import tied_pixels, wrong_signs
from research.methods.statistics import claim_of, mcnemar, over_seeds, paired
from research.methods.universality import (
    Battery,
    battery,
    over_models,
    share_of,
    shortfall,
    summary,
    transfer_rates,
)
from research.models import count_parameters
from research.models.inference import predict
from research.records import Array, Cell, Claim, Number, Table
from research.records.measured import CORRELATION, SHARE
from research.studies.fgsm.networks import stages
from research.studies.fgsm.pictures import measure_one_for_all
from research.studies.fgsm.settings import EPS, PRINTED, TUTORIAL, Config, Models
from research.tracking import Log

Carried = Mapping[tuple[str, str, str], float | None]
"""Shares of images fooled, by kind of noise, by the network it was made on, by that attacked."""
CARRIED = ("own", "shared")
"""Kinds of noise of which the paper tells how far they carry over."""
IN_COMMON = {
    "within": "cosine_within", "between": "cosine_between",
    "rank": "effective_rank", "random": "effective_rank_random",
    "same": "fooling_within", "others": "fooling_between",
}  # fmt: skip
"""Columns of the table `noise`, and the numbers of a battery that stand in them."""

SATURATED = 1e-8
"""Cross-entropy in nats below which float32 hardly has a sign left."""

# --- accuracy under attack -----------------------------------------------------------------------


def measure_curves(models: Models, data: Dataset, config: Config, log: Log) -> None:
    """Test accuracy at each eps, clipped as in the tutorial and not as in the paper."""
    images, labels = data.test.floats(), data.test.labels
    columns: dict[str, list[Cell]] = {}
    for arm in TUTORIAL:
        curves = np.array([curves_of(model, images, labels, config.eps) for model in models[arm]])
        log.arrays(f"accuracy_{arm}", clipped=curves[:, 0], unclipped=curves[:, 1])
        for index, kind in enumerate(("clipped", "unclipped")):
            columns[f"{arm}_{kind}"] = [
                over_seeds(column, range=SHARE) for column in curves[:, index].T
            ]
        log.number(f"accuracy_{arm}", over_seeds(list(curves[:, 0, 0]), range=SHARE))
        log.number(f"parameters_{arm}", count_parameters(models[arm][0]))
        columns |= beside_printed(arm, curves[:, 0], config.eps)
    rows: list[dict[str, Cell]] = [
        {"eps": eps}
        | {f"{arm}_printed": dict(zip(EPS, PRINTED[arm], strict=True)).get(eps) for arm in TUTORIAL}
        | {name: column[i] for name, column in columns.items()}
        for i, eps in enumerate(config.eps)
    ]
    log.table("curves", Table.of(rows))


def beside_printed(arm: str, curves: Array, eps: Sequence[float]) -> dict[str, list[Cell]]:
    """Our accuracies (seeds, eps) beside those that the tutorial prints, None where it has none."""
    printed = dict(zip(EPS, PRINTED[arm], strict=True))
    told = [
        beside(column.tolist(), printed[one], range=SHARE) if one in printed else None
        for one, column in zip(eps, curves.T, strict=True)
    ]
    return {
        f"{arm}_ratio": [one.ratio if one else None for one in told],
        f"{arm}_resolvable": [one.resolvable if one else None for one in told],
    }


def curves_of(
    model: nn.Module, images: Tensor, labels: Tensor, eps: Sequence[float]
) -> list[list[float]]:
    """Accuracy at each eps, clipped and unclipped."""
    gradient = input_gradient(model, images, labels)
    return [
        [
            count / len(labels)
            for count in accuracy_curve(model, images, labels, gradient, eps, clip)
        ]
        for clip in (True, False)
    ]


# --- whose signs are right -----------------------------------------------------------------------


class Signs(NamedTuple):
    """What float32 does to the attack on one network.

    Attributes:
        shares: `saturated`: of test images whose cross-entropy is below `SATURATED`; `tied`: of
            pixels of the checked images without a unique gradient; `wrong`, `wrong_stable`: of
            their other pixels whose sign is not that of float64, by the cross-entropy and by the
            stable loss.
        curves: `plain`, `stable`: accuracy of the whole test set at each eps under both attacks;
            `checked_plain`, `checked_stable`, `checked_truth`: of the checked images, the last one
            under the attack in float64.
        p: McNemar's p of the two attacks on the whole test set at the largest eps.
    """

    shares: dict[str, float]
    curves: dict[str, list[float]]
    p: float


def measure_signs(models: Models, data: Dataset, config: Config, log: Log) -> None:
    """The share of wrong signs, and what they do to the accuracy, by length of training."""
    largest = int(np.argmax(config.eps))
    log.number("largest_eps", config.eps[largest])
    rows: list[dict[str, Cell]] = []
    for arm in TUTORIAL:
        for epoch, networks in stages(arm, models[arm], config, log).items():
            found = [signs_of(model, data.test, config) for model in networks]
            start: dict[str, Cell] = {"arm": arm, "epochs": epoch}
            rows.append(start | row_of(found, largest))
            curves = {k: np.array([one.curves[k] for one in found]) for k in found[0].curves}
            log.arrays(f"signs_{arm}_epoch{epoch}", **curves)
        for name in ("wrong", "wrong_stable", "tied", "gap", "gap_truth"):
            cell = rows[-1][name]
            assert isinstance(cell, Number)
            log.number(f"{name}_{arm}", cell)
            if name == "gap":
                log.claim(f"rounding_flatters_{arm}", claim_of(cell, "greater"))
        log.number(f"gap_p_{arm}", found[0].p)
    log.table("signs", Table.of(rows))


def signs_of(model: nn.Module, test: Split, config: Config) -> Signs:
    images, labels = test.floats(), test.labels
    losses = cross_entropy_loss(predict(model, test).double(), labels)
    plain = input_gradient(model, images, labels, cross_entropy_loss)
    stable = input_gradient(model, images, labels)
    index = evenly(len(labels), config.checked)
    some, true = images[index], labels[index]
    truth = input_gradient(model, some, true, batch=128, dtype=torch.float64)
    tied = tied_pixels(model, some, true)
    held = {
        name: resists(model, images, labels, gradient, config.eps)
        for name, gradient in {"plain": plain, "stable": stable}.items()
    }
    held |= {f"checked_{name}": rows[:, index] for name, rows in held.items()}
    held["checked_truth"] = resists(model, some, true, truth, config.eps)
    last = int(np.argmax(config.eps))
    shares = {
        "saturated": (losses < SATURATED).double().mean().item(),
        "tied": tied.double().mean().item(),
        "wrong": wrong_signs(plain[index], truth, tied),
        "wrong_stable": wrong_signs(stable[index], truth, tied),
    }
    return Signs(
        shares,
        {name: rows.double().mean(1).tolist() for name, rows in held.items()},
        mcnemar(held["plain"][last].cpu().numpy(), held["stable"][last].cpu().numpy()),
    )


def evenly(whole: int, count: int) -> Tensor:
    """`count` places spread evenly over `whole`: a set may be sorted by class."""
    return torch.arange(count) * whole // count


def row_of(found: Sequence[Signs], largest: int) -> dict[str, Cell]:
    """One line of the table of signs; gaps are those at the largest eps.

    `gap`: by how much the plain attack leaves the accuracy higher than the stable one, whole test
    set; `gap_truth`: the same against float64 on the checked images; `stable_gap_truth`: the stable
    attack against float64.
    """
    row: dict[str, Cell] = {
        name: over_seeds([one.shares[name] for one in found], range=SHARE)
        for name in found[0].shares
    }

    def gap(attack: str, truth: str) -> Number:
        values = {name: [one.curves[name][largest] for one in found] for name in (attack, truth)}
        return paired(values[truth], values[attack], range=CORRELATION)

    row["gap"] = gap("plain", "stable")
    row["gap_truth"] = gap("checked_plain", "checked_truth")
    row["stable_gap_truth"] = gap("checked_stable", "checked_truth")
    return row


# --- is it universal? ----------------------------------------------------------------------------


def measure_universality(models: Models, data: Dataset, config: Config, log: Log) -> None:
    """The battery on every network of the tutorial, the first seed's in full."""
    std = pixel_std(data.train)
    log.number("pixel_std", std)
    log.number("relative_eps", config.noise_eps / std)
    found = {arm: [examine(model, data, config) for model in models[arm]] for arm in TUTORIAL}
    for arm, batteries in found.items():
        log_battery(arm, batteries, log)
        claim_differences(arm, batteries, log)
        text = shortfall(batteries, config.crafted, config.judged, len(data.classes), arm)
        log.number(f"{arm}_short", bool(text))
        if text:
            print(f"fgsm  {text}", file=sys.stderr, flush=True)
            log.finding(text)
        measure_one_for_all(arm, models[arm][0], data.test, batteries[0], config, log)
    log.table("candidates", side_by_side(found))
    carried = measure_transfer(models, found, data, config, log)
    log.table("noise", Table.of([noise_row(arm, found[arm], carried) for arm in TUTORIAL]))


def examine(model: nn.Module, data: Dataset, config: Config) -> Battery:
    crafted, judged = halves(model, data.test, config.crafted, config.judged)
    return battery(
        model, crafted, judged, config.noise_eps,
        classes=len(data.classes), cells=config.cells, random=config.random,
        deepfool=config.deepfool,
    )  # fmt: skip


def log_battery(arm: str, found: Sequence[Battery], log: Log) -> None:
    """Everything of the first seed, some of it over seeds, and how many seeds get each verdict."""
    first = found[0]
    for name, number in over_models(found).items():
        log.number(f"{arm}_{name}", number)
    verdicts = ", ".join(one.verdict for one in found)
    log.finding(f"One noise against {arm}, a verdict per seed: {verdicts}")
    log.arrays(f"battery_{arm}", **first.arrays, noise=first.deltas["gradient"].cpu().numpy())


def side_by_side(found: Mapping[str, Sequence[Battery]]) -> Table:
    """What each noise does, a line each, the networks' columns beside each other."""
    tables = {arm: summary(batteries) for arm, batteries in found.items()}
    rows: list[dict[str, Cell]] = []
    for index, name in enumerate(tables[TUTORIAL[0]].column("noise")):
        row: dict[str, Cell] = {"noise": name}
        for arm, table in tables.items():
            row |= {f"{arm}_{key}": table.column(key)[index] for key in table.columns[1:]}
        rows.append(row)
    return Table.of(rows)


def noise_row(arm: str, batteries: Sequence[Battery], carried: Carried) -> dict[str, Cell]:
    """What the noises of a network's first seed have in common, and whom they fool.

    `classes`, `all`: of all its seeds, those for which the attack is universal within classes, and
    for all samples.
    """
    found, verdicts = batteries[0], [one.verdict for one in batteries]
    [other] = set(TUTORIAL) - {arm}
    cells: dict[str, Cell] = {key: found.numbers[name] for key, name in IN_COMMON.items()}
    cells |= {
        "classes": share_of(verdicts, "universal", "class-universal"),
        "all": share_of(verdicts, "universal"),
    }
    return {"arm": arm, **cells, **{kind: carried[kind, arm, other] for kind in CARRIED}}


def claim_differences(arm: str, found: Sequence[Battery], log: Log) -> None:
    """Whether a class shapes its noises, and whether the best single one falls behind own ones."""

    def over(name: str, other: str) -> Claim:
        before, after = ([one.numbers[key].value for one in found] for key in (other, name))
        return claim_of(paired(before, after, range=CORRELATION), "greater")

    log.claim(f"alike_{arm}", over("cosine_within", "cosine_between"))
    log.claim(f"single_worse_{arm}", over("fooling_own", "fooling_best"))


def measure_transfer(
    models: Models,
    found: Mapping[str, Sequence[Battery]],
    data: Dataset,
    config: Config,
    log: Log,
) -> Carried:
    """How often the noises of one network fool another of the same kind, and of the other."""
    arms = [arm for arm in TUTORIAL for _ in models[arm]]
    rates = transfer_rates(
        [model for arm in TUTORIAL for model in models[arm]],
        [one for arm in TUTORIAL for one in found[arm]],
        judged_alike(data.test, config.crafted, config.judged),
        config.noise_eps,
    )
    log.arrays("transfer", **rates)
    means = {
        (kind, source, target): mean_between(matrix, arms, source, target)
        for kind, matrix in rates.items()
        for source, target in product(TUTORIAL, TUTORIAL)
    }
    for (kind, source, target), mean in means.items():
        if mean is not None:
            log.number(f"transfer_{kind}_{source}_{target}", mean)
    rows: list[dict[str, Cell]] = []
    for source in TUTORIAL:
        cells: dict[str, Cell] = {
            f"{kind}_{to}": means[kind, source, to] for kind in rates for to in TUTORIAL
        }
        rows.append({"source": source, **cells})
    log.table("transfer", Table.of(rows))
    return means


def mean_between(matrix: Array, arms: Sequence[str], source: str, target: str) -> float | None:
    """Mean over the pairs of two different networks of these kinds; None where there is none."""
    values = [
        matrix[i, j]
        for i, j in np.ndindex(matrix.shape)
        if i != j and (arms[i], arms[j]) == (source, target)
    ]
    return float(np.mean(values)) if values else None
