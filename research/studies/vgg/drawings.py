"""The figures of the study `vgg`."""

from collections.abc import Callable

import numpy as np
from matplotlib.figure import Figure

from research import figures
from research.records import Array, Results


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
    axes.set(xlabel="ε (1/255)", ylabel="test accuracy (%)", ylim=(0, 100))
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


def draw_one(results: Results) -> Figure:
    """The best single noise, amplified around grey, and images to which it was added."""
    data = results.arrays("one")
    names, noise = data["classes"], data["noise"]
    factor = max(1.0, np.floor(0.5 / float(data["eps"])))
    columns = 1 + len(data["noisy"])
    figure = figures.canvas(figures.COLUMN_MM, figures.COLUMN_MM / columns + 8)
    first, *others = figure.subplots(1, columns, squeeze=False)[0]
    figures.show_image(first, np.clip(0.5 + factor * noise, 0, 1))
    first.set_title(f"noise × {factor:.0f}", pad=2, fontsize=7)
    for number, axes in enumerate(others):
        figures.show_image(axes, data["noisy"][number])
        before, after = names[data["clean_class"][number]], names[data["noisy_class"][number]]
        axes.set_title(f"{before}\n→ {after}", pad=2, fontsize=7)
    return figure


FIGURES: dict[str, Callable[[Results], Figure]] = {
    "examples": draw_examples,
    "curves": draw_curves,
    "blocks": draw_blocks,
    "one": draw_one,
}
