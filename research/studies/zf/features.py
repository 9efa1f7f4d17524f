"""What the feature maps of a network answer to: top activations, evolution, and classes."""

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from research.data import Split
from research.errors import UserError
from research.methods.chain import Chain
from research.methods.deconvnet import Units, cut, project
from research.methods.receptive_fields import extent
from research.methods.spaces import linear_cka
from research.methods.statistics import claim_pairs, over_seeds
from research.methods.top_activations import Strongest, strongest
from research.models.inference import predict
from research.records import Array, Cell, Number, Table
from research.records.measured import SHARE
from research.studies.zf.networks import Stages, class_names
from research.studies.zf.settings import Config
from research.tracking import Log

LAYERS = 5
"""Convolutional layers that are shown at most."""
TOP = 9
"""Activations of each map, as in the paper."""


@dataclass(frozen=True)
class Viewed:
    """A network of which the layers are known.

    Attributes:
        layers: behind ReLUs of the convolutional layers, at most five, the first and the last among
            them.
        last: behind the last ReLU of all.
        test: the test images as the network sees them.
        labels: the class that is followed in each of them, int64 (N,): the true one, or the
            network's own answer where it knows other classes.
        labelled: whether that is the true one.
        classes: names of its outputs.
    """

    chain: Chain
    layers: tuple[str, ...]
    last: str
    test: Split
    labels: Tensor
    labelled: bool
    classes: tuple[str, ...]


def viewed(model: nn.Module, test: Split, classes: tuple[str, ...], config: Config) -> Viewed:
    """Reads a network.

    Arguments:
        test: the images as it sees them.
        classes: the data's. A network with as many outputs is taken to know them.

    Raises:
        UserError: it is no chain, or has no ReLU behind a convolution.
    """
    chain = Chain(model, test.images[:2].float() / 255, open_end=True)
    layers, last = shown_layers(chain)
    logits = predict(model, Split(test.images[:1], test.labels[:1]))
    if logits.shape[1] == len(classes):
        return Viewed(chain, layers, last, test, test.labels, True, classes)
    names = class_names(logits.shape[1], config)
    return Viewed(chain, layers, last, test, predict(model, test).argmax(1), False, names)


def shown_layers(chain: Chain) -> tuple[tuple[str, ...], str]:
    """The ReLUs behind convolutions, of many some spread evenly; and the last ReLU."""
    modules = [link.module for link in chain.links]
    relus = [place for place, module in enumerate(modules) if isinstance(module, nn.ReLU)]
    filters, flat = (
        next((place for place, module in enumerate(modules) if isinstance(module, kind)), end)
        for kind, end in ((nn.Conv2d, len(modules)), (nn.Flatten, len(modules)))
    )
    spatial = [place for place in relus if filters < place < flat]
    if not spatial:
        raise UserError(
            "the network must have a ReLU behind a convolution, whose maps can be looked at; its "
            f"layers are {', '.join(type(module).__name__ for module in modules)}"
        )
    chosen = np.linspace(0, len(spatial) - 1, min(len(spatial), LAYERS)).round().astype(int)
    return tuple(chain.names[spatial[place]] for place in chosen), chain.names[relus[-1]]


def spread(whole: int, count: int) -> Tensor:
    """`count` places spread evenly over `whole`: a set may be sorted by class."""
    count = min(whole, count)
    return torch.arange(count) * whole // count


# --- top activations (figure 2) ------------------------------------------------------------------


class Sheet(NamedTuple):
    """The strongest activations of some maps of a layer.

    Attributes:
        maps: their numbers, (M,).
        images: in which of the test images, (M, K).
        patches: what the units see there, (M, K, C, h, w) in [0, 1]; grey outside the image.
        projections: the activations projected to these pixels, (M, K, C, h, w).
    """

    maps: Array
    images: Array
    patches: Array
    projections: Array


def measure_tops(group: Sequence[Viewed], config: Config, log: Log) -> None:
    """Pictures of the first seed; how often all nine images are of one class, over seeds."""
    first = group[0]
    found = [strongest(one.chain, one.test, every_layer(one), TOP) for one in group]
    tell_silent(found, log)
    shape = first.test.images.shape[1:]
    rows: list[dict[str, Cell]] = []
    pure = {
        layer: [purity(one[layer], view.labels) for one, view in zip(found, group, strict=True)]
        for layer in first.layers
    }
    for number, layer in enumerate(first.layers, start=1):
        log_sheet(first, number, found[0][layer], config, log)
        known = [one for one in pure[layer] if one is not None]
        rows.append({
            "layer": layer,
            "maps": len(found[0][layer].values),
            "field": extent(first.chain, layer, shape)[0],
            "active": over_seeds(
                [len(active(one[layer])) / len(one[layer].values) for one in found], range=SHARE
            ),
            "purity": over_seeds(known, range=SHARE) if known else None,
        })  # fmt: skip
    log.table("layers", Table.of(rows))
    log.number("labelled", first.labelled)
    log.number("purity_chance", chance_purity(first.labels))
    for end, row in (("first", rows[0]), ("last", rows[-1])):
        for key in ("purity", "active"):
            if isinstance(cell := row[key], Number):
                log.number(f"{key}_{end}", cell)
    compare_ends(pure[first.layers[0]], pure[first.layers[-1]], log)


def compare_ends(
    first: Sequence[float | None], last: Sequence[float | None], log: Log
) -> None:  # fmt: skip
    """Whether maps of the last layer are more of one class, in seeds where both layers answer."""
    pairs = [(a, b) for a, b in zip(first, last, strict=True) if a is not None and b is not None]
    if pairs:
        least, most = ([pair[end] for pair in pairs] for end in (0, 1))
        log.claim("last_more_specific", claim_pairs(least, most, "greater"))


def log_sheet(view: Viewed, number: int, found: Strongest, config: Config, log: Log) -> None:
    """Some active maps, drawn at random, of a layer by its number from 1; none of a silent one."""
    alive = active(found)
    if len(alive):
        drawn = alive[torch.randperm(len(alive), generator=torch.Generator().manual_seed(0))]
        maps = drawn[: config.shown].sort().values
        sheet = sheet_of(view, view.layers[number - 1], found, maps)
        log.arrays(f"tops_layer{number}", **sheet._asdict())


def every_layer(view: Viewed) -> list[str]:
    """Those that are shown, and the last."""
    return list(dict.fromkeys([*view.layers, view.last]))


def tell_silent(found: Sequence[Mapping[str, Strongest]], log: Log) -> None:
    """Layers of which no map is active in nine images: a finding, for training can cause it."""
    silent = {layer: [not len(active(one[layer])) for one in found] for layer in found[0]}
    log.number("silent_layers", sum(map(any, silent.values())))
    for layer, seeds in silent.items():
        if any(seeds):
            text = (
                f"Layer '{layer}' is silent in {sum(seeds)} of {len(seeds)} networks: none of its "
                f"maps is active in {TOP} test images."
            )
            print(f"zf  {text}", file=sys.stderr, flush=True)
            log.finding(text)


def active(found: Strongest) -> Tensor:
    """The maps that are active in as many images as are shown."""
    return torch.nonzero((found.values > 0).all(1))[:, 0]


def sheet_of(view: Viewed, layer: str, found: Strongest, maps: Tensor) -> Sheet:
    """Projections and patches of the strongest activations of these maps."""
    units = found.units(maps)
    patches, projections = shown_units(view, layer, units)
    size = (len(maps), found.values.shape[1])
    return Sheet(
        maps.numpy(force=True), found.images[maps].numpy(force=True),
        patches.reshape(*size, *patches.shape[1:]).numpy(force=True),
        projections.reshape(*size, *projections.shape[1:]).numpy(force=True),
    )  # fmt: skip


def shown_units(view: Viewed, layer: str, units: Units) -> tuple[Tensor, Tensor]:
    """What units see, and what of it excites them: two times (B, C, h, w)."""
    chosen, place = torch.unique(units.image, return_inverse=True)
    images = view.test.images[chosen].float() / 255
    window = project(view.chain, images, layer, units._replace(image=place))
    size = (window.values.shape[2], window.values.shape[3])
    return cut(images[place], window.corner, size, 0.5), window.values


def purity(found: Strongest, labels: Tensor) -> float | None:
    """Of the images that excite a map most, the share of their most frequent class; mean of maps.

    Only maps that are active in all of them count; None where there is no such map.
    """
    shares = [
        max(Counter(labels[row].tolist()).values()) / len(row)
        for row in found.images[active(found)]
    ]
    return float(np.mean(shares)) if shares else None


def chance_purity(labels: Tensor, draws: int = 10_000) -> float:
    """The same share of different images that are drawn at random."""
    counts = np.bincount(labels.numpy(force=True))
    drawn = np.random.default_rng(0).multivariate_hypergeometric(counts, TOP, draws)
    return float(drawn.max(1).mean() / TOP)


# --- evolution over training (figure 4) ----------------------------------------------------------


def measure_evolution(past: Stages, group: Sequence[Viewed], config: Config, log: Log) -> None:
    """One map of each layer by epoch, and how near each layer is to what it becomes."""
    if len(past) < 2:
        return
    test, classes = group[0].test, group[0].classes
    views = {
        epoch: [viewed(one, test, classes, config) for one in models]
        for epoch, models in past.items()
    }
    log.number("stages", len(past))
    draw_evolution({epoch: some[0] for epoch, some in views.items()}, log)
    images = test.images[spread(len(test), config.moved)].float() / 255
    found = [converging([some[seed] for some in views.values()], images)
             for seed in range(len(group))]  # fmt: skip
    curves = {layer: np.array([one[layer] for one in found]) for layer in found[0]}
    log.arrays("converging", epochs=np.array(list(past)), **curves)
    for name, layer in (("first", group[0].layers[0]), ("last", group[0].last)):
        log.number(f"converged_{name}", over_seeds(curves[layer][:, 0].tolist()))
    first, last = (curves[layer][:, 0].tolist() for layer in (group[0].layers[0], group[0].last))
    log.claim("first_converges_earlier", claim_pairs(last, first, "greater"))


def converging(past: Sequence[Viewed], images: Tensor) -> dict[str, list[float]]:
    """How like each layer is to what it becomes, by stage: CKA, 0 where it answers to nothing."""
    final = features(past[-1], images)
    curves: dict[str, list[float]] = {layer: [] for layer in final}
    for view in past:  # one after the other: the features of a wide network fill gigabytes
        for layer, now in features(view, images).items():
            varies = bool((now != now[0]).any())
            curves[layer].append(linear_cka(now, final[layer]) if varies else 0.0)
    return curves


def features(view: Viewed, images: Tensor) -> Mapping[str, Array]:
    """The outputs of the shown layers, and of the last one, (N, D)."""
    outputs = view.chain.outputs(images, every_layer(view))
    return {name: maps.flatten(1).numpy(force=True) for name, maps in outputs.items()}


def draw_evolution(views: Mapping[int, Viewed], log: Log) -> None:
    """The strongest activation of one map in each layer, in the whole test set, by epoch.

    The map is, of those that are active at the end, the one that is active in most of these epochs,
    of several the first. Where it is silent its image is -1, and its pictures are NaN. A layer
    without an active map at the end is left out.
    """
    layers, changes, steps = next(iter(views.values())).layers, 0, 0
    found = {epoch: strongest(one.chain, one.test, layers, 1) for epoch, one in views.items()}
    for number, layer in enumerate(layers, start=1):
        best = {epoch: one[layer] for epoch, one in found.items()}
        alive = torch.stack([one.values[:, 0] > 0 for one in best.values()])
        if not alive[-1].any():
            continue
        chosen = (alive.sum(0) * alive[-1]).argmax().reshape(1)
        active = alive[:, chosen[0]]
        shown = [
            shown_units(views[epoch], layer, one.units(chosen)) if here else None
            for (epoch, one), here in zip(best.items(), active, strict=True)
        ]
        images = torch.cat([one.images[chosen, 0] for one in best.values()])
        both = active[1:] & active[:-1]
        changes += int(((images[1:] != images[:-1]) & both).sum())
        steps += int(both.sum())
        log.arrays(
            f"evolution_layer{number}", map=chosen.numpy(force=True), epochs=np.array(list(best)),
            images=images.where(active, -1).numpy(force=True),
            patches=filled([one[0][0] if one else None for one in shown]),
            projections=filled([one[1][0] if one else None for one in shown]),
        )  # fmt: skip
    log.number("evolution_changes", changes)
    log.number("evolution_steps", steps)


def filled(pictures: Sequence[Tensor | None]) -> Array:
    """Pictures of one size, (N, C, h, w); what is missing, since the map was silent, is NaN."""
    known = next(picture for picture in pictures if picture is not None)
    blank = torch.full_like(known, torch.nan)
    return torch.stack([blank if one is None else one for one in pictures]).numpy(force=True)
