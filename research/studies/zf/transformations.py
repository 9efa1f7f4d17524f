"""How features answer to shifts, sizes and turns of the image, and to a hidden part."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import mannwhitneyu, wilcoxon
from torch import Tensor

from research.data import Split
from research.errors import UserError
from research.methods.correspondence import Box, grouped, masked, random_boxes, sign_changes
from research.methods.invariance import CHANGES, curves
from research.methods.statistics import claim_pairs, holm, over_samples, over_seeds
from research.records import Array, Cell, Table
from research.records.measured import SHARE
from research.studies.zf.features import Viewed, spread
from research.studies.zf.settings import Config
from research.tracking import Log

AMOUNTS: Mapping[str, Sequence[float]] = {
    "translation": [round(x, 3) for x in np.linspace(-0.25, 0.25, 17).tolist()],
    "scale": [round(x, 3) for x in np.linspace(1, 1.8, 9).tolist()],
    "rotation": [15.0 * step for step in range(24)],
}
"""About those of the paper: up to 60 of 224 pixels, 1 to 1.8 times as large, a whole turn."""
ENDS = ("first", "last")
CONTROLS = ("random", "same place")
NAMED = {"translation": 0.125, "scale": 1.4, "rotation": 30.0}
"""The amount of each change that is told in words."""
NONE = {"translation": 0.0, "scale": 1.0, "rotation": 0.0}
"""The amount that changes nothing."""


# --- invariance (arXiv, figure 5) ----------------------------------------------------------------


def measure_invariance(group: Sequence[Viewed], fill: float, config: Config, log: Log) -> None:
    """Curves of the first and the last layer and of the followed class, a mean over images."""
    images = spread(len(group[0].test), config.moved)
    for name, change in CHANGES.items():
        amounts = AMOUNTS[name]
        found = [
            curves(
                outputs_of(view), view.test.images[images].float() / 255, view.labels[images],
                change, amounts, fill,
            )
            for view in group
        ]  # fmt: skip
        first, last = (
            np.array([one.distances[end].mean(1).tolist() for one in found]) for end in ENDS
        )
        probability = np.array([one.probabilities.double().mean(1).tolist() for one in found])
        log.arrays(
            f"invariance_{name}",
            amounts=np.array(amounts), first=first, last=last, probability=probability,
        )  # fmt: skip
        at = amounts.index(NAMED[name])
        for key, values in {"first": first, "last": last, "probability": probability}.items():
            known = SHARE if key == "probability" else None
            log.number(f"{name}_{key}", over_seeds(values[:, at].tolist(), range=known))
        pair = first[:, at].tolist(), last[:, at].tolist()
        log.claim(f"last_more_invariant_{name}", claim_pairs(*pair, "less"))
    unmoved = amounts.index(NONE[name])  # the same for all changes
    log.number("unmoved_probability", over_seeds(probability[:, unmoved].tolist(), range=SHARE))
    log.number("moved", len(images))


def outputs_of(view: Viewed) -> Callable[[Tensor], tuple[dict[str, Tensor], Tensor]]:
    """Features of the first and the last layer, and the logits."""
    names = [view.layers[0], view.last, view.chain.names[-1]]

    def outputs(images: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        found = view.chain.outputs(images, names)
        first, last, logits = (found[name].flatten(1) for name in names)
        return {"first": first, "last": last}, logits

    return outputs


# --- correspondence (arXiv, table 1) -------------------------------------------------------------


@dataclass(frozen=True)
class Deltas:
    """Disagreement Δ of each of G groups of images, in one layer.

    Attributes:
        parts: (G,) by part.
        random: with R random places in each image, (R, G).
        places: with R random places, each the same in all images, (R, G).
    """

    parts: dict[str, Array]
    random: Array
    places: Array

    @property
    def by_name(self) -> dict[str, Array]:
        """(G,) by part and control, a mean over the places of a control."""
        controls = (self.random.mean(0), self.places.mean(0))
        return self.parts | dict(zip(CONTROLS, controls, strict=True))


def measure_correspondence(
    group: Sequence[Viewed],
    untrained: Sequence[Viewed],
    parts: Split,
    fill: float,
    config: Config,
    log: Log,
) -> None:
    """How alike the same hidden part changes the features of several images.

    Two controls: a random place in each image, as in the paper, and a random place that is the same
    in all of them, since it is the place, too, that images of one part share. Groups of images are
    the repetitions, for they share none; those of several seeds are averaged first, for their
    images are the same. Whether parts are other than places in general is a matter of places: the
    repetitions are then the parts and the random places.
    """
    images = parts.floats()
    layers = {"shown": group[0].layers[-1], "last": group[0].last}
    against: dict[str, dict[str, Cell]] = {control: {"control": control} for control in CONTROLS}
    names = (*boxes_of(config), *CONTROLS)
    rows: dict[str, dict[str, Cell]] = {part: {"part": part} for part in names}
    for layer, deltas in mean_deltas(group, layers, images, fill, config).items():
        for part, row in rows.items():
            row[layer] = over_samples(deltas.by_name[part].tolist())
        for control, row in against.items():
            row |= add_gaps(rows, deltas, layer, control, log)
        p = against_places(deltas)
        against["same place"][f"{layer}_p"] = p
        log.number(f"places_{layer}_p", p)
        log_deltas(layer, deltas, log)
    if untrained:
        blank = mean_deltas(untrained, {"untrained": layers["shown"]}, images, fill, config)
        found = add_gaps(rows, blank["untrained"], "untrained", "random", log)
        cells = {name.replace("untrained", "shown"): cell for name, cell in found.items()}
        against["untrained"] = {"control": "untrained", **cells}
        log_deltas("untrained", blank["untrained"], log)
    log.table("correspondence", Table.of(list(rows.values())))
    log.table("agreement", against_table(against, layers))
    log.number("faces", len(images))
    log.number("face_groups", len(images) // config.group)
    log.number("parts", len(config.boxes))


def against_table(rows: Mapping[str, Mapping[str, Cell]], layers: Iterable[str]) -> Table:
    """A line for each control: gap, parts that agree more, p; None where that was not measured."""
    keys = [f"{layer}_{name}" for layer in layers for name in ("gap", "agreeing", "p")]
    return Table.of([{name: row.get(name) for name in ("control", *keys)} for row in rows.values()])


def log_deltas(layer: str, deltas: Deltas, log: Log) -> None:
    """What the table's means and p values rest on; parts in the order of the settings."""
    parts = np.array(list(deltas.parts.values()))
    log.arrays(f"deltas_{layer}", parts=parts, random=deltas.random, places=deltas.places)


def add_gaps(
    rows: Mapping[str, dict[str, Cell]], deltas: Deltas, layer: str, control: str, log: Log
) -> dict[str, Cell]:
    """Δ of each part minus that of a control, over groups; on how many parts images agree more.

    Those count whose Δ is lower with p < 0.05 by Wilcoxon's signed ranks, adjusted after Holm.
    Returns `LAYER_gap`, the mean over the parts, and `LAYER_agreeing`, that count.
    """
    key, against = f"{layer}_{control.replace(' ', '_')}", deltas.by_name[control]
    differences = {part: found - against for part, found in deltas.parts.items()}
    gaps = {part: over_samples(found.tolist()) for part, found in differences.items()}
    for part, row in rows.items():
        row[key] = gaps.get(part)
    p = holm([signed_ranks_p(found) for found in differences.values()])
    lower = [one < 0.05 and gap.value < 0 for one, gap in zip(p, gaps.values(), strict=True)]
    log.number(f"agreeing_{key}", sum(lower))
    gap = over_samples(np.mean(list(differences.values()), 0).tolist())
    log.number(f"gap_{key}", gap)
    return {f"{layer}_gap": gap, f"{layer}_agreeing": sum(lower)}


def signed_ranks_p(differences: Array) -> float:
    """Two-sided p value of Wilcoxon's test; 1 where nothing differs."""
    return float(wilcoxon(differences).pvalue) if differences.any() else 1.0


def against_places(deltas: Deltas) -> float:
    """p that Δ of the parts is as that of random places, by Mann and Whitney's two-sided test."""
    parts = [found.mean() for found in deltas.parts.values()]
    return float(mannwhitneyu(parts, deltas.places.mean(1)).pvalue)


def mean_deltas(
    group: Sequence[Viewed], layers: Mapping[str, str], images: Tensor, fill: float, config: Config
) -> dict[str, Deltas]:
    """Δ in some layers, by the keys of `layers`; the mean over networks."""
    found = [deltas_of(view, layers, images, fill, config) for view in group]
    return {
        key: Deltas(
            {
                part: np.mean([one[key].parts[part] for one in found], 0)
                for part in boxes_of(config)
            },
            np.mean([one[key].random for one in found], 0),
            np.mean([one[key].places for one in found], 0),
        )
        for key in layers
    }


def deltas_of(
    view: Viewed, layers: Mapping[str, str], images: Tensor, fill: float, config: Config
) -> dict[str, Deltas]:
    """Δ in some layers of one network."""
    names = list(dict.fromkeys(layers.values()))

    def features(some: Tensor) -> dict[str, Tensor]:
        found = [view.chain.outputs(x, names) for x in torch.split(some, 64)]
        return {key: torch.cat([one[name] for one in found]) for key, name in layers.items()}

    whole = features(images)

    def delta(boxes: Sequence[Box]) -> dict[str, list[float]]:
        hidden = masked(images, boxes, fill)
        changed = features(hidden)

        def known(key: str) -> Callable[[Tensor], Tensor]:
            return lambda some: (whole if some is images else changed)[key]

        return {
            key: grouped(sign_changes(known(key), images, hidden), config.group) for key in layers
        }

    boxes = boxes_of(config)
    order, box = torch.Generator().manual_seed(0), next(iter(boxes.values()))
    elsewhere = [random_boxes(box, len(images), order) for _ in range(config.random)]
    together = random_boxes(box, config.random, order)
    parts = {part: delta([box]) for part, box in boxes.items()}
    random, places = [delta(boxes) for boxes in elsewhere], [delta([one]) for one in together]
    return {
        key: Deltas(
            {part: np.array(found[key]) for part, found in parts.items()},
            np.array([found[key] for found in random]),
            np.array([found[key] for found in places]),
        )
        for key in layers
    }


def boxes_of(config: Config) -> dict[str, Box]:
    """The box of each part, by its name."""
    return {
        name: (top, left, bottom, right) for name, top, left, bottom, right in config.boxes
    }  # fmt: skip


def check_parts(parts: Split, config: Config) -> None:
    """Finds parts that cannot be compared before anything is trained."""
    names, boxes = [name for name, *_ in config.boxes], boxes_of(config).values()
    sizes = {(round(bottom - top, 6), round(right - left, 6)) for top, left, bottom, right in boxes}
    if len(sizes) != 1 or len(names) > len(boxes) or not {*CONTROLS}.isdisjoint(names):
        raise UserError(
            "--boxes must name parts, each once and all of one height and width, for random boxes "
            f"to be compared with them, none of them {' or '.join(CONTROLS)}; got "
            f"{', '.join(names) or 'none'} of {len(sizes)} sizes"
        )
    if len(parts) < 4:
        raise UserError(
            "--parts.name must be a set with at least 4 test images in its first class, two groups "
            f"of two, got {len(parts)}; choose another set or add images"
        )
    if not 2 <= config.group <= len(parts) // 2:
        raise UserError(
            f"--group must be 2 to {len(parts) // 2}, half of the aligned images, got "
            f"{config.group}"
        )
    if config.random < 10:
        raise UserError(f"--random must be at least 10 boxes, got {config.random}")
    for box in boxes:
        masked(parts.images[:1].float() / 255, [box], 0.5)
