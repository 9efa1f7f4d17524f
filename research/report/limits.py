"""Limits of a build: whatever a write-up says, it ends soon and says where it went too far.

Letters are counted, so that a text that builds on one machine builds on every other. What escapes
the counting is caught by the computing time and the memory of the whole.
"""

import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from research.errors import UserError

LENGTH = 400_000
"""letters of a text; a paper has about 15,000"""
WORD = 1000
"""letters without a space between them"""
SECONDS = 240
"""Seconds of computing for a build; ours take about ten."""
MEMORY = 4 << 30
"""Bytes of address space for a build, beyond what is in use before."""


class TooMuch(UserError):  # noqa: N818 - a user's mistake, told like any other
    """A write-up that asks for more than a paper can hold."""


def check_text(text: str) -> None:
    """Raises TooMuch where a text is longer than any paper, or has a word that no line can hold."""
    if len(text) > LENGTH:
        raise TooMuch(
            f"the text has {len(text):,} letters, a paper of three pages has about 15,000"
        )
    for word in re.finditer(rf"\S{{{WORD},}}", text):
        raise TooMuch(f"'{word[0][:20]}' is the beginning of a word of {len(word[0]):,} letters")


@contextmanager
def within(seconds: int = SECONDS, memory: int = MEMORY) -> Iterator[None]:
    """Ends a build that takes longer or more room, where the system can tell.

    Raises:
        TooMuch: it did.
    """
    try:
        with _timed(seconds), _fenced(memory):
            yield
    except MemoryError:
        raise TooMuch(f"the build takes more than {memory >> 30} GiB of memory") from None


@contextmanager
def _timed(seconds: int) -> Iterator[None]:
    """By the time of computing, which does not depend on what else the machine does."""
    if threading.current_thread() is not threading.main_thread() or not hasattr(
        signal, "setitimer"
    ):
        yield
        return

    def late(number: int, frame: FrameType | None) -> None:
        raise TooMuch(f"the build takes more than {seconds} s of computing")

    former = signal.signal(signal.SIGVTALRM, late)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, former)


@contextmanager
def _fenced(memory: int) -> Iterator[None]:
    try:
        import resource
    except ImportError:  # not on Windows
        yield
        return
    import psutil

    former = resource.getrlimit(resource.RLIMIT_AS)
    ceiling = psutil.Process().memory_info().vms + memory
    if former[1] != resource.RLIM_INFINITY:
        ceiling = min(ceiling, former[1])
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (ceiling, former[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, former)
