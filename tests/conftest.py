from collections.abc import Iterator

import pytest

from research import paths

pytest_plugins = ["tests.samples"]


@pytest.fixture(scope="session", autouse=True)
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Trained models are neither taken from the user's own nor left among them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paths, "MODELS", tmp_path_factory.mktemp("models"))
        yield
