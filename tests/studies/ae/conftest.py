from pathlib import Path

import pytest

from research.records import Results
from research.records import load as read

from .tiny import lineage, run


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("store")
    run(folder)
    return folder


@pytest.fixture
def record(store: Path) -> Results:
    found = [read(path.parent) for path in store.glob("*/run.json")]
    return min((r for r in found if not lineage(r)["parent"]), key=lambda r: lineage(r)["started"])
