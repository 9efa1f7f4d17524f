"""The figures of the study `fgsm`."""

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from research import figures
from research.records import Array, Results
from research.studies.fgsm.settings import TUTORIAL

NETWORKS = {"lenet": "LeNet", "cnn": "newer network"}


def draw_examples(results: Results) -> Figure:
    """Digits before and after the attack; between them their noises, and those of other digits."""
    data = results.arrays("examples")
    count = max(len(data["clean"]), 1)
    rows = [("clean", data["clean"], labelled(data, "clean"))]
    for arm, name in (("cnn", "newer"), ("lenet", "LeNet")):
        cosines = [f"cos {one:.2f}" for one in data[f"cosine_{arm}"]]
        rows.append((f"{name}: noise", noise_shown(data[f"noise_{arm}"]), []))
        rows.append(("another's", noise_shown(data[f"other_{arm}"]), cosines))
    rows.append(("attacked", data["adversarial"], labelled(data, "adversarial")))
    side = min(10.5, (figures.PAGE_MM - 8) / count)
    figure = figures.canvas(figures.PAGE_MM, len(rows) * side + 4 * 3.6)
    for line, row in zip(figure.subplots(len(rows), count, squeeze=False), rows, strict=True):
        picture_row(line, *row)
    return figure


def noise_shown(signs: Array) -> Array:
    """Noise of -1 and 1 as black and white."""
    return (signs + 1) / 2


def labelled(data: dict[str, Array], kind: str) -> list[str]:
    """What the network takes images for, and how surely."""
    pairs = zip(data[f"label_{kind}"], data[f"confidence_{kind}"], strict=True)
    return [f"{label}: {100 * sure:.0f} %" for label, sure in pairs]


def picture_row(line: Array, name: str, images: Array, titles: Sequence[str]) -> None:
    """Pictures with a name on their left."""
    line[0].text(-0.08, 0.5, name, ha="right", va="center", rotation=90, fontsize=7,
                 transform=line[0].transAxes)  # fmt: skip
    for axes, image in zip(line, images, strict=False):
        figures.show_image(axes, image)
    for axes, title in zip(line, titles, strict=False):
        axes.set_title(title, pad=2, fontsize=7)


def draw_one(results: Results) -> Figure:
    """For each network the best single noise, and digits to which it was added."""
    eps = results.run.config["noise_eps"]
    found = {arm: results.arrays(f"one_{arm}") for arm in TUTORIAL}
    columns = 1 + max(len(data["noisy"]) for data in found.values())
    figure = figures.canvas(figures.COLUMN_MM, 2 * (figures.COLUMN_MM - 4) / columns + 8)
    grid = figure.subplots(len(found), columns, squeeze=False)
    for line, (arm, data) in zip(grid, found.items(), strict=True):
        for axes in line:
            axes.set_axis_off()
        picture_row(line[:1], NETWORKS[arm], noise_shown(data["noise"] / eps)[None], ["one noise"])
        pairs = zip(data["label_clean"], data["label_noisy"], strict=True)
        picture_row(line[1:], "", data["noisy"], [f"{a} → {b}" for a, b in pairs])
    return figure


def draw_geometry(results: Results) -> Figure:
    """Cosines of noises by class, what fools whom by class, and the spectra."""
    figure = figures.canvas(figures.PAGE_MM, 41)
    grid = figure.subplots(1, 5, width_ratios=[1, 1, 1, 1, 1.2])
    found = {arm: results.arrays(f"battery_{arm}") for arm in TUTORIAL}
    top = max(float(np.nanmax(np.abs(data["cosines"]))) for data in found.values())
    for index, (arm, data) in enumerate(found.items()):
        cosines = grid[index].imshow(data["cosines"], cmap="RdBu_r", vmin=-top, vmax=top)
        fooling = grid[2 + index].imshow(100 * data["blocks"], cmap="viridis", vmin=0, vmax=100)
        energy(grid[4], data["energy"], figures.COLOURS[index], NETWORKS[arm])
    energy(grid[4], data["energy_random"], figures.COLOURS[-1], "random signs")
    for index, axes in enumerate(grid[:4]):
        what = "class of other noise" if index < 2 else "class of sample"
        axes.set(title=NETWORKS[TUTORIAL[index % 2]], xlabel=what)
        axes.set(xticks=range(0, 10, 3), yticks=range(0, 10, 3))
    grid[0].set_ylabel("class of noise")
    grid[4].set(xlabel="directions", ylabel="squared norm held (%)", ylim=(0, 100))
    grid[4].legend(loc="lower right")
    for shown, axes, label in (
        (cosines, grid[:2], "mean cosine"), (fooling, grid[2:4], "fooled (%)")
    ):  # fmt: skip
        figure.colorbar(shown, ax=axes, label=label, shrink=0.7)
    return figure


def energy(axes: Axes, shares: Array, colour: str, label: str) -> None:
    axes.plot(100 * np.concatenate([[0], shares]), color=colour, label=label)


FIGURES: dict[str, Callable[[Results], Figure]] = {
    "examples": draw_examples,
    "one": draw_one,
    "geometry": draw_geometry,
}
