"""Who hands a write-up in: `author.toml`, with one author or several.

    name = "Ada Rivers"                          one author
    name = ["Ada Rivers", "Bo Stone"]            several, of one affiliation
    affiliation = ["University A", "Institute B"]   … or of one each, in their order

    course = "Vision"                            … and what is told of all
    acknowledgements = "We thank …"
    licence = "CC-BY-4.0"                        of what is handed on, by SPDX's short name

    [[author]]                                   the same authors, one by one, at the file's end
    name = "Ada Rivers"
    affiliation = ["University A", "Institute B"]
    email = "ada@example.org"
    orcid = "0000-0002-1825-0097"

The byline marks affiliations by raised letters where there are several: numbers would have to be
vouched for, and change places with names that run from right to left.
"""

import html
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, product
from pathlib import Path
from string import ascii_lowercase
from typing import Any
from unicodedata import bidirectional

from research.errors import UserError
from research.report.misses import miss, text_of

OF_ONE = ("name", "affiliation", "email", "orcid")
"""what is told of each author"""
KEYS = (*OF_ONE, "course", "acknowledgements", "licence")
_LISTED = ("author", "authors")
_LEFT_TO_RIGHT = "\u200e"
_ORCID = re.compile(r"(?:https?://orcid\.org/)?(\d{4}-\d{4}-\d{4}-\d{3}[\dX])/?")
_SPDX = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]*")
_FORM = 'name = "…", or of several authors name = ["…", "…"]'


@dataclass(frozen=True)
class Person:
    """One author: the name; the affiliations, the address and the ORCID, which may be empty."""

    name: str
    affiliations: tuple[str, ...] = ()
    email: str = ""
    orcid: str = ""

    @property
    def family(self) -> str:
        """The family name: what stands before a comma, else the last word."""
        before, comma, _ = self.name.partition(",")
        return before.strip() if comma else self.name.split()[-1]

    @property
    def given(self) -> str:
        """The given names; empty for a name of one word."""
        _, comma, behind = self.name.partition(",")
        return behind.strip() if comma else " ".join(self.name.split()[:-1])


@dataclass(frozen=True)
class Authors:
    """All authors of a write-up, in the order of the file."""

    people: tuple[Person, ...]
    course: str = ""
    acknowledgements: str = ""
    licence: str = ""

    @property
    def affiliations(self) -> list[str]:
        """Each once, in the order in which the byline marks them."""
        return list(
            dict.fromkeys(
                affiliation for person in self.people for affiliation in person.affiliations
            )
        )

    def byline(self, raised: str = "{}", between: str = ", ") -> tuple[str, str]:
        """The names and the affiliations as two lines.

        Arguments:
            raised: the form of the letter that joins a name to its affiliation.
        """
        places = dict(zip(self.affiliations, _marks(), strict=False))
        if len(places) < 2:
            return between.join(person.name for person in self.people), "".join(places)
        names = between.join(
            person.name
            + raised.format(",".join(places[affiliation] for affiliation in person.affiliations))
            for person in self.people
        )
        return names, between.join(raised.format(mark) + name for name, mark in places.items())

    def block(self) -> dict[str, str]:
        """The lines of the author block as they are read on the page; `name` is without marks.

        `byline` is there only where it is another line than `name`.
        """
        names, affiliation = self.byline()
        plain = ", ".join(person.name for person in self.people)
        emails = ", ".join(person.email for person in self.people if person.email)
        lines = {"name": plain, "affiliation": affiliation, "email": emails, "course": self.course}
        return lines if names == plain else {"byline": names, **lines}

    def marked(self) -> tuple[str, str]:
        """Names and affiliations as HTML."""
        safe = Authors(
            tuple(Person(_linked(p), tuple(map(html.escape, p.affiliations))) for p in self.people)
        )
        return safe.byline('<sup class="auto">{}</sup>')

    def single(self) -> dict[str, str]:
        """Everything that names somebody, each for itself: what it is -> the name."""
        given = {
            "name": [person.name for person in self.people],
            "affiliation": self.affiliations,
            "email": [person.email for person in self.people],
            "orcid": [person.orcid for person in self.people],
            "course": [self.course],
            "acknowledgements": [self.acknowledgements],
        }
        return {
            f"{key} {number}" if len(values) > 1 else key: value
            for key, values in given.items()
            for number, value in enumerate(values, 1)
            if value
        }


def _marks() -> Iterator[str]:
    """a to z, then aa, ab, …"""
    for length in count(1):
        yield from map("".join, product(ascii_lowercase, repeat=length))


def _linked(person: Person) -> str:
    """A name as HTML, which leads to the author's page at ORCID where there is one."""
    name = _closed(html.escape(person.name))
    return f'<a href="https://orcid.org/{person.orcid}">{name}</a>' if person.orcid else name


def _closed(name: str) -> str:
    """A name that runs from right to left ends with a mark, so that what follows stands behind."""
    return name + _LEFT_TO_RIGHT if {"R", "AL"} & set(map(bidirectional, name)) else name


def read(path: Path) -> Authors:
    """Reads the authors' file.

    Raises:
        UserError: no such file, no TOML, an unknown key, no name, or lists of different lengths.
    """
    if not path.is_file():
        raise UserError(
            f'no {path.name}: write a file with name = "…" and affiliation, email, course'
        )
    try:
        given = tomllib.loads(text_of(path).removeprefix("\ufeff"))
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{path.name} is not TOML: {error}") from None
    for key in given:
        if key not in (*KEYS, *_LISTED):
            raise miss(f"{path.name} has no key", key, KEYS)
    tables = [item for key in _LISTED for item in _as_list(given.get(key, []))]
    if tables and all(isinstance(table, str) for table in tables):  # author = ["A", "B"]
        given["name"], tables = [*_as_list(given.get("name", [])), *tables], []
    people = [*_columns(given, path.name), *(_person(table, path.name) for table in tables)]
    if not people:
        raise UserError(f"{path.name} needs a line: {_FORM}")
    texts = {key: _text(given.get(key, ""), key, path.name) for key in KEYS[len(OF_ONE) :]}
    if texts["licence"] and not _SPDX.fullmatch(texts["licence"]):
        raise UserError(
            f"{path.name}: 'licence' must be a short name of SPDX's list, as CC-BY-4.0, "
            f"got {texts['licence']!r}"
        )
    return Authors(tuple(people), **texts)


def _columns(columns: Mapping[str, Any], file: str) -> list[Person]:
    """The authors of `name`, `affiliation` and so on, which are texts or lists of them."""
    names, places, emails, orcids = (_texts(columns.get(key, []), key, file) for key in OF_ONE)
    if not names:
        return []
    for key, given in {"affiliation": places, "email": emails, "orcid": orcids}.items():
        several = len(names) > 1 or key != "affiliation"
        one_for_all = 1 if key != "orcid" else len(names)
        if several and len(given) not in (0, one_for_all, len(names)):
            raise UserError(
                f"{file} has {len(names)} names and {len(given)} of '{key}': give one for all, or "
                "one for each name"
            )
    own = len(places) == len(names) > 1
    each = [(place,) for place in places] if own else [tuple(places)] * len(names)
    emails += [""] * (len(names) - len(emails))  # one for all is written once
    orcids = [_orcid(orcid, file) for orcid in orcids] or [""] * len(names)
    return [Person(*person) for person in zip(names, each, emails, orcids, strict=True)]


def _person(table: Any, file: str) -> Person:
    """One `[[author]]`."""
    if not isinstance(table, Mapping):
        raise UserError(f"{file}: 'author' must hold names alone or tables alone, got both")
    for key in table:
        if key not in OF_ONE:
            raise miss(f"{file} has no key of an author", key, OF_ONE)
    if not table.get("name"):
        raise UserError(f"{file}: each [[author]] needs a name")
    name, email, orcid = (
        _text(table.get(key, ""), key, file) for key in ("name", "email", "orcid")
    )
    places = tuple(_texts(table.get("affiliation", []), "affiliation", file))
    return Person(name, places, email, _orcid(orcid, file) if orcid else "")


def _orcid(given: str, file: str) -> str:
    """The sixteen digits in four groups. Raises UserError where the last does not fit the others.

    References:
        ISO 7064, MOD 11-2, as ORCID's "Structure of the ORCID Identifier" uses it.
    """
    match = _ORCID.fullmatch(given)
    rest = 0
    for digit in match[1].replace("-", "") if match else "":
        rest = (2 * rest + (10 if digit == "X" else int(digit))) % 11
    if not match or rest != 1:
        raise UserError(
            f"{file}: 'orcid' must be like 0000-0002-1825-0097, whose last digit checks the "
            f"others, got {given!r}; copy it from orcid.org"
        )
    return match[1]


def _as_list(given: Any) -> Sequence[Any]:
    return given if isinstance(given, list) else [given]


def _texts(given: Any, key: str, file: str) -> list[str]:
    return [text for item in _as_list(given) if (text := _text(item, key, file))]


def _text(given: Any, key: str, file: str) -> str:
    if not isinstance(given, str):
        raise UserError(f"{file}: '{key}' must be text, got {given!r}")
    return " ".join(given.split())
