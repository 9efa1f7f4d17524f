"""A store with the run of the small sample paper, and what is handed on with that."""

import shutil
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from research.archive.material import Material, Record, gather
from research.paths import TEMPLATES
from research.provenance.reading import read_trail
from research.records import load, write_manifest, write_run
from research.records.sources import DataFile, Source, write
from research.report import build
from research.tracking.record import Lineage, write_lineage
from tests.samples import SAMPLE, a_run

PICTURE = b"not much of a picture"


@dataclass(frozen=True)
class Handed:
    """Where all of it lies: a repository, a store, a paper and an anonymous one."""

    root: Path
    store: Path
    pdf: Path
    hidden: Path

    def material(self, pdf: Path | None = None) -> Material:
        pdf = pdf or self.pdf
        records = {"": Record(self.store / a_run().id, {})}
        return gather(pdf, read_trail(pdf), records, self.pdf.parent / "author.toml", self.root)


def git(root: Path, *command: str) -> str:
    who = ["-c", "user.name=Zoe Quaxley", "-c", "user.email=zoe@quaxley.example"]
    done = subprocess.run(["git", *who, *command], cwd=root, capture_output=True, check=True)
    return done.stdout.decode().strip()


@pytest.fixture(scope="session")
def handed(_record: Path, light: Path, tmp_path_factory: pytest.TempPathFactory) -> Handed:
    """Tests read it; one that writes takes a copy."""
    root = tmp_path_factory.mktemp("project")
    commit = repository(root / "repository")
    folder = Path(shutil.copytree(_record, root / "store" / a_run().id))
    digest = "be1e92e9ad7d1d9fb6a9e26ef7b7e4e0d1e2e8bd4d7cf8a7c9c6ea6c95c0e8a2"
    file = DataFile("cat.csv", digest, 12, told="data/cat.csv of the package pictures 1.0")
    write(folder, [Source("data", "photos", (file,))])
    write_lineage(folder, Lineage(started=0))
    write_run(folder, replace(load(folder).run, commit=commit, local=("data.root",)))
    write_manifest(folder)
    paper = root / "paper"
    paper.mkdir()
    shutil.copy(light.with_suffix(".md"), paper)
    author = Path(shutil.copy(SAMPLE / "author.toml", paper))
    author.write_text(author.read_text() + 'orcid = "0000-0002-1825-0097"\nlicence = "CC-BY-4.0"\n')
    for name in ("ae", "ae-anonymous"):
        hide = name.endswith("anonymous")
        build(
            load(folder), paper / "ae.md", paper / f"{name}.pdf", author=author,
            templates=TEMPLATES, anonymous=hide,
        )  # fmt: skip
    return Handed(root / "repository", root / "store", paper / "ae.pdf", paper / "ae-anonymous.pdf")


def repository(root: Path) -> str:
    """A repository of two files, the second of which is changed after the commit; the commit."""
    (root / "paper").mkdir(parents=True)
    (root / "study.py").write_text("print('measured')\n")
    (root / "paper/author.toml").write_text('name = "Maria Muster"\n')
    git(root, "init", "-q")
    git(root, "add", ".")
    git(root, "commit", "-q", "-m", "The study")
    commit = git(root, "rev-parse", "HEAD")
    (root / "study.py").write_text("print('changed since')\n")
    git(root, "remote", "add", "origin", "git@code.example:quaxley/study.git")
    return commit
