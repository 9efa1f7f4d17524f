"""What a study is going to train, found out before it does: the study is run up to its analysis.

Nothing that it says meanwhile is kept, and no model is trained: `obtain` notes what it was asked
for and hands the model back as it is. What follows from a trained model, such as features that
others learn from, comes out wrong, and a model that follows from it is planned wrongly. That does
no harm but cost: models are found by what they follow from, and the study, which is run in earnest
afterwards, does not find what it does not need.
"""

import contextlib
import io
import random
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from research.records import Array, Claim, Number, Table
from research.tracking import Log

_BEFORE = ("data", "training")
"""Parts of a study that it may go through while it is planned."""


class _Planned(BaseException):
    """All is known; no study shall catch it."""


class Planning:
    """A log that notes what is to be trained and forgets the rest.

    Attributes:
        given: by name, weights in place of training. With them, empty or not, a model that is
            given or kept is handed back trained, so that what follows from it comes out right.
        noted: by name, what `obtain` was asked for.
    """

    pretrained: Path | None = None

    def __init__(
        self, id: str, children: list[str], folder: Path, given: Mapping[str, Path] | None = None
    ) -> None:
        self.id, self._folder, self.given = id, folder, given
        self._missing = set(children)
        self.noted: dict[str, Any] = {}

    def note(self, recipe: Any) -> None:
        self.noted[recipe.name] = recipe
        self._missing.discard(recipe.name)
        if not self._missing:
            raise _Planned

    def metrics(self, step: int, values: Mapping[str, float]) -> None: ...
    def number(self, name: str, value: Number | float, unit: str = "") -> None: ...
    def claim(self, name: str, claim: Claim) -> None: ...
    def table(self, name: str, table: Table) -> None: ...
    def arrays(self, name: str, **arrays: Array) -> None: ...
    def finding(self, text: str) -> None: ...
    def dataset(self, facts: Mapping[str, Any]) -> None: ...
    def model(self, name: str, facts: Mapping[str, Any]) -> None: ...

    def path(self, name: str) -> Path:
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        if self.noted and name not in _BEFORE:
            raise _Planned
        yield

    @contextmanager
    def child(self, name: str, params: Mapping[str, Any]) -> Iterator[Log]:
        yield self


def planned(
    study: Callable[[Any, Log], None],
    config: Any,
    id: str,
    children: list[str],
    given: Mapping[str, Path] | None = None,
    *,
    tell: bool = False,
) -> list[Any]:
    """What `obtain` will be asked for, as far as it can be known; random states stay as they are.

    An error ends the plan: the study will meet it again, and tell.

    Arguments:
        id: of the run.
        children: names of the models; once all are noted, the study is gone through no further.
        given: weights in place of training, where what is given or kept counts too.
        tell: whether an error is raised, for want of a study that meets it.
    """
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()
    quiet = contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO())
    with tempfile.TemporaryDirectory() as folder:
        log = Planning(id, children, Path(folder), given)
        passed = (_Planned,) if tell else (_Planned, Exception)
        with contextlib.suppress(*passed), quiet[0], quiet[1]:
            study(config, log)
    torch.set_rng_state(states[0])
    random.setstate(states[1])
    np.random.set_state(states[2])
    return [*log.noted.values()]
