"""Where a number stands that was typed, or what a message quotes."""

import re

from research.provenance import literals
from research.report.misses import place_of, text_of
from research.report.source import Source

_NO_PROSE = re.compile(
    r"""<!--.*?-->
      | \[[^\]\n]*\]\{[^}]*\} | \]\([^)\s]*\) | \{[^{}]*\}
      | (`+).+?\1 | \$\$.+?\$\$ | \$[^$\n]+\$ | ^[ \t]*\d+[.)](?=\s)""",
    re.DOTALL | re.MULTILINE | re.VERBOSE,
)


def typed(number: str, line: str) -> str:
    """The message for a number that is no value; `line` is where it stands, as printed."""
    return (
        f"the number {number} is typed into the text, where nothing vouches for it: '{line}'. "
        'Print it as {name}, or write [0.1]{@source} or [0.1]{by="reason"} for one not measured'
    )


def lines_of(number: str, source: Source) -> list[int]:
    """The lines where a number stands between words, or else within them, as in a caption."""
    for text in (_prose(source.text), source.text, text_of(source.path)):
        lines = enumerate(text.splitlines(), start=1)
        if places := [place for place, line in lines if number in literals.numbers(line)]:
            return places
    return []


def column_of(number: str, source: Source, line: int | None) -> int | None:
    """The column in which a number is typed."""
    if line is None:
        return None
    return source.text.split("\n")[line - 1].find(number) + 1 or None


def _prose(text: str) -> str:
    """The text with its words, code and formulas blanked, to look for what stands between them."""
    return _NO_PROSE.sub(lambda match: "…" + "\n" * match[0].count("\n"), text)


def place_of_quoted(message: str, source: Source) -> tuple[int | None, int | None]:
    """Where the first thing stands that a message quotes."""
    quoted = [text for text in message.split("'")[1::2] if len(text) > 2]  # fewer stand anywhere
    part = next((text for text in quoted if text in source.text), None)
    return place_of(source.text, part) if part else (None, None)
