"""Citations: numbered in the order of their first mention, formatted by pandoc's citeproc.

BibTeX and biblatex are read alike. How an entry reads stands in a style of CSL beside the
bibliography, `references.csl`.
"""

import html
import json
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from research import text
from research.errors import UserError
from research.report.misses import at, miss

PATIENCE = 60
"""Seconds after which reading a bibliography is given up."""

Formula = Callable[[str], str]
"""TeX to HTML."""

_ENTRY = re.compile(r"@\s*(\w+)\s*[{(]\s*([^\s,{}()=]*)")
_PLACE = re.compile(r"\(line (\d+), column (\d+)\):\s*(.*)", re.DOTALL)
_DOI = re.compile(r"doi:(<a [^>]*>)")
"""No line may end between what a DOI is called and the DOI."""
_INITIAL = re.compile(r"(?:\w\.-?)+")
_NO_ENTRIES = ("comment", "string", "preamble", "control")


class Citations:
    """The bibliography of one write-up; only what is cited is listed.

    Raises:
        UserError: no such file, bytes that are no text, or two entries of one key.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise UserError(f"no bibliography {path.name} in {path.parent.name}/")
        self._path = path
        self._keys: list[str] = []
        self._text = text.read(path)
        self._lines = _lines_of(path, self._text)

    def number(self, key: str) -> int:
        """The number of a reference. Raises UserError for a key that the bibliography lacks."""
        if key not in self._lines:
            raise miss(f"{self._path.name} has no entry", key, self._lines)
        if key not in self._keys:
            self._keys.append(key)
        return self._keys.index(key) + 1

    def references(self, formula: Formula) -> list[tuple[int, str, str]]:
        """(number, key, HTML) of each cited work.

        Raises:
            UserError: the bibliography or an entry cannot be read; the message names the line.
        """
        if not self._keys:
            return []
        written = _Inlines(formula)
        found = dict(_entries(self._processed()))
        listed = []
        for number, key in enumerate(self._keys, start=1):
            try:
                words = _DOI.sub(r"\1doi:", written.html(found.get(key, [])).strip())
                if not words:
                    raise UserError("nothing of it can be printed; give it an author or a title")
            except UserError as error:
                raise at(self._path, self._lines[key], f"entry '{key}': {error}") from None
            listed.append((number, key, words))
        return listed

    def _processed(self) -> dict[str, Any]:
        """The cited entries as pandoc prints them, as its document tree."""
        style = self._path.with_suffix(".csl")
        if not style.is_file():
            raise UserError(f"no style {style.name} in {style.parent.name}/, a file of CSL")
        with tempfile.TemporaryDirectory() as folder:
            bibliography = Path(folder, self._path.name)  # in UTF-8, whatever it was in
            bibliography.write_text(self._text, encoding="utf-8", newline="\n")
            cited = " ".join(f"[@{{{key}}}]" for key in self._keys)
            ways = ["--from=markdown", "--to=json", "--citeproc", f"--csl={style}"]
            done = _pandoc([*ways, f"--bibliography={bibliography}"], cited)
        if done.returncode:
            raise self._failed(done.stderr.decode("utf-8", "replace"))
        return dict(json.loads(done.stdout))

    def _failed(self, said: str) -> UserError:
        place = _PLACE.search(said)
        if not place:
            return UserError(f"{self._path.name} cannot be read: {' '.join(said.split())[-200:]}")
        why = " ".join(place[3].split())
        message = f"the bibliography cannot be read at column {place[2]}: {why}"
        return at(self._path, int(place[1]), message)


def _pandoc(ways: Sequence[str], document: str) -> "subprocess.CompletedProcess[bytes]":
    import pypandoc

    try:
        return subprocess.run(
            [pypandoc.get_pandoc_path(), *ways],
            input=document.encode(), capture_output=True, timeout=PATIENCE, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UserError(f"pandoc cannot format the references ({error}); run: make setup") from None


def _lines_of(path: Path, bibliography: str) -> dict[str, int]:
    """The line of each entry by its key. Raises UserError for two of one key."""
    lines: dict[str, int] = {}
    for kind, key, line in _opened(bibliography):
        if kind.lower() in _NO_ENTRIES:
            continue
        if key in lines:
            raise at(path, line, f"there is an entry '{key}' in line {lines[key]} too; rename one")
        lines[key] = line
    return lines


def _opened(bibliography: str) -> Iterator[tuple[str, str, int]]:
    """Kind, key and line of each entry; not of what stands within one, or in a comment."""
    depth = 0
    for number, line in enumerate(text.lines(bibliography), start=1):
        if not depth and line.lstrip().startswith("%"):
            continue
        place = 0
        while place < len(line):
            sign = line[place]
            entry = _ENTRY.match(line, place) if sign == "@" and not depth else None
            if entry:
                yield entry[1], entry[2], number
                place, depth = entry.end(), 1
                continue
            place += 2 if sign == "\\" else 1
            # an entry in parentheses ends with one that no brace encloses
            depth = max(0, depth + (sign == "{") - (sign == "}" or (sign == ")" and depth == 1)))


# --- pandoc's document tree ----------------------------------------------------------------------


def _entries(document: dict[str, Any]) -> Iterator[tuple[str, list[Any]]]:
    """Key and content of each entry of the list of references."""
    for block in document["blocks"]:
        if block["t"] == "Div" and block["c"][0][0] == "refs":
            for entry in block["c"][1]:
                parts: list[dict[str, Any]] = entry["c"][1]
                name: str = entry["c"][0][0]
                yield name.removeprefix("ref-"), [one for part in parts for one in part["c"]]


_MARKS = {
    "Emph": "em", "Strong": "strong", "Superscript": "sup", "Subscript": "sub", "Strikeout": "s",
    "Underline": "u",
}  # fmt: skip
_QUOTES = {"DoubleQuote": ("“", "”"), "SingleQuote": ("‘", "’")}


class _Inlines:
    """Writes pandoc's inlines as HTML."""

    def __init__(self, formula: Formula) -> None:
        self._formula = formula

    def html(self, inlines: Sequence[dict[str, Any]]) -> str:
        made = []
        before = ""
        for one in inlines:
            # an initial stays on the line of its name
            sticks = one["t"] == "Space" and _INITIAL.fullmatch(before)
            made.append("\u00a0" if sticks else self._one(one["t"], one.get("c")))
            before = one["c"] if one["t"] == "Str" else ""
        return "".join(made)

    def _one(self, kind: str, content: Any) -> str:
        if kind == "Str":
            return html.escape(content, quote=False)
        if kind in ("Space", "SoftBreak", "LineBreak"):
            return " "
        if kind in _MARKS:
            return f"<{_MARKS[kind]}>{self.html(content)}</{_MARKS[kind]}>"
        if kind == "Quoted":
            left, right = _QUOTES[content[0]["t"]]
            return f"{left}{self.html(content[1])}{right}"
        if kind == "Link":
            return f'<a href="{html.escape(content[2][0])}">{self.html(content[1])}</a>'
        if kind == "Math":
            return self._formula(content[1])
        if kind == "Code":
            return f"<code>{html.escape(content[1], quote=False)}</code>"
        if kind == "Span":  # the number that a style puts before an entry is ours
            return "" if "csl-left-margin" in content[0][1] else self.html(content[1])
        if kind == "SmallCaps":
            return self.html(content)
        what = content[1].strip() if kind == "RawInline" else kind
        raise UserError(f"it holds '{what}', a TeX command that is not known here; write it out")
