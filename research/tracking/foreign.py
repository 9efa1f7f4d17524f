"""Runs that another program logged to MLflow, read as they stand and left as they are."""

import json
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlparse

from research import records
from research.errors import UserError, hidden
from research.tracking import logged_models, mirror
from research.tracking.logged_models import Model, Point

__all__ = ["Artifact", "Experiment", "Input", "Logged", "Point"]

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

INFINITE = 1.797e308
"""What MLflow's databases keep in place of an infinite value."""

LARGEST = 200_000_000
"""Bytes of an artifact that is read for its digest at most."""

PICTURES = (".png", ".jpg", ".jpeg")


@dataclass(frozen=True)
class Input:
    """A data set that a run says it read; MLflow's digest covers only the first rows."""

    name: str
    digest: str
    source: str
    context: str


@dataclass(frozen=True)
class Artifact:
    """A file of a run; `sha256` is empty where it is larger than `LARGEST`."""

    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Logged:
    """A run as MLflow tells of it; times are in milliseconds since 1970, `ended` 0 if unknown."""

    id: str
    name: str
    status: str
    started: int
    ended: int
    params: dict[str, str]
    tags: dict[str, str]
    metrics: tuple[str, ...]

    @property
    def commit(self) -> str:
        return self.tags.get("mlflow.source.git.commit", "")

    @property
    def seconds(self) -> float:
        return max(self.ended - self.started, 0) / 1000


@dataclass(frozen=True)
class Experiment:
    """An experiment of somebody's, in a tracking server, a database or a folder `mlruns`."""

    uri: str
    name: str

    @cached_property
    def client(self) -> "MlflowClient":
        return mirror.connect(_address(self.uri))

    @cached_property
    def id(self) -> str:
        """Raises UserError where there is no such experiment, naming those that there are."""
        with self._answering():
            experiment = self.client.get_experiment_by_name(self.name)
            known = (
                [other.name for other in self.client.search_experiments()] if not experiment else []
            )
        if experiment is None or experiment.lifecycle_stage != "active":
            listed = ", ".join(f"'{name}'" for name in sorted(known)[:8]) or "none"
            raise UserError(
                f"there is no experiment '{self.name}' at {hidden(self.uri)}; it has {listed}"
            )
        return str(experiment.experiment_id)

    def runs(self, query: str = "") -> list[Logged]:
        """The runs that a filter of MLflow's lets through, the first started first.

        Raises:
            UserError: the filter is none of MLflow's.
        """
        from mlflow.exceptions import MlflowException

        with self._answering():
            try:
                listed = [*self._search(query)]
            except MlflowException as error:
                if error.error_code != "INVALID_PARAMETER_VALUE":
                    raise
                raise UserError(
                    "--runs must be a filter of MLflow's, as \"tags.paper = 'yes' and params.lr = "
                    f"'0.1'\", got {query!r}: {_first_line(error)}"
                ) from None
        # what we keep there ourselves is no run of another program's
        theirs = [run for run in listed if mirror.STUDY not in run.data.tags]
        return sorted(map(_logged, theirs), key=lambda run: (run.started, run.id))

    def _search(self, query: str) -> "Iterator[Run]":
        token: str | None = ""
        while token is not None:
            page = self.client.search_runs([self.id], query, page_token=token or None)
            yield from page
            token = page.token or None

    def histories(self, run: Logged) -> dict[str, list[Point]]:
        """All that a run logged of each metric, by step and, within a step, in the order of
        logging; of several data sets or models apart, see `logged_models.parted`."""
        found: dict[str, list[Point]] = {}
        for metric in run.metrics:
            points = self._history(run, metric)
            found |= logged_models.parted(run.id, metric, points, self._models)
        return found

    def _history(self, run: Logged, metric: str) -> list[Point]:
        with self._answering():
            points = self.client.get_metric_history(run.id, metric)
        kept = [
            Point(measured.step, measured.timestamp, _finite(measured.value)) for measured in points
        ]
        return sorted(kept, key=lambda point: (point.step, point.time))

    @cached_property
    def _models(self) -> list[Model]:
        with self._answering():
            return logged_models.models(self.client, self.id)

    def models(self, run: Logged) -> list[Model]:
        """What a run made and logged as a model."""
        return [one for one in self._models if one.run == run.id]

    def inputs(self, run: Logged) -> list[Input]:
        with self._answering():
            inputs = self.client.get_run(run.id).inputs
        return [_input(entry) for entry in (inputs.dataset_inputs if inputs else ())]

    def artifacts(self, run: Logged, kept: Path) -> list[Artifact]:
        """Files of a run and of its models, with their digests; pictures are copied below `kept`.

        Those of a model have paths below `models/`.
        """
        with self._answering():
            own = [self._of_run(run, path, size, kept) for path, size in self._files(run, "")]
            return [*own, *self._of_models(run, kept)]

    def _files(self, run: Logged, below: str) -> Iterator[tuple[str, int]]:
        for artifact in self.client.list_artifacts(run.id, below or None):
            if artifact.is_dir:
                yield from self._files(run, artifact.path)
            else:
                yield artifact.path, int(artifact.file_size or 0)

    def _of_run(self, run: Logged, path: str, size: int, kept: Path) -> Artifact:
        def fetch(spare: str) -> str:
            return str(self.client.download_artifacts(run.id, path, spare))

        return _artifact(path, size, kept, fetch)

    def _of_models(self, run: Logged, kept: Path) -> Iterator[Artifact]:
        made = self.models(run)
        folders = logged_models.folders(made)
        for model in made:
            there = logged_models.repository(self.client, model)
            for path, size in logged_models.files(self.client, model):

                def fetch(spare: str, path: str = path, there: Any = there) -> str:
                    return str(there.download_artifacts(path, spare))

                yield _artifact(f"{folders[model.id]}/{path}", size, kept, fetch)

    @contextmanager
    def _answering(self) -> Iterator[None]:
        """Turns what keeps MLflow from answering into one line."""
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        try:
            yield
        except (MlflowException, SQLAlchemyError) as error:
            raise UserError(
                f"MLflow at {hidden(self.uri)} must answer, but says: {_first_line(error)}"
            ) from error


def _artifact(path: str, size: int, kept: Path, fetch: Callable[[str], str]) -> Artifact:
    """
    Arguments:
        fetch: brings the file into a folder and returns where it is.
    """
    if size > LARGEST:
        return Artifact(path, size, "")
    with tempfile.TemporaryDirectory() as spare:
        file = Path(fetch(spare))
        if Path(path).suffix.lower() in PICTURES:
            records.damage.write(kept / path, file.read_bytes())
        return Artifact(path, file.stat().st_size, records.sha256(file))


def _address(uri: str) -> str:
    """What MLflow's client takes. Raises UserError for a file or folder that is not there."""
    kind = urlparse(uri).scheme
    if kind == "sqlite":
        file = Path(unquote(uri.removeprefix("sqlite:///")))
        if not file.is_file():  # MLflow would make one
            raise UserError(f"a store of MLflow's is required, but there is no file {file}")
        return f"sqlite:///{file.absolute()}"
    if kind in ("", "file"):
        folder = Path(unquote(urlparse(uri).path)).expanduser()
        if not folder.is_dir():
            raise UserError(
                "a store of MLflow's is http://HOST:PORT, sqlite:///FILE, postgresql://… or a "
                f"folder mlruns, got '{hidden(uri)}'; check the address"
            )
        os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"  # else MLflow refuses to read it
        return folder.absolute().as_uri()
    return uri


def _first_line(error: Exception) -> str:
    return hidden(next(iter(str(error).splitlines()), type(error).__name__).rstrip("."))


def _finite(value: float) -> float:
    return float("inf") * (1 if value > 0 else -1) if abs(value) >= INFINITE else float(value)


def _logged(run: "Run") -> Logged:
    info, data = run.info, run.data
    return Logged(
        id=info.run_id,
        name=info.run_name or "",
        status=info.status,
        started=info.start_time or 0,
        ended=info.end_time or 0,
        params=dict(sorted(data.params.items())),
        tags=dict(sorted(data.tags.items())),
        metrics=tuple(sorted(data.metrics)),
    )


def _input(entry: Any) -> Input:
    context = {tag.key: tag.value for tag in entry.tags}.get("mlflow.data.context", "")
    return Input(entry.dataset.name, entry.dataset.digest, _place(entry.dataset.source), context)


def _place(source: str) -> str:
    """Where a data set came from: an address, else empty, for the line of code that made it and
    folders of that machine tell a reader nothing."""
    try:
        fields = json.loads(source or "{}")
    except ValueError:
        return ""
    places = [v for k, v in sorted(fields.items()) if k in ("url", "uri", "path")] if fields else []
    addresses: Sequence[str] = [
        place for place in places if isinstance(place, str) and "://" in place
    ]
    return next((address for address in addresses if not address.startswith("file:")), "")
