"""Drawing: data in, a matplotlib Figure out. Nothing here shows or computes a result.

Sizes are those of the printed page: a figure is one column (86 mm) or the page (178 mm) wide, and
its text is 7 to 8 points without any scaling afterwards.
"""

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LogNorm, Normalize, PowerNorm, TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from research import fonts
from research.figures import glyphs, lettering
from research.records import Array, damage

COLUMN_MM = 86.0
PAGE_MM = 178.0
COLOURS = ("#004488", "#BB5566", "#DDAA33", "#228833", "#66CCEE", "#555555")
"""Distinguishable in print and to most colour-blind readers (after Paul Tol's schemes)."""
TEN_COLOURS = (
    "#332288", "#88CCEE", "#44AA99", "#117733", "#999933",
    "#DDCC77", "#CC6677", "#882255", "#AA4499", "#777777",
)  # fmt: skip
MARKS = ("o", "s", "^", "X", "D", "v", "P", "*")
"""Shapes for ten classes each: 80 classes have a look of their own."""
LEGEND = 30
"""Entries of a legend at most, in `_ROWS` lines."""
_ROWS = 8
_ROW_MM = 3.3
_PRINTED, _NAMED = 12, 24
"""classes whose cells of a confusion matrix have print, and that its axes name, at most"""
_LONGEST = 24
"""letters of a name in a legend or on an axis"""


@contextmanager
def style() -> Iterator[None]:
    """The look of every figure; text is paths and ids are fixed, so equal data, equal bytes."""
    with mpl.rc_context(
        {
            "font.family": [*fonts.FAMILIES],
            "mathtext.fontset": "stix",
            "font.size": 8,
            "axes.labelsize": 8,
            "axes.titlesize": 8,
            "xtick.labelsize": 7,
            "ytick.labelsize": 7,
            "legend.fontsize": 7,
            "legend.frameon": False,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.linewidth": 0.6,
            "lines.linewidth": 1.2,
            "figure.constrained_layout.use": True,
            "figure.constrained_layout.h_pad": 0.02,
            "figure.constrained_layout.w_pad": 0.02,
            "image.interpolation": "none",
            "savefig.dpi": 300,
            "svg.fonttype": "path",
            "svg.hashsalt": "research",
        }
    ):
        yield


def save(figure: Figure, stem: Path) -> None:
    """Writes `stem`.svg and .png, the same bytes for the same figure.

    Raises:
        UserError: a letter that no font has.
    """
    lettering.as_written(lettering.written(figure))
    stem.parent.mkdir(parents=True, exist_ok=True)
    drawn = io.BytesIO()
    figure.savefig(drawn, format="svg", metadata={"Date": None, "Creator": None})
    damage.write(stem.with_suffix(".svg"), glyphs.joined(drawn.getvalue()))
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", metadata={"Software": None})
    damage.write(stem.with_suffix(".png"), drawn.getvalue())


def canvas(width_mm: float, height_mm: float) -> Figure:
    return Figure(figsize=(width_mm / 25.4, height_mm / 25.4))


def show_image(axes: Axes, image: Array) -> None:
    """One picture without frame: (C, H, W) or (H, W) in [0, 1]; one channel is grey."""
    if image.ndim == 3:
        image = image[0] if image.shape[0] == 1 else np.moveaxis(image, 0, -1)
    axes.imshow(image, cmap="gray", vmin=0, vmax=1)
    axes.set_axis_off()


def spread(axes: Axes, values: Array, colour: str, label: str, line: str = "-") -> None:
    """`band` by epoch. values: (runs, epochs)"""
    epochs = np.arange(1, values.shape[1] + 1)
    dot = "o" if len(epochs) == 1 else None  # a line through one point cannot be seen
    band(axes, epochs, values, colour, label, line, dot)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def band(
    axes: Axes, x: Array, values: Array, colour: Any, label: str,
    line: str = "-", marker: str | None = None,
) -> None:  # fmt: skip
    """Mean over runs of a curve with the range between the runs shaded. values: (runs, x)"""
    axes.plot(x, values.mean(0), line, color=colour, label=label, marker=marker, markersize=3)
    if len(values) > 1:
        low, high = values.min(0), values.max(0)
        axes.fill_between(x, low, high, color=colour, alpha=0.2, linewidth=0)


def scale_of(values: Array) -> tuple[str, Normalize]:
    """One colour scale for values that are shown together: viridis from 0 where none is negative,
    else red to blue with white at zero and equal reach on both sides."""
    if values.min() >= 0:
        return "viridis", Normalize(0, max(float(values.max()), 1e-12))
    reach = float(np.abs(values).max())
    return "RdBu_r", TwoSlopeNorm(0, -reach, reach)


def tiles(axes: Axes, rows: Array, title: str) -> None:
    """A sheet of single-channel tiles on one colour scale, whose range stands in the title.

    Arguments:
        rows: (rows, columns, h, w); NaN stays blank.
    """
    n_rows, n_columns, height, width = rows.shape
    gap = max(1, round(width * 0.08))
    sheet = np.full((n_rows * (height + gap) - gap, n_columns * (width + gap) - gap), np.nan)
    for i, j in np.ndindex(n_rows, n_columns):
        top, left = i * (height + gap), j * (width + gap)
        sheet[top : top + height, left : left + width] = rows[i, j]
    cmap, norm = scale_of(rows[~np.isnan(rows)])
    axes.imshow(np.ma.masked_invalid(sheet), cmap=cmap, norm=norm)
    axes.set_axis_off()
    axes.set_title(
        f"{title}  [{norm.vmin:.2f}, {norm.vmax:.2f}]", loc="left", pad=1.5, fontsize=6.5
    )


def kernel_sheets(groups: Mapping[str, Mapping[str, Array]]) -> Figure:
    """Every kernel of every layer, a line of sheets for each group, one colour scale per sheet.

    Arguments:
        groups: label -> layer -> weights (a, b, h, w); the larger channel count runs across.
    """
    lines = {label: {name: _across(w) for name, w in one.items()} for label, one in groups.items()}
    columns = max(map(len, lines.values()))
    most = max(len(w[0]) for one in lines.values() for w in one.values())
    pitch = (PAGE_MM - 5) / columns / most
    rows = [max(map(len, one.values())) for one in lines.values()]
    figure = canvas(PAGE_MM, sum(rows) * pitch + 5.5 * len(rows))
    grid = figure.subplots(len(lines), columns, squeeze=False, height_ratios=rows)
    for line, label in zip(grid, lines, strict=True):
        for axes, (name, weights) in zip(line, groups[label].items(), strict=True):
            tiles(axes, lines[label][name], f"{name}  {'×'.join(map(str, weights.shape))}")
            axes.set_anchor("N")
        line[0].text(
            -0.02, 0.5, label, rotation=90, ha="right", va="center", transform=line[0].transAxes
        )
    return figure


def _across(weights: Array) -> Array:
    """Weights (a, b, h, w) with the larger of both channel counts second."""
    return weights if weights.shape[1] >= weights.shape[0] else weights.swapaxes(0, 1)


def activation_sheet(image: Array, maps: Mapping[str, Array], columns: int = 24) -> Figure:
    """The image, its reconstruction, and every channel of every layer in between.

    Layers follow one another as they ran, each on its own colour scale, and share a line where
    their channels fit into `columns`.

    Arguments:
        image: (C, H, W) in [0, 1].
        maps: layer -> (channels, h, w), in forward order; the last one a reconstruction.
    """
    pictures = {"input": image, "reconstruction": list(maps.values())[-1]}
    # a title takes up four tiles, or two where it is a single word
    layers = {name: max(len(values), 4) for name, values in maps.items()}
    widths = {"input": 2, "reconstruction": 2, **layers}
    lines = _lines_of(widths, columns)
    title_mm, gap = 3.8, 0.3
    pitch = PAGE_MM / (columns + 3 * gap)
    height_mm = (pitch + title_mm) * len(lines)
    figure = canvas(PAGE_MM, height_mm)
    figure.set_layout_engine("none")
    for number, names in enumerate(lines, start=1):
        column = 0.0
        for name in names:
            side = 1 if name in pictures else len(maps[name])
            left, bottom = column * pitch / PAGE_MM, 1 - number * (pitch + title_mm) / height_mm
            box = (left, bottom, (side - 0.08) * pitch / PAGE_MM, 0.94 * pitch / height_mm)
            axes = figure.add_axes(box, anchor="SW")
            if name in pictures:
                show_image(axes, pictures[name])
                axes.set_title(name, loc="left", pad=1.5, fontsize=6.5)
            else:
                tiles(axes, maps[name][None], name)
            column += widths[name] + gap
    return figure


def _lines_of(widths: Mapping[str, int], columns: int) -> list[list[str]]:
    """Breaks named widths into lines of at most `columns`, like words into a paragraph."""
    lines: list[list[str]] = []
    used = columns
    for name, width in widths.items():
        if used + width > columns:
            lines.append([])
            used = 0
        lines[-1].append(name)
        used += width
    return lines


def spectra(powers: Mapping[str, Array]) -> Figure:
    """Power spectra (H, W) side by side, zero frequency in the middle, one logarithmic scale."""
    figure = canvas(COLUMN_MM, 36)
    grid = figure.subplots(1, len(powers), sharey=True, squeeze=False)[0]
    shifted = {name: np.fft.fftshift(power) for name, power in powers.items()}
    everything = np.concatenate([power.ravel() for power in shifted.values()])
    norm = LogNorm(everything.min(), everything.max())
    for axes, (name, power) in zip(grid, shifted.items(), strict=True):
        shown = axes.imshow(power, norm=norm, cmap="magma", extent=(-0.5, 0.5, -0.5, 0.5))
        axes.set(title=name, xlabel="cycles per pixel")
        axes.set(xticks=[-0.5, 0, 0.5], yticks=[-0.5, 0, 0.5])
    grid[0].set_ylabel("cycles per pixel")
    figure.colorbar(shown, ax=grid, label="residual power")
    return figure


def image_rows(
    rows: Mapping[str, Sequence[Array] | Array], titles: Sequence[str], width: float
) -> Figure:
    """Labelled rows of images (C, H, W) in [0, 1], one title above each column; width in mm."""
    columns = len(titles)
    label_mm = 19.0
    side = (width - label_mm) / columns
    figure = canvas(width, side * len(rows) + 8)
    grid = figure.subplots(len(rows), columns, squeeze=False)
    for line, (label, images) in zip(grid, rows.items(), strict=True):
        for axes, image in zip(line, images, strict=True):
            show_image(axes, image)
        line[0].text(-0.08, 0.5, label, ha="right", va="center", transform=line[0].transAxes)
    for axes, title in zip(grid[0], titles, strict=True):
        axes.set_title(title, pad=2, fontsize=7)
    return figure


def scatter_classes(axes: Axes, points: Array, labels: Array, classes: Sequence[str]) -> None:
    """A map of points (N, 2), one colour per class and one shape for every ten of them; drawn as
    pixels, because thousands of vector marks take a PDF reader seconds."""
    size = 3 if len(classes) <= len(TEN_COLOURS) else 7  # shapes take more room than colours
    for index, name in enumerate(classes):
        chosen = points[labels == index]
        shape, colour = divmod(index, len(TEN_COLOURS))
        axes.scatter(
            chosen[:, 0], chosen[:, 1], s=size, color=TEN_COLOURS[colour], label=short(name),
            marker=MARKS[shape % len(MARKS)], linewidths=0, rasterized=True,
        )  # fmt: skip
    axes.set(xticks=[], yticks=[])
    for side in axes.spines.values():
        side.set_visible(True)
    axes.set_aspect("equal", adjustable="datalim")


def short(name: str, longest: int = _LONGEST) -> str:
    """A name, its middle cut out where it is long: numbered names differ at their ends."""
    end = longest // 3
    return name if len(name) <= longest else f"{name[: longest - end - 1]}…{name[-end:]}"


def class_legend(figure: Figure, axes: Axes) -> None:
    """The classes of a map below it: as many as fit, and how many more there are."""
    handles, names = axes.get_legend_handles_labels()
    look = {"markerscale": 3 if len(names) <= len(TEN_COLOURS) else 2, "handletextpad": 0.1}
    shown = min(len(names), LEGEND)
    while True:
        rest = len(names) - shown
        more = [f"… and {rest:,} more"] * (rest > 0)
        if len(names) > len(TEN_COLOURS) * len(MARKS):
            more = [f"{more[0]}, in the same marks again"]
        entries = [*handles[:shown], *(Line2D([], [], linestyle="none") for _ in more)]
        if legend_below(figure, entries, [*names[:shown], *more], **look) or shown == 1:
            return
        shown -= 1


def legend_below(
    figure: Figure, handles: Sequence[Artist], names: Sequence[str], **look: Any
) -> bool:
    """A legend under all axes, of as few lines as its width allows.

    The figure grows by the lines that are more than two, so that what it shows keeps its size.

    Returns:
        Whether there is one; none is drawn that would have more than eight lines.
    """
    renderer = FigureCanvasAgg(figure).get_renderer()  # type: ignore[no-untyped-call]
    for rows in range(1, min(_ROWS, len(names)) + 1):
        columns = -(-len(names) // rows)
        legend = figure.legend(handles, names, loc="outside lower center", ncols=columns, **look)
        lettering.as_written(legend.get_texts())
        if legend.get_window_extent(renderer).width <= figure.bbox.width or columns == 1:
            width, height = figure.get_size_inches()
            figure.set_size_inches(width, height + max(rows - 2, 0) * _ROW_MM / 25.4)
            return True
        legend.remove()
    return False


def confusions(matrices: Mapping[str, Array], classes: Sequence[str]) -> Figure:
    """Confusion matrices in a row, page-wide if more than two, by per cent of the true class.

    The diagonal prints these percentages, every other cell its count; below ½ it stays blank.
    Classes with long names take the whole page. More than a dozen have cells too small for print:
    their matrices are shown by colour alone, and their axes name as many classes as fit.

    Arguments:
        matrices: title -> counts (C, C), rows are true classes.
    """
    many = len(classes) > _PRINTED
    long = sum(map(len, classes)) > 4 * _PRINTED
    size = (PAGE_MM, 42.0) if len(matrices) > 2 else (COLUMN_MM, 53.0)
    figure = canvas(*((PAGE_MM, 26 + PAGE_MM / len(matrices) * 0.7) if many or long else size))
    grid = figure.subplots(1, len(matrices), sharey=True, squeeze=False)[0]
    for axes, (title, counts) in zip(grid, matrices.items(), strict=True):
        rows = 100 * counts / np.maximum(counts.sum(1, keepdims=True), 1)
        axes.imshow(rows, cmap="Blues", norm=PowerNorm(0.35, 0, 100))
        if not many:
            _print_cells(axes, counts, rows)
        axes.set(title=title, xlabel="predicted class")
        _name_classes(axes, classes)
    grid[0].set_ylabel("true class")
    return figure


def _print_cells(axes: Axes, counts: Array, rows: Array) -> None:
    for (i, j), value in np.ndenumerate(np.where(np.eye(len(counts)), rows, counts)):
        if value >= 0.5:
            ink = "white" if rows[i, j] > 20 else "black"
            axes.text(j, i, f"{value:.0f}", color=ink, ha="center", va="center", fontsize=6)


def _name_classes(axes: Axes, classes: Sequence[str]) -> None:
    """Names along both axes, of every class or of every so many."""
    places = range(0, len(classes), -(-len(classes) // _NAMED))
    names = [short(classes[place], 16) for place in places]
    upright = max(map(len, names)) > 2
    axes.set_xticks(places, names, rotation=90 if upright else 0)
    axes.set_yticks(places, names)
    axes.tick_params(length=2 if len(places) < len(classes) else 0)
