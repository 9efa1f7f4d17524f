"""Slots: marks that stand in a text for HTML which is only known, or only safe, later.

A value puts a slot into the text, which carries it through untouched, so a figure's HTML or a
formula's TeX never passes through the text's own rules, and a cross-reference may point forward.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from research.errors import UserError

_OPEN, _CLOSE = "\ue000", "\ue001"  # private use: no author types them
_SLOT = re.compile(f"{_OPEN}(\\d+){_CLOSE}")


@dataclass(frozen=True)
class Slot:
    """What fills a slot.

    Attributes:
        html: called once for each place where the slot stands, in the order of the document.
        text: the same as plain text, for alternative texts.
    """

    html: Callable[[], str]
    text: str = ""


class Mark(str):
    """A slot as it stands in the text. To compare it, as a page template may, says nothing."""

    __slots__ = ()

    def _refuse(self, other: object) -> bool:
        raise UserError("what is printed cannot be compared: use value('…') in conditions")

    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = _refuse
    __hash__ = str.__hash__


class Slots:
    """The slots of one write-up."""

    def __init__(self) -> None:
        self._slots: list[Slot] = []

    def put(self, html: Callable[[], str], text: str = "") -> str:
        self._slots.append(Slot(html, text))
        return Mark(f"{_OPEN}{len(self._slots) - 1}{_CLOSE}")

    def fill(self, html: str) -> str:
        """Replaces every slot by its HTML, which may hold slots in turn."""
        return _SLOT.sub(lambda match: self.fill(self._of(match).html()), html)

    def plain(self, text: str) -> str:
        """Replaces every slot by its plain text."""
        return _SLOT.sub(lambda match: self._of(match).text, text)

    def bare(self, text: str, sign: str = "…") -> str:
        """Leaves a sign in place of every slot."""
        return _SLOT.sub(sign, text)

    def _of(self, match: re.Match[str]) -> Slot:
        return self._slots[int(match[1])]
