"""The figures of the study `fgsm`."""

from collections.abc import Callable

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from research import figures
from research.records import Array, Results
from research.studies.fgsm.settings import TUTORIAL

NETWORKS = {"lenet": "LeNet", "cnn": "newer network"}


def draw_examples(results: Results) -> Figure:
    """Images before and after the attack, with the noise between them."""
    data = results.arrays("examples")
    eps = results.run.config["noise_eps"]
    count = min(len(data["clean"]), 10)
    figure = figures.canvas(figures.PAGE_MM, 56)
    grid = figure.subplots(3, max(count, 1), squeeze=False)
    rows = {"clean": data["clean"], "noise": (data["noise"] / eps + 1) / 2,
            "adversarial": data["adversarial"]}  # fmt: skip
    for line, (name, images) in zip(grid, rows.items(), strict=True):
        line[0].text(-0.08, 0.5, name, ha="right", va="center", rotation=90,
                     transform=line[0].transAxes)  # fmt: skip
        for column, (axes, image) in enumerate(zip(line, images[:count], strict=True)):
            figures.show_image(axes, image)
            if name != "noise":
                label, sure = (data[f"{kind}_{name}"][column] for kind in ("label", "confidence"))
                axes.set_title(f"{label}: {100 * sure:.0f} %", pad=2)
    return figure


def draw_signs(results: Results) -> Figure:
    """By how much the common attack overstates the accuracy, by eps and length of training."""
    figure = figures.canvas(figures.COLUMN_MM, 38)
    grid = figure.subplots(1, 2, sharey=True)
    eps, table = results.run.config["eps"], results.table("signs")
    for axes, arm in zip(grid, TUTORIAL, strict=True):
        epochs = [row[1] for row in table.rows if row[0] == arm]
        shades = colormaps["viridis"](np.linspace(0.85, 0, len(epochs)))
        for epoch, colour in zip(epochs, shades, strict=True):
            curves = results.arrays(f"signs_{arm}_epoch{epoch}")
            figures.band(
                axes, eps, 100 * (curves["plain"] - curves["stable"]), colour, f"{epoch} epochs"
            )
        axes.axhline(0, color="black", linewidth=0.5)
        axes.set(title=NETWORKS[arm], xlabel="eps")
        axes.legend(loc="upper left")
    low, high = grid[0].get_ylim()
    grid[0].set_ylim(min(low, -0.2), max(high, 1))
    grid[0].set_ylabel("accuracy overstated\n(percentage points)")
    return figure


def draw_geometry(results: Results) -> Figure:
    """Cosines of noises by class, what fools whom by class, and the spectra."""
    figure = figures.canvas(figures.PAGE_MM, 43)
    grid = figure.subplots(1, 5, width_ratios=[1, 1, 1, 1, 1.2])
    found = {arm: results.arrays(f"battery_{arm}") for arm in TUTORIAL}
    top = max(float(np.nanmax(np.abs(data["cosines"]))) for data in found.values())
    for index, (arm, data) in enumerate(found.items()):
        cosines = grid[index].imshow(data["cosines"], cmap="RdBu_r", vmin=-top, vmax=top)
        fooling = grid[2 + index].imshow(100 * data["blocks"], cmap="viridis", vmin=0, vmax=100)
        energy(grid[4], data["energy"], figures.COLOURS[index], NETWORKS[arm])
    energy(grid[4], data["energy_random"], figures.COLOURS[-1], "random signs")
    for index, axes in enumerate(grid[:4]):
        what = "other noise" if index < 2 else "sample"
        axes.set(title=NETWORKS[TUTORIAL[index % 2]], xlabel=f"{what} (class)")
        axes.set(xticks=range(0, 10, 3), yticks=range(0, 10, 3))
    grid[0].set_ylabel("noise (class)")
    grid[4].set(xlabel="directions", ylabel="energy (%)", ylim=(0, 100))
    grid[4].legend(loc="lower right", fontsize=6)
    for shown, axes, label in (
        (cosines, grid[:2], "mean cosine"), (fooling, grid[2:4], "fooled (%)")
    ):  # fmt: skip
        figure.colorbar(shown, ax=axes, label=label, shrink=0.7)
    return figure


def energy(axes: Axes, shares: Array, colour: str, label: str) -> None:
    axes.plot(100 * np.concatenate([[0], shares]), color=colour, label=label)


FIGURES: dict[str, Callable[[Results], Figure]] = {
    "examples": draw_examples,
    "signs": draw_signs,
    "geometry": draw_geometry,
}
