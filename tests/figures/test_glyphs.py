"""Joined letters against matplotlib's own outlines of the same text."""

import io
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath

from research import figures
from research.figures.glyphs import joined

PATH, USE = (f"{{http://www.w3.org/2000/svg}}{name}" for name in ("path", "use"))


def drawn(text: str) -> bytes:
    with figures.style():
        figure = figures.canvas(40, 20)
        figure.text(0.1, 0.5, text)
        file = io.BytesIO()
        figure.savefig(file, format="svg")
    return file.getvalue()


@pytest.mark.parametrize("text", ["0.5", "cycles per pixel", "−1.25", "$x^2_i$", "Äg"])
def test_outlines_are_those_of_the_whole_text(text: str) -> None:
    root = ElementTree.fromstring(joined(drawn(text)))
    assert not list(root.iter(USE))
    outline = [path.attrib["d"] for path in root.iter(PATH)][-1]
    numbers = [float(number) for number in re.findall(r"-?\d+\.\d", outline)]
    found = np.array(numbers).reshape(-1, 2)
    with figures.style():
        whole = TextPath((0, 0), text, size=100, prop=FontProperties("STIXGeneral"))
    expected = whole.vertices[whole.codes != 79]  # closing a line repeats no point in SVG
    assert len(found) == len(expected)
    assert np.allclose(np.sort(found, 0), np.sort(expected, 0), atol=1)


def test_marks_that_are_no_letters_stay() -> None:
    with figures.style():
        figure = figures.canvas(40, 30)
        figure.subplots().plot([0, 1], [0, 1], "o")
        file = io.BytesIO()
        figure.savefig(file, format="svg")
    root = ElementTree.fromstring(joined(file.getvalue()))
    marks = list(root.iter(USE))
    assert len(marks) >= 2
    ids = {element.get("id") for element in root.iter()}
    for use in marks:
        assert use.attrib["{http://www.w3.org/1999/xlink}href"].removeprefix("#") in ids
