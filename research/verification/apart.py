"""Work on a stranger's file in a process of its own, with limits on time and memory.

A library that is given a hostile file may take all memory, never come back or bring its process
down. In a child process that costs one verdict and none of the others.
"""

import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Generic, TypeVar

from research.errors import UserError

SECONDS = 12
"""Seconds of computing for one file; a paper of ours takes about one."""
WALL = 90
"""Seconds by the clock for one file, on a machine that has other things to do."""
MEMORY = 1 << 30
"""Bytes of address space for one file, beyond what is in use before."""
JOBS = 4
"""Files at a time at most."""

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Outcome(Generic[R]):
    """What came of one file: a result, or why there is none; a user's mistake is `mistaken`."""

    result: R | None = None
    reason: str = ""
    mistaken: bool = False


@dataclass
class _Child:
    place: int
    process: BaseProcess
    pipe: Connection


def each(work: Callable[[T], R], things: Sequence[T]) -> list[Outcome[R]]:
    """The outcomes of some work on each thing, in order.

    Arguments:
        work: a function of a module, where processes are not forked but started anew.
    """
    outcomes: list[Outcome[R]] = [Outcome()] * len(things)
    waiting, running = list(range(len(things)))[::-1], list[_Child]()
    try:
        while waiting or running:
            while waiting and len(running) < min(JOBS, os.cpu_count() or 1):
                place = waiting.pop()
                running.append(_started(work, things[place], place))
            for child in list(_ended(running)):
                outcomes[child.place] = _outcome(child)
                running.remove(child)
    finally:
        for child in running:
            child.process.kill()
    return outcomes


def run(work: Callable[[T], R], thing: T) -> Outcome[R]:
    """The outcome of some work on one thing."""
    return each(work, [thing])[0]


def _started(work: Callable[[T], R], thing: T, place: int) -> _Child:
    # forked, it has what this process has loaded; macOS' own libraries do not bear that
    context: Any = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    receive, send = context.Pipe(duplex=False)
    limits = (SECONDS, MEMORY, WALL)
    process = context.Process(target=_inside, args=(send, work, thing, limits), daemon=True)
    process.start()
    send.close()
    return _Child(place, process, receive)


def _inside(send: Connection, work: Callable[[T], R], thing: T, limits: tuple[int, ...]) -> None:
    _limit(*limits)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # libraries' last words
    try:
        outcome = Outcome(result=work(thing))
    except MemoryError:
        outcome = Outcome(reason=_too_large())
    except UserError as error:
        outcome = Outcome(reason=str(error), mistaken=True)
    send.send(outcome)


def _limit(seconds: int, memory: int, wall: int) -> None:
    """As far as the system can promise it; the alarm ends a process that only waits."""
    try:
        import resource
        import signal
    except ImportError:  # not on Windows
        return
    import psutil

    signal.alarm(wall)
    for kind, most in (
        (resource.RLIMIT_CPU, int(sum(os.times()[:2])) + seconds),
        # libraries that are loaded take gigabytes of it; at less than that nothing more can be had
        (resource.RLIMIT_AS, psutil.Process().memory_info().vms + memory),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(kind)[1]
        with suppress(ValueError, OSError):
            ceiling = most if hard == resource.RLIM_INFINITY else min(most, hard)
            resource.setrlimit(kind, (ceiling, hard))


def _ended(running: Sequence[_Child]) -> Iterator[_Child]:
    """The children that have said something or are no more; waits for one."""
    ready = wait([child.pipe for child in running])
    yield from (child for child in running if child.pipe in ready)


def _outcome(child: _Child) -> Outcome[Any]:
    try:
        outcome: Outcome[Any] = child.pipe.recv()
    except (EOFError, OSError):
        child.process.join()
        return Outcome(reason=_end_of(child.process.exitcode or 0))
    finally:
        child.pipe.close()
    child.process.join()
    return outcome


def _end_of(code: int) -> str:
    import signal

    late = {-getattr(signal, name, 0) for name in ("SIGXCPU", "SIGALRM")}
    if code in late and code:
        return f"reading it takes more than {SECONDS} s"
    if code == -getattr(signal, "SIGABRT", 0) or code == -9:
        return _too_large()
    return f"reading it ends in a crash (exit status {code})"


def _too_large() -> str:
    return f"reading it takes more than {MEMORY >> 20:,} MiB"
