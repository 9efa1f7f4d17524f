"""Figures as SVG, looked through before they are drawn: whole, and not endless."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.parsers import expat

from research.errors import UserError

BYTES = 30_000_000
"""of a figure"""
ELEMENTS = 100_000
"""Elements that are drawn, those that `<use>` repeats counted each time; a dense figure of ours has
about 5,000."""

_REFERENCE = re.compile(r"^#(.+)$|url\(\s*['\"]?#([^'\")]+)")


def check(name: str, path: Path) -> None:
    """Raises UserError, with the figure's name, where drawing it would fail or never end."""
    if path.stat().st_size > BYTES:
        raise _broken(name, path, f"it is larger than {BYTES // 10**6} MB")
    try:
        root = _parsed(path.read_bytes())
        drawn = _Count(root).of(root)
    except RecursionError:
        raise _broken(name, path, "its elements lie too deep in each other") from None
    except ValueError as error:
        raise _broken(name, path, str(error)) from None
    if drawn > ELEMENTS:
        raise _broken(name, path, f"it draws {drawn:.2g} elements, at most are {ELEMENTS:,}")


def _broken(name: str, path: Path, reason: str) -> UserError:
    return UserError(f"figure '{name}' ({path.name}) cannot be drawn: {reason}; draw it again")


def _parsed(content: bytes) -> ElementTree.Element:
    """The root element. Raises ValueError where it is no SVG or defines entities of its own."""

    def refuse(*args: Any) -> None:
        raise ValueError("it defines entities")

    reader = expat.ParserCreate()
    reader.EntityDeclHandler = refuse
    try:
        reader.Parse(content, True)
        root = ElementTree.fromstring(content)
    except (expat.ExpatError, ElementTree.ParseError, LookupError) as error:
        raise ValueError(f"it is no whole SVG ({error})") from None
    if root.tag.rpartition("}")[2] != "svg":
        raise ValueError(f"its outermost element is <{root.tag[:40]}>, not <svg>")
    return root


class _Count:
    """How many elements are drawn, where some stand for others by name."""

    def __init__(self, root: ElementTree.Element) -> None:
        self._named = {element.get("id"): element for element in root.iter() if element.get("id")}
        self._known: dict[str, int] = {}
        self._open: set[str] = set()

    def of(self, element: ElementTree.Element) -> int:
        referred = sum(map(self._of_name, _references(element)))
        return 1 + referred + sum(map(self.of, element))

    def _of_name(self, name: str) -> int:
        if name in self._open:
            raise ValueError(f"its element '{name[:40]}' stands for itself")
        if name not in self._known and name in self._named:
            self._open.add(name)
            self._known[name] = self.of(self._named[name])
            self._open.remove(name)
        return self._known.get(name, 0)


def _references(element: ElementTree.Element) -> Iterator[str]:
    for key, value in element.attrib.items():
        if key.rpartition("}")[2] == "href" or "url(" in value:
            for match in _REFERENCE.finditer(value):
                yield match[1] or match[2]
