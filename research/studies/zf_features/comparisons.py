"""The features' accuracies beside each other, beside their controls, and beside the paper's.

Means are over draws of images, which are no seeds.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.stats import spearmanr

from research.methods.statistics import claim_draws, over_samples
from research.records import Array, Cell, Claim, Number, Table
from research.records.measured import CORRELATION, SHARE
from research.studies.zf_features.generalisation import Case, Pool, Scratch, Tries
from research.studies.zf_features.settings import (
    KINDS,
    LAYERS,
    PRINTED_LAYERS,
    PRINTED_TRANSFER,
    Config,
)
from research.tracking import Log

LAST = "layer7"


def measure_transfer(tries: Tries, scratch: Scratch, pool: Pool, config: Config, log: Log) -> None:
    """The tables, and the differences that the paper speaks of, in pairs of one draw."""
    few, many = min(config.k), max(config.k)
    log.table("layers", layers_table(tries, few, many))
    log.table("transfer", transfer_table(tries, scratch))
    log.arrays("accuracies", **arrays_of(tries, scratch))
    log.number("few", few)
    log.number("many", many)
    log.number("chance", 1 / len(pool.classes))
    log.number("edge", at_the_edge(tries, config.penalties))
    for name, k in (("few", few), ("many", many)):
        log.number(f"fitted_{name}", over_samples(scratch.fitted[k], range=SHARE))
        log.number(f"pretrained_{name}", over_samples(pretrained(tries, k), range=SHARE))
        for control, values in controls(tries, scratch, k).items():
            log.number(f"{control}_{name}", over_samples(values, range=SHARE))
            log.number(f"gain_{control}_{name}", gain(values, pretrained(tries, k)))
        measure_depth(tries, k, name, log)
    ours = pretrained(tries, many)
    for control, values in controls(tries, scratch, many).items():
        log.claim(f"pretrained_beats_{control}", above_zero(points(values, ours)))


def accuracies(tries: Tries, case: Case) -> list[float]:
    """One for each draw."""
    return [one.accuracy for one in tries[case]]


def pretrained(tries: Tries, k: int) -> list[float]:
    """Softmax regression on the last hidden layer, as the paper's pretrained network."""
    return accuracies(tries, Case("trained", LAST, "softmax", k))


def controls(tries: Tries, scratch: Scratch, k: int) -> dict[str, Sequence[float]]:
    """What a pretrained network has to beat."""
    return {
        "scratch": scratch.judged[k],
        "untrained": accuracies(tries, Case("untrained", LAST, "softmax", k)),
        "pixels": accuracies(tries, Case("pixels", "pixels", "softmax", k)),
    }


def gain(before: Sequence[float], after: Sequence[float]) -> Number:
    """Percentage points, in pairs of one draw."""
    return over_samples(points(before, after), "points")


def points(before: Sequence[float], after: Sequence[float]) -> list[float]:
    return [100 * (other - one) for one, other in zip(before, after, strict=True)]


def above_zero(values: Sequence[float], unit: str = "points") -> Claim:
    """The claim that differences, or other values, are above zero; one for each draw."""
    return claim_draws(values, "greater", unit, test="t test over draws")


def at_the_edge(tries: Tries, penalties: Sequence[float]) -> float:
    """How often cross-validation chose the smallest or the largest C."""
    ends = {min(penalties), max(penalties)}
    chosen = [one.penalty in ends for row in tries.values() for one in row]
    return float(np.mean(chosen))


# --- by depth ------------------------------------------------------------------------------------


def measure_depth(tries: Tries, k: int, name: str, log: Log) -> None:
    """Whether accuracy rises with depth, by the SVM, and what training adds to each layer."""
    found = {
        space: [accuracies(tries, Case(space, layer, "svm", k)) for layer in LAYERS]
        for space in ("trained", "untrained")
    }
    ranks = {space: [rank(one) for one in np.transpose(rows)] for space, rows in found.items()}
    for space, rows in found.items():
        log.number(f"rise_{space}_{name}", gain(rows[0], rows[-1]))
        log.number(f"depth_{space}_{name}", over_samples(ranks[space], range=CORRELATION))
    means = [float(np.mean(row)) for row in found["trained"]]
    log.number(f"best_layer_{name}", 1 + int(np.argmax(means)))
    best = found["trained"][int(np.argmax(means))]
    log.number(f"best_{name}", over_samples(best, range=SHARE))
    pairs = [points(*pair) for pair in zip(found["untrained"], found["trained"], strict=True)]
    means_of = map(over_samples, pairs)
    ends = [one.bounds or one.span or (one.value, one.value) for one in means_of]
    added = [float(draw) for draw in np.mean(pairs, 0)]
    log.number(f"gain_training_{name}", over_samples(added, "points"))
    log.number(f"layers_gained_{name}", sum(low > 0 for low, _ in ends))
    log.number(f"layers_lost_{name}", sum(high < 0 for _, high in ends))
    if name == "many":
        printed = [values[0] for values in PRINTED_LAYERS["svm"].values()]
        log.number("depth_printed", rank(printed))
        log.number("rise_printed", round(100 * (printed[-1] - printed[0]), 6), "points")
        log.number("layers", len(LAYERS))
        log.claim("deeper_better", above_zero(ranks["trained"], ""))
        log.claim("last_beats_first", above_zero(points(found["trained"][0], found["trained"][-1])))
        log.claim("training_helps", above_zero(added))


def rank(values: Sequence[float] | Array) -> float:
    """Spearman's correlation of values with their place; 0 where all are the same."""
    if np.ptp(values) == 0:
        return 0.0
    return float(spearmanr(np.arange(len(values)), values).statistic)


# --- tables --------------------------------------------------------------------------------------


def layers_table(tries: Tries, few: int, many: int) -> Table:
    """Every layer: both classifiers, the same on the untrained network, and the paper's table 6."""
    rows = []
    for layer in ("pixels", *LAYERS):
        row: dict[str, Cell] = {"layer": layer}
        for (name, k), kind in ((a, b) for a in (("few", few), ("many", many)) for b in KINDS):
            space = "pixels" if layer == "pixels" else "trained"
            found = accuracies(tries, Case(space, layer, kind, k))
            row[f"{kind}_{name}"] = over_samples(found, range=SHARE)
            other = Case("untrained", layer, kind, k)
            row[f"untrained_{kind}_{name}"] = (
                over_samples(accuracies(tries, other), range=SHARE) if other in tries else None
            )
        for kind in KINDS:
            printed = PRINTED_LAYERS[kind].get(layer, (None, None))
            row[f"printed_{kind}"], row[f"printed_{kind}_256"] = printed
        row["features"] = layer.replace("layer", "layer ")
        rows.append(row)
    return Table.of(rows)


def transfer_table(tries: Tries, scratch: Scratch) -> Table:
    """By images per class: the network from scratch, the pretrained one, the paper's tables 3, 4.

    A line for each number of images that was measured here or there.
    """
    printed = {name: dict(rows) for name, rows in PRINTED_TRANSFER.items()}
    rows = []
    for k in sorted({*scratch.judged, *(k for found in printed.values() for k in found)}):
        row: dict[str, Cell] = {"k": k}
        for arm in ("scratch", "pretrained", "untrained", "pixels"):
            row[arm] = None
        if k in scratch.judged:
            found = {"pretrained": pretrained(tries, k), **controls(tries, scratch, k)}
            row |= {arm: over_samples(values, range=SHARE) for arm, values in found.items()}
        for name, theirs in printed.items():
            pair: tuple[float | None, float | None] = theirs.get(k, (None, None))
            row[f"scratch_{name}"], row[f"pretrained_{name}"] = pair
        rows.append(row)
    return Table.of(rows)


def arrays_of(tries: Tries, scratch: Scratch) -> Mapping[str, Array]:
    """For the figure, by draw: `space_kind_k` (draws, layers), and `scratch_k` (draws,)."""
    found: dict[str, list[list[float]]] = {}
    for case in tries:  # layers stand in their order
        found.setdefault(f"{case.space}_{case.kind}_k{case.k}", []).append(accuracies(tries, case))
    arrays = {name: np.transpose(rows) for name, rows in found.items()}
    return arrays | {f"scratch_k{k}": np.array(one) for k, one in scratch.judged.items()}
