"""Whether the process behind a run still exists.

A run holds an operating system's lock on a file for as long as it lives. The kernel lets go of it
however the process ends, SIGKILL included, so a run whose lock is free is dead.
"""

import time
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock, Timeout

SILENCE = 120.0
"""Seconds without a sign of life after which a run that cannot be asked counts as dead."""


def is_alive(lock: Path, last_sign: Callable[[], float]) -> bool:
    """Whether a process holds the lock.

    Args:
        lock: the file; a run that never had one here, as in a copied store, is dead.
        last_sign: seconds since 1970 of the run's last sign of life, which decides on file
            systems that know no locks or may not be written.
    """
    if not lock.exists():
        return False
    try:
        with FileLock(lock, timeout=0):
            return False
    except Timeout:
        return True
    except (OSError, NotImplementedError):
        return time.time() - last_sign() < SILENCE


def last_write(path: Path) -> float:
    """Seconds since 1970; 0 for a file that is not there."""
    return path.stat().st_mtime if path.exists() else 0.0
