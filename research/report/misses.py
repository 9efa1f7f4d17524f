"""Misses: what to say when a write-up names something that does not exist."""

import difflib
from collections.abc import Iterable
from pathlib import Path

from research import text as texts
from research.errors import GapError, UserError


def miss(complaint: str, name: str, known: Iterable[str]) -> GapError:
    """`complaint 'name'. Did you mean 'nearest'?`, or all there is where nothing is near."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=1)
    if near:
        return GapError(f"{complaint} '{name}'. Did you mean '{near[0]}'?")
    listed = ", ".join(f"'{entry}'" for entry in known[:12]) or "none"
    return GapError(f"{complaint} '{name}'. There are: {listed}.")


def text_of(path: Path) -> str:
    """A source's text, see `research.text`. Raises UserError where it cannot be read."""
    try:
        return texts.read(path)
    except OSError as error:
        raise at(path, None, f"it cannot be read: {error.strerror}") from None


class Placed(UserError):  # noqa: N818 - a user's mistake, told like any other
    """A mistake whose message begins with its place.

    Attributes:
        line: in the write-up, where it is known.
    """

    line: int | None = None


def at(path: Path, line: int | None, message: str, column: int | None = None) -> UserError:
    """The message with the place in the write-up in front, where one is known."""
    place = f"{path.name}:{line}" if line else path.name
    placed = Placed(f"{place}:{column}: {message}" if line and column else f"{place}: {message}")
    placed.line = line
    return placed


def place_of(text: str, needle: str) -> tuple[int | None, int | None]:
    """Line and column of the first place that holds `needle`, counted from 1."""
    start = text.find(needle)
    if start < 0:
        return None, None
    return text.count("\n", 0, start) + 1, start - text.rfind("\n", 0, start)


def line_of(text: str, needle: str) -> int | None:
    """The first line that holds `needle`, counted from 1."""
    return place_of(text, needle)[0]
