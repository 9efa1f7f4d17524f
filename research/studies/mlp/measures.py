"""What the study `mlp` measures."""

import math
from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
import torch
from torch import Tensor

from research.data import Dataset
from research.methods import embedding
from research.methods.classification import Report, auroc, change, novelty, per_cent, share
from research.methods.comparison import resolution
from research.methods.spaces import (
    bures,
    frobenius,
    linear_cka,
    participation_ratio,
    spectral_distance,
)
from research.methods.statistics import (
    claim_of,
    claim_pairs,
    holm,
    mcnemar,
    over_seeds,
    paired,
)
from research.models import MNIST, Mlp
from research.records import Array, Cell, Number, Table
from research.records.measured import CORRELATION, SHARE
from research.studies.mlp.course import log_course
from research.studies.mlp.networks import embed, probe, thinned
from research.studies.mlp.settings import (
    ARMS,
    COURSE_NOISE,
    OTHERS,
    RARE,
    Config,
    Reports,
)
from research.tracking import Log

# --- what the arms are worth ---------------------------------------------------------------------


def log_counts(config: Config, data: Dataset, log: Log) -> None:
    """Training images of each class before and after the deletion."""
    rare = data.class_index(RARE)
    splits = {"before": data.train, "after": thinned(data.train, rare, config.ones_left)}
    counts = {
        side: np.bincount(split.labels.cpu().numpy(), minlength=len(data.classes))
        for side, split in splits.items()
    }
    log.arrays("counts", **counts, classes=np.array(data.classes))
    log.number("ones_before", int(counts["before"][rare]))
    log.number("ones_deleted", int(counts["before"][rare]) - config.ones_left)
    log.number("ones_test", int((data.test.labels == rare).sum()))


def measure_arms(reports: Reports, config: Config, data: Dataset, log: Log) -> None:
    """Losses, classification reports and confusion matrices; every arm against the baseline."""
    labels, base = data.test.labels.cpu().numpy(), reports["baseline"]
    losses = {arm: [one.loss for one in reports[arm]] for arm in ARMS}
    right = {arm: reports[arm][0].preds == labels for arm in ARMS}
    tests = holm([mcnemar(right["baseline"], right[arm]) for arm in OTHERS])
    p: dict[str, float] = dict(zip(OTHERS, tests, strict=True))
    rows: list[dict[str, Cell]] = []
    for arm in ARMS:
        group = reports[arm]
        cells: dict[str, Cell] = {
            **{m: share(group, m) for m in ("accuracy", "precision", "recall", "f1")},
            "loss": over_seeds(losses[arm]),
            "change": change(base, group, "accuracy") if arm in p else None,
            "loss_change": paired(losses["baseline"], losses[arm], "nat") if arm in p else None,
            "p": p.get(arm),
        }
        rows.append({"arm": arm, **cells})
        log_cells(cells, arm, log)
        log.arrays(f"confusion_{arm}", counts=np.stack([one.counts for one in group]))
    log.table("arms", Table.of(rows))
    accuracies = {arm: per_cent(reports[arm], "accuracy") for arm in ARMS}
    for name, number in resolution([*accuracies.values()]).numbers("arms", "points").items():
        log.number(name, number)
    log.table("report", Table.of(report_rows(reports, data.classes)))
    log_course(per_cent(base, "accuracy"), config, data, log)
    for arm in ("lr", "deep"):
        log.claim(f"{arm}_better", claim_of(change(base, reports[arm], "accuracy"), "greater"))
        log.claim(f"{arm}_less_loss", claim_pairs(losses["baseline"], losses[arm], "less", "nat"))
        moved = said(change(base, reports[arm], "accuracy"))
        log.finding(f"{ARMS[arm].capitalize()}: accuracy {moved} against the baseline.")


def said(change: Number) -> str:
    ends = " [{:+.2f}, {:+.2f}]".format(*change.bounds) if change.bounds else ""
    return f"{change.value:+.2f}{ends} points (seeds: {change.n})"


def log_cells(cells: Mapping[str, Cell], row: str, log: Log) -> None:
    """The numbers of a table's row, as `accuracy_deep`."""
    for name, cell in cells.items():
        number = Number(cell) if isinstance(cell, float) else cell
        if isinstance(number, Number):
            log.number(f"{name}_{row}", number)


def report_rows(reports: Reports, classes: Sequence[str]) -> list[dict[str, Cell]]:
    """Precision, recall and F1 of each class and on average, in columns as `f1_baseline`."""
    support = reports["baseline"][0].counts.sum(1)
    rows: list[dict[str, Cell]] = []
    for index, name in [*enumerate(classes), (None, "mean")]:
        cells = {
            f"{measure}_{arm}": share(reports[arm], measure, index)
            for arm in ARMS
            for measure in ("precision", "recall", "f1")
        }
        images = None if index is None else int(support[index])
        rows.append({"class": name, "support": images, **cells})
    return rows


# --- what the arms do to the embedding -----------------------------------------------------------

DISTANCES = ("mean", "sd", "frobenius", "bures", "spectral", "cka")


def measure_spaces(spaces: Mapping[str, Sequence[Array]], log: Log) -> None:
    """Moments of the test images' embeddings, and how far those of the arms are apart.

    An arm is compared with the baseline of its seed, whose first weights it shares; `reordered`
    tells what another order of the images does, pairs of baselines what another seed does.
    """
    base = spaces["baseline"]
    found = {arm: [apart(a, b) for a, b in zip(base, spaces[arm], strict=True)] for arm in OTHERS}
    rows: list[dict[str, Cell]] = []
    for arm in ARMS:
        group = spaces[arm]
        log.arrays(f"embedding_{arm}", **moments(group))
        cells = {m: over_pairs(m, [one.get(m) for one in found.get(arm, ())]) for m in DISTANCES}
        rows.append({"pair": arm, **shape_of(group), **cells})
    between = [apart(a, b) for a, b in combinations(base, 2)]
    for name, end in (("least", np.min), ("greatest", np.max)):
        ends = {
            m: Number(float(end([one[m] for one in between]))) if between else None
            for m in DISTANCES
        }
        rows.append({"pair": f"seeds_{name}", "spread": None, "dimension": None, **ends})
    for row in rows:
        log_cells(row, str(row["pair"]), log)
    for measure, arms in {"spectral": ("lr", "deep", "biased"), "frobenius": ("biased",)}.items():
        for arm in arms:
            order, moved = ([one[measure] for one in found[a]] for a in ("reordered", arm))
            log.number(f"{measure}_excess_{arm}", paired(order, moved))
            log.claim(f"{arm}_{measure}_beyond_order", claim_pairs(order, moved, "greater"))
    log.number("seed_pairs", len(between))
    dead = sum(not embedding.varies(space) for group in spaces.values() for space in group)
    log.number("dead", dead)
    if dead:
        log.finding(f"{dead} networks send every test image to one point: training silenced them.")
    log.table("spaces", Table.of(rows))


def moments(spaces: Sequence[Array]) -> dict[str, Array]:
    """Mean and standard deviation (seeds, D) and covariance (seeds, D, D) of the embeddings."""
    return {
        "mean": np.stack([space.mean(0) for space in spaces]),
        "sd": np.stack([space.std(0, ddof=1) for space in spaces]),
        "covariance": np.stack([np.cov(space, rowvar=False) for space in spaces]),
    }


def apart(a: Array, b: Array) -> dict[str, float]:
    """How far two embeddings of the same images are apart; `cka` is alignment.

    Covariances are compared at trace 1: how they spread over directions, not how far. What needs
    the axes to correspond is left out for spaces of different dimensions. A space that is one point
    has no shape: nan.
    """
    first, second = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    if not (first.any() and second.any()):
        alike = a.shape[1] == b.shape[1]
        return dict.fromkeys(DISTANCES if alike else ("spectral", "cka"), math.nan)
    shapes = first / np.trace(first), second / np.trace(second)
    free = {"spectral": spectral_distance(*shapes), "cka": linear_cka(a, b)}
    if a.shape[1] != b.shape[1]:
        return free
    return free | {
        "mean": frobenius(a.mean(0), b.mean(0)),
        "sd": frobenius(np.sqrt(np.diag(first)), np.sqrt(np.diag(second))),
        "frobenius": frobenius(*shapes),
        "bures": bures(*shapes),
    }


def over_pairs(measure: str, values: Sequence[float | None]) -> Number | None:
    """Mean and interval over pairs of equal seed, None without a value in every pair."""
    there = [value for value in values if value is not None]
    known = SHARE if measure == "cka" else None
    return over_seeds(there, range=known) if there and len(there) == len(values) else None


def shape_of(group: Sequence[Array]) -> dict[str, Cell]:
    """Total standard deviation and effective dimension of an arm's embeddings."""
    covariances = moments(group)["covariance"]
    return {
        "spread": over_seeds([float(np.trace(c)) ** 0.5 for c in covariances]),
        "dimension": over_seeds([participation_ratio(c) for c in covariances]),
    }


# --- what missing ones cost ----------------------------------------------------------------------


def measure_bias(reports: Reports, config: Config, data: Dataset, log: Log) -> None:
    """Recall and precision of the class 1, and accuracy, by the number of ones in training."""
    rare = data.class_index(RARE)
    arms = {dose: f"ones{dose}" for dose in config.doses} | {config.ones_left: "biased"}
    arms[int((data.train.labels == rare).sum())] = "baseline"
    plain = {dose: reports[arms[dose]][: config.dose_seeds] for dose in sorted(arms)}
    balanced = {dose: reports[f"{arms[dose]}-weighted"] for dose in plain if dose}
    for loss, groups in {"plain": plain, "weighted": balanced}.items():
        log.arrays(f"doses_{loss}", **dose_arrays(groups, rare))
    p = dose_tests(plain, balanced, data.test.labels.cpu().numpy() == rare, rare)
    log.table("doses", Table.of([
        {
            "ones": dose, "plain": share(group, "recall", rare),
            "weighted": share(balanced[dose], "recall", rare) if dose else None,
            "gain": change(group, balanced[dose], "recall", rare) if dose else None,
            "accuracy": change(group, balanced[dose], "accuracy") if dose else None,
            "p": p.get(dose),
        }
        for dose, group in plain.items()
    ]))  # fmt: skip
    fewest, images = min(balanced), len(data.train)
    log.number("ones_fewest", fewest)
    log.number("weight_fewest", (images - max(plain) + fewest) / (len(data.classes) * fewest))
    at_fewest = change(plain[fewest], balanced[fewest], "accuracy")
    log.number("accuracy_fewest", at_fewest)
    log.claim("weighting_better_at_fewest", claim_of(at_fewest, "greater"))
    log.number("p_weighting", p[config.ones_left])
    log.number("doses_told", sum(value < 0.05 for value in p.values()))
    log.number("doses_tested", len(p))
    if 0 in plain:
        log_cells({"recall": share(plain[0], "recall", rare)}, "none", log)
    log_costs(reports, rare, log)
    log_lost(reports, rare, data.classes, log)


def dose_arrays(groups: Mapping[int, Sequence[Report]], rare: int) -> dict[str, Array]:
    """Per cent by dose and seed, (doses, seeds), and Wilson's interval of the median recall's seed.

    (doses, 2)
    """
    ends = []
    for group in groups.values():
        middle = sorted(group, key=lambda one: one.counts[rare, rare])[len(group) // 2]
        ends.append(middle.recall_of(rare).bounds)
    return {
        "ones": np.array(list(groups)),
        "wilson": 100 * np.array(ends),
        "recall": np.array([per_cent(group, "recall", rare) for group in groups.values()]),
        "precision": np.array([per_cent(group, "precision", rare) for group in groups.values()]),
        "accuracy": np.array([per_cent(group, "accuracy") for group in groups.values()]),
    }


def dose_tests(
    plain: Mapping[int, Sequence[Report]],
    balanced: Mapping[int, Sequence[Report]],
    ones: Array,
    rare: int,
) -> dict[int, float]:
    """McNemar's p of plain against weighted on the test images of the class 1, by dose.

    Adjusted over the doses of each seed; the largest of the seeds is given.
    """
    pairs = zip(*(zip(plain[d], balanced[d], strict=True) for d in balanced), strict=True)
    by_seed = [
        holm([mcnemar(a.preds[ones] == rare, b.preds[ones] == rare) for a, b in seed])
        for seed in pairs
    ]
    return dict(zip(balanced, map(float, np.max(by_seed, axis=0)), strict=True))


def log_costs(reports: Reports, rare: int, log: Log) -> None:
    """What the deletion costs the class 1 and the others, and how much of it weighting recovers."""
    base, biased, balanced = (reports[a] for a in ("baseline", "biased", "biased-weighted"))
    for name, group in {"baseline": base, "biased": biased, "weighted": balanced}.items():
        log_cells({m: share(group, m, rare) for m in ("recall", "precision")}, f"ones_{name}", log)
        log.number(f"recall_first_{name}", group[0].recall_of(rare))
    others = [[100 * np.delete(o.recall, rare).mean() for o in g] for g in (base, biased)]
    log.number("others_change", paired(others[0], others[1], "points"))
    log.claim("deletion_costs_others", claim_pairs(others[0], others[1], "less", "points"))
    lost, gain = (change(*pair, "recall", rare) for pair in ((base, biased), (biased, balanced)))
    log.number("recall_change", lost)
    log.claim("deletion_costs_recall", claim_of(lost, "less"))
    log.claim("weighting_recovers_recall", claim_of(gain, "greater"))
    precision = change(biased, balanced, "precision", rare)
    accuracy = change(biased, balanced, "accuracy")
    log_cells({"recall": gain, "precision": precision, "accuracy": accuracy}, "gain", log)
    log.number("ones_left_seeds", len(balanced))
    triples = zip(*(per_cent(g, "recall", rare) for g in (base, biased, balanced)), strict=False)
    shares = [
        (after - before) / (full - before) for full, before, after in triples if full > before
    ]
    if len(shares) == len(balanced):
        log.number("recovered", over_seeds(shares))
    log.finding(f"Without most ones in training their recall changes by {said(lost)}.")
    log.finding(f"Weighting the loss by class then changes it by {said(gain)}.")


def log_lost(reports: Reports, rare: int, classes: Sequence[str], log: Log) -> None:
    """For what the test ones are taken, as shares of them, the biased arm's errors first."""
    arms = ("baseline", "biased", "biased-weighted")
    rows = {
        arm: np.stack([one.counts[rare] / one.counts[rare].sum() for one in reports[arm]])
        for arm in arms
    }
    order = [i for i in np.argsort(-rows["biased"].mean(0), kind="stable") if i != rare]
    log.table("lost", Table.of([
        {"class": classes[index]} | {
            arm: over_seeds(list(rows[arm][:, index]), range=SHARE) for arm in arms
        }
        for index in order
    ]))  # fmt: skip
    for rank, index in enumerate(order[:2], start=1):
        log.number(f"lost_class_{rank}", int(classes[index]))
        log.number(f"lost_share_{rank}", over_seeds(list(rows["biased"][:, index]), range=SHARE))


# --- noise ---------------------------------------------------------------------------------------

SCORES = ("softmax", "mahalanobis", "class_mahalanobis")


def measure_noise(models: Sequence[Mlp], config: Config, data: Dataset, log: Log) -> None:
    """What the baseline sees in noise, and which score tells noise from the test images."""
    labels = data.train.labels.cpu().numpy()
    inputs = {"clean": data.test.floats(), **noise(config, data)}
    preds: dict[str, list[Array]] = {name: [] for name in inputs}
    scores: dict[str, list[dict[str, Array]]] = {name: [] for name in inputs}
    for model in models:
        reference, _ = embed(model, data.train)
        for name, images in inputs.items():
            vectors, logits = probe(model, [images])
            preds[name].append(logits.argmax(1))
            scores[name].append(novelty(reference, labels, vectors, logits))
    three, size = data.class_index(COURSE_NOISE), len(data.classes)
    rows: list[dict[str, Cell]] = []
    for name, seen in scores.items():
        taken = np.stack([np.bincount(one, minlength=size) / len(one) for one in preds[name]])
        cells: dict[str, Cell] = {
            "three": over_seeds(list(taken[:, three]), range=SHARE),
            "modal": over_seeds(list(taken.max(1)), range=SHARE),
            "confidence": over_seeds(
                [float(np.exp(-one["softmax"]).mean()) for one in seen], range=SHARE
            ),
            "distance": over_seeds([float(np.median(one["class_mahalanobis"])) for one in seen]),
        }
        areas = {
            score: [auroc(a[score], b[score]) for a, b in zip(scores["clean"], seen, strict=True)]
            for score in SCORES
        }
        known = name == "clean"
        cells |= {
            score: None if known else over_seeds(areas[score], range=SHARE) for score in SCORES
        }
        lead = paired(areas["class_mahalanobis"], areas["softmax"], range=CORRELATION)
        cells["softmax_lead"] = None if known else lead
        if not known:
            log.claim(f"probability_better_{name}", claim_of(lead, "greater"))
        rows.append({"input": name, **cells})
        log_cells(cells, name, log)
        log.number(f"answers_{name}", len(set(taken.argmax(1))))
        log.number(f"seeds_three_{name}", int((taken.argmax(1) == three).sum()))
        log.arrays(f"noise_{name}", preds=taken, distances=seen[0]["class_mahalanobis"])
    log.table("noise", Table.of(rows))


def noise(config: Config, data: Dataset) -> dict[str, Tensor]:
    """Normal noise as the network's normalised inputs, and as pixel values cut off at 0 and 1."""
    shape = (config.noise_images, *data.shape)
    drawn = np.random.default_rng(0).normal(0, config.noise_sd, shape).astype(np.float32)
    pixels = torch.from_numpy(drawn).to(config.train.device)
    (mean,), (sd,) = MNIST
    return {"normalised": pixels * sd + mean, "pixels": pixels.clamp(0, 1)}
