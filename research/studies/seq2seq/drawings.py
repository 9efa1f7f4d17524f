"""The figures of the study `seq2seq`."""

from collections.abc import Callable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle
from matplotlib.ticker import LogLocator, NullFormatter

from research import figures
from research.records import Array, Results
from research.studies.seq2seq.settings import COPY_PERPLEXITY, IWSLT_PERPLEXITY, REACH, SHOWN


def draw_perplexity(results: Results) -> Figure | None:
    """Perplexity by epoch of both tasks, mean over seeds and range, and the post's."""
    if "perplexity" not in results.names("arrays"):
        return None
    curves = results.arrays("perplexity")
    figure = figures.canvas(figures.COLUMN_MM, 40)
    left, right = figure.subplots(1, 2)
    _draw_curves(left, curves["copy"], COPY_PERPLEXITY, "copy task")
    _draw_curves(right, curves["translation"], IWSLT_PERPLEXITY, "translation")
    left.set_ylabel("perplexity")
    handles = [line for axes in (left, right) for line in axes.get_lines()]
    figure.legend(handles=[*handles[:2], handles[3]], loc="outside lower center", ncols=3)
    return figure


def _draw_curves(axes: Axes, ours: Array, published: tuple[float, ...], title: str) -> None:
    copying = title == "copy task"
    label = "post, same task" if copying else "post, IWSLT"
    colour = figures.COLOURS[1] if copying else figures.COLOURS[2]
    figures.spread(axes, ours, figures.COLOURS[0], "ours")
    epochs = range(1, len(published) + 1)
    axes.plot(epochs, published, "o", color=colour, label=label, markersize=3)
    axes.set(title=title, xlabel="epoch", yscale="log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())


def draw_attention(results: Results) -> Figure:
    """Attention of test sentences, the known alignment framed."""
    shown = [f"attention{i}" for i in range(SHOWN)]
    panels = [results.arrays(name) for name in shown if name in results.names("arrays")]
    figure = figures.canvas(figures.PAGE_MM, 56)
    grid = figure.subplots(1, len(panels), squeeze=False)[0]
    for axes, panel in zip(grid, panels, strict=True):
        image = _draw_map(axes, panel)
    figure.colorbar(image, ax=grid, label="attention", shrink=0.8, pad=0.01)
    return figure


def _draw_map(axes: Axes, panel: dict[str, Array]) -> AxesImage:
    image = axes.imshow(panel["weights"], cmap="Greys", vmin=0, vmax=1, aspect="auto")
    axes.set_xticks(range(len(panel["source"])), panel["source"], rotation=60, ha="right",
                    rotation_mode="anchor")  # fmt: skip
    axes.set_yticks(range(len(panel["target"])), panel["target"])
    axes.tick_params(length=0, pad=2)
    for row, column in enumerate(panel["links"]):
        frame = Rectangle(
            (column - 0.5, row - 0.5), 1, 1, fill=False, edgecolor=figures.COLOURS[1], linewidth=0.9
        )
        axes.add_patch(frame)
    return image


def draw_offsets(results: Results) -> Figure | None:
    """Where attention lies around the right source word, mean over seeds and range."""
    if "offsets" not in results.names("arrays"):
        return None
    data = results.arrays("offsets")
    figure = figures.canvas(figures.COLUMN_MM, 38)
    axes = figure.subplots()
    places = np.arange(-REACH, REACH + 1)
    labels = {"moved": "words that move", "kept": "that do not", "scale": "scales"}
    for side, (kind, label) in enumerate(labels.items()):
        values = data[kind]
        middle = values.mean(0)
        reach = np.abs(np.stack([values.min(0), values.max(0)]) - middle)
        axes.bar(places + 0.27 * (side - 1), middle, 0.26, yerr=reach, label=label,
                 color=figures.COLOURS[side], error_kw={"linewidth": 0.7})  # fmt: skip
    axes.set(xlabel="place beside the right source word", ylabel="attention", xticks=places)
    figure.legend(loc="outside lower center", ncols=3)
    return figure


FIGURES: dict[str, Callable[[Results], Figure | None]] = {
    "perplexity": draw_perplexity,
    "attention": draw_attention,
    "offsets": draw_offsets,
}
