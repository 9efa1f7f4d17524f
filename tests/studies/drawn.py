"""What the figures of every study have in common."""

from collections.abc import Iterable

import pytest

from research.records import Drawing, Results

WIDTHS = (pytest.approx(86), pytest.approx(178))
"""Of a column and of a page, in mm."""


def drawn(record: Results, figures: Iterable[str]) -> dict[str, Drawing]:
    """A record's figures, which are these, each with its pictures and the data behind it."""
    assert record.names("figures") == sorted(figures)
    drawings = {name: record.figure(name) for name in figures}
    for drawing in drawings.values():
        assert drawing.data
        for path in (drawing.svg, drawing.png, *drawing.data):
            assert (record.folder / path).exists()
    return drawings
