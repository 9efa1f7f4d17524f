"""A page that follows the sources: what browsers are told, and when."""

import json
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from research.cli import preview
from research.errors import UserError
from research.paths import TEMPLATES
from research.records import Results
from research.report import shown
from tests.samples import SAMPLE


@contextmanager
def followed(page: preview.Page, folder: Path, **given: Any) -> Iterator[None]:
    stop = threading.Event()
    ways = (page, [folder], [folder / "ae.pdf"], given["show"], given["build"], stop)
    thread = threading.Thread(target=preview.follow, args=ways)
    thread.start()
    yield
    stop.set()
    thread.join(10)
    assert not thread.is_alive()


def until(page: preview.Page, version: int, mistake: str = "") -> None:
    with page.changed:
        done = page.changed.wait_for(
            lambda: page.version == version and mistake in page.mistake, 20
        )
    assert done, page.state()


def states(address: str, count: int) -> list[dict[str, Any]]:
    """What a browser is told first."""
    with urllib.request.urlopen(f"{address}changes", timeout=20) as stream:
        lines = (line.decode() for line in stream if line.strip())
        return [json.loads(next(lines).removeprefix("data: ")) for _ in range(count)]


def test_saving_writes_the_page_again_and_tells_browsers(tmp_path: Path) -> None:
    source, built = tmp_path / "ae.md", list[str]()
    source.write_text("one")

    def show() -> str:
        if "wrong" in source.read_text():
            raise UserError("ae.md:1: it is wrong")
        return f"<html><body>{source.read_text()}</body></html>"

    def build() -> str:
        (tmp_path / "ae.pdf").write_text("what is written is no change")
        built.append(source.read_text())
        return "built"

    page = preview.Page("// script")
    with preview.serving(page) as address, followed(page, tmp_path, show=show, build=build):
        until(page, 1)
        body = urllib.request.urlopen(address, timeout=20).read().decode()
        assert body == "<html><body>one<script>const VERSION = 1;\n// script</script></body></html>"
        source.write_text("two")
        until(page, 2)
        assert states(address, 1) == [{"version": 2, "mistake": ""}]
        source.write_text("wrong")
        until(page, 2, "it is wrong")
        assert "two" in urllib.request.urlopen(address, timeout=20).read().decode()
        assert states(address, 1) == [{"version": 2, "mistake": "ae.md:1: it is wrong"}]
        source.write_text("three")
        until(page, 3)
    assert built == ["one", "two", "three"]


def test_a_browser_that_waits_is_told_at_once() -> None:
    page = preview.Page()
    with preview.serving(page) as address:
        threading.Timer(0.5, page.show, ["<html></html>"]).start()
        assert [one["version"] for one in states(address, 2)] == [0, 1]


def test_a_port_that_is_taken_is_a_users_mistake() -> None:
    page = preview.Page()
    with preview.serving(page) as address, pytest.raises(UserError, match="cannot be served on"):
        port = int(address.rstrip("/").rpartition(":")[2])
        with preview.serving(page, port):
            pass


def test_the_page_is_the_paper_on_a_screen(record: Results) -> None:
    page = shown(record, SAMPLE / "ae.md", author=SAMPLE / "author.toml", templates=TEMPLATES)
    assert '<body class="screen">' in page and 'id="fig-maps"' in page and "References" in page
