"""The figures of the study `mlp`."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import SymLogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from research import figures
from research.records import Array, Results
from research.studies.mlp.settings import ARMS, SHOWN

TITLES = {"train": "training images", "test": "test images"}
COLOURS = dict(zip(ARMS, figures.COLOURS, strict=False))


def draw_curves(results: Results) -> Figure:
    """Training and test loss of each arm side by side, mean over seeds and range."""
    figure = figures.canvas(figures.COLUMN_MM, 46)
    grid = figure.subplots(1, 2)
    stored = [name for name in results.names("arrays") if name.startswith("curve_")]
    for axes, side in zip(grid, ("train", "test"), strict=True):
        for arm in SHOWN:
            own = [name for name in stored if name.startswith(f"curve_{arm}-seed")]
            if own:
                values = np.stack([results.arrays(name)[f"loss_{side}"] for name in own])
                label = ARMS[arm] * (side == "test")
                figures.spread(axes, values, COLOURS[arm], label)
        axes.set(title=TITLES[side], xlabel="epoch", yscale="log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if side == "test" else (1,)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter(NullFormatter())
    grid[0].set_ylabel("cross-entropy (nat)")
    if stored:  # given weights have no curves
        figure.legend(loc="outside lower center", ncols=2)
    return figure


def draw_confusion(results: Results, arms: Sequence[str]) -> Figure:
    """Mean confusion matrices over seeds."""
    counts = {ARMS[arm]: results.arrays(f"confusion_{arm}")["counts"].mean(0) for arm in arms}
    return figures.confusions(counts, list(results.arrays("counts")["classes"]))


def draw_spaces(results: Results) -> Figure:
    """Covariances of the first seed on one colour scale, and the spectra of all seeds."""
    figure = figures.canvas(figures.PAGE_MM, 40)
    *grid, last = figure.subplots(1, 5, width_ratios=(1, 1, 1, 1, 1.3))
    covariances = {arm: results.arrays(f"embedding_{arm}")["covariance"] for arm in ARMS}
    reach = max(float(np.abs(covariances[arm][0]).max()) for arm in SHOWN)
    norm = SymLogNorm(reach / 100, vmin=-reach, vmax=reach)
    for axes, arm in zip(grid, SHOWN, strict=True):
        shown = axes.imshow(covariances[arm][0], cmap="RdBu_r", norm=norm)
        axes.set(title=ARMS[arm], xticks=[], yticks=[], xlabel=f"{covariances[arm].shape[1]} units")
    tick = 10 ** np.floor(np.log10(reach))
    bar = figure.colorbar(shown, ax=grid, label="covariance", ticks=[-tick, 0, tick], shrink=0.8)
    bar.ax.set_yticklabels([f"{-tick:g}", "0", f"{tick:g}"])
    bar.ax.minorticks_off()
    for arm in ARMS:
        for seed, covariance in enumerate(covariances[arm]):
            values = np.linalg.eigvalsh(covariance)[::-1]
            label = None if seed else ARMS[arm]
            last.plot(range(1, len(values) + 1), values, color=COLOURS[arm], lw=0.7, label=label)
    last.set(yscale="log", xlabel="principal axis", ylabel="variance", title="spectra")
    figure.legend(loc="outside lower center", ncols=5)
    return figure


def draw_doses(results: Results) -> Figure:
    """Class counts; recall and precision of the class 1 and accuracy by the ones that remain."""
    figure = figures.canvas(figures.PAGE_MM, 36)
    bars, *grid = figure.subplots(1, 4)
    draw_counts(bars, results.arrays("counts"))
    titles = ("recall of the class 1", "precision of the class 1", "accuracy")
    for axes, title in zip(grid, titles, strict=True):
        for loss, colour in zip(("plain", "weighted"), figures.COLOURS, strict=False):
            doses = results.arrays(f"doses_{loss}")
            draw_dose(axes, doses, title.split()[0], colour, f"{loss} loss" * (axes is grid[0]))
        axes.set_xscale("symlog", linthresh=5, linscale=0.6)
        ticks = [0, *(10**k for k in range(1, 6) if 10**k <= doses["ones"].max())]
        axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
        axes.minorticks_off()
        axes.set(title=title, xlabel="ones in training", ylabel="%")
    figure.legend(loc="outside lower center", ncols=4)
    return figure


def draw_counts(axes: Axes, counts: Mapping[str, Array]) -> None:
    places = np.arange(len(counts["classes"]))
    for shift, side, colour in ((-0.2, "before", "0.6"), (0.2, "after", figures.COLOURS[2])):
        axes.bar(places + shift, counts[side], 0.4, color=colour, label=f"{side} deletion")
    axes.set_xticks(places, counts["classes"])
    axes.set(xlabel="class", ylabel="training images", title="classes in training")


def draw_dose(
    axes: Axes, doses: Mapping[str, Array], measure: str, colour: str, label: str
) -> None:
    """A point per seed, a line through the means; for recall, bars of the median seed."""
    ones, values = doses["ones"], doses[measure]
    axes.plot(ones, values.mean(1), color=colour, label=label)
    axes.plot(ones, values, ".", color=colour, markersize=3)
    if measure == "recall":
        axes.vlines(ones, *doses["wilson"].T, color=colour, linewidth=2.5, alpha=0.35)


def draw_noise(results: Results) -> Figure:
    """What class noise is taken for, and its distance to the training embeddings."""
    figure = figures.canvas(figures.COLUMN_MM, 33)
    bars, hist = figure.subplots(1, 2)
    names = {"clean": "test images", "normalised": "noise, normalised", "pixels": "noise, pixels"}
    classes = results.arrays("counts")["classes"]
    found = {name: results.arrays(f"noise_{name}") for name in names}
    bins = np.histogram_bin_edges(np.concatenate([f["distances"] for f in found.values()]), 60)
    for number, (name, label) in enumerate(names.items()):
        colour = figures.COLOURS[number]
        hist.hist(
            found[name]["distances"], bins, color=colour, alpha=0.7, label=label, density=True
        )
        if name != "clean":
            taken = 100 * found[name]["preds"]
            places = np.arange(len(classes)) + 0.4 * number - 0.6
            bars.bar(places, taken.mean(0), 0.4, color=colour, alpha=0.7)
            bars.plot(places, taken.T, ".", color=colour, markersize=3)
    bars.set_xticks(range(len(classes)), classes)
    bars.set(xlabel="predicted class", ylabel="share (%)")
    hist.set(xlabel="Mahalanobis distance", ylabel="density", yticks=[])
    figure.legend(loc="outside lower center", ncols=3)
    return figure


FIGURES: dict[str, Callable[[Results], Figure]] = {
    "curves": draw_curves,
    "confusion": partial(draw_confusion, arms=("baseline", "lr", "deep", "biased")),
    "spaces": draw_spaces,
    "doses": draw_doses,
    "noise": draw_noise,
}
