"""Prepared addresses of MLflow's page: what it shows when one follows them.

MLflow's page keeps a view that somebody shares as a tag of its experiment; ours is written in the
same way, and shows the curves of one run's networks side by side, by arm, with their spread.
"""

import base64
import json
import re
import zlib
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from mlflow import MlflowClient

TRAINING = "workflowType=machine_learning"
"""MLflow's page shows language model traces unless an address says, or a browser was told once,
that models are trained."""

START = f"/#/experiments?{TRAINING}"
VIEW = "mlflow.sharedViewState."
"""Before the name of a view, in the key of the tag that holds it."""


def run(experiment: str, id: str) -> str:
    """A run's curves and results."""
    return f"/#/experiments/{experiment}/runs/{id}/model-metrics?{TRAINING}"


def curves(experiment: str, study: str) -> str:
    """The curves that `share` prepared."""
    shown = f"compareRunsMode=CHART&viewStateShareKey={quote(study)}"
    return f"/#/experiments/{experiment}/runs?{TRAINING}&{shown}"


def share(client: "MlflowClient", experiment: str, study: str, id: str, names: set[str]) -> None:
    """Prepares the view of the networks of a run, whose curves have these names."""
    packed = zlib.compress(json.dumps(_state(id, names)).encode())
    tag, value = f"{VIEW}{study}", f"deflate;{base64.b64encode(packed).decode()}"
    if client.get_experiment(experiment).tags.get(tag) != value:
        client.set_experiment_tag(experiment, tag, value)


def _state(id: str, names: set[str]) -> dict[str, Any]:
    """What MLflow's page keeps of a view, under its own names."""
    pattern = "|".join(re.escape(name) for name in sorted(names))
    by_arm = {
        "aggregateFunction": "average",
        "groupByKeys": [{"mode": "param", "groupByData": "arm"}],
    }
    return {
        "searchFilter": f"tags.mlflow.parentRunId = '{id}'",
        "orderByKey": "attributes.start_time",
        "orderByAsc": True,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "modelVersionFilter": "All Runs",
        "datasetsFilter": [],
        "runsVisibilityMap": {id: False},
        "runsHiddenMode": "SHOWALL",
        "groupBy": by_arm,
        "groupsExpanded": {},
        "useGroupedValuesInCharts": True,
        "hideEmptyCharts": True,
        "autoRefreshEnabled": True,
        "chartsSearchFilter": f"^({pattern})$",
    }  # fmt: skip
