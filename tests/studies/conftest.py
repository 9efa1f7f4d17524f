import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from research import paths, report
from research.config import Data
from research.data import Dataset, load
from research.paths import PAPER, TEMPLATES
from research.provenance.trail import Ledger
from research.records import Claim, Results
from research.report import authors, composition, render
from research.report import source as texts
from research.report.layout import Sheet
from research.report.words import Words
from research.verification.verify import verify

from .stripes import pictures


@pytest.fixture(autouse=True)
def papers_are_verified(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every paper that a test here builds is read back and verified, unless it is a draft."""
    build = report.build

    def verified(*given: Any, **more: Any) -> report.Built:
        built = build(*given, **more)
        problems = [str(one) for one in verify(built.pdf).problems]
        assert built.gaps or not problems, problems
        return built

    monkeypatch.setattr(report, "build", verified)


@pytest.fixture(scope="session")
def stripes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of pictures, train/ and test/."""
    return pictures(tmp_path_factory.mktemp("stripes"))


@pytest.fixture(scope="session")
def zf_data(stripes: Path) -> Dataset:
    return load(Data("folder", stripes, 52))


@pytest.fixture
def paper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for write-ups that is not the user's, with those of all studies."""
    folder = tmp_path / "paper"
    folder.mkdir()
    for file in (*PAPER.glob("*.md"), PAPER / "author.toml"):
        shutil.copy(file, folder)
    monkeypatch.setattr(paths, "PAPER", folder)
    return folder


@pytest.fixture(params=["holds", "fails", "undecided"])
def outcome(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Makes every claim come out so, for the sentences that the record at hand does not print."""
    forced = str(request.param)
    monkeypatch.setattr(Claim, "outcome", property(lambda claim: forced))
    return forced


@pytest.fixture
def spoken(outcome: str) -> Callable[[Results, str], set[str]]:
    """Speaks a write-up over a record with every claim so; the claims that it rests on.

    Everything that is printed is checked as for a final paper, but no pages are made: that takes
    seconds.
    """

    def claimed(record: Results, slug: str) -> set[str]:
        source, env = texts.read(PAPER / f"{slug}.md"), render.environment(TEMPLATES)
        # sentences that are written for one outcome are gaps where it is another
        words = Words.over(Ledger(record), source, TEMPLATES, Sheet(), draft=True)
        composition.paper(env, source, words, authors.read(PAPER / "author.toml"))
        claims = words.ledger.claims
        assert {one["outcome"] for one in claims} == {outcome}
        gaps = " ".join(words.draft.gaps if words.draft else [])
        return {one["name"] for one in claims} | set(re.findall(r"because claim '(\w+)'", gaps))

    return claimed
