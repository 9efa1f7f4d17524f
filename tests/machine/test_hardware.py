"""Facts about the machine, against other ways of asking for them."""

import getpass
import os
import platform
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from research.errors import UserError
from research.machine import hardware
from research.paths import ROOT


def test_the_facts_name_no_host_and_no_user() -> None:
    facts = hardware.facts()
    assert 1 <= facts["cores"] <= (os.cpu_count() or 1)
    assert facts["memory_gib"] == pytest.approx(psutil.virtual_memory().total / 2**30, abs=0.06)
    words = str(facts).split("'")
    assert platform.node() not in words and getpass.getuser() not in words


def test_peak_memory_sees_what_was_held_and_let_go() -> None:
    code = """
from research.machine.hardware import peak_memory
before = peak_memory()
block = bytearray(b"x" * 300_000_000)
del block
print(peak_memory() - before)
"""
    root = str(ROOT)
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    assert 290e6 < int(done.stdout) < 700e6


def test_the_load_is_within_its_ranges() -> None:
    reading = hardware.Meter().read()
    assert 0 <= reading["system/cpu_utilization_percentage"] <= 100
    total = psutil.virtual_memory().total / 1e6
    own = reading["system/process_memory_usage_megabytes"]
    assert 0 < own < reading["system/system_memory_usage_megabytes"] * 2 < 2 * total
    assert own == pytest.approx(psutil.Process().memory_info().rss / 1e6, rel=0.2)


class FakeMemory:
    total, used = 80_000_000_000, 20_000_000_000


class FakeNvml:
    """One whole GPU and one that is partitioned, which does not tell its utilisation."""

    class NVMLError(Exception): ...

    def nvmlDeviceGetName(self, handle: int) -> bytes:  # noqa: N802
        return b"GPU %d" % handle

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> type[FakeMemory]:  # noqa: N802
        return FakeMemory

    def nvmlDeviceGetUtilizationRates(self, handle: int) -> object:  # noqa: N802
        if handle == 1:
            raise self.NVMLError
        return type("Rates", (), {"gpu": 55})


def test_each_gpu_is_read_under_mlflows_names(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus = hardware.Gpus()
    monkeypatch.setattr(gpus, "_handles", [0, 1])
    monkeypatch.setattr(gpus, "_nvml", FakeNvml(), raising=False)
    assert gpus.names() == ["GPU 0", "GPU 1"]
    assert gpus.read() == {
        "system/gpu_0_memory_usage_megabytes": 20_000.0,
        "system/gpu_0_memory_usage_percentage": 25.0,
        "system/gpu_0_utilization_percentage": 55.0,
        "system/gpu_1_memory_usage_megabytes": 20_000.0,
        "system/gpu_1_memory_usage_percentage": 25.0,
    }


def test_what_a_run_has_used_adds_up_over_its_parts() -> None:
    former = {"wall_seconds": 3600.0, "peak_mib": 1e9, "peak_device_mib": 7.0}
    used = hardware.compute("cuda (Some GPU)", 1800.0, former)
    assert used["wall_seconds"] == 5400.0 and used["device_hours"] == 1.5
    assert used["peak_mib"] == 1e9 and used["peak_device_mib"] == 7.0
    assert used["hardware"].startswith("Some GPU; ")
    alone = hardware.compute("cpu", 1.0, {})
    own = psutil.Process().memory_info().rss / 2**20
    assert alone["peak_mib"] >= 0.9 * own
    assert "peak_device_mib" not in alone and ";" not in alone["hardware"]


def test_memory_that_is_not_there_is_refused_by_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "available_memory", lambda: 2_000_000_000)
    hardware.require_memory(2e9, "a thing", "do less")
    with pytest.raises(UserError) as refused:
        hardware.require_memory(3.21e9, "a thing", "do less")
    assert str(refused.value) == (
        "a thing must fit into the memory: it takes about 3.2 GB, 2.0 GB are available; do less"
    )


def test_available_memory_ends_where_the_control_group_does(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    free = psutil.virtual_memory().available
    assert 0.5 * free < hardware.available_memory() < 2 * free
    group = {"max": "1000000", "current": "600000", "stat": "anon 5\ninactive_file 50000\n"}
    for name, text in group.items():
        (tmp_path / f"memory.{name}").write_text(text)
    monkeypatch.setattr(hardware, "GROUP", tmp_path)
    assert hardware.available_memory() == 450_000
    (tmp_path / "memory.max").write_text("max\n")
    assert hardware.available_memory() > 1_000_000
