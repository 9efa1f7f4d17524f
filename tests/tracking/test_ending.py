"""Statuses and signals."""

import os
import signal

import pytest

from research.tracking.ending import Terminated, status_of, terminable, undisturbed


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (None, "FINISHED"),
        (SystemExit(0), "FAILED"),
        (SystemExit(None), "FAILED"),
        (SystemExit(3), "FAILED"),
        (SystemExit("a message"), "FAILED"),
        (ValueError(), "FAILED"),
        (KeyboardInterrupt(), "KILLED"),
        (Terminated(143), "KILLED"),
    ],
)
def test_what_an_exception_makes_of_a_run(error: BaseException | None, status: str) -> None:
    assert status_of(error) == status


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_process_with_the_code_of_the_shell(number: signal.Signals) -> None:
    with pytest.raises(Terminated) as caught, terminable():
        os.kill(os.getpid(), number)
    assert caught.value.code == 128 + number
    assert signal.getsignal(number) is signal.SIG_DFL


def test_an_ignored_signal_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with terminable():
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_signals_wait_while_a_run_is_saved() -> None:
    saved = False
    with pytest.raises(KeyboardInterrupt), undisturbed():
        os.kill(os.getpid(), signal.SIGINT)
        saved = True
    assert saved
