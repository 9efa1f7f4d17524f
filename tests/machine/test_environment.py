"""The state of the code, in checkouts made for the test."""

import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from research.machine import environment


def git(root: Path, *command: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    done = subprocess.run(
        ["git", *identity, *command], cwd=root, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "research").mkdir()
    (tmp_path / "research/__init__.py").write_text("one = 1\n")
    (tmp_path / ".gitignore").write_text("ignored\n")
    git(tmp_path, "init", "--initial-branch", "topic")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--message", "first")
    return tmp_path


def test_a_clean_checkout(checkout: Path) -> None:
    (checkout / "ignored").touch()
    commit = git(checkout, "rev-parse", "HEAD")
    assert environment.checkout(checkout) == environment.Checkout(commit, "topic", False, "")


def test_the_diff_restores_a_dirty_tree(checkout: Path) -> None:
    (checkout / "research/__init__.py").write_text("one = 2\n")
    (checkout / "new.py").touch()
    code = environment.checkout(checkout)
    assert code.dirty
    assert code.diff.startswith("# untracked: new.py\n")
    git(checkout, "checkout", "--", ".")
    subprocess.run(["git", "apply"], cwd=checkout, input=code.diff.encode(), check=True)
    assert (checkout / "research/__init__.py").read_text() == "one = 2\n"


def test_an_untracked_file_alone_makes_it_dirty(checkout: Path) -> None:
    (checkout / "new.py").touch()
    assert environment.checkout(checkout).dirty


@pytest.mark.parametrize("inside", ["", "mine/paper"])
def test_a_project_outside_a_checkout_has_no_commit(tmp_path: Path, inside: str) -> None:
    root = tmp_path
    if inside:  # somebody else's checkout, which tracks no file of it
        git(tmp_path, "init")
        root = tmp_path / inside
        (root / "research").mkdir(parents=True)
        (root / "research/__init__.py").touch()
    found = environment.checkout(root)
    assert (found.commit, found.dirty, found.diff) == ("unknown", None, "")
    assert ("is tracked by a git repository" if inside else "not a git repository") in found.why


def test_without_git_the_commit_is_unknown(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    unknown = environment.Checkout("unknown", dirty=None, why="git is not installed")
    assert environment.checkout(checkout) == unknown


def test_a_checkout_that_git_distrusts_is_unknown_and_not_clean(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    found = environment.checkout(checkout)
    assert (found.commit, found.dirty) == ("unknown", None)
    assert "dubious ownership" in found.why


def test_versions_are_those_installed() -> None:
    versions = environment.versions()
    assert versions["python"] == ".".join(map(str, sys.version_info[:3]))
    assert versions["numpy"] == metadata.version("numpy")


def test_the_command_line_can_be_pasted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/home/someone/bin/research", "run", "ae", "--x", "a b"])
    assert environment.argv() == "research run ae --x 'a b'"
