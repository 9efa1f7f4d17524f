"""Figures of the study `ae`, from stored results."""

from collections.abc import Callable
from functools import partial

import numpy as np
from matplotlib.figure import Figure

from research import figures
from research.models import Decoder
from research.records import Array, Results
from research.studies.ae.settings import ARMS

LABELS = {
    "transpose": "transposed conv.",
    "upsample": "upsampling",
    "pca": "PCA",
    "mean": "mean image",
}


def draw_curves(results: Results) -> Figure:
    """Training and test loss of each arm, mean over seeds and range."""
    figure = figures.canvas(figures.COLUMN_MM, 46)
    axes = figure.subplots()
    for arm, colour in zip(ARMS, figures.COLOURS, strict=False):
        names = [name for name in results.names("arrays") if name.startswith(f"curve_{arm}-")]
        if names:
            curves = [results.arrays(name) for name in names]
            training, test = (
                np.stack([curve[side] for curve in curves]) for side in ("loss_train", "loss_test")
            )
            figures.spread(axes, training, colour, f"{LABELS[arm]}, training", "--")
            figures.spread(axes, test, colour, f"{LABELS[arm]}, test")
    floor = results.numbers["entropy_floor"].value
    axes.axhline(
        floor, color="0.4", linewidth=0.8, linestyle=":", label="entropy of the test pixels"
    )
    axes.set(xlabel="epoch", ylabel="cross-entropy (nat)")
    figure.legend(loc="outside lower center", ncols=2)
    return figure


def draw_kernels(results: Results, arm: Decoder) -> Figure:
    """Every kernel of every layer, a line for each half, one colour scale a layer."""
    halves: dict[str, dict[str, Array]] = {}
    for name, weights in results.arrays(f"kernels_{arm}").items():
        halves.setdefault(name.partition(".")[0], {})[name] = weights
    return figures.kernel_sheets(halves)


def draw_activations(results: Results, arm: Decoder) -> Figure:
    """Every channel of every layer for the sample image, one colour scale a layer."""
    maps = results.arrays(f"activations_{arm}")
    image = results.arrays("sample")["image"]
    return figures.activation_sheet(image, maps)


def draw_examples(results: Results) -> Figure:
    """Two best, two median and two worst test images and their reconstructions."""
    examples = results.arrays("examples")
    ranks = np.repeat(["best", "median", "worst"], 2)
    titles = [f"{rank}\n{mse:.4f}" for rank, mse in zip(ranks, examples["mse"], strict=True)]
    rows = {"input": examples["input"]} | {LABELS[n]: examples[n] for n in (*ARMS, "pca")}
    return figures.image_rows(rows, titles, figures.COLUMN_MM)


def draw_spectra(results: Results) -> Figure:
    """Power of the residuals per spatial frequency, both arms on one logarithmic scale."""
    return figures.spectra({LABELS[arm]: power for arm, power in results.arrays("spectra").items()})


def draw_map(results: Results) -> Figure | None:
    """The code of test images as openTSNE lays it out; None where it is one point."""
    if "map" not in results.names("arrays"):
        return None
    data = results.arrays("map")
    figure = figures.canvas(figures.COLUMN_MM, 46)
    axes = figure.subplots()
    figures.scatter_classes(axes, data["points"], data["labels"], list(data["classes"]))
    trust = results.numbers["trustworthiness"].value
    axes.set_title(f"{len(data['points'])} test images, trustworthiness {trust:.3f}")
    figures.class_legend(figure, axes)
    return figure


FIGURES: dict[str, Callable[[Results], Figure | None]] = {
    "curves": draw_curves,
    "kernels": partial(draw_kernels, arm="transpose"),
    "kernels_upsample": partial(draw_kernels, arm="upsample"),
    "activations": partial(draw_activations, arm="transpose"),
    "activations_upsample": partial(draw_activations, arm="upsample"),
    "examples": draw_examples,
    "spectra": draw_spectra,
    "map": draw_map,
}
