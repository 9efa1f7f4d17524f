from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from research import fonts, paths

pytest_plugins = ["tests.samples", "tests.services.fixtures"]

_TESTS = Path(__file__).parent
_STUDIES = _TESTS / "studies"
_OF_CUDA = _TESTS / "device"
"""where all tests with the marker `cuda` are, which need less installed than others"""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--device",
        default=None,
        help="device on which tests train and measure, as cuda; without it the CPU, and for those "
        "with the marker cuda a GPU where there is one",
    )


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """With `-m cuda` other tests are not even imported: where a GPU is, their libraries may not."""
    inside = collection_path.is_relative_to(_OF_CUDA) or _OF_CUDA.is_relative_to(collection_path)
    return True if config.option.markexpr == "cuda" and not inside else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What shares a run is tested in one process: a study's folder, of other tests each file."""
    if not config.pluginmanager.hasplugin("xdist"):
        return
    for item in items:
        within = item.path.relative_to(_STUDIES) if _STUDIES in item.path.parents else None
        group = item.path.parent if within and len(within.parts) > 1 else item.path
        item.add_marker(pytest.mark.xdist_group(str(group.relative_to(_TESTS))))


@pytest.fixture
def device(request: pytest.FixtureRequest) -> str:
    """The device of `--device`; of a test that needs a GPU, the first where none is named."""
    import torch

    named: str | None = request.config.getoption("--device")
    if named is None and request.node.get_closest_marker("cuda"):
        if not _CUDA:
            pytest.skip("needs a GPU that PyTorch can use, this machine has none")
        return "cuda"
    if named and named.startswith("cuda"):
        torch.empty(0, device=named)  # a wrong name fails here, and not somewhere within
    return named or "cpu"


_CUDA: list[str] = []
"""the GPUs' names, looked up before any is hidden"""


@pytest.fixture(scope="session", autouse=True)
def one_process_unless_asked() -> Iterator[None]:
    """A test trains in its own process, which it may patch, unless it asks for more."""
    from research.training import workers

    train = workers.train_beforehand

    def in_one(study: Any, config: Any, children: Any, log: Any, jobs: Any) -> None:
        train(study, config, children, log, 1 if jobs == "auto" else jobs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workers, "train_beforehand", in_one)
        yield


@pytest.fixture(scope="session", autouse=True)
def cpu_unless_asked(request: pytest.FixtureRequest) -> Iterator[None]:
    """What chooses a device by itself chooses the CPU, unless `--device` names another."""
    import torch

    _CUDA.extend(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))
    named = request.config.getoption("--device") or "cpu"
    with pytest.MonkeyPatch.context() as patch:
        # where there is none nothing is changed: digests of models hold code that is not installed,
        # and jobs, which train some of them, know nothing of this
        if not named.startswith("cuda") and _CUDA:
            patch.setattr(torch.cuda, "is_available", lambda: False)
        yield


@pytest.fixture(autouse=True)
def gpu_where_needed(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that needs a GPU sees it: PyTorch asks itself whether there is one."""
    if request.node.get_closest_marker("cuda") and _CUDA:
        import torch

        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)


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
