"""Models of a study that are trained by all ranks of torchrun together, one after the other.

Children first, then the study: all ranks plan the study and train its models; then the first rank
alone runs the study, finds them all, and is the only one that writes. The others have done their
part by then, and end.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from research.machine import threads
from research.tracking import Log, OpenRun
from research.training import ranks
from research.training.cache import Recipe, trained
from research.training.loop import fit
from research.training.plan import Planning, planned
from research.training.progress import shown


def train_beforehand(
    study: Callable[[Any, Log], None],
    config: Any,
    children: Iterable[str],
    log: OpenRun | None,
    given: Mapping[str, Path],
) -> None:
    """Trains what a study is going to train and is not kept.

    Arguments:
        children: names of the models that are not given.
        log: the run; of the first rank only.
        given: by name, weights in place of training.

    Raises:
        UserError: a network that cannot be shared out.
    """
    names, tried = [*children], set[str]()
    with ranks.joined(config.train.device):
        run, folder = ranks.agreed((log.id, log.folder) if log else None)
        place = Planning(run, [], folder)
        while True:
            recipes = {one.name: one for one in planned(study, config, run, names, given)}
            wanted = ranks.agreed([*_open(recipes, names, run, tried)] if log else None)
            if not wanted:
                return
            tried |= {recipes[name].digest for name in wanted}
            for name in wanted:
                _train(recipes[name], log, place)


def _open(
    recipes: Mapping[str, Recipe[Any]], names: Iterable[str], run: str, tried: set[str]
) -> Iterable[str]:
    for name in names:
        one = recipes.get(name)
        if one and one.digest not in tried and one.found(run) is None:
            yield name


def _train(recipe: Recipe[Any], log: OpenRun | None, place: Log) -> None:
    with threads.limited(recipe.threads):
        if log is None:
            for _ in fit(recipe.training, recipe.checkpoint(place)):
                pass
        else:
            log.workers(ranks.COUNT)
            with log.part("training"):
                epochs = (epoch for [epoch] in trained([recipe], log))
                for _ in shown(epochs, recipe.name, recipe.settings.epochs):
                    pass
    ranks.agreed(True)  # the model is kept before anybody looks for it
