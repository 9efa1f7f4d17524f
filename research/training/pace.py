"""How long a training takes, by those of earlier runs, for the time left that a person is shown.

A kept model says what its time depends on and what an epoch took, see `training.kept`. Of models of
the same kind the newest counts, one of the same name before others; more samples take longer in
proportion.
"""

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from research import paths

E = TypeVar("E")


@dataclass
class Clock:
    """Measures what epochs take, evaluation included.

    Attributes:
        seconds: wall time of the epochs so far.
        epochs: how many; those that come from a checkpoint are none.
    """

    seconds: float = field(default=0.0, init=False)
    epochs: int = field(default=0, init=False)

    def watch(self, epochs: Iterator[E]) -> Iterator[E]:
        """Passes them through; of those that come side by side the first speaks for all."""
        begun = time.monotonic()
        for one in epochs:
            first: Any = one[0] if isinstance(one, list) else one
            if not first.restored:
                self.seconds += time.monotonic() - begun
                self.epochs += 1
            yield one
            begun = time.monotonic()


@dataclass(frozen=True)
class Kind:
    """What the time of an epoch depends on.

    Attributes:
        name: of the model in its study.
        parameters: of the network.
        samples: of its training set; `batch` of them make a step.
        device: its type, as cpu; on a CPU with this many threads.
        beside: models that were trained with it in the same steps.
    """

    name: str
    parameters: int
    samples: int
    batch: int
    device: str
    threads: int
    beside: int = 0

    def fits(self, other: "Kind") -> bool:
        """Whether the two differ in name and number of samples alone."""
        return self._rest == other._rest

    @property
    def _rest(self) -> tuple[int, int, str, int, int]:
        return self.parameters, self.batch, self.device, self.threads, self.beside


def facts(kind: Kind, clock: Clock) -> dict[str, Any]:
    """As a kept model holds them; nothing where all epochs came from a checkpoint."""
    if not clock.epochs:
        return {}
    return {"kind": vars(kind), "epoch_seconds": clock.seconds / clock.epochs}


def expected(wanted: Mapping[str, tuple[Kind, int]]) -> dict[str, float]:
    """By name, the seconds that so many epochs of a kind will take, where that is known."""
    known = [*_known()] if wanted else []
    found: dict[str, float] = {}
    for name, (kind, epochs) in wanted.items():
        like = [one for one in known if one[0].fits(kind)]
        if best := next((one for one in like if one[0].name == kind.name), next(iter(like), None)):
            then, seconds = best
            found[name] = epochs * seconds * kind.samples / then.samples
    return found


def _known() -> Iterator[tuple[Kind, float]]:
    """Kinds and seconds of an epoch of all kept models, the newest first."""
    for file in _newest_first(paths.MODELS.glob("*/model.json")):
        try:
            told = json.loads(file.read_text(encoding="utf-8"))
            yield Kind(**told["kind"]), float(told["epoch_seconds"])
        except (OSError, ValueError, KeyError, TypeError):  # kept by an earlier version, or half
            continue


def _newest_first(files: Iterable[Path]) -> list[Path]:
    dated = []
    for file in files:
        try:
            dated.append((file.stat().st_mtime, file))
        except OSError:  # another process keeps the same model just now
            continue
    return [file for _, file in sorted(dated, reverse=True)]


def hms(seconds: float) -> str:
    """`0:07`, `12:30` or `1:02:03`; never below nothing."""
    minutes, rest = divmod(max(round(seconds), 0), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
