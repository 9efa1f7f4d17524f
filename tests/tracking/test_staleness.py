"""What counts as a change: on a small project of its own, and on a run's record."""

import dataclasses
import os
from pathlib import Path

import pytest

from research.machine import environment
from research.paths import ROOT
from research.records import Run
from research.tracking import staleness
from tests.samples import a_run

STUDY = '''
"""Why?"""
from dataclasses import dataclass
from research import method
from research.tracking import Log

@dataclass
class Config:
    epochs: int = 1
    """Passes."""

PRESETS = {"sample": Config(epochs=2), "full": Config(epochs=9)}

def study(config, log):
    from research.deep.inner import late
    return method.measure(config)
'''
FILES = {
    "__init__.py": "",
    "studies/__init__.py": "",
    "studies/tiny_one.py": STUDY,
    "method.py": "def measure(config):\n    return 1 + 1  # one\n",
    "deep/__init__.py": "from . import beside\n",
    "deep/inner.py": "late = 1\n",
    "deep/beside.py": "from ..other import x\n",
    "other.py": "x = 1\n",
    "unreached.py": "x = 1\n",
    "tracking/__init__.py": "class Log: ...\n",
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        path = tmp_path / "research" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def change(project: Path, name: str, former: str, now: str) -> None:
    path = project / "research" / name
    assert former in path.read_text()
    path.write_text(path.read_text().replace(former, now))


def finished(project: Path) -> Run:
    versions = environment.versions()
    run = a_run(study="tiny-one", versions=versions)
    return dataclasses.replace(run, code=staleness.code("tiny-one", run.preset, project))


def test_modules_are_reached_through_packages_and_functions(project: Path) -> None:
    names = {name.removeprefix("research") for name in staleness.modules_of("tiny-one", project)}
    assert names == {
        "", ".deep", ".deep.beside", ".deep.inner", ".method", ".other",
        ".studies.tiny_one",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "former", "now", "stale"),
    [
        ("method.py", "# one", "# two\n\n", {}),
        ("method.py", "return", '"""Adds."""\n    return', {}),
        ("studies/tiny_one.py", "Passes", "Passes over it", {}),
        ("unreached.py", "1", "2", {}),
        ("tracking/__init__.py", "...", "x = 1", {}),
        ("method.py", "1 + 1", "1 + 2", {"code": ("research/method.py",)}),
        ("other.py", "1", "2", {"code": ("research/other.py",)}),
        ("deep/inner.py", "1", "'1'", {"code": ("research/deep/inner.py",)}),
        ("studies/tiny_one.py", "epochs=2", "epochs=3", {"config": ("preset sample",)}),
        ("studies/tiny_one.py", "int = 1", "int = 7", {"config": ("preset sample",)}),
        ("studies/tiny_one.py", "epochs=9", "epochs=3", {}),
    ],
)
def test_what_changes_what(
    name: str, former: str, now: str, stale: dict[str, tuple[str, ...]], project: Path
) -> None:
    run = finished(project)
    assert staleness.stale(run, project) == {}
    change(project, name, former, now)
    assert staleness.stale(run, project) == stale


def test_a_module_that_is_gone_is_named(project: Path) -> None:
    run = finished(project)
    change(project, "deep/__init__.py", "from . import beside", "")
    (project / "research/deep/beside.py").unlink()
    named = staleness.stale(run, project)["code"]
    assert named == ("research/deep/__init__.py", "research.deep.beside", "research/other.py")


def test_versions_and_what_an_old_record_does_not_know() -> None:
    versions = environment.versions() | {"torch": "0.1", "gone": "1"}
    run = a_run(versions=versions)
    assert staleness.stale(run) == {"environment": ("torch",)}
    assert staleness.unknown(run) == ("code", "config")
    told = staleness.phrases({"code": tuple("abcde"), "environment": ("torch",)})
    assert told == ["code (a, b, c and 2 more)", "environment (torch)"]


def test_a_folder_of_images_is_read_again_where_it_is_small(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = tmp_path / "train/cat/a.png"
    picture.parent.mkdir(parents=True)
    picture.write_bytes(b"one")
    config = {"data.name": "folder", "data.root": str(tmp_path)}
    run = a_run(config=config, data={"name": "cats", "files": staleness.files(config)})
    assert staleness.changed_data(run) == ()
    (tmp_path / ".research-cache").mkdir()
    (tmp_path / ".research-cache/x").write_bytes(b"ours")
    assert staleness.changed_data(run) == ()
    picture.write_bytes(b"two")
    assert staleness.changed_data(run) == ("cats",)
    picture.write_bytes(b"one")
    picture.rename(picture.with_name(os.fsdecode(b"caf\xe9.png")))  # no UTF-8, as on old disks
    assert staleness.changed_data(run) == ("cats",)
    picture.write_bytes(b"two")
    monkeypatch.setattr(staleness, "LIMIT", 2)
    assert staleness.changed_data(run) is None
    assert staleness.changed_data(a_run(config={"data.name": "mnist"})) is None


def test_the_real_studies_reach_their_methods() -> None:
    found = staleness.modules_of("ae", ROOT)
    assert {
        "research.methods.reconstruction",
        "research.training.loop",
        "research.models",
    } <= found.keys()
    assert "research.tracking" not in found and "research.studies.mlp" not in found
