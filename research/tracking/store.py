"""Opens the store that a user names."""

import os
from pathlib import Path
from urllib.parse import urlparse

from research.errors import UserError
from research.paths import RUNS
from research.tracking.folder import FolderStore
from research.tracking.local import LocalStore
from research.tracking.remote import RemoteStore


def open_store(where: str | None = None) -> FolderStore | LocalStore | RemoteStore:
    """The store of that address; quick, for neither MLflow nor torch is imported.

    Args:
        where: `folder:DIR`, `sqlite:///FILE`, or the address of an MLflow server. Without it
            MLFLOW_TRACKING_URI decides, and without that it is `runs/mlflow.db`.

    Raises:
        UserError: where the address is of another kind.
    """
    address = where or os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{RUNS / 'mlflow.db'}"
    kind, _, rest = address.partition(":")
    if kind == "folder" and rest:
        return FolderStore(Path(rest).expanduser().absolute())
    if address.startswith("sqlite:///") and rest.strip("/"):
        return LocalStore(Path(rest[3:]).absolute())
    if kind in ("http", "https") and urlparse(address).netloc:
        return RemoteStore(address, RUNS / "remote")
    raise UserError(
        f"a store is folder:DIR, sqlite:///FILE or http://HOST:PORT, got {address!r}; "
        f"check --log and MLFLOW_TRACKING_URI"
    )
