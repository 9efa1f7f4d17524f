"""Samples on which perturbations are made, and others on which they are judged."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from research.data import Split
from research.errors import ArgumentError
from research.methods.fgsm import predictions

LEAST = 2
"""samples of a class without which nothing can be compared within it"""


class Samples(NamedTuple):
    """Images (N, C, H, W) in [0, 1] and their labels (N,)."""

    images: Tensor
    labels: Tensor

    def first(self, count: int) -> "Samples":
        return Samples(self.images[:count], self.labels[:count])


def halves(
    model: nn.Module, split: Split, crafted: int, judged: int, seed: int = 0
) -> tuple[Samples, Samples]:
    """Two disjoint sets of samples that the model gets right, drawn evenly from the classes.

    They come from the two `pools`, which are the same for all models of a study. Each holds the
    classes in turn, so that its first samples are as even as the whole. Where the model gets too
    few right, a set is the largest with equally many of each class; classes of which it gets fewer
    than two right in either pool are in neither.

    Raises:
        ArgumentError: fewer than two classes are left.

    Example:
        >>> pixels = torch.tensor([[200, 50], [50, 200]], dtype=torch.uint8).repeat(8, 1)
        >>> split = Split(pixels.view(16, 1, 1, 2), torch.arange(16) % 2)
        >>> crafted, judged = halves(nn.Flatten(), split, 6, 4)
        >>> crafted.labels.tolist(), judged.labels.tolist()
        ([0, 1, 0, 1, 0, 1], [0, 1, 0, 1])
    """
    images = split.images.float() / 255
    right = (predictions(model, images) == split.labels).cpu()
    both = pools(split, crafted, judged, seed)
    known = torch.stack([right[pool].sum(0) >= LEAST for pool in both]).all(0)
    if known.sum() < 2:
        raise ArgumentError(
            "perturbations are compared within and between at least two classes, of each of which "
            f"the model gets {LEAST} test images right in both halves; it does so for "
            f"{int(known.sum())} of {len(known)} classes: train longer or at another learning rate"
        )
    first, second = (
        _samples(split, _turns(pool[:, known], right, count))
        for pool, count in zip(both, (crafted, judged), strict=True)
    )
    return first, second


def judged_alike(split: Split, crafted: int, judged: int, seed: int = 0) -> Samples:
    """Samples on which no model's `halves` makes a delta, right or wrong, evenly from the classes.

    There may be fewer than `judged`.

    Example:
        >>> pixels = torch.tensor([[200, 50], [50, 200]], dtype=torch.uint8).repeat(8, 1)
        >>> split = Split(pixels.view(16, 1, 1, 2), torch.arange(16) % 2)
        >>> judged_alike(split, 6, 4).labels.tolist()
        [0, 1, 0, 1]
    """
    _, second = pools(split, crafted, judged, seed)
    return _samples(split, second.flatten()[:judged])


def pools(split: Split, crafted: int, judged: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Indices on which deltas may be made, and others, int64 (n, classes) each, drawn at random.

    All classes are as many as the smallest; the two pools share them as `crafted` to `judged`.

    Example:
        >>> pixels = torch.tensor([[200, 50], [50, 200]], dtype=torch.uint8).repeat(8, 1)
        >>> split = Split(pixels.view(16, 1, 1, 2), torch.arange(16) % 2)
        >>> [tuple(pool.shape) for pool in pools(split, 6, 2)]
        [(6, 2), (2, 2)]
    """
    labels, order = split.labels.cpu(), torch.Generator().manual_seed(seed)
    members = [torch.nonzero(labels == y)[:, 0] for y in range(int(labels.max()) + 1)]
    drawn = [one[torch.randperm(len(one), generator=order)] for one in members]
    table = torch.stack([one[: min(map(len, members))] for one in drawn], 1)
    cut = -(-len(table) * crafted // (crafted + judged))
    return table[:cut], table[cut:]


def _turns(pool: Tensor, right: Tensor, count: int) -> Tensor:
    """`count` indices of a pool that are right, or as many as there are, the classes in turn."""
    columns = [column[right[column]] for column in pool.T]
    rounds = min(-(-count // pool.shape[1]), *map(len, columns))
    return torch.stack([column[:rounds] for column in columns], 1).flatten()[:count]


def _samples(split: Split, index: Tensor) -> Samples:
    index = index.to(split.labels.device)
    return Samples(split.images[index].float() / 255, split.labels[index])


def check(crafted: int, judged: int, cells: int, deepfool: int, classes: int) -> None:
    """Finds numbers of samples with which a battery has nothing to compare.

    Messages begin with the argument's name.

    Raises:
        ArgumentError: fewer than two samples of each class, or parts larger than their whole.

    Example:
        >>> check(crafted=20, judged=20, cells=20, deepfool=5, classes=10)
    """
    for name, value in {"crafted": crafted, "judged": judged}.items():
        if value < 2 * classes:
            raise ArgumentError(
                f"{name} must be at least two for each of the {classes} classes, got "
                f"{value}; give {2 * classes} or more"
            )
    if not 2 * classes <= cells <= min(crafted, judged):
        raise ArgumentError(
            f"cells must be {2 * classes} to {min(crafted, judged)}, at most crafted and "
            f"judged, got {cells}"
        )
    if not 1 <= deepfool <= crafted:
        raise ArgumentError(f"deepfool must be 1 to {crafted}, at most crafted, got {deepfool}")


def of_different_classes(labels: Tensor, first: Tensor, count: int) -> list[int]:
    """Places of up to `count` samples of different classes; those marked `first` come first.

    Example:
        >>> labels, first = torch.tensor([0, 0, 1]), torch.tensor([False, True, False])
        >>> of_different_classes(labels, first, 2)
        [1, 2]
    """
    chosen: dict[int, int] = {}
    for place in torch.argsort((~first).int(), stable=True).tolist():
        chosen.setdefault(int(labels[place]), place)
    return list(chosen.values())[:count]
