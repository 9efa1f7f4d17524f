"""The figures of the study `autoencoders`."""

from collections.abc import Callable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from research import figures
from research.records import Results

LABELS = {
    "input": "input",
    "linear": "linear 32",
    "shallow": "ReLU 32",
    "agarap": "Agarap 128",
    "published": "deep, published",
    "mended": "deep, mended",
    "transpose": "transposed",
    "upsample": "upsampling",
    "noisy": "with noise",
    "denoiser": "denoised",
    "picture_simple": "fully connected",
    "picture_conv": "convolutional",
    "noisy_simple": "… fully con.",
    "noisy_conv": "… convol.",
}
PLACES = {
    "mended": (0, 5, "center"),
    "shallow": (3, 4, "left"),
    "linear": (-4, -7, "right"),
    "agarap": (-4, -7, "right"),
}
"""Where names stand beside their crosses: points to the right and up, and the side they touch."""
FAMILIES = {"simple": "fully connected", "conv": "convolutional"}


def draw_digits(results: Results) -> Figure:
    """Test digits, and what each network of a published size makes of them."""
    return _examples(results, "digits")


def draw_pictures(results: Results) -> Figure:
    """Test pictures by both networks, and with noise."""
    return _examples(results, "pictures")


def _examples(results: Results, name: str) -> Figure:
    examples = results.arrays(f"examples_{name}")
    order = [key for key in LABELS if key in examples]
    rows = {LABELS[key]: examples[key] for key in order}
    return figures.image_rows(rows, [""] * len(examples["input"]), figures.COLUMN_MM)


def draw_sizes(results: Results) -> Figure:
    """Error against the size of the code, of all networks, with the linear codes' floor."""
    figure = figures.canvas(figures.PAGE_MM, 62)
    for axes, name in zip(figure.subplots(1, 2), ("digits", "pictures"), strict=True):
        _panel(axes, results, name)
    return figure


def _panel(axes: Axes, results: Results, name: str) -> None:
    data = results.arrays(f"sizes_{name}")
    codes = sorted({*data["codes"].tolist(), *data["single_codes"].tolist()})
    sizes = np.arange(max(1, codes[0] // 2), len(data["floor"]))
    axes.plot(sizes, data["floor"][sizes], color="0.4", linestyle=":", label="PCA")
    for (key, label), colour in zip(FAMILIES.items(), figures.COLOURS, strict=False):
        figures.band(axes, data["codes"], data[key].T, colour, label, marker="o")
    for code, error, group in zip(
        data["single_codes"], data["single_errors"], data["names"], strict=True
    ):
        axes.plot(code, error, "x", color="black", markersize=4)
        right, up, side = PLACES.get(str(group), (4, 1, "left"))
        axes.annotate(
            LABELS[str(group)], (code, error), (right, up), textcoords="offset points", ha=side,
            fontsize=6.5,
        )  # fmt: skip
    axes.set(title=name, xlabel="values in the code", ylabel="test MSE", xscale="log", yscale="log")
    axes.set_xticks(codes, [f"{code:g}" for code in codes])
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.legend(loc="lower left")


def draw_floor(results: Results) -> Figure | None:
    """Test error of the deep network by epoch, as published and mended, above the floor."""
    figure = figures.canvas(figures.COLUMN_MM, 44)
    axes = figure.subplots()
    stored = [name for name in results.names("arrays") if name.startswith("curve_")]
    drawn = False
    for arm, colour in zip(("published", "mended"), figures.COLOURS, strict=False):
        curves = [results.arrays(name) for name in stored if name.startswith(f"curve_{arm}-seed")]
        if curves:
            drawn = True
            values = np.stack([curve["loss_test"] for curve in curves])
            figures.spread(axes, values, colour, LABELS[arm])
    floor = results.numbers["floor"].value
    axes.axhline(floor, color="0.4", linewidth=0.8, linestyle=":", label="floor of a ReLU output")
    axes.set(xlabel="epoch", ylabel="test MSE", ylim=(0, None))
    figure.legend(loc="outside lower center", ncols=3)
    return figure if drawn else None


FIGURES: dict[str, Callable[[Results], Figure | None]] = {
    "digits": draw_digits,
    "pictures": draw_pictures,
    "sizes": draw_sizes,
    "floor": draw_floor,
}
