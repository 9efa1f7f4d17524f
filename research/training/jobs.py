"""One model of a study as a job of a cluster, and the file in which the job says how far it is.

A job is a fresh process, perhaps on another machine: it goes through the study up to the model that
it is named for, trains that one, keeps it under its digest and ends. It has the same folders as the
run, since a cluster's machines share them, and writes to no store.
"""

import dataclasses
import json
import signal
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from research.errors import UserError
from research.machine import threads
from research.tracking import Log
from research.training import loop
from research.training.cache import trained
from research.training.loop import Epoch
from research.training.plan import Planning, planned
from research.training.workers import reason


@dataclass(frozen=True)
class Job:
    """What a job is given; a function without arguments, as submitit wants it.

    Attributes:
        config: of the study; its device is chosen where the job runs. A copy shares no part with
            the presets, and digests tell a part that is met twice from two: the run has a copy too.
        name: of the model.
        run: id of the run that the model is trained for.
        folder: the run's record, or where its checkpoints lie until there is one.
        given: by name, weights of other models in place of training.
        news: file to which it says how far it is.
    """

    study: Callable[[Any, Log], None]
    config: Any
    name: str
    run: str
    folder: Path
    given: Mapping[str, Path]
    news: Path

    def __call__(self) -> None:
        """Trains the model. What fails is said in the news, and ends the job as failed."""
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a job that is cancelled has nothing to save
        say(self.news, state="trains")
        try:
            config = dataclasses.replace(self.config, train=loop.resolve(self.config.train))
            with threads.sparing(config.train.device), loop.tf32(False):
                self._train(config)
        except Exception as error:
            say(self.news, state="failed", why=reason(error))
            raise
        say(self.news, state="kept")

    def checkpoint(self) -> Any:
        """What submitit puts into the queue again when the time is up: all is in the files."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)

    def _train(self, config: Any) -> None:
        recipes = planned(self.study, config, self.run, [self.name], self.given, tell=True)
        recipe = next((one for one in recipes if one.name == self.name), None)
        if recipe is None:
            raise UserError(f"the study must train {self.name!r}, which it names among its models")
        if recipe.found(self.run):
            return
        log = Planning(self.run, [], self.folder)
        with threads.limited(recipe.threads):
            for [epoch] in trained([recipe], log):
                say(self.news, epoch=dataclasses.asdict(epoch))


def say(news: Path, **what: Any) -> None:
    """Appends a line."""
    with news.open("a", encoding="utf-8") as file:
        file.write(json.dumps(what) + "\n")


@dataclass
class Reader:
    """Reads a job's news as they come.

    Attributes:
        at: bytes that were read.
    """

    file: Path
    at: int = field(default=0)

    def fresh(self) -> Iterator[Epoch | dict[str, str]]:
        """What was said since: epochs, and `state`, for a failure with `why`."""
        if not self.file.exists():
            return
        with self.file.open("rb") as file:
            file.seek(self.at)
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]  # the last line may be half written
        self.at += len(whole)
        for line in whole.splitlines():
            said = json.loads(line)
            yield Epoch(**said["epoch"]) if "epoch" in said else said
