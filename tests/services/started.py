"""Services that tests start themselves, on the loopback, and end: SLURM, PostgreSQL, S3, MLflow."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

PATIENCE = 900.0
"""Seconds that a service may take to answer on a busy machine."""


def find(*names: str, hint: str) -> dict[str, str]:
    """Where programs lie, by name; skips the test, with the reason, where one is missing."""
    found = {name: shutil.which(name) for name in names}
    if lacking := [name for name, path in found.items() if path is None]:
        pytest.skip(f"needs {', '.join(lacking)} ({hint})")
    return {name: path for name, path in found.items() if path}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def end_when_told() -> None:
    """From now on a pytest that is told to stop ends its services, as it does after Ctrl-C."""

    def stop(number: int, _: object) -> None:
        pytest.exit(f"told to stop by {signal.Signals(number).name}", 128 + number)

    signal.signal(signal.SIGTERM, stop)


def _ends_with_us() -> list[str]:
    """What is put before a command that must not outlive a pytest that is killed."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "TERM"] if setpriv else []


@contextlib.contextmanager
def running(
    command: Sequence[str], log: Path, env: dict[str, str] | None = None
) -> Iterator["subprocess.Popen[bytes]"]:
    """A program in a session of its own, which is ended with all that it started."""
    end_when_told()
    with log.open("ab") as out:
        process = subprocess.Popen(
            [*_ends_with_us(), *command], stdout=out, stderr=out, stdin=subprocess.DEVNULL,
            start_new_session=True, env=env if env is not None else dict(os.environ),
            cwd=log.parent,
        )  # fmt: skip
    try:
        yield process
    finally:
        end(process)


def end(process: "subprocess.Popen[bytes]") -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(OSError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(15)
            return


def wait_for(answers: Callable[[], bool], what: str, log: Path | None = None) -> None:
    """Fails the test where a service does not come up."""
    deadline = time.monotonic() + PATIENCE
    while not answers():
        if time.monotonic() > deadline:
            said = log.read_text(errors="replace")[-2000:] if log and log.exists() else ""
            pytest.fail(f"{what} did not come up: {said}")
        time.sleep(0.2)
