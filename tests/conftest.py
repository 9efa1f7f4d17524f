from collections.abc import Iterator

import pytest

from research import fonts, paths

pytest_plugins = ["tests.samples"]


@pytest.fixture(scope="session", autouse=True)
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Trained models are neither taken from the user's own nor left among them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paths, "MODELS", tmp_path_factory.mktemp("models"))
        yield


@pytest.fixture
def no_other_fonts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine without any font but those that are always there."""
    for name in ("_packaged", "_installed"):
        monkeypatch.setattr(fonts, name, lambda: ())
    fonts._faces.cache_clear()
    yield
    fonts._faces.cache_clear()
