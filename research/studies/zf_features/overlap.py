"""Images that the source and the target share: they would make the features look more general."""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from research.data import Dataset
from research.errors import UserError
from research.methods.near_duplicates import Nearest, found_copies, nearest, without
from research.records import Cell, Table
from research.studies.zf_features.generalisation import Pool
from research.studies.zf_features.settings import Config
from research.tracking import Log

SHOWN = 6
"""Pairs that are shown, the likest first, duplicates or not."""
COPIES = 500
"""Images of the source, spread over it, on which the threshold is tried."""


def apart(data: Dataset, pool: Pool, config: Config, log: Log) -> Dataset:
    """The source without the training images that the target has too, as in the paper.

    Raises:
        UserError: a class of the source would be left without images.
    """
    found = nearest(data.train.images, pool.split.images)
    measure_overlap(found, data, pool, config, log)
    kept = without(data.train, found, config.threshold)
    counts = torch.bincount(kept.labels, minlength=len(data.classes))
    before = torch.bincount(data.train.labels, minlength=len(data.classes))
    if ((counts == 0) & (before > 0)).any():
        name = data.classes[int(((counts == 0) & (before > 0)).int().argmax())]
        raise UserError(
            f"source and target must be different images, of the class '{name}' of the source all "
            "have near-duplicates in the target; give another --target.name, or a higher "
            "--threshold"
        )
    return replace(data, train=kept)


def measure_overlap(found: Nearest, data: Dataset, pool: Pool, config: Config, log: Log) -> None:
    """The pairs above the threshold, the likest of all, and how sure the threshold is."""
    above = found.above(config.threshold)
    order = found.correlations.argsort(descending=True, stable=True)
    listed = order[: max(SHOWN, int(above.sum()))].tolist()
    log.table("pairs", Table.of([row_of(i, found, data, pool, config) for i in listed]))
    log.number("duplicates", int(above.sum()))
    log.number("duplicates_target", len(torch.unique(found.images[above])))
    log.number("kept", len(data.train) - int(above.sum()))
    log.number("likest", float(found.correlations.max()))
    count = min(COPIES, len(data.train))
    spread = torch.arange(count, device=data.train.labels.device) * len(data.train) // count
    shares = found_copies(data.train.images[spread], config.threshold)
    log.number("copies_found", min(shares.values()))
    shown = order[:SHOWN]
    log.arrays(
        "pairs",
        source=picture(data.train.images[shown]),
        target=picture(pool.split.images[found.images[shown]]),
        correlations=found.correlations[shown].numpy(force=True),
    )


def row_of(
    place: int, found: Nearest, data: Dataset, pool: Pool, config: Config
) -> dict[str, Cell]:
    """A pair: classes, places in the training set and in the target, train before test."""
    other, correlation = int(found.images[place]), float(found.correlations[place])
    return {
        "source": data.classes[int(data.train.labels[place])],
        "source_image": place,
        "target": pool.classes[int(pool.split.labels[other])],
        "target_image": other,
        "correlation": correlation,
        "removed": "yes" if correlation >= config.threshold else "no",
    }


def picture(images: Tensor) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return images.numpy(force=True)
