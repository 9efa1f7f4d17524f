"""The figures of the study `cnn`."""

from collections.abc import Callable, Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize, TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

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
CHANNELS = 16
"""Channels of each layer whose maps are drawn; the run's files have all."""
LABEL_MM, BAR_MM, GROUP_MM = 14.0, 11.0, 2.0
"""Room for the rows' names and for the colour scales, and between groups of rows."""
PANELS = (
    ("pixels", "mse"), ("untrained", "mse"), ("trained", "mse"),
    ("trained", "cosine"), ("trained", "ce"), ("trained", "js"),
)  # fmt: skip


def draw_digits(results: Results) -> Figure:
    """The four images whose distances are compared, named by their places in the test set."""
    shown = results.arrays("digits")
    figure = figures.canvas(figures.COLUMN_MM, 26)
    figure.get_layout_engine().set(rect=(0, 0, 1, 0.94))  # type: ignore[union-attr, call-arg]
    grid = figure.subplots(1, len(shown["images"]))
    for axes, image, place, name in zip(
        grid, shown["images"], shown["places"], shown["classes"], strict=True
    ):
        figures.show_image(axes, image)
        axes.set_title(f"{name}: image {place}", pad=2, fontsize=7)
    return figure


def draw_kernels(results: Results) -> Figure:
    """All kernels of conv1, and those of the first maps of conv2 on their first inputs."""
    weights = results.arrays("kernels")
    first = weights["conv1"][:, 0].reshape(2, 16, 3, 3)
    second = weights["conv2"][:4, :16]
    side = figures.COLUMN_MM / 16
    figure = figures.canvas(figures.COLUMN_MM, 6 * side + 9)
    grid = figure.subplots(2, 1, height_ratios=[2, 4])
    figures.tiles(grid[0], first, "conv1: all 32 kernels")
    figures.tiles(grid[1], second, "conv2: maps 1 to 4 (down) on inputs 1 to 16 (across)")
    return figure


def draw_activations(results: Results) -> Figure:
    """Kernels of conv1, and below each the maps that follow from it; then those of conv2.

    A convolution, its pooling and its ReLU share one colour scale.
    """
    maps, weights = results.arrays("activations"), results.arrays("kernels")
    rows = {"kernels": weights["conv1"][:CHANNELS, 0]}
    rows |= {name: maps[name][:CHANNELS] for name in MAPS}
    groups = (("kernels",), MAPS[:3], MAPS[3:])
    pitch = (figures.PAGE_MM - LABEL_MM - BAR_MM) / CHANNELS
    whole = len(rows) * pitch + len(groups) * GROUP_MM
    figure = figures.canvas(figures.PAGE_MM, whole)
    figure.set_layout_engine("none")
    top = whole
    for group in groups:
        reach = max(float(np.abs(rows[name]).max()) for name in group)
        norm = TwoSlopeNorm(0, -reach, reach)
        for number, name in enumerate(group, start=1):
            draw_strip(figure, rows[name], top - number * pitch, pitch, name, norm)
        height = len(group) * pitch
        draw_bar(figure, norm, top - height + 0.06 * pitch, height - 0.12 * pitch)
        top -= height + GROUP_MM
    return figure


def draw_strip(
    figure: Figure, tiles: Array, bottom: float, pitch: float, name: str, norm: Normalize
) -> None:
    """A row of tiles (n, h, w), its name and size at its left; millimetres from the foot."""
    whole = figure.get_figheight() * 25.4
    for column, tile in enumerate(tiles):
        left = (LABEL_MM + column * pitch) / figures.PAGE_MM
        side = 0.94 * pitch
        axes = figure.add_axes((left, bottom / whole, side / figures.PAGE_MM, side / whole))
        axes.imshow(tile, cmap="RdBu_r", norm=norm)
        axes.set(xticks=[], yticks=[])
        for spine in axes.spines.values():
            spine.set(visible=True, linewidth=0.3, color="0.6")
    size = f"{tiles.shape[1]} × {tiles.shape[2]}"
    figure.text(0, (bottom + pitch / 2) / whole, f"{name}\n{size}", va="center", fontsize=7.5)


def draw_bar(figure: Figure, norm: Normalize, bottom: float, height: float) -> None:
    """The colour scale of a group of rows, at the right; millimetres from the foot."""
    whole = figure.get_figheight() * 25.4
    left = (figures.PAGE_MM - BAR_MM + 2) / figures.PAGE_MM
    axes = figure.add_axes((left, bottom / whole, 2 / figures.PAGE_MM, height / whole))
    bar = figure.colorbar(ScalarMappable(norm, "RdBu_r"), cax=axes)
    bar.set_ticks(MaxNLocator(nbins=2 if height < 15 else 5, symmetric=True))
    bar.ax.tick_params(length=2, pad=1.5)


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
        axes.set(xlabel=AXES[metric], ylabel="density", yticks=[])
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
    spaces = ("pixels", "trained")
    figure = figures.canvas(figures.COLUMN_MM, 41)
    figure.set_layout_engine("compressed")  # the squares leave room beside them
    grid = figure.subplots(1, len(spaces), sharey=True)
    found = {name: results.arrays(f"distances_{name}_mse") for name in spaces}
    with np.errstate(invalid="ignore"):  # a space that is one point stays white
        relative = {name: data["means"] / data["mean_intra"] for name, data in found.items()}
    top = max(float(matrix.max()) for matrix in relative.values() if np.isfinite(matrix).all())
    for axes, (name, matrix) in zip(grid, relative.items(), strict=True):
        shown = axes.imshow(matrix, vmin=0, vmax=top, cmap="viridis")
        classes = found[name]["classes"]
        axes.set(xticks=range(len(classes)), yticks=range(len(classes)), title=SPACES[name])
        axes.set(xticklabels=classes, yticklabels=classes, xlabel="class")
        axes.tick_params(length=0, labelsize=6.5)
    grid[0].set_ylabel("class")
    figure.colorbar(shown, ax=grid, shrink=0.9, label="÷ mean within classes")
    return figure


def draw_maps(results: Results) -> Figure | None:
    """The embedding as openTSNE lays it out, for each perplexity; None where it is one point."""
    if "maps" not in results.names("arrays"):
        return None
    data, rows = results.arrays("maps"), results.table("maps").rows
    figure = figures.canvas(figures.COLUMN_MM, 41)
    grid = figure.subplots(1, max(len(rows), 3), squeeze=False)[0]
    for axes, (perplexity, trust, kept) in zip(grid, rows, strict=False):
        points = data[f"perplexity{perplexity}"]
        figures.scatter_classes(axes, points, data["labels"], list(data["classes"]))
        middle, reach = (points.max(0) + points.min(0)) / 2, 0.53 * np.ptp(points, axis=0).max()
        axes.set(xlim=middle[0] + reach * SIDES, ylim=middle[1] + reach * SIDES)
        axes.set_aspect("equal", adjustable="box")
        axes.set_title(f"perplexity {perplexity}\n{trust:.2f}, {kept:.0%} kept", fontsize=7)
    for axes in grid[len(rows) :]:
        axes.set_axis_off()
    figures.class_legend(figure, grid[0])
    return figure


FIGURES: dict[str, Callable[[Results], Figure | None]] = {
    "digits": draw_digits,
    "kernels": draw_kernels,
    "activations": draw_activations,
    "distances": draw_distances,
    "matrices": draw_matrices,
    "maps": draw_maps,
}
