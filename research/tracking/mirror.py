"""Shows a record as a run of MLflow: parameters, curves, tags, data set, description, status.

Everything is read from the record, and MLflow drops a point that it holds already, so a run that
is going on, one that is resumed and one that is synced later all take the same way.
"""

import ipaddress
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlparse

from research import records
from research.errors import UserError
from research.machine.environment import UNKNOWN
from research.records import Run
from research.tracking import curves, descriptions
from research.tracking.log import Opening
from research.tracking.record import CURVES, NUMBERS, Lineage, branch, read_lineage

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput, Metric, Param, RunInfo
    from mlflow.entities import Run as Entity

RECORD, STUDY, PRESET, DIGEST = (
    f"research.{name}" for name in ("record", "study", "preset", "config_digest")
)
PARENT = "mlflow.parentRunId"
RESULT = "result/"
"""Before the name of a number of the record, so that MLflow's page has a section of results."""
METRICS_IN_BATCH, PARAMS_IN_BATCH = 800, 100
"""MLflow takes 1,000 items of all kinds in one request, and 100 parameters."""
LONGEST_DIGEST = 36


class RefusedError(UserError):
    """A server lets this user not write to an experiment."""


class MlflowRun:
    """The mirror of a record whose files lie where MLflow looks for the run's artifacts."""

    def __init__(self, client: "MlflowClient", id: str, record: Path) -> None:
        self.client, self.id, self.record = client, id, record
        self._sent = dict.fromkeys(CURVES, 0)
        self._tags: dict[str, str] = {}
        self._params: list[Param] | None = None

    def push(self) -> None:
        with plain_errors(self.record):
            self._push()

    def reopen(self) -> None:
        with plain_errors(self.record):
            self.client.update_run(self.id, status="RUNNING")

    def finish(self) -> None:
        with plain_errors(self.record):
            self._push()
            run, lineage = records.load(self.record).run, read_lineage(self.record)
            self.client.set_terminated(self.id, run.status, lineage.ended)

    def _push(self) -> None:
        from mlflow.entities import RunTag

        run = records.load(self.record).run
        tags = _tags(run, self.record) | {
            descriptions.NOTE: descriptions.of(run, self.id, self.record)
        }
        fresh = [RunTag(k, v) for k, v in tags.items() if self._tags.get(k) != v]
        points = {name: curves.read(self.record / name, at) for name, at in self._sent.items()}
        metrics = [metric for name, (new, _) in points.items() for metric in _metrics(name, new)]
        self._push_once(run)
        for first in range(0, max(len(metrics), bool(fresh)), METRICS_IN_BATCH):
            batch = metrics[first : first + METRICS_IN_BATCH]
            self.client.log_batch(self.id, batch, tags=fresh if first == 0 else ())
        if run.data and tags["research.data"] != self._tags.get("research.data"):
            self._name_data(run)
        self._tags = tags
        self._sent = {name: end for name, (_, end) in points.items()}

    def _name_data(self, run: Run) -> None:
        """Two runs that name the same new data set at once may both try to create it; for the
        second attempt it is there."""
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        data = [_dataset_input(run.data)]
        try:
            self.client.log_inputs(self.id, data)
        except (MlflowException, SQLAlchemyError):
            self.client.log_inputs(self.id, data)

    def _push_once(self, run: Run) -> None:
        """Parameters cannot be changed; a resumed run keeps those it started with."""
        from mlflow.entities import Param

        if self._params is not None:
            return
        known = self.client.get_run(self.id).data.params
        settings = {k: spell(v) for k, v in run.config.items() if not _is_digest(k)}
        params = [Param(k, v) for k, v in settings.items() if k not in known]
        for first in range(0, len(params), PARAMS_IN_BATCH):
            self.client.log_batch(self.id, params=params[first : first + PARAMS_IN_BATCH])
        self._params = params


def connect(uri: str) -> "MlflowClient":
    """A client; the import and the first connection take seconds.

    A server on this machine is asked directly, whatever proxy the environment names.

    Raises:
        UserError: where MLflow is not installed or its store does not answer.
    """
    go_directly(uri)
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    try:
        from mlflow import MlflowClient
    except ImportError:
        raise UserError(
            "MLflow is not installed: install it, or log to a folder with --log folder:DIR"
        ) from None
    _quieten_logs()
    with plain_errors():
        client = MlflowClient(tracking_uri=uri)
        client.search_experiments(max_results=1)
    return client


def go_directly(uri: str) -> None:
    """Takes an address of this machine out of what a proxy of the environment is asked for."""
    host = urlparse(uri).hostname or ""
    if not is_loopback(host):
        return
    for name in ("no_proxy", "NO_PROXY"):
        known = os.environ.get(name, "").split(",")
        if host not in known:
            os.environ[name] = ",".join(filter(None, [*known, host]))


def is_loopback(host: str) -> bool:
    """Whether a host is this machine by its name or number."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return False


def experiment(client: "MlflowClient", name: str, location: str | None) -> str:
    """The id of an experiment, which is created where it is missing.

    Raises:
        UserError: where it was deleted in the UI, keeps its artifacts elsewhere, or is another
            user's.
    """
    from mlflow.exceptions import MlflowException

    with allowed(name):
        known = client.get_experiment_by_name(name)
    if known is None:
        try:
            kind = {"mlflow.experimentKind": "custom_model_development"}
            return str(client.create_experiment(name, location, kind))
        except MlflowException:  # another process was faster
            known = client.get_experiment_by_name(name)
            if known is None:
                raise
    if known.lifecycle_stage != "active":
        raise UserError(
            f"the experiment {name!r} was deleted in MLflow; bring it back with "
            f"'mlflow experiments restore -x {known.experiment_id}' or remove it with 'mlflow gc'"
        )
    if location and known.artifact_location != location:
        raise UserError(
            f"the experiment {name!r} must keep its artifacts in {location}, but somebody created "
            f"it with {known.artifact_location}; rename that experiment in MLflow"
        )
    return str(known.experiment_id)


@contextmanager
def allowed(name: str) -> Iterator[None]:
    """Raises RefusedError where a server lets this user not do it, as in another's experiment."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        if error.error_code != "PERMISSION_DENIED" and "403" not in str(error):
            raise
        raise RefusedError(
            f"runs are written to an experiment of your own or one that you may edit, but the "
            f"server refuses {name!r}: give another with --experiment NAME, or ask its owner"
        ) from None


def runs(
    client: "MlflowClient", query: str = "", experiment: str | None = None, *, deleted: bool = False
) -> "Iterator[Entity]":
    """The runs of active experiments, or of one, or else all deleted ones, the newest first."""
    from mlflow.entities import ViewType

    view = ViewType.DELETED_ONLY if deleted else ViewType.ACTIVE_ONLY
    with plain_errors():
        experiments = client.search_experiments(ViewType.ALL if deleted else ViewType.ACTIVE_ONLY)
        ids = [entry.experiment_id for entry in experiments if experiment in (None, entry.name)]
        token: str | None = ""
        while ids and token is not None:
            page = client.search_runs(
                ids, query, view, order_by=["start_time DESC"], page_token=token or None
            )
            yield from page
            token = page.token or None


def of_record(client: "MlflowClient", experiment_id: str, record: str) -> "Entity | None":
    """The run that shows a record of that id, deleted ones too."""
    from mlflow.entities import ViewType

    query = f"tags.`{RECORD}` = '{record}'"
    shown = client.search_runs([experiment_id], query, ViewType.ALL)
    return shown[0] if shown else None


def info_of(client: "MlflowClient", id: str) -> "RunInfo | None":
    """What the store knows of a run; None where it knows none of that id."""
    from mlflow.exceptions import MlflowException

    try:
        return client.get_run(id).info
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None


def create_run(
    client: "MlflowClient", experiment_id: str, opening: Opening, lineage: Lineage, record: str
) -> str:
    """A run named like the opening; `record` is the id of one that was written elsewhere."""
    tags = {STUDY: opening.study, PRESET: opening.preset, DIGEST: opening.config_digest}
    if lineage.parent:
        tags[PARENT] = lineage.parent
    if record:
        tags[RECORD] = record
    run = client.create_run(experiment_id, lineage.started, tags, opening.name)
    return str(run.info.run_id)


def spell(value: Any) -> str:
    """A setting as one types it behind its flag."""
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


@contextmanager
def plain_errors(record: Path | None = None) -> Iterator[None]:
    """Turns MLflow's complaints into one line that says where the results are safe."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError, OSError) as error:
        first = next(iter(str(error).splitlines()), type(error).__name__).rstrip(".")
        safe = f" Nothing is lost: the record is {record}." if record else ""
        raise UserError(f"MLflow must take the run, but says: {first}.{safe}") from error


def _metrics(file: str, points: Sequence[curves.Point]) -> "list[Metric]":
    """The points of a file of curves; results stand together in MLflow's page."""
    from mlflow.entities import Metric

    group = RESULT if file == NUMBERS else ""
    return [
        Metric(group + name, value, round(1000 * point.time), point.step)
        for point in points
        for name, value in point.values.items()
    ]


def _tags(run: Run, record: Path) -> dict[str, str]:
    tags = {
        RECORD: run.id,
        STUDY: run.study,
        PRESET: run.preset,
        DIGEST: run.config_digest,
        "research.seeds": spell(run.seeds),
        "research.changed": ", ".join(f"{k} {spell(v)}" for k, v in run.changed.items()),
        "research.device": run.device,
        "research.data": str(run.data.get("name", "")),
        "research.data.sha256": str(run.data.get("sha256", "")),
        "git.dirty": "unknown" if run.dirty is None else str(run.dirty).lower(),
        "mlflow.source.name": f"research run {run.study}",
        "mlflow.source.type": "LOCAL",
        "mlflow.source.git.commit": run.commit.replace(UNKNOWN, ""),
        "mlflow.source.git.branch": branch(record),
    }
    tags |= {f"research.{k}": spell(v) for k, v in run.config.items() if _is_digest(k)}
    claims = records.read_claims(record).items()
    tags |= {f"claim.{name}": str(claim) for name, claim in claims}
    return {key: value[: descriptions.LONGEST] for key, value in tags.items() if value}


def _is_digest(name: str) -> bool:
    """Whether a setting only identifies something, which nobody would group or filter runs by."""
    return name.endswith(("digest", "sha256"))


def is_known(client: "MlflowClient", id: str) -> bool:
    """Whether MLflow has the run: its database may be newer than a record."""
    from mlflow.exceptions import MlflowException

    try:
        return bool(client.get_run(id))
    except MlflowException:
        return False


def introduce(client: "MlflowClient", experiment: str, id: str, record: Path) -> None:
    """Writes what an experiment asks, and its newest paper, where MLflow's page shows it; and the
    paper into the description of its run."""
    run = records.load(record).run
    note = descriptions.of_experiment(run, id, record)
    with plain_errors():
        if descriptions.is_replaceable(
            client.get_experiment(experiment).tags.get(descriptions.NOTE, ""), note
        ):
            client.set_experiment_tag(experiment, descriptions.NOTE, note)
        own = descriptions.of(run, id, record)
        if descriptions.is_replaceable(
            client.get_run(id).data.tags.get(descriptions.NOTE, ""), own
        ):
            client.set_tag(id, descriptions.NOTE, own)


def _dataset_input(data: dict[str, Any]) -> "DatasetInput":
    from mlflow.entities import Dataset, DatasetInput, InputTag

    source = str(data.get("source", ""))
    remote = source.startswith(("http://", "https://"))
    dataset = Dataset(
        name=str(data.get("name", "data")),
        digest=str(data.get("sha256") or data.get("digest", ""))[:LONGEST_DIGEST],
        source_type="http" if remote else "local",
        source=json.dumps({"url" if remote else "uri": source}),
        profile=json.dumps({k: v for k, v in data.items() if k not in ("name", "source")}),
    )
    return DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])


def _quieten_logs() -> None:
    """Creating a store reports every step of its schema's history."""
    import logging

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
