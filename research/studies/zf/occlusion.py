"""What happens where a grey square hides a part of the image (figure 6)."""

from collections.abc import Sequence

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import Tensor

from research.methods.chain import apply
from research.methods.deconvnet import Units, pasted, project, strongest_positions
from research.methods.occlusion import occlusion_map, positions
from research.methods.statistics import claim_of, over_seeds
from research.models.inference import evaluation
from research.records import Array
from research.records.measured import CORRELATION
from research.studies.zf.features import Viewed, spread
from research.studies.zf.settings import Config
from research.tracking import Log

SHOWN = 2


def measure_occlusion(group: Sequence[Viewed], fill: float, config: Config, log: Log) -> None:
    """Three images of the first seed in pictures; how the maps agree, over images and seeds."""
    looked_at = [examined(view, fill, config) for view in group]
    examples = of_different_classes(looked_at[0])[:SHOWN]
    names = np.array(group[0].classes)
    log.arrays(
        "occlusion",
        window=np.array(config.window), stride=np.array(config.stride), classes=names,
        fill=np.array(fill), edges=np.array(positions(config.side, config.window, config.stride)),
        **{name: np.stack([one[name] for one in examples]) for name in examples[0]},
    )  # fmt: skip
    found = [agreement(maps) for maps in looked_at]
    for name in found[0]:
        known = CORRELATION if name == "ranks" else None
        log.number(f"occlusion_{name}", over_seeds([one[name] for one in found], range=known))
    ranks = over_seeds([one["ranks"] for one in found], range=CORRELATION)
    log.claim("activity_falls_with_probability", claim_of(ranks, "greater"))
    log.number("occluded", len(looked_at[0]))
    log.number("occlusion_fill", fill)


def examined(view: Viewed, fill: float, config: Config) -> list[dict[str, Array]]:
    """The maps of images from the whole test set."""
    images = spread(len(view.test), config.occluded).tolist()
    return [occluded(view, number, fill, config) for number in images]


def of_different_classes(found: Sequence[dict[str, Array]]) -> list[dict[str, Array]]:
    """Of each class the image that loses most of its probability, those that lose most first.

    Images that the network gets right come before all others.
    """
    ranked = sorted(found, key=lambda one: (one["whole_label"] != one["true"], -loss_of(one)))
    best: dict[int, dict[str, Array]] = {}
    for one in ranked:
        best.setdefault(int(one["true"]), one)
    return list(best.values())


def loss_of(one: dict[str, Array]) -> float:
    """The largest loss of probability by the square."""
    return float(one["whole_probability"] - one["probability"].min())


def strongest_map(maps: Tensor) -> tuple[float, Units]:
    """The unit of a layer that an image excites most, and how much. maps: (1, M, h, w)"""
    values, places = strongest_positions(maps)
    best = values.argmax(1)
    return values.max().item(), Units(torch.zeros_like(best), best, places[0, best])


def occluded(view: Viewed, number: int, fill: float, config: Config) -> dict[str, Array]:
    """The maps of one image.

    `activity` is the summed activity of the map that the whole image excites most in the last
    convolutional layer, `probability` that of the followed class, `label` the most probable class,
    each (rows, columns) by the position of the square. Where the image excites no map, activity and
    projection are 0.
    """
    layer, image = view.layers[-1], view.test.images[number : number + 1].float() / 255
    value, unit = strongest_map(view.chain.outputs(image, [layer])[layer])
    label = view.labels[number]
    place = view.chain.index(layer) + 1
    before, after = ([link.module for link in some]
                     for some in (view.chain.links[:place], view.chain.links[place:]))  # fmt: skip

    def measure(maps: Tensor) -> Tensor:
        activity = maps[:, unit.feature_map[0]].flatten(1).sum(1)
        for module in after:
            maps = apply(module, maps)
        probabilities = maps.softmax(1)
        return torch.stack([activity, probabilities[:, label], probabilities.argmax(1).float()], 1)

    with evaluation(view.chain.model):
        maps = occlusion_map(measure, image[0], config.window, config.stride, fill, layers=before)
        whole = measure(view.chain.outputs(image, [layer])[layer])[0]
    projection = torch.zeros_like(image)
    if value > 0:
        projection = pasted(project(view.chain, image, layer, unit), image.shape)
    return {
        name: values.numpy(force=True)
        for name, values in {
            "image": image[0], "projection": projection[0],
            "activity": maps[..., 0] / (whole[0] if value > 0 else 1),
            "probability": maps[..., 1],
            "label": maps[..., 2].long(), "true": label, "map": unit.feature_map[0],
            "whole_probability": whole[1], "whole_label": whole[2].long(),
        }.items()
    }  # fmt: skip


def agreement(found: Sequence[dict[str, Array]]) -> dict[str, float]:
    """Means over images of what the square does.

    `ranks`: rank correlation of activity and probability over the positions, of the images in which
    both vary (0 if there is none);
    `drop`: the largest loss of probability; `changed`: whether some position changes the class.
    """
    ranks = [
        float(spearmanr(one["activity"].ravel(), one["probability"].ravel()).statistic)
        for one in found
        if np.ptp(one["probability"]) > 0 and np.ptp(one["activity"]) > 0
    ]
    changed = [bool((one["label"] != one["whole_label"]).any()) for one in found]
    return {
        "ranks": float(np.mean(ranks or [0.0])),
        "drop": float(np.mean([loss_of(one) for one in found])),
        "changed": float(np.mean(changed)),
    }  # fmt: skip
