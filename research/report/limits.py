"""Limits of a build: whatever a write-up says, it ends soon and says where it went too far.

Loops, calls and what they make are counted, so that a text that builds on one machine builds on
every other. What escapes the counting is caught by the computing time and the memory of the whole.
"""

import re
import signal
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from research.errors import UserError

STEPS = 200_000
"""Turns of loops, calls and thousands of letters made that a write-up may take; ours take 3,000."""
LENGTH = 100_000
"""Letters, or items of a list, that an expression may make; a paper has about 15,000 letters."""
BITS = 4096
"""of a whole number"""
WORD = 1000
"""letters without a space between them"""
SECONDS = 240
"""Seconds of computing for a build; ours take about ten."""
MEMORY = 4 << 30
"""Bytes of address space for a build, beyond what is in use before."""

_WIDTH = re.compile(r"\d{5}|\*")


class TooMuch(UserError):  # noqa: N818 - a user's mistake, told like any other
    """A write-up that asks for more than a paper can hold."""


def check_operation(operator: str, left: Any, right: Any) -> None:
    """Refuses what would take long before it has a length."""
    for one, other in ((left, right), (right, left)):
        if operator == "*" and isinstance(one, str | bytes | list | tuple):
            check_length(len(one) * other if isinstance(other, int) else 0)
    if operator == "%" and isinstance(left, str) and _WIDTH.search(left):
        raise TooMuch("a format is wider than a line")
    if isinstance(left, int) and isinstance(right, int) and operator in ("*", "**"):
        bits = left.bit_length() * right if operator == "**" else left.bit_length()
        if bits + (operator == "*") * right.bit_length() > BITS:
            raise TooMuch(f"a whole number has more than {BITS:,} bits")


def check_widths(given: Iterable[Any]) -> None:
    """Methods of strings and filters pad and repeat to a length, which nothing of ours needs."""
    for one in given:
        if isinstance(one, int) and abs(one) > LENGTH:
            raise TooMuch(f"{one:.0e} is longer than a filter or method may make a text")


def check_length(length: int) -> None:
    if length > LENGTH:
        raise TooMuch(f"an expression makes {length:,} letters or items, at most are {LENGTH:,}")


def check_text(text: str) -> None:
    """Raises TooMuch where a text is longer than any paper, or has a word that no line can hold."""
    if len(text) > 4 * LENGTH:
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
