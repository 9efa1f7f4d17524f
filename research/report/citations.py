"""Citations: numbered in the order of their first mention, formatted by pybtex's `unsrt` style."""

from pathlib import Path
from typing import Any

from research.errors import UserError
from research.report.misses import miss, text_of


class Citations:
    """The bibliography of one write-up; only what is cited is listed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._keys: list[str] = []
        self._entries = _read(path)

    def number(self, key: str) -> int:
        """The number of a reference. Raises UserError for a key that the bibliography lacks."""
        if key not in self._entries.entries:
            raise miss(f"{self._path.name} has no entry", key, self._entries.entries)
        if key not in self._keys:
            self._keys.append(key)
        return self._keys.index(key) + 1

    def references(self) -> list[tuple[int, str, str]]:
        """(number, key, HTML) of each cited work."""
        from pybtex.plugin import find_plugin

        style = find_plugin("pybtex.style.formatting", "unsrt")(abbreviate_names=True)
        backend = find_plugin("pybtex.backends", "html")()
        listed = style.format_bibliography(self._entries, self._keys)
        texts = {entry.key: entry.text.render(backend).replace("\n", " ") for entry in listed}
        return [(number, key, texts[key]) for number, key in enumerate(self._keys, start=1)]


def _read(path: Path) -> Any:
    from pybtex.database import parse_string
    from pybtex.exceptions import PybtexError

    if not path.is_file():
        raise UserError(f"no bibliography {path.name} in {path.parent.name}/")
    try:
        return parse_string(text_of(path), "bibtex")
    except PybtexError as error:
        raise UserError(f"{path.name} cannot be read: {error}") from None
