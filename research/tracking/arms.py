"""Curves of an arm: what its networks, one for each seed, reached in the mean and how far apart."""

import re
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from research.tracking import curves

SPREAD = "_sd"
"""Behind a metric's name: the standard deviation over seeds in place of the mean."""

_SEED = re.compile(r"[-_/]?seed[-_]?\d+$")
_ASIDE = ("speed/", "memory/", "system/")
"""Curves that tell of the machine and not of the network."""


def arm_of(name: str) -> str:
    """`transpose-seed3` -> `transpose`."""
    return _SEED.sub("", name) or name


def means(children: Mapping[str, Path]) -> dict[int, dict[str, float]]:
    """Step -> `ARM/METRIC` and `ARM/METRIC_sd`, of the steps that all seeds of an arm reached.

    Arguments:
        children: name of each -> its file of curves.

    Raises:
        DamagedError: a file is none that a run wrote.
    """
    arms: defaultdict[str, list[dict[tuple[int, str], float]]] = defaultdict(list)
    for name, path in children.items():
        arms[arm_of(name)].append(_values(curves.read(path)[0]))
    values_by_step: defaultdict[int, dict[str, float]] = defaultdict(dict)
    for arm, networks in arms.items():
        shared = set.intersection(*map(set, networks))
        for step, metric in sorted(shared):
            values = [network[step, metric] for network in networks]
            values_by_step[step] |= _summary(f"{arm}/{metric}", values)
    return dict(values_by_step)


def _values(points: Iterable[curves.Point]) -> dict[tuple[int, str], float]:
    return {
        (point.step, name): value
        for point in points
        for name, value in point.values.items()
        if is_of_network(name)
    }


def is_of_network(name: str) -> bool:
    """Whether a curve tells of the network, and not of the machine on which it was trained."""
    return not name.startswith(_ASIDE)


def _summary(name: str, values: Sequence[float]) -> dict[str, float]:
    mean = {name: statistics.fmean(values)}
    return mean | {name + SPREAD: statistics.stdev(values)} if len(values) > 1 else mean
