"""What tests start does not outlive them."""

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from research.paths import SOURCE

HOLDER = """
import sys, time
from pathlib import Path
from tests.services.started import running

with running(["sleep", "600"], Path(sys.argv[1])) as process:
    print(process.pid, flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
def test_a_service_ends_with_the_process_that_started_it(
    number: signal.Signals, tmp_path: Path
) -> None:
    if number == signal.SIGKILL and not shutil.which("setpriv"):
        pytest.skip("needs setpriv (Debian's util-linux)")
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "log")],
        cwd=SOURCE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    with holder:
        assert holder.stdout
        service = psutil.Process(int(holder.stdout.readline()))
        assert service.is_running()
        holder.send_signal(number)
        assert holder.wait(60) != 0
    deadline = time.monotonic() + 60
    while service.is_running() and service.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.05)
