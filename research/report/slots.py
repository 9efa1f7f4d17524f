"""Slots: marks that stand in a text for HTML which is only known, or only safe, later.

A word of the write-up puts a slot into the Markdown. Markdown carries it through untouched, so a
figure's HTML or a formula's TeX never passes through Markdown's own rules, and a cross-reference
may point forward.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from research.errors import UserError

Kind = Literal["line", "formula", "float", "wide"]

_OPEN, _CLOSE = "\ue000", "\ue001"  # private use: no author types them
MARK = _OPEN
"""What every slot begins with."""
_SLOT = re.compile(f"{_OPEN}(\\d+){_CLOSE}")
_ALONE = re.compile(f"<p>{_OPEN}(\\d+){_CLOSE}</p>")


@dataclass(frozen=True)
class Slot:
    """What fills a slot.

    Attributes:
        html: called once for each place where the slot stands, in the order of the document.
        text: the same as plain text, for alternative texts.
        kind: `line` for a piece of a line, else the kind of block that it is.
    """

    html: Callable[[], str]
    text: str = ""
    kind: Kind = "line"


class Mark(str):
    """A slot as it stands in the text. Comparing it would compare the mark, not what it prints."""

    __slots__ = ()

    def _refuse(self, other: object) -> bool:
        raise UserError("a printed word cannot be compared: use value('…') in conditions")

    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = _refuse
    __hash__ = str.__hash__


class Slots:
    """The slots of one write-up."""

    def __init__(self) -> None:
        self._slots: list[Slot] = []

    def put(self, html: Callable[[], str], text: str = "") -> str:
        """A slot within a line."""
        return self._add(Slot(html, text))

    def put_block(self, html: Callable[[], str], kind: Kind) -> str:
        """A slot that is a block of its own."""
        return self._add(Slot(html, kind=kind))

    def isolate(self, text: str) -> str:
        """Puts blank lines around slots that are blocks, so Markdown ends a paragraph there."""
        return _SLOT.sub(lambda m: f"\n\n{m[0]}\n\n" if self._of(m).kind != "line" else m[0], text)

    def alone(self, html: str) -> Slot | None:
        """The block's slot, where `html` is a paragraph that holds nothing else."""
        match = _ALONE.fullmatch(html)
        slot = self._of(match) if match else None
        return slot if slot and slot.kind != "line" else None

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

    def _add(self, slot: Slot) -> str:
        self._slots.append(slot)
        return Mark(f"{_OPEN}{len(self._slots) - 1}{_CLOSE}")
