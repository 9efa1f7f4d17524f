"""How a run ends: which signals stop it, and which status an exception stands for."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))


class Terminated(SystemExit):
    """A signal asked the process to end; it leaves with the shell's code, 128 + the signal."""


@contextmanager
def terminable() -> Iterator[None]:
    """Within the block SIGTERM and SIGHUP raise `Terminated`, as Ctrl-C raises KeyboardInterrupt.

    A signal that someone else handles, or ignores as `nohup` does, is left alone; so are all of
    them outside the main thread, where Python does not allow to set them.
    """
    ours = [s for s in SIGNALS if signal.getsignal(s) is signal.SIG_DFL]
    if threading.current_thread() is not threading.main_thread():
        ours = []
    for number in ours:
        signal.signal(number, _raise)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Within the block signals wait, so that a second Ctrl-C cannot tear what the first saves.

    Handlers are exchanged and not masked: any thread without the mask would still take a signal,
    and Python would still run the handler in the main one.
    """
    waiting: list[int] = []
    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, *SIGNALS):
            before[number] = signal.signal(number, lambda number, _: waiting.append(number))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for number in waiting:
            signal.raise_signal(number)


def status_of(error: BaseException | None) -> str:
    """FINISHED, FAILED or KILLED, for what left the block of a run."""
    if isinstance(error, KeyboardInterrupt | Terminated):
        return "KILLED"
    # whoever calls sys.exit() in the middle of a run has not come to its end, whatever the code
    return "FINISHED" if error is None else "FAILED"


def _raise(number: int, frame: FrameType | None) -> None:
    raise Terminated(128 + number)
