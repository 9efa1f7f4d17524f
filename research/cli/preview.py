"""A page that reloads whenever the paper is written again: research report ae --watch."""

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from research.errors import UserError

BREATH = 15.0
"""Seconds after which a waiting browser is told the same again, so that a closed one is noticed."""


@dataclass
class Page:
    """What browsers are shown.

    Attributes:
        script: what the page runs to reload.
        version: counts how often it was written.
        mistake: why it could not be written again; empty where it could.
    """

    script: str = ""
    html: str = "<!DOCTYPE html><html lang=en><title>…</title><body>"
    version: int = 0
    mistake: str = ""
    changed: threading.Condition = field(default_factory=threading.Condition)

    def show(self, html: str) -> None:
        with self.changed:
            self.html, self.mistake, self.version = html, "", self.version + 1
            self.changed.notify_all()

    def complain(self, mistake: str) -> None:
        with self.changed:
            self.mistake = mistake
            self.changed.notify_all()

    def served(self) -> bytes:
        """The page with its script, as HTML in UTF-8."""
        with self.changed:
            code = f"<script>const VERSION = {self.version};\n{self.script}</script>"
            body, end, rest = self.html.rpartition("</body>")
            return (f"{body}{code}{end}{rest}" if end else self.html + code).encode()

    def state(self) -> str:
        return json.dumps({"version": self.version, "mistake": self.mistake})


@contextmanager
def serving(page: Page, port: int = 0) -> Iterator[str]:
    """Serves the page to this machine alone; its address.

    Raises:
        UserError: the port is taken.
    """
    try:
        server = ThreadingHTTPServer(("127.0.0.1", port), _handler(page))
    except OSError as error:
        raise UserError(f"port {port} cannot be served on: {error.strerror}") from None
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()


def _handler(page: Page) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/changes":
                self._tell()
            elif self.path == "/":
                self._send("text/html; charset=utf-8", page.served())
            else:
                self.send_error(404)

        def _send(self, kind: str, content: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            self.wfile.write(content)

        def _tell(self) -> None:
            """Server-sent events: the state now, and again whenever it changes."""
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            try:
                while True:
                    with page.changed:
                        state = page.state()
                    self.wfile.write(f"data: {state}\n\n".encode())
                    self.wfile.flush()
                    with page.changed:
                        page.changed.wait_for(lambda: page.state() != state, BREATH)  # noqa: B023
            except OSError:  # the browser has gone
                return

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing of each request."""

    return Handler


def follow(
    page: Page,
    folders: Sequence[Path],
    written: Sequence[Path],
    show: Callable[[], str],
    build: Callable[[], str],
    stop: threading.Event | None = None,
) -> None:
    """Writes the page, and the PDF behind it, now and on every change, until it is stopped.

    Arguments:
        folders: of the sources.
        written: what the build itself writes there.
        show: makes the page.
        build: makes the PDF; what it has to say of it.
    """
    from watchfiles import watch

    def counts(_: object, path: str) -> bool:
        name = Path(path).name
        return not name.startswith(".") and not name.endswith("~") and Path(path) not in written

    begun = False  # watched from the start, so that nothing is missed while the first one is made
    for changes in watch(
        *folders, watch_filter=counts, debounce=200, step=50, stop_event=stop,
        raise_interrupt=False, rust_timeout=200, yield_on_timeout=True,
    ):  # fmt: skip
        if changes or not begun:
            begun = True
            _again(page, show, build)


def _again(page: Page, show: Callable[[], str], build: Callable[[], str]) -> None:
    start = time.perf_counter()
    try:
        page.show(show())
        print(f"shown after {time.perf_counter() - start:.1f} s", flush=True)
        print(build(), flush=True)
    except UserError as error:
        page.complain(str(error))
        print(f"research: {error}", flush=True)
