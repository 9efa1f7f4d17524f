"""Marks: what pandoc does not know, values in braces and what spans rest on, taken out of a text.

Each leaves a sign that pandoc carries through as a letter, so that its place in the source is
known. Within code and formulas the signs are put back to what they stood for.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

_OPEN, _CLOSE = "\ue002", "\ue003"  # private use: no author types them
NAME = r"[^\W\d][\w.\-]*"
OWN = rf"(?:{NAME}:)?{NAME}"
"""A name, of this study or of another that stands before it."""

_MARK = re.compile(
    rf"""\\(?P<brace>[{{}}])
       | (?<=\])\{{(?P<span>
             @[^{{}}\s]+
           | by=(?:"[^"{{}}]*"|'[^'{{}}]*')
           | {OWN}(?:=\w+ | \s*(?:<>|<|>|~)\s*[^{{}}\s]+)?
         )\}}
       | (?<![\])\\`$])\{{(?P<value>{NAME}(?::[^{{}}|\\]*)?(?:\\?\|[^{{}}|]*)?)\}}""",
    re.VERBOSE,
)
_SIGN = re.compile(rf'{_OPEN}(\d+){_CLOSE}|\{{mark="(\d+){_CLOSE}"\}}')


@dataclass(frozen=True)
class Mark:
    """What stood in braces.

    Attributes:
        text: between the braces.
        source: as it was written.
        line, column: of its first sign, counted from 1.
    """

    kind: Literal["value", "span", "brace"]
    text: str
    source: str
    line: int
    column: int


class Marks:
    """The marks of one write-up."""

    def __init__(self) -> None:
        self._marks: list[Mark] = []

    def take(self, text: str, line: int = 1, column: int = 1) -> str:
        """The text with signs; it begins in the source at this line and column."""

        def replace(match: "re.Match[str]") -> str:
            before = text[: match.start()]
            down = before.count("\n")
            across = len(before) - before.rfind("\n") - 1
            place = (line + down, across + (1 if down else column))
            kind = next(name for name, part in match.groupdict().items() if part)
            self._marks.append(Mark(kind, match[kind], match[0], *place))  # type: ignore[arg-type]
            number = f"{len(self._marks) - 1}{_CLOSE}"
            return f'{{mark="{number}"}}' if kind == "span" else f"{_OPEN}{number}"

        return _MARK.sub(replace, text)

    def replace(self, text: str, replaced: Callable[[Mark], str]) -> str:
        """Puts what is made of each mark in the place of its sign."""
        return _SIGN.sub(lambda match: replaced(self._marks[int(match[1] or match[2])]), text)

    def restored(self, text: str) -> str:
        """The text as it was written."""
        return self.replace(text, lambda mark: mark.source)

    def of(self, attribute: str) -> Mark:
        """The mark that a span carries."""
        return self._marks[int(attribute.removesuffix(_CLOSE))]
