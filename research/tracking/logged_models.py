"""Models that somebody's program logged to MLflow 3: they stand beside runs, with files of their
own and with metrics that know their data set."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel


@dataclass(frozen=True)
class Point:
    """One value of a metric; `time` is in milliseconds since 1970."""

    step: int
    time: int
    value: float


@dataclass(frozen=True)
class Linked:
    """A point that a run logged for a model; `dataset` is a name, empty where none was given."""

    run: str
    metric: str
    point: Point
    dataset: str


@dataclass(frozen=True)
class Model:
    """A model as MLflow tells of it; `run` is the id of the one that made it."""

    id: str
    name: str
    kind: str
    status: str
    run: str
    params: dict[str, str]
    tags: dict[str, str]
    points: tuple[Linked, ...]


def models(client: "MlflowClient", experiment: str) -> list[Model]:
    """All models of an experiment, the first made first; none where the server knows of no such."""
    from mlflow.exceptions import MlflowException

    try:
        found = sorted(_search(client, experiment), key=lambda one: one.creation_timestamp)
    except MlflowException as error:
        if error.error_code != "ENDPOINT_NOT_FOUND":  # a server of MLflow 2
            raise
        return []
    return [_model(one) for one in found]


def _search(client: "MlflowClient", experiment: str) -> "Iterator[LoggedModel]":
    token: str | None = ""
    while token is not None:
        page = client.search_logged_models([experiment], page_token=token or None)
        yield from page
        token = page.token or None


def _model(one: "LoggedModel") -> Model:
    points = tuple(
        Linked(
            metric.run_id or "",
            metric.key,
            Point(metric.step, metric.timestamp, float(metric.value)),
            metric.dataset_name or "",
        )
        for metric in one.metrics or ()
    )
    return Model(
        one.model_id, one.name, one.model_type or "", str(one.status), one.source_run_id or "",
        dict(sorted(one.params.items())), dict(sorted(one.tags.items())), points,
    )  # fmt: skip


def files(client: "MlflowClient", model: Model, below: str = "") -> Iterator[tuple[str, int]]:
    """Path and bytes of each of a model's files."""
    for one in client.list_logged_model_artifacts(model.id, below or None):
        if one.is_dir:
            yield from files(client, model, one.path)
        else:
            yield one.path, int(one.file_size or 0)


def repository(client: "MlflowClient", model: Model) -> Any:
    """Whence MLflow downloads a model's files; by an address of the model alone it cannot."""
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    where = client.get_logged_model(model.id).artifact_location
    return get_artifact_repository(where, tracking_uri=client.tracking_uri)


def folders(made: Iterable[Model]) -> dict[str, str]:
    """Id of each model of a run -> its folder, by its name, or by its id too where two share it."""
    ours = [*made]
    names = [one.name for one in ours]
    return {
        one.id: f"models/{one.name}"
        if names.count(one.name) == 1
        else f"models/{one.name}@{one.id}"
        for one in ours
    }


def parted(
    run: str, metric: str, points: Iterable[Point], made: Iterable[Model]
) -> dict[str, list[Point]]:
    """A metric's points by what they were measured on, each part in the order of the points.

    `acc` stays `acc`, unless it was logged for several data sets, which makes `acc on val` and `acc
    on test` of it, or for several models in one step, which makes `acc of net`.
    """
    of = {
        (one.point.step, one.point.time, str(one.point.value)): (one.dataset, model.name)
        for model in made
        for one in model.points
        if one.run == run and one.metric == metric
    }
    several = len({dataset for dataset, _ in of.values() if dataset}) > 1
    parts: dict[str, list[tuple[Point, str]]] = defaultdict(list)
    for point in points:
        dataset, model = of.get((point.step, point.time, str(point.value)), ("", ""))
        parts[f"{metric} on {dataset}" if several and dataset else metric].append((point, model))
    found: dict[str, list[Point]] = defaultdict(list)
    for name, own in parts.items():
        beside = _beside(own)
        for point, model in own:
            found[f"{name} of {model}" if beside and model else name].append(point)
    return dict(found)


def _beside(points: Iterable[tuple[Point, str]]) -> bool:
    """Whether several models have a value in the same step."""
    steps: dict[int, set[str]] = defaultdict(set)
    for point, model in points:
        steps[point.step].add(model)
    return any(len(models) > 1 for models in steps.values())
