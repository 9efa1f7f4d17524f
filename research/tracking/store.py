"""Opens the store, or the run, that a user names."""

import os
from pathlib import Path
from urllib.parse import urlparse

from research.errors import UserError
from research.machine import packages
from research.paths import RUNS
from research.records import Results, load
from research.tracking.finding import newest
from research.tracking.folder import FolderStore
from research.tracking.local import LocalStore
from research.tracking.remote import RemoteStore


def open_store(
    where: str | None = None, experiment: str | None = None
) -> FolderStore | LocalStore | RemoteStore:
    """The store of that address; quick, for neither MLflow nor torch is imported.

    Args:
        where: `folder:DIR`, `sqlite:///FILE`, or the address of an MLflow server. Without it
            MLFLOW_TRACKING_URI decides, and without that it is `runs/mlflow.db`.
        experiment: of a server, in which the runs are; without it MLFLOW_EXPERIMENT_NAME decides,
            and without that the study and, where one logs in, the user.

    Raises:
        UserError: where the address is of another kind, or a server's and MLflow not installed; or
            an experiment is named for a store that is no server.
    """
    address = where or os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{RUNS / 'mlflow.db'}"
    kind, _, rest = address.partition(":")
    if experiment and kind not in ("http", "https"):
        raise UserError(
            "--experiment is for runs on an MLflow server, others are kept by study: leave it out, "
            "or give the server's address with --log"
        )
    if kind == "folder" and rest:
        return FolderStore(Path(rest).expanduser().absolute())
    if address.startswith("sqlite:///") and rest.strip("/"):
        return LocalStore(Path(rest[3:]).absolute())
    if kind in ("http", "https") and urlparse(address).netloc:
        packages.need(packages.TRACK, "a store that is an MLflow server")
        named = experiment or os.environ.get("MLFLOW_EXPERIMENT_NAME", "")
        return RemoteStore(address, RUNS / "remote", named)
    raise UserError(
        f"a store is folder:DIR, sqlite:///FILE or http://HOST:PORT, got {address!r}; "
        f"check --log and MLFLOW_TRACKING_URI"
    )


def open_run(run: str, log: str | None = None) -> Results:
    """What a run left behind: its numbers, claims, tables, arrays and figures.

    Arguments:
        run: a study, of which the newest finished `full` run is taken, else the newest other; or
            the id of a run, or its beginning.
        log: the store, as for `open_store`.

    Raises:
        UserError: there is no such run, or its files are gone.
    """
    store = open_store(log)
    summary = newest(store.runs(run)) or store.find(run)
    return load(summary.folder)
