from pathlib import Path

import pytest
from safetensors.torch import load_file

from research.config import Text
from research.data import bitext
from research.data.sequences import Bitext
from research.models import Translator
from research.records import Results

from .tiny import SIZES, run


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="session")
def record(store: Path) -> Results:
    return run(store, "0", "1")


@pytest.fixture(scope="session")
def text() -> Bitext:
    return bitext.load(Text(**SIZES))  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def models(record: Results, text: Bitext) -> list[Translator]:
    found = []
    for seed in (0, 1):
        model = Translator((len(text.vocabularies[0]), len(text.vocabularies[1])), 12, 16, 0.1)
        stored = record.folder / f"weights/translation-seed{seed}.safetensors"
        model.load_state_dict(load_file(stored))
        found.append(model.eval())
    return found
