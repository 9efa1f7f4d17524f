"""The papers that tests of verification edit."""

from pathlib import Path

import pytest

from research.report import Built


@pytest.fixture(scope="module")
def paper(light: Path) -> bytes:
    return light.read_bytes()


@pytest.fixture(scope="session")
def original(built: Built) -> bytes:
    return built.pdf.read_bytes()
