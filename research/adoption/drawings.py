"""Figures of adopted runs: their curves, and the pictures that they logged."""

import base64
import io
from pathlib import Path

import numpy as np
from PIL import Image

from research import figures, records
from research.records import Drawing, damage
from research.records.damage import told

DPI = 150
"""Pixels that a logged picture shows to an inch, where the column has room for as many."""
WIDE = 2.0
"""Times its height that a picture is wide before it takes the page's width."""


def curve(folder: Path, name: str, label: str, groups: dict[str, str]) -> None:
    """Draws `curve_NAME` from its arrays: mean over seeds by group, their range shaded.

    Arguments:
        label: the metric as it was logged.
        groups: name in the arrays -> group as it was logged.
    """
    results = records.load(folder)
    arrays = results.arrays(name)
    with figures.style():
        figure = figures.canvas(figures.COLUMN_MM, 50)
        axes = figure.subplots()
        for at, (key, group) in enumerate(groups.items()):
            colour = figures.COLOURS[at % len(figures.COLOURS)]
            line = ("-", "--", ":", "-.")[at // len(figures.COLOURS) % 4]
            figures.band(axes, arrays[f"{key}_steps"], arrays[key], colour, group, line)
        axes.set(xlabel="step", ylabel=label)
        if len(groups) > 1:
            figures.legend_below(figure, *axes.get_legend_handles_labels())
        figures.save(figure, folder / f"figures/{name}")
    width, height = (25.4 * float(side) for side in figure.get_size_inches())
    _keep(folder, name, width, height, tuple(sorted(results.reads)))


def picture(folder: Path, name: str, path: str) -> None:
    """A picture that a run logged, at `path` in the record, as a figure.

    Raises:
        DamagedError: it is none.
    """
    with told(folder / path), Image.open(folder / path) as opened:
        image = opened.convert("RGB" if opened.mode in ("RGB", "CMYK", "YCbCr") else "RGBA")
    if image.mode == "RGBA":  # on paper, what is behind is white
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image).convert("RGB")
    width = image.width / DPI * 25.4
    room = figures.PAGE_MM if image.width > WIDE * image.height else figures.COLUMN_MM
    width = min(width, room)
    height = width * image.height / image.width
    packed = io.BytesIO()
    image.save(packed, format="PNG")
    damage.write(folder / f"figures/{name}.png", packed.getvalue())
    data = base64.b64encode(packed.getvalue()).decode()
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'width="{width:.3f}mm" height="{height:.3f}mm" '
        f'viewBox="0 0 {image.width} {image.height}">'
        f'<image width="{image.width}" height="{image.height}" '
        f'xlink:href="data:image/png;base64,{data}"/></svg>\n'
    )
    damage.write(folder / f"figures/{name}.svg", svg.encode())
    _keep(folder, name, width, height, (path,))


def _keep(folder: Path, name: str, width: float, height: float, data: tuple[str, ...]) -> None:
    files = (f"figures/{name}.svg", f"figures/{name}.png")
    records.write_drawing(folder, name, Drawing(*files, width, height, data))


def arrays_of(curves: dict[str, tuple[records.Array, records.Array]]) -> dict[str, records.Array]:
    """Name of each group -> values by seed and step, and `NAME_steps` -> the steps."""
    values = {key: values for key, (_, values) in curves.items()}
    return values | {f"{key}_steps": np.asarray(steps) for key, (steps, _) in curves.items()}
