"""A write-up's source: its front matter, and the text below it."""

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from research.errors import UserError
from research.report.layout import LOOKS
from research.report.misses import at, line_of, miss, text_of


@dataclass(frozen=True)
class Source:
    """A write-up as it was read; `text` has its front matter blanked, so that lines keep count."""

    path: Path
    title: str
    """as Markdown, in which formulas may stand; so are the keywords"""
    keywords: tuple[str, ...]
    text: str
    reads: tuple[str, ...] = ()
    """studies of which a run is read beside the paper's own"""
    formats: Mapping[str, str] = field(default_factory=dict)
    """how values print, by name or pattern"""
    names: Mapping[str, str | Mapping[str, str]] = field(default_factory=dict)
    """what raw words are called; a table may have names of its own"""
    bibliography: str = ""
    """a file beside the write-up; empty for that of the templates"""
    style: str = "ieee"
    """of citations and references: a name of CSL"""
    look: str = "course"
    """of the pages, see `layout.LOOKS`"""


@dataclass(frozen=True)
class Block:
    """A direct child of the page's two columns.

    Attributes:
        html: with slots.
        kind: `float` and `wide` never break and may move, in a column or across the page.
        section: the heading under which it stands, for messages.
    """

    html: str
    kind: Literal["text", "heading", "formula", "float", "wide"]
    section: str


def slug(text: str) -> str:
    """A heading as an anchor: 'The code itself' -> 'the-code-itself'."""
    return re.sub(r"[^a-z0-9]+", "-", html.unescape(text).lower()).strip("-")


# --- reading -------------------------------------------------------------------------------------

_FRONT = re.compile(r"\A---[ \t]*\n(.*?)\n(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)
_KEYS = ("title", "keywords", "reads", "formats", "names", "bibliography", "csl", "look")
_FORMER = re.compile(
    r"""\\. | (?<!`)(`+)(?!`)(?:(?!\n\n).)+?(?<!`)\1(?!`) | \$\$.+?\$\$ | \$[^$\n]+\$ | <!--.*?-->
      | (?P<found>\{\{|\{%)""",
    re.DOTALL | re.VERBOSE,
)
"""What write-ups were written in before, outside code, formulas and comments."""
_NOW = {"{{": ("{{ … }}", "{mse:.4f}"), "{%": ("{% … %}", "::: {.only name=value}")}


def read(path: Path) -> Source:
    """Reads a write-up. Raises UserError for a missing file, front matter or title."""
    if not path.is_file():
        raise UserError(
            f"no write-up at {path.name}: a study's text is a Markdown file of that name"
        )
    # a lone carriage return ends no line, and Markdown would take it for the end of one
    text = text_of(path).replace("\r", " ")
    _check_language(path, text)
    front = _FRONT.match(text)
    if not front:
        raise at(path, 1, "a write-up begins with '---', a line 'title: …' and '---'")
    facts = _front_matter(path, front[1])
    if not isinstance(facts.get("title"), str) or not facts["title"].strip():
        raise at(path, 1, "the front matter needs a line 'title: …'")
    body = "\n" * front[0].count("\n") + text[front.end() :]
    keywords, reads = (_listed(path, text, key, facts.get(key)) for key in ("keywords", "reads"))
    words = {key: _word(path, text, key, facts.get(key)) for key in ("bibliography", "csl", "look")}
    return Source(
        path, facts["title"].strip(), keywords, body, reads,
        _formats(path, text, facts.get("formats")), _names(path, text, facts.get("names")),
        words["bibliography"], words["csl"] or "ieee", _look(path, text, words["look"]),
    )  # fmt: skip


def _check_language(path: Path, text: str) -> None:
    """Raises UserError for a text of the time when values were words of a template."""
    former = next((match for match in _FORMER.finditer(text) if match["found"]), None)
    if former:
        was, now = _NOW[former["found"]]
        line, column = (
            text.count("\n", 0, former.start()),
            former.start() - text.rfind("\n", 0, former.start()),
        )
        message = f"'{was}' belongs to the former language; write {now}, see templates/README.md"
        raise at(path, line + 1, message, column)


def _front_matter(path: Path, text: str) -> dict[str, Any]:
    """YAML, in which everything is text: `no` is a word and `1.10` has its zero."""
    import yaml

    try:
        facts = yaml.load(text, yaml.BaseLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line, column = (mark.line + 2, mark.column + 1) if mark else (1, None)
        hint = "; text with a colon, or that begins with a sign, stands in quotes"
        message = f"the front matter is no YAML: {error.problem}{hint}"
        raise at(path, line, message, column) from None
    except yaml.YAMLError as error:
        raise at(path, 1, f"the front matter is no YAML: {' '.join(str(error).split())}") from None
    if not isinstance(facts, dict):
        raise at(path, 2, "front matter is lines of 'key: value'")
    for key in facts:
        if key not in _KEYS:
            line = line_of(text, key)
            message = str(miss("front matter has no key", str(key), _KEYS))
            raise at(path, line + 1 if line else None, message, 1)
    return facts


def _look(path: Path, text: str, given: str) -> str:
    if given and given not in LOOKS:
        line = line_of(text, "look:")
        raise at(path, line, str(miss("there is no look", given, LOOKS)))
    return given or "course"


def _wrong(path: Path, text: str, key: str, required: str) -> UserError:
    return at(path, line_of(text, f"{key}:"), f"'{key}' in the front matter is {required}")


def _word(path: Path, text: str, key: str, given: Any) -> str:
    if given is not None and not isinstance(given, str):
        raise _wrong(path, text, key, "a name")
    return (given or "").strip()


def _listed(path: Path, text: str, key: str, given: Any) -> tuple[str, ...]:
    """A list, or words between commas."""
    words = given.split(",") if isinstance(given, str) else given or []
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise _wrong(path, text, key, "a list of words: [one, two]")
    return tuple(word.strip() for word in words if word.strip())


def _formats(path: Path, text: str, given: Any) -> dict[str, str]:
    if given in (None, ""):
        return {}
    if not isinstance(given, dict) or not all(isinstance(value, str) for value in given.values()):
        raise _wrong(path, text, "formats", "of names and formats: {mse_*: .4f}")
    for name, spec in given.items():
        if not is_format(spec):
            line = line_of(text, str(name))
            raise at(path, line, f"'{spec}' is no format of a number: use one as {FORMATS}")
    return {str(name): spec for name, spec in given.items()}


def _names(path: Path, text: str, given: Any) -> dict[str, str | Mapping[str, str]]:
    if given in (None, ""):
        return {}
    fit = isinstance(given, dict) and all(
        isinstance(name, str)
        or (isinstance(name, dict) and all(isinstance(value, str) for value in name.values()))
        for name in given.values()
    )
    if not fit:
        raise _wrong(path, text, "names", "of words and what they are called: {pca: PCA}")
    return dict(given)


FORMATS = "'.4f', ',d', '+.2f', '.1%'"
_SPEC = re.compile(r"[+ ]?,?(?:\.\d{1,2})?[fFeEgGd%]?")


def is_format(spec: str) -> bool:
    """Whether a text is a format of a number, as write-ups use them."""
    return bool(_SPEC.fullmatch(spec)) and not re.search(r"\.\d+d", spec)
