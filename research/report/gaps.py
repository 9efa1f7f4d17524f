"""Drafts: what a write-up names and the run lacks stands in a box instead of stopping the build."""

import math
from collections import Counter
from collections.abc import Callable
from functools import wraps
from typing import Any

from research.errors import GapError
from research.report.render import Parts
from research.report.slots import Slots

_SILENT: dict[str, Any] = {"value": math.nan}
"""What prints nothing, and what it is in a condition: a comparison with it is false."""

Words = dict[str, Callable[..., Any]]


class Draft:
    """The gaps of one write-up, in the order in which they were met.

    Attributes:
        gaps: one line each.
    """

    def __init__(self, slots: Slots, parts: Parts) -> None:
        self.gaps: list[str] = []
        self._slots = slots
        self._parts = parts
        self._anchors = Counter[str]()

    def forgiving(self, words: Words) -> Words:
        """The words of page templates, in which a miss leaves a box; a wrong use still fails."""
        return {name: self._forgiving(name, word) for name, word in words.items()}

    def note(self, gap: GapError) -> None:
        if str(gap) not in self.gaps:
            self.gaps.append(str(gap))

    def in_line(self, gap: GapError) -> str:
        """A slot for the box within a line."""
        return self._slots.put(lambda: self.boxed(gap), str(gap))

    def block(self, gap: GapError, name: str, wide: bool) -> str:
        """A slot for the box in the place of a figure or table."""
        anchor = f"gap-{name}"
        self._anchors[anchor] += 1
        if (times := self._anchors[anchor]) > 1:  # the same may be missing in several places
            anchor = f"{anchor}-{times}"

        def html() -> str:
            return self._parts("missing_float", anchor=anchor, wide=wide, box=self.boxed(gap))

        return self._slots.put(html)

    def boxed(self, gap: GapError) -> str:
        """The box within a line, as HTML."""
        self.note(gap)
        return self._parts("missing", gap=str(gap))

    def _forgiving(self, name: str, word: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(word)
        def spoken(*args: Any, **more: Any) -> Any:
            try:
                return word(*args, **more)
            except GapError as gap:
                box = self.boxed(gap)
                if name in _SILENT:
                    return _SILENT[name]
                return self._slots.put(lambda: box, str(gap))

        return spoken
