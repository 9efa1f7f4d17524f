"""The figures of the study `vgg`."""

from collections.abc import Callable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from research import figures
from research.records import Array, Number, Results

CANDIDATES = {
    "mean": "mean",
    "first": "1st direction",
    "first-": "1st, reversed",
    "gradient": "gradient",
    "deepfool": "DeepFool",
}
"""candidate -> its name in print"""


def draw_examples(results: Results) -> Figure:
    """Samples without and with their own noise, and the noise amplified around grey."""
    data = results.arrays("examples")
    eps, count = float(data["eps"]), len(data["clean"])
    factor = max(1.0, np.floor(0.5 / eps)) if eps else 1.0
    rows = {
        "clean": data["clean"],
        f"noise × {factor:.0f}": np.clip(0.5 + factor * data["noise"], 0, 1),
        "attacked": data["attacked"],
    }
    figure = figures.canvas(figures.COLUMN_MM, 66)
    grid = figure.subplots(3, count, squeeze=False)
    for line, (label, images) in zip(grid, rows.items(), strict=True):
        for axes, image in zip(line, images, strict=True):
            figures.show_image(axes, image)
        line[0].text(-0.06, 0.5, label, rotation=90, ha="right", va="center",
                     transform=line[0].transAxes)  # fmt: skip
    for line, kind in ((grid[0], "clean"), (grid[2], "attacked")):
        for axes, title in zip(line, captions(data, kind), strict=True):
            axes.set_title(title, pad=2, fontsize=7)
    return figure


def captions(data: dict[str, Array], kind: str) -> list[str]:
    """The label that the network gives each example, with its confidence."""
    labels, confidences = data[f"{kind}_class"], data[f"{kind}_confidence"]
    names = [data["classes"][label] for label in labels]
    return [f"{name} {p:.0%}" for name, p in zip(names, confidences, strict=True)]


def draw_curves(results: Results) -> Figure:
    """Accuracy against the step size, mean over seeds and their range."""
    data = results.arrays("curves")
    figure = figures.canvas(figures.COLUMN_MM, 48)
    axes = figure.subplots()
    steps = 255 * data["eps"]
    lines = {"fgsm": "own noise (FGSM)", "random": "random signs"}
    for (name, label), colour in zip(lines.items(), figures.COLOURS, strict=False):
        figures.band(axes, steps, 100 * data[name], colour, label, marker="o")
    axes.set(xlabel="eps (1/255)", ylabel="test accuracy (%)", ylim=(0, 100))
    axes.legend()
    return figure


def draw_spectrum(results: Results) -> Figure:
    """Share of the noises' squared norm in their first directions, against random signs."""
    data = results.arrays("noises")
    figure = figures.canvas(figures.COLUMN_MM, 46)
    axes = figure.subplots()
    lines = {"energy": "noises of samples", "energy_random": "random signs"}
    for (name, label), colour in zip(lines.items(), figures.COLOURS, strict=False):
        shares = 100 * data[name]
        axes.plot(np.arange(1, len(shares) + 1), shares, color=colour, label=label)
    axes.set(xscale="log", xlabel="directions", ylabel="share of squared norm (%)", ylim=(0, 100))
    axes.legend()
    return figure


def draw_blocks(results: Results) -> Figure:
    """How often a noise of one class fools samples of another."""
    data = results.arrays("noises")
    classes = list(data["classes"])
    figure = figures.canvas(figures.COLUMN_MM, 66)
    axes = figure.subplots()
    shown = axes.imshow(100 * data["blocks"], vmin=0, cmap="viridis")
    axes.set_xticks(range(len(classes)), classes, rotation=90)
    axes.set_yticks(range(len(classes)), classes)
    axes.set(xlabel="class of the sample", ylabel="class of the noise")
    figure.colorbar(shown, ax=axes, label="fooled (%)")
    return figure


def draw_candidates(results: Results) -> Figure:
    """Fooling rates of the noises for all samples, between random signs and own noises."""
    table, numbers = results.table("candidates"), results.numbers
    rates = dict(zip(table.column("noise"), table.column("held_out"), strict=True))
    figure = figures.canvas(figures.COLUMN_MM, 50)
    axes = figure.subplots()
    draw_bars(axes, [rate for name in CANDIDATES if isinstance(rate := rates[name], Number)])
    levels = {"fooling_own": "own noise (FGSM)", "fooling_random_max": "best of random signs"}
    for (name, label), colour, style in zip(
        levels.items(), figures.COLOURS[1:], ("-", "--"), strict=False
    ):
        axes.axhline(100 * numbers[f"vgg_{name}"].value, color=colour, ls=style, label=label)
    axes.set_xticks(range(len(CANDIDATES)), CANDIDATES.values())
    axes.set(ylabel="fooled, held-out (%)", ylim=(0, None))
    figure.legend(loc="outside upper center", ncols=2)
    return figure


def draw_bars(axes: Axes, rates: list[Number]) -> None:
    """One bar for each rate, with its interval."""
    values = np.array([100 * rate.value for rate in rates])
    ends = 100 * np.array([rate.bounds for rate in rates])
    reach = np.abs(ends.T - values)
    axes.bar(range(len(rates)), values, yerr=reach, width=0.6, color=figures.COLOURS[0],
             capsize=2, error_kw={"linewidth": 0.8})  # fmt: skip


FIGURES: dict[str, Callable[[Results], Figure]] = {
    "examples": draw_examples,
    "curves": draw_curves,
    "spectrum": draw_spectrum,
    "blocks": draw_blocks,
    "candidates": draw_candidates,
}
