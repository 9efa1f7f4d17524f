"""Text is read and written as UTF-8, whatever the locale: no call may leave the choice to it."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import research

ROOT = Path(research.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
TEXT = {"read_text", "write_text", "TemporaryFile", "NamedTemporaryFile", "fdopen"}
OTHERS = {"Image", "pikepdf", "opener", "directly", "os", "webbrowser", "tarfile", "zipfile"}
"""What has an `open` that opens no text."""


def undecided(source: str) -> Iterator[str]:
    """Calls that read or write text in the encoding of the locale."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        given = {key.arg: key.value for key in node.keywords}
        modes = [
            one.value for one in (*node.args, *given.values()) if isinstance(one, ast.Constant)
        ]
        binary = any(isinstance(mode, str) and "b" in mode and len(mode) < 5 for mode in modes)
        owner = getattr(getattr(node.func, "value", None), "id", "")
        opens = name == "open" and owner not in OTHERS and not binary
        speaks = any(
            isinstance(given.get(key), ast.Constant) for key in ("text", "universal_newlines")
        )
        if ((name in TEXT and not binary) or opens or speaks) and "encoding" not in given:
            yield f"{node.lineno}: {ast.unparse(node)[:60]}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_call_leaves_the_encoding_to_the_locale(path: Path) -> None:
    assert list(undecided(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "call",
    ["p.read_text()", "p.write_text(a)", "open(p)", "p.open('w')", "run(a, text=True)",
     "TemporaryFile('w+')"],
)  # fmt: skip
def test_such_a_call_would_be_seen(call: str) -> None:
    assert len(list(undecided(call))) == 1
