"""Services that all tests of a session share, each started when the first of them asks for it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.services.shared import Server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Server"]:
    """MLflow for two users on PostgreSQL; a test that kills it starts it again."""
    for module in ("psycopg", "boto3", "flask_wtf"):
        pytest.importorskip(module, reason=f"needs {module}: make setup")
    from tests.services.shared import server as started

    pytest.importorskip("mlflow.store.tracking.rest_store")  # before forks, which need it
    with started(tmp_path_factory.mktemp("shared")) as one:
        yield one
