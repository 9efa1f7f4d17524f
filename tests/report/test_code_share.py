"""How much of a write-up is code: whoever reviews its source reads prose."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from research.paths import ROOT

PAPERS = sorted((ROOT / "paper").glob("*.md"))
MOST = 0.15
"""of the characters of a write-up"""

_FRONT = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)
_TOLD = re.compile(r'(?<=alt=")[^"]*(?=")|(?<=by=")[^"]*(?=")|(?<={)@[^}]*')
"""Within braces: what is read aloud, and why or where from a number was taken."""
_CODE = re.compile(
    r"""^:::.*$                          # fences
      | \{[^{}]*\}                       # values, what spans rest on, attributes
      | \]\([^)\s]*\)                    # where a picture lies""",
    re.VERBOSE | re.MULTILINE,
)
_ROW = re.compile(r"^\|[^|\n{]*\|([^|\n]*)\|[^{\n]*$", re.MULTILINE)
"""Of a table's plan; in a row of the author's own table with values, these alone are code."""


def code(text: str) -> int:
    """Characters that say how something is printed, and not what; blanks in a row count as one."""
    front = _FRONT.match(text)
    body = text[front.end() :] if front else text
    rows = [(row[0], row[1]) for row in _ROW.finditer(body)]
    told = said(yaml.load(front[0][4:-4], yaml.BaseLoader)) if front else 0
    parts = [_TOLD.sub("", found[0]) for found in _CODE.finditer(_ROW.sub("", body))]
    head = signs(front[0]) - told if front else 0
    return head + sum(map(signs, parts)) + sum(signs(row) - signs(name) for row, name in rows)


def said(front: dict[str, Any]) -> int:
    """Characters of title and keywords, and of what words are called."""

    def within(value: Any) -> int:
        if isinstance(value, str):
            return signs(value)
        return sum(map(within, value.values() if isinstance(value, dict) else value))

    return sum(within(front.get(key, "")) for key in ("title", "keywords", "names"))


def signs(text: str) -> int:
    return len(re.sub(r"--+", "-", " ".join(text.split())))


def share(path: Path) -> float:
    text = path.read_text()
    return code(text) / len(text)


@pytest.mark.parametrize("path", PAPERS, ids=lambda path: path.stem)
def test_a_write_up_is_prose(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = share(path)
    with capsys.disabled():
        print(f"\n  {path.name}: {found:.1%} code", end="")
    assert found <= MOST


def test_code_is_counted() -> None:
    assert code("So it {x:.2f} is.") == len("{x:.2f}")
    assert code("::: {.only a=b}\nSo {x}.\n:::") == len("::: {.only a=b}{x}:::")
    assert code('![So it is.](maps){.wide alt="A map"}') == len('](maps){.wide alt=""}')
    assert code('[95 %]{by="convention"}') == len('{by=""}')
    assert code("| So it is | {x} | {y} |\n") == len("{x}{y}")
    assert code("| a | So it is | .2f |\n") == len("| a | So it is | .2f |") - len("So it is")
    assert code("---\ntitle: So\nnames:\n  a: b c\n---\n") == len("- title:  names: a:  -")
    assert code("plain [words] $x$ [@cited] and | so") == 0
