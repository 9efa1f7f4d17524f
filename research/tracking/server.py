"""MLflow's UI on this machine."""

import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO

from research.errors import UserError
from research.tracking import database, guard, views
from research.tracking.ending import terminable
from research.tracking.local import LocalStore
from research.tracking.remote import RemoteStore
from research.tracking.store import open_store

POLL = 0.5
"""Seconds between two looks whether the server answers."""

EXCHANGE = 2.0
"""Seconds between two looks at what was deleted in the browser and which runs have died."""


def serve(host: str = "127.0.0.1", port: int = 5000) -> None:
    """Shows the local store in a browser until Ctrl-C; prints the address once it answers.

    Raises:
        UserError: where the port is taken, the server does not start, or runs are kept elsewhere.
    """
    store = open_store()
    if isinstance(store, RemoteStore):
        raise UserError(f"the runs are kept by a server that has its own UI: open {store.uri}")
    if not isinstance(store, LocalStore):
        raise UserError("a folder has no UI: bring its runs into MLflow first with research sync")
    store.settle()
    _check_free(host, port)
    with (
        terminable(),
        tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output,
        _server(store, host, port, output) as server,
    ):
        # in a thread, for in the main one MLflow might swallow a Ctrl-C
        at = f"http://{host}:{port}"
        threading.Thread(target=_exchange, args=(store, at), daemon=True).start()
        print(f"MLflow is at {at}{views.START} (Ctrl-C ends it)", flush=True)
        try:
            while server.poll() is None:
                time.sleep(POLL)
        except KeyboardInterrupt:
            print()
        else:
            raise UserError(f"MLflow's server must go on, but ended with: {_last_line(output)}")


def _exchange(store: LocalStore, at: str) -> None:
    told = ""
    while database.is_writable(store.path):
        with suppress(UserError, OSError):  # it is busy: the next time will do
            store.exchange()
            newest = next((run for run in store.runs() if run.status == "FINISHED"), None)
            if newest and newest.id != told and (prepared := store.prepared(newest)):
                print(f"the curves of the newest run: {at}{prepared}", flush=True)
                told = newest.id
        time.sleep(EXCHANGE)


@contextmanager
def _server(
    store: LocalStore, host: str, port: int, output: IO[str]
) -> Iterator["subprocess.Popen[bytes]"]:
    """The server with its workers, from when it answers until the block ends.

    A guard stands between, which ends them all when this process ends, however that is.
    """
    if not store.path.exists():
        store.client  # noqa: B018  creates the tables in turn with runs that start meanwhile
    command = [sys.executable, guard.__file__]
    command += [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", store.uri]
    command += ["--default-artifact-root", store.artifacts.as_uri()]
    command += ["--host", host, "--port", str(port), "--workers", "1"]
    quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    # In a session of its own, Ctrl-C reaches this process alone, which then ends the server.
    with store.tidy():
        server = subprocess.Popen(
            command,
            env=os.environ | quiet,
            cwd=store.path.parent,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            while not _answers(f"http://{host}:{port}/health"):
                if server.poll() is not None:
                    raise UserError(f"MLflow's server must start, but ended: {_last_line(output)}")
                time.sleep(POLL)
            yield server
        finally:
            _end(server)


def _last_line(output: IO[str]) -> str:
    output.seek(0)
    return (output.read().strip().splitlines() or ["no message"])[-1]


def _check_free(host: str, port: int) -> None:
    with socket.socket() as probe:
        # As servers do: a port whose last connections are still fading out is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, OverflowError) as error:
            raise UserError(
                f"a free port is required, but {host}:{port} cannot be used ({error}); choose "
                f"another with --port"
            ) from None


def _answers(url: str) -> bool:
    directly = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # no proxy is asked
    try:
        with directly.open(url, timeout=2) as reply:
            return bool(reply.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _end(server: "subprocess.Popen[bytes]") -> None:
    """Lets the guard end the server; where it does not, ends both."""
    assert server.stdin
    with suppress(OSError):
        server.stdin.close()
    with suppress(subprocess.TimeoutExpired):
        server.wait(guard.PATIENCE + 5)
    guard.end_group(server.pid)  # what is left of it, where the guard was killed too
    server.wait()
