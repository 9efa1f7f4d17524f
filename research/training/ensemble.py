"""Models of one study that are trained side by side on a GPU, which one small network leaves idle.

Each has its own first weights, order, seed, and the bits that it would have alone: it is kept under
its own digest, and the study finds it there.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch

from research.tracking import Log
from research.training import graphs
from research.training.cache import Recipe, train_together
from research.training.plan import planned

MOST = 8
"""Models side by side: more would only wait for each other."""


def train_beforehand(
    study: Callable[[Any, Log], None], config: Any, children: Iterable[str], log: Log
) -> None:
    """Trains side by side what a study is going to train, where that is faster.

    Arguments:
        children: names of the models that are not given.
    """
    names = [*children]
    if len(names) < 2 or not graphs.usable(torch.device(config.train.device)):
        return
    recipes = planned(study, config, log.id, names)
    for group in groups([one for one in recipes if one.name in names and is_open(one, log)]):
        with log.part("training"):
            train_together(group, log)


def is_open(recipe: Recipe[Any], log: Log) -> bool:
    """Whether a model is neither kept nor half trained, and its steps can be recorded."""
    track = recipe.training.track
    begun = recipe.checkpoint(log).exists()
    return not begun and graphs.recordable(track) and recipe.found(log.id) is None


def groups(recipes: Iterable[Recipe[Any]]) -> Iterator[list[Recipe[Any]]]:
    """Those that take as many steps as each other, `MOST` at a time; none alone."""
    for _, equals in itertools.groupby(sorted(recipes, key=_steps), _steps):
        rest = [*equals]
        while len(rest) > 1:
            yield rest[:MOST]
            rest = rest[MOST:]


def _steps(recipe: Recipe[Any]) -> tuple[int, int, str, str]:
    settings = recipe.settings
    steps = len(recipe.training.samples) // settings.batch
    return steps, settings.epochs, settings.precision, settings.device
