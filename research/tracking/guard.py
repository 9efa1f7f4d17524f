"""Runs a command that ends with the process that started it, however that one ends.

    python guard.py COMMAND …

Its standard input is a pipe that the starter holds. The kernel closes it when the starter is gone,
SIGKILL included; then the whole process group is ended, workers and all. A file of its own without
imports of the project, for it has to be there at once.
"""

import contextlib
import os
import select
import signal
import subprocess
import sys
import time

POLL = 0.5
"""Seconds between two looks whether the command has ended."""

PATIENCE = 5.0
"""Seconds that the command has to end by itself."""


def main(command: list[str]) -> int:
    """Runs the command to its end or the starter's; its exit code."""
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, lambda *_: None)  # what ends the group must not end this
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    while child.poll() is None:
        if select.select([0], [], [], POLL)[0] and not os.read(0, 1):
            break
    ended = child.poll()
    os.killpg(0, signal.SIGTERM)
    deadline = time.monotonic() + PATIENCE
    while child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    if child.poll() is None or ended is None:
        end_group(os.getpgid(0))
    return child.returncode if ended is None else ended


def end_group(group: int) -> None:
    """Ends a process group at once, this process too where it is of it."""
    with contextlib.suppress(OSError):  # nobody is left in it
        os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
