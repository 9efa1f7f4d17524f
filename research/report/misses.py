"""Misses: what to say when a write-up names something that does not exist."""

import difflib
from collections.abc import Iterable
from pathlib import Path

from research.errors import GapError, UserError


def miss(complaint: str, name: str, known: Iterable[str]) -> GapError:
    """`complaint 'name'. Did you mean 'nearest'?`, or all there is where nothing is near."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=1)
    if near:
        return GapError(f"{complaint} '{name}'. Did you mean '{near[0]}'?")
    listed = ", ".join(f"'{one}'" for one in known[:12]) or "none"
    return GapError(f"{complaint} '{name}'. There are: {listed}.")


def text_of(path: Path) -> str:
    """A source's text. Raises UserError where it cannot be read, or is not UTF-8, with the line."""
    try:
        content = path.read_bytes()
        return content.decode().replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        found = f"byte {content[error.start]:#04x}"
        raise at(path, line, f"text is UTF-8, got {found}: save the file as UTF-8") from None
    except OSError as error:
        raise at(path, None, f"it cannot be read: {error.strerror}") from None


def at(path: Path, line: int | None, message: str) -> UserError:
    """The message with the place in the write-up in front, where one is known."""
    place = f"{path.name}:{line}" if line else path.name
    return UserError(f"{place}: {message}")


def line_of(text: str, needle: str) -> int | None:
    """The first line that holds `needle`, counted from 1."""
    for number, line in enumerate(text.splitlines(), start=1):
        if needle in line:
            return number
    return None
