"""What the UI starts ends with it, however it ends."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from research.tracking import guard

FAMILY = """
import subprocess, sys, time
inner = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
open(sys.argv[1], "w").write(str(inner.pid))
time.sleep(600)
"""
STARTER = """
import subprocess, sys, time
command = [sys.executable, sys.argv[1], sys.executable, "-c", sys.argv[2], sys.argv[3]]
subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
time.sleep(600)
"""


def soon(happened: Callable[[], bool]) -> bool:
    """Whether something comes about within a minute."""
    for _ in range(600):
        if happened():
            return True
        time.sleep(0.1)
    return False


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_family_ends_with_the_process_that_started_it(
    number: signal.Signals, tmp_path: Path
) -> None:
    told = tmp_path / "pid"
    command = [sys.executable, "-c", STARTER, guard.__file__, FAMILY, str(told)]
    starter = subprocess.Popen(command)
    assert soon(lambda: told.exists() and bool(told.read_text()))
    inner = int(told.read_text())
    assert not is_gone(inner)
    starter.send_signal(number)
    starter.wait()
    try:
        assert soon(lambda: is_gone(inner))
    finally:
        if not is_gone(inner):
            os.kill(inner, signal.SIGKILL)


def test_a_command_that_ends_by_itself_leaves_its_code() -> None:
    command = [sys.executable, guard.__file__, sys.executable, "-c", "raise SystemExit(3)"]
    started = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
    assert started.wait() == 3
    assert started.stdin
    started.stdin.close()
