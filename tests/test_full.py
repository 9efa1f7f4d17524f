"""docs/full.py: what `make full` runs, and what it does at a time limit."""

import sys
import time
from pathlib import Path
from types import ModuleType

import pytest

from research import studies
from tests.scripts import script


@pytest.fixture(scope="module")
def full() -> ModuleType:
    return script("full")


def test_every_study_has_a_size(full: ModuleType) -> None:
    assert set(full.sizes()) == {entry.slug for entry in studies.own()}


def test_a_gpu_gets_the_full_size_and_a_cpu_what_fits(full: ModuleType) -> None:
    size = full.Size("--data.name folder", "--width 0.5", 1)
    called = full.command("vgg", size, "cuda", "2")
    assert called[3:] == [
        "run", "vgg", "--preset", "full", "--data.name", "folder", "--train.device", "cuda",
        "--jobs", "2",
    ]  # fmt: skip
    assert full.command("vgg", size, "cpu", "2")[-2:] == ["--width", "0.5"]


def test_a_command_is_ended_at_its_limit(full: ModuleType) -> None:
    start = time.monotonic()
    asleep = [sys.executable, "-c", "import time; time.sleep(60)"]
    assert full.run(asleep, 0.2) == "stopped at its time limit"
    assert time.monotonic() - start < 30
    assert full.run([sys.executable, "-c", ""], 60) == "finished"
    assert full.run([sys.executable, "-c", "raise SystemExit(3)"], 60) == "failed with exit code 3"


def test_every_nth_image_of_each_class_is_taken(full: ModuleType, tmp_path: Path) -> None:
    for group in ("train/cat", "train/dog", "test/cat", "test/dog"):
        (tmp_path / "set" / group).mkdir(parents=True)
        for number in range(7):
            (tmp_path / "set" / group / f"{number}.jpg").write_text(f"{group} {number}")
    full.thin(tmp_path / "set-part3")
    found = sorted(path.relative_to(tmp_path) for path in (tmp_path / "set-part3").glob("*/*/*"))
    assert [path.name for path in found] == ["0.jpg", "3.jpg", "6.jpg"] * 4
    assert (tmp_path / found[-1]).read_text() == "train/dog 6"
    for word in ("0", "--seeds", "part3", "set-party"):
        full.thin(Path(word))
        assert not Path(word).exists()


def test_a_study_that_is_not_there_is_told(
    full: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["full.py", "mpl"])
    assert full.main() == 2
    assert "got mpl" in capsys.readouterr().err
