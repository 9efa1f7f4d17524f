"""The machine a run used: its facts, and its load from second to second."""

import math
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from research.errors import UserError

MEGABYTE = 1e6
GROUP = Path("/sys/fs/cgroup")
"""where Linux tells a container its limits"""


def facts() -> dict[str, Any]:
    """CPU model, cores open to this process, memory in GiB, GPU names; no host, no user."""
    return {
        "cpu": _cpu_model(),
        "cores": cores(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "gpus": Gpus().names(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def peak_memory() -> int:
    """Bytes: the most main memory that this process has held at once."""
    status = Path("/proc/self/status")
    if status.exists():
        # Unlike getrusage, this does not count the parent process's peak from before the exec.
        line = next(
            row
            for row in status.read_text(encoding="utf-8").splitlines()
            if row.startswith("VmHWM")
        )
        return int(line.split()[1]) * 1024
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def available_memory() -> int:
    """Bytes of main memory that this process may still take, within its control group too."""
    free = [psutil.virtual_memory().available]
    try:
        most, used = (
            int((GROUP / f"memory.{name}").read_text(encoding="ascii"))
            for name in ("max", "current")
        )
        # what was read from files counts as used, and gives way
        kept = dict(
            row.split() for row in (GROUP / "memory.stat").read_text(encoding="ascii").splitlines()
        )
        free.append(most - used + int(kept["inactive_file"]))
    except (OSError, ValueError, KeyError):  # "max" is no number: no limit
        pass
    return max(0, min(free))


def require_memory(needed: float, what: str, cure: str) -> None:
    """Raises UserError unless so many bytes are available: what needs them, and what to do.

    Asked for before they are taken: the system ends a process that takes too many without a word.
    """
    free = available_memory()
    if needed > free:
        raise UserError(
            f"{what} must fit into the memory: it takes about {needed / 1e9:.1f} GB, "
            f"{free / 1e9:.1f} GB are available; {cure}"
        )


def peak_device_memory() -> int:
    """Bytes: the most memory that PyTorch has held on a GPU; 0 where it used none."""
    torch = sys.modules.get("torch")  # a run that has not imported it has not used it
    if torch is None or not torch.cuda.is_initialized():
        return 0
    return max(int(torch.cuda.max_memory_allocated(i)) for i in range(torch.cuda.device_count()))


def compute(device: str, seconds: float, former: Mapping[str, Any]) -> dict[str, Any]:
    """What a run has used, with what it had used before it was interrupted.

    Arguments:
        device: `cpu`, or the accelerator with its product name.
        seconds: wall time of this process's part.

    Returns:
        hardware in words, wall_seconds, device_hours (wall time on the run's one device),
        threads of PyTorch at the end, workers if several trained at once, peak_mib of this process,
        and peak_device_mib where a GPU was used.
    """
    machine, wall = facts(), former.get("wall_seconds", 0.0) + seconds
    gpu = f"{device.partition('(')[2].rstrip(')')}; " if "(" in device else ""
    peaks = {"peak_mib": peak_memory() / 2**20, "peak_device_mib": peak_device_memory() / 2**20}
    highest = {name: max(value, former.get(name, 0.0)) for name, value in peaks.items()}
    memory = f"{machine['cores']} cores, {machine['memory_gib']} GiB"
    torch = sys.modules.get("torch")
    return {
        **({"threads": int(torch.get_num_threads())} if torch else {}),
        **{name: former[name] for name in ("workers",) if name in former},
        "hardware": f"{gpu}{' '.join(machine['cpu'].split())}, {memory}",
        "wall_seconds": wall,
        "device_hours": wall / 3600,
        **{name: value for name, value in highest.items() if value},
    }


class Meter:
    """Reads the load of the machine under the names that MLflow's system metrics have."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._gpus = Gpus()

    def read(self) -> dict[str, float]:
        """The load now; the CPU's in percent since the last reading, or the start."""
        memory = psutil.virtual_memory()
        return {
            "system/cpu_utilization_percentage": psutil.cpu_percent(),
            "system/system_memory_usage_megabytes": (memory.total - memory.available) / MEGABYTE,
            "system/system_memory_usage_percentage": memory.percent,
            "system/process_memory_usage_megabytes": self._process.memory_info().rss / MEGABYTE,
            **self._gpus.read(),
        }


class Gpus:
    """NVIDIA's GPUs through their management library; none where it or its driver is missing."""

    def __init__(self) -> None:
        self._handles: list[Any] = []
        try:
            import pynvml
        except ImportError:
            return
        try:
            pynvml.nvmlInit()
            count = pynvml.nvmlDeviceGetCount()
            self._handles = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(count)]
        except pynvml.NVMLError:
            return
        self._nvml = pynvml

    def names(self) -> list[str]:
        return [_text(self._nvml.nvmlDeviceGetName(handle)) for handle in self._handles]

    def read(self) -> dict[str, float]:
        values: dict[str, float] = {}
        for index, handle in enumerate(self._handles):
            for name, value in self._read_one(handle).items():
                values[f"system/gpu_{index}_{name}"] = value
        return values

    def _read_one(self, handle: Any) -> dict[str, float]:
        values: dict[str, float] = {}
        try:
            memory = self._nvml.nvmlDeviceGetMemoryInfo(handle)
            values["memory_usage_megabytes"] = memory.used / MEGABYTE
            values["memory_usage_percentage"] = 100 * memory.used / memory.total
            rates = self._nvml.nvmlDeviceGetUtilizationRates(handle)
            values["utilization_percentage"] = float(rates.gpu)
        except self._nvml.NVMLError:
            pass  # a partitioned GPU does not tell its utilisation
        return values


def _cpu_model() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    if sys.platform == "darwin":
        command = ["sysctl", "-n", "machdep.cpu.brand_string"]
        done = subprocess.run(command, capture_output=True, check=False)
        return done.stdout.decode("utf-8", "replace").strip()
    return platform.processor() or platform.machine()


def cores() -> int:
    """The processor's cores that are open to this process."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def granted_cores() -> int:
    """How many cores this process may keep busy: a container may see more than its share."""
    try:
        quota, period = map(float, (GROUP / "cpu.max").read_text(encoding="ascii").split())
    except (OSError, ValueError):  # "max" is no number: no limit
        return cores()
    return max(1, min(cores(), math.ceil(quota / period)))


def _text(name: str | bytes) -> str:
    return name.decode() if isinstance(name, bytes) else name
