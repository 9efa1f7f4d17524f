"""Text in figures: names as they are written, in fonts that have their letters."""

from collections.abc import Iterable

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager
from matplotlib.text import Text
from matplotlib.ticker import FixedFormatter, FuncFormatter

from research import fonts


def written(figure: Figure) -> list[Text]:
    """Every text but the numbers along axes, which matplotlib makes and may set as formulas."""
    numbers = {
        id(text)
        for axes in figure.findobj(Axes)
        for axis in (axes.xaxis, axes.yaxis)
        if not isinstance(axis.get_major_formatter(), FixedFormatter | FuncFormatter)
        for text in _along(axis)
    }
    texts = figure.findobj(Text)
    return [text for text in texts if isinstance(text, Text) and id(text) not in numbers]


def _along(axis: Axis) -> list[Artist]:
    ticks = (*axis.get_major_ticks(), *axis.get_minor_ticks())
    return [axis.get_offset_text(), *(label for t in ticks for label in (t.label1, t.label2))]


def as_written(texts: Iterable[Text]) -> None:
    """A dollar sign in a name begins no formula, and letters that STIX lacks have a font."""
    texts = list(texts)
    faces = fonts.faces("".join(text.get_text() for text in texts))
    for face in faces:
        if face.family not in fontManager.get_font_names():
            fontManager.addfont(face.path)
    for text in texts:
        text.set_parse_math(False)
        if faces:
            text.set_fontfamily([*fonts.FAMILIES, *(face.family for face in faces)])
