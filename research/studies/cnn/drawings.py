"""The figures of the study `cnn`."""

from collections.abc import Callable, Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from research import figures
from research.records import Array, Results
from research.studies.cnn.settings import MAPS

SPACES = {"pixels": "pixels", "untrained": "untrained fc2", "trained": "trained fc2"}
AXES = {
    "mse": "mean squared difference",
    "cosine": "1 − cosine",
    "ce": "cross-entropy (nat)",
    "js": "Jensen–Shannon divergence (nat)",
}
SIDES = np.array([-1, 1])
PANELS = (
    ("pixels", "mse"), ("untrained", "mse"), ("trained", "mse"),
    ("trained", "cosine"), ("trained", "ce"), ("trained", "js"),
)  # fmt: skip


def draw_kernels(results: Results) -> Figure:
    """All kernels of conv1, and those of the first maps of conv2, one colour scale each."""
    weights = results.arrays("kernels")
    first = weights["conv1"][:, 0].reshape(2, 16, 3, 3)
    second = weights["conv2"][:8]
    heights = [2 * figures.COLUMN_MM / 16, 8 * figures.COLUMN_MM / 32]
    figure = figures.canvas(figures.COLUMN_MM, sum(heights) + 6)
    grid = figure.subplots(2, 1, height_ratios=heights)
    figures.tiles(grid[0], first, "conv1, all 32")
    figures.tiles(grid[1], second, "conv2, the first 8 of 64 maps (down), all 32 inputs (across)")
    return figure


def draw_activations(results: Results) -> Figure:
    """Every channel of both convolutions, poolings and ReLUs, one colour scale a layer."""
    maps = results.arrays("activations")
    sheets = {name: maps[name].reshape(-1, 32, *maps[name].shape[1:]) for name in MAPS}
    title_mm = 3.8
    heights = {n: figures.PAGE_MM * len(s) / 32 + title_mm for n, s in sheets.items()}
    whole = sum(heights.values())
    figure = figures.canvas(figures.PAGE_MM, whole)
    figure.set_layout_engine("none")
    top = 1.0
    for name, sheet in sheets.items():
        share = heights[name] / whole
        axes = figure.add_axes((0, top - share, 1, share - title_mm / whole), anchor="NW")
        figures.tiles(axes, sheet, f"{name} {'×'.join(map(str, maps[name].shape))}")
        top -= share
    return figure


def draw_distances(results: Results) -> Figure:
    """Distances of all pairs within and between classes, the four samples' pairs as ticks."""
    figure = figures.canvas(figures.PAGE_MM, 57)
    pairs = results.arrays("pairs")
    numbers = results.numbers
    for axes, (space, metric) in zip(figure.subplots(2, 3).flat, PANELS, strict=True):
        data = results.arrays(f"distances_{space}_{metric}")
        ticks = np.stack([v for k, v in pairs.items() if k.startswith(f"{space}_{metric}")])
        draw_histogram(axes, data, ticks, pairs["same"])
        ratio, auc = (numbers[f"{name}_{space}_{metric}"].value for name in ("ratio", "auroc"))
        axes.set_title(f"{SPACES[space]}: ratio {ratio:.2f}, AUROC {auc:.3f}")
        axes.set(xlabel=AXES[metric], yticks=[])
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4)
    return figure


def draw_histogram(
    axes: Axes, data: Mapping[str, Array], ticks: Array, same: Array, cells: int = 80
) -> None:
    """Both densities up to where nearly all pairs lie; ticks (ways, pairs) below them."""
    edges, width = data["bins"], np.diff(data["bins"])
    shares = {name: (data[name] * width).cumsum() for name in ("intra", "inter")}
    last = max(int(np.searchsorted(s, 0.995)) for s in shares.values())
    end = max(float(edges[last + 1]), 1.02 * float(ticks.max()))
    grid = np.linspace(float(edges[0]), end, cells + 1)
    labels = {"intra": "pairs of one class", "inter": "pairs of two classes"}
    for (name, share), colour, chosen in zip(
        shares.items(), figures.COLOURS, (same, ~same), strict=False
    ):
        density = np.diff(np.interp(grid, edges, np.concatenate([[0], share]))) / np.diff(grid)
        axes.stairs(density, grid, color=colour, fill=True, alpha=0.35, label=labels[name])
        axes.plot(
            ticks[:, chosen].ravel(), np.full(ticks[:, chosen].size, -0.07), "|", color=colour,
            markersize=7, transform=axes.get_xaxis_transform(), clip_on=False,
            label=f"the four samples' {labels[name]}",
        )  # fmt: skip
    axes.tick_params(axis="x", pad=7)
    axes.set_xlim(float(grid[0]), end)


def draw_matrices(results: Results) -> Figure:
    """Mean distance from class to class in units of the mean distance within classes."""
    figure = figures.canvas(figures.COLUMN_MM, 31)
    figure.set_layout_engine("compressed")  # the squares leave room beside them
    grid = figure.subplots(1, len(SPACES))
    found = {name: results.arrays(f"distances_{name}_mse") for name in SPACES}
    with np.errstate(invalid="ignore"):  # a space that is one point stays white
        relative = {name: data["means"] / data["mean_intra"] for name, data in found.items()}
    top = max(float(matrix.max()) for matrix in relative.values() if np.isfinite(matrix).all())
    for axes, (name, matrix) in zip(grid, relative.items(), strict=True):
        shown = axes.imshow(matrix, vmin=0, vmax=top, cmap="viridis")
        classes = found[name]["classes"]
        axes.set(xticks=range(len(classes)), yticks=range(len(classes)), title=SPACES[name])
        axes.set(xticklabels=classes, yticklabels=classes)
    figure.colorbar(shown, ax=grid, shrink=0.8, label="÷ mean within classes")
    return figure


def draw_maps(results: Results) -> Figure | None:
    """The embedding as openTSNE lays it out, for each perplexity; None where it is one point."""
    if "maps" not in results.names("arrays"):
        return None
    data, rows = results.arrays("maps"), results.table("maps").rows
    figure = figures.canvas(figures.PAGE_MM, 52)
    grid = figure.subplots(1, max(len(rows), 3), squeeze=False)[0]
    for axes, (perplexity, trust, kept) in zip(grid, rows, strict=False):
        points = data[f"perplexity{perplexity}"]
        figures.scatter_classes(axes, points, data["labels"], list(data["classes"]))
        middle, reach = (points.max(0) + points.min(0)) / 2, 0.53 * np.ptp(points, axis=0).max()
        axes.set(xlim=middle[0] + reach * SIDES, ylim=middle[1] + reach * SIDES)
        axes.set_aspect("equal", adjustable="box")
        axes.set_title(
            f"perplexity {perplexity}: trustworthiness {trust:.3f},\n"
            f"{kept:.1%} of the nearest neighbours kept"
        )
    for axes in grid[len(rows) :]:
        axes.set_axis_off()
    figures.class_legend(figure, grid[0])
    return figure


FIGURES: dict[str, Callable[[Results], Figure | None]] = {
    "kernels": draw_kernels,
    "activations": draw_activations,
    "distances": draw_distances,
    "matrices": draw_matrices,
    "maps": draw_maps,
}
