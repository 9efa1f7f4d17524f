"""The figures of the study `zf-features`."""

from collections.abc import Callable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from research import figures
from research.records import Array, Results
from research.studies.zf_features.settings import ARMS, BASELINE, LAYERS, NAMES, PRINTED_LAYERS


def draw_ablations(results: Results) -> Figure:
    """The change of both errors by each change of the network, one dot a seed; the paper's too."""
    errors, table = results.arrays("errors"), results.table("ablations")
    figure = figures.canvas(figures.COLUMN_MM, 46)
    arms = [arm for arm in ARMS if arm != BASELINE]
    places = -np.arange(len(arms), dtype=float)
    for axes, side in zip(figure.subplots(1, 2, sharey=True), ("train", "test"), strict=True):
        changes = np.array([errors[f"{a}_{side}"] - errors[f"{BASELINE}_{side}"] for a in arms])
        for column in 100 * changes.T:
            axes.plot(column, places, "o", color=figures.COLOURS[0], markersize=2.5)
        axes.plot(100 * changes.mean(1), places, "|", color=figures.COLOURS[0], markersize=8,
                  label="ours, mean")  # fmt: skip
        for network, marker, label in (("own", "D", "paper"), ("alexnet", "s", "its AlexNet")):
            printed = table.column(f"{network}_change_{side}")[1:]  # but for the baseline
            axes.plot(np.array(printed, float), places, marker, color=figures.COLOURS[1],
                      markersize=3.5, fillstyle="none", label=label)  # fmt: skip
        axes.axvline(0, color="black", linewidth=0.5)
        axes.set_xscale("symlog", linthresh=5)
        axes.set(xlabel=f"change of {side} error (points)", yticks=places)
        axes.set_xticks([-50, -5, 0, 5, 50], ["−50", "−5", "0", "5", "50"])
    axes.set_yticklabels([NAMES[arm] for arm in arms])
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=3)
    return figure


def draw_layers(results: Results) -> Figure:
    """Accuracy by layer, at the fewest and the most images per class, beside the controls."""
    data = results.arrays("accuracies")
    ks = sorted(int(name.removeprefix("scratch_k")) for name in data if name.startswith("scratch"))
    figure = figures.canvas(figures.COLUMN_MM, 58)
    grid = figure.subplots(1, 2, sharey=True)
    for axes, k in zip(grid, (ks[0], ks[-1]), strict=True):
        draw_curves(axes, data, k)
        axes.set(title=f"{k} images per class", xlabel="layer", xticks=range(1, len(LAYERS) + 1))
        axes.set_ylim(0, 100)
    grid[0].set_ylabel("accuracy (%)")
    figure.legend(*grid[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def draw_curves(axes: Axes, data: dict[str, Array], k: int) -> None:
    """Range over the draws shaded."""
    layers = np.arange(1, len(LAYERS) + 1)
    for colour, kind, label in zip(
        figures.COLOURS, ("svm", "softmax"), ("SVM", "softmax"), strict=False
    ):
        values = 100 * data[f"trained_{kind}_k{k}"]
        figures.band(axes, layers, values, colour, label, marker="o")
    values = 100 * data[f"untrained_svm_k{k}"]
    figures.band(axes, layers, values, figures.COLOURS[5], "untrained, SVM", "--")
    for key, label, colour in zip(
        ("pixels_svm", "scratch"),
        ("pixels, SVM", "from scratch"),
        figures.COLOURS[2:],
        strict=False,
    ):
        mean = 100 * float(data[f"{key}_k{k}"].mean())
        axes.axhline(mean, color=colour, linewidth=1, linestyle=":", label=label)
    printed = {int(layer[-1]): 100 * pair[0] for layer, pair in PRINTED_LAYERS["svm"].items()}
    axes.plot([*printed], [*printed.values()], "D", color="black", markersize=3,
              fillstyle="none", label="paper, SVM")  # fmt: skip


def draw_pairs(results: Results) -> Figure:
    """The likest pairs of the two sets, source above target."""
    data = results.arrays("pairs")
    count = len(data["correlations"])
    figure = figures.canvas(figures.COLUMN_MM, 2 * figures.COLUMN_MM / count + 4)
    grid = figure.subplots(2, count, squeeze=False)
    for column, correlation in enumerate(data["correlations"]):
        for line, side in zip(grid, ("source", "target"), strict=True):
            figures.show_image(line[column], data[side][column] / 255)
        grid[0, column].set_title(f"{correlation:.3f}", pad=2, fontsize=7)
    return figure


FIGURES: dict[str, Callable[[Results], Figure]] = {
    "ablations": draw_ablations,
    "layers": draw_layers,
    "pairs": draw_pairs,
}
