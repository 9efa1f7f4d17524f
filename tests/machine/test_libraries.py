"""What pip cannot install, as a machine without it would show."""

import ctypes
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from research.machine import libraries

ROOT = Path(libraries.__file__).parents[2]
SYSTEMS = ("apt-get install", "dnf install", "brew install", "conda-forge")


def hide(monkeypatch: pytest.MonkeyPatch, *parts: str) -> None:
    """Libraries with these parts in their names cannot be opened, as where they are missing."""
    opened = ctypes.CDLL

    def missing(name: str, *args: Any, **more: Any) -> ctypes.CDLL:
        if any(part in name for part in parts):
            raise OSError(f"{name}: cannot open shared object file")
        return opened(name, *args, **more)

    monkeypatch.setattr(ctypes, "CDLL", missing)


def hide_module(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name in names else found(name)
    )


def test_nothing_is_missing_where_papers_are_built() -> None:
    assert libraries.missing() == "" and libraries.without_venv() == ""


@pytest.mark.parametrize(
    ("parts", "named"),
    [
        (["pango"], "Pango cannot be opened"),
        (["pangoft2"], "Pango cannot be opened"),
        (["gobject"], "GLib cannot be opened"),
        (["pango", "fontconfig"], "Pango, fontconfig cannot be opened"),
    ],
)
def test_what_is_missing_is_one_line_with_each_systems_command(
    parts: list[str], named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hide(monkeypatch, *parts)
    line = libraries.missing()
    assert named in line and "\n" not in line
    assert all(system in line for system in SYSTEMS)


def test_an_old_pango_is_not_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libraries, "OLDEST_PANGO", (9, 5))
    assert re.search(r"version 9\.5 or newer, got 1\.\d+: install", libraries.missing())


def test_a_library_is_found_under_the_linkers_name_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes.util, "find_library", {"short": "libc.so.6"}.get)
    assert libraries._opened(("short", "libnone.so.0", "libnone.dylib")) is not None
    assert libraries._opened(("other", "libnone.so.0", "libnone.dylib")) is None


def test_harfbuzz_subset_alone_is_no_reason_to_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    hide(monkeypatch, "harfbuzz-subset")
    assert not libraries.subsets() and libraries.missing() == ""


@pytest.mark.parametrize("module", ["venv", "ensurepip"])
def test_a_python_without_venv_is_told_with_its_version(
    module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hide_module(monkeypatch, module)
    line = libraries.without_venv()
    package = f"python{sys.version_info[0]}.{sys.version_info[1]}-venv"
    assert package in line and "\n" not in line
    assert all(system in line for system in SYSTEMS)


def test_pango_stops_make_only_where_a_pdf_is_built(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hide(monkeypatch, "pango")
    assert libraries.main(pdf=True) == 2
    assert libraries.main(pdf=False) == 0
    told = capsys.readouterr().err.splitlines()
    assert told == [libraries.missing()] * 2
    hide_module(monkeypatch, "ensurepip")
    assert libraries.main(pdf=False) == 2


def test_the_look_needs_no_package_and_no_checkout(tmp_path: Path) -> None:
    """As `make setup` calls it: a bare Python, which has only this file."""
    script = tmp_path / "libraries.py"
    script.write_bytes(Path(libraries.__file__).read_bytes())
    done = subprocess.run(
        [sys.executable, "-I", "-S", script, "--pdf"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("goal", ["setup", "report-ae", "final-ae", "anonymous-ae", "test"])
def test_make_looks_before_it_installs(goal: str, tmp_path: Path) -> None:
    """A stand-in for Python tells what it was asked for, and finds that Pango is missing."""
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho "asked: $*"\ncase "$*" in *libraries.py*) exit 2;; esac\n')
    python.chmod(0o755)
    told = make(goal, tmp_path, python)
    asked = [line for line in told.stdout.splitlines() if line.startswith("asked: -I")]
    assert asked == ["asked: -I research/machine/libraries.py --pdf"]
    assert told.returncode == 2 and "-m venv" not in told.stdout


@pytest.mark.parametrize("goal", ["run-ae", "studies", "check"])
def test_make_asks_no_pango_of_who_builds_no_pdf(goal: str, tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho "asked: $*"\ncase "$*" in *venv*) exit 3;; esac\n')
    python.chmod(0o755)
    told = make(goal, tmp_path, python).stdout.splitlines()
    assert "asked: -I research/machine/libraries.py" in [line.rstrip() for line in told]


def test_make_names_a_python_that_is_not_there(tmp_path: Path) -> None:
    told = make("setup", tmp_path, tmp_path / "none")
    assert told.returncode == 2
    assert "Python 3.11 to 3.13 is required, got no " in told.stderr


def make(goal: str, folder: Path, python: Path) -> "subprocess.CompletedProcess[str]":
    venv = f"VENV={folder / 'venv'}"
    without = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    return subprocess.run(
        ["make", goal, f"PYTHON={python}", venv],
        cwd=ROOT, env=without, capture_output=True, text=True, check=False,
    )  # fmt: skip


def packages(text: str) -> set[str]:
    found = re.search(r"apt-get install ([^#>;()\n]*)", text)
    assert found
    return {word for word in found[1].split() if not word.startswith("-")}


def test_ci_tests_with_what_the_readme_tells_to_install_and_nothing_else() -> None:
    readme, ci = ((ROOT / name).read_text() for name in ("README.md", ".ci/run"))
    ci, _, services = ci.partition("make test-long\n")  # what services need comes after that
    assert "\nmake test\n" in ci and "make test-service" in services
    told = packages(readme)
    assert packages(ci) == told
    assert ci.count(" install ") == 1
    assert packages(libraries.COMMANDS["Debian, Ubuntu"]) <= told
    for system in ("Fedora", "macOS"):
        tool, *named = libraries.COMMANDS[system].removeprefix("sudo ").split()
        line = re.search(rf"{tool} install ([^#\n]*)", readme)
        assert line and set(named[1:]) <= set(line[1].split())
