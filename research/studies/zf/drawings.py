"""The figures of the study `zf`."""

from collections import Counter
from collections.abc import Callable

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import MaxNLocator

from research import figures
from research.records import Array, Results

CHANGES = {
    "translation": "shift (share of height)",
    "scale": "enlargement (times)",
    "rotation": "turn (degrees)",
}
ZFNET = {f"relu{number}": f"layer {number}" for number in range(1, 8)}
"""What the paper calls the layers of its network."""
SILENT = "silent: none of its maps is active in nine test images"
PRINTED = 64
"""Pixels a side of a picture that stands in a table of pictures, at some 300 to the inch."""
OTHERS = "#DDDDDD"
"""The colour of the classes for which there is no other left."""


def layers_of(results: Results, prefix: str) -> list[tuple[str, dict[str, Array] | None]]:
    """(name of the layer, its arrays `prefix_layerN`, None where it has none) of every layer."""
    names, known = results.table("layers").column("layer"), results.names("arrays")
    found = {str(name): f"{prefix}_layer{number}" for number, name in enumerate(names, start=1)}
    return [
        (printed(name), results.arrays(array) if array in known else None)
        for name, array in found.items()
    ]


def printed(name: str) -> str:
    """A layer as the paper calls it; of another network its own name, or the end of a long one."""
    if name in ZFNET:
        return ZFNET[name]
    return name if len(name) < 13 else "…" + name[-11:]


def named(line: Array, name: str, gap: float, size: float = 7) -> None:
    """Writes a layer's name beside a line of pictures."""
    line[0].text(-gap, 0.5, name, rotation=90, ha="right", va="center", fontsize=size,
                 transform=line[0].transAxes)  # fmt: skip


def shaded(projections: Array) -> Array:
    """Values of either sign as a picture on one scale, zero in mid-grey; NaN in white."""
    reach = max(float(np.nan_to_num(np.abs(projections)).max()), 1e-12)
    return np.nan_to_num(np.clip(0.5 + 0.5 * projections / reach, 0, 1), nan=1.0)


def contrasted(projections: Array) -> Array:
    """Pictures (K, C, h, w) of either sign, each on a scale of its own, zero in mid-grey.

    The scale ends where all but a hundredth of the values that are not zero do: one bright pixel
    would leave the rest grey.
    """
    return np.stack([shaded(np.clip(one, -reach, reach)) for one in projections
                     for reach in [reach_of(one)]])  # fmt: skip


def reach_of(values: Array) -> float:
    present = np.abs(values[values != 0])
    return float(np.quantile(present, 0.99)) if len(present) else 1.0


def sheet(pictures: Array, columns: int, gap: float = 0.06) -> Array:
    """Pictures (K, C, h, w) in [0, 1] side by side and below each other, white between them."""
    count, channels, height, width = pictures.shape
    rows, space = -(-count // columns), max(1, round(gap * width))
    whole = np.ones((channels, rows * (height + space) - space, columns * (width + space) - space))
    for number, picture in enumerate(pictures):
        top = number // columns * (height + space)
        left = number % columns * (width + space)
        whole[:, top : top + height, left : left + width] = picture
    return whole


def reduced(pictures: Array) -> Array:
    """Pictures (…, h, w) as averages over squares of pixels, where print has no room for all."""
    height, width = pictures.shape[-2:]
    step = max(1, width // PRINTED)
    rows, columns = height // step, width // step  # a rest of less than a square is left out
    kept = pictures[..., : rows * step, : columns * step]
    return np.asarray(kept.reshape(*kept.shape[:-2], rows, step, columns, step).mean((-3, -1)))


def draw_tops(results: Results) -> Figure:
    """The nine strongest activations of some maps of each layer, and the patches they come from."""
    layers = layers_of(results, "tops")
    shown = max([len(data["maps"]) for _, data in layers if data], default=1)
    height = min((figures.PAGE_MM - 5) / shown / 2, 18.5) + 3.6
    figure = figures.canvas(figures.PAGE_MM, height * len(layers))
    grid = figure.subplots(len(layers), shown, squeeze=False)
    for line, (name, data) in zip(grid, layers, strict=True):
        for axes in line:
            axes.set_axis_off()
        if data:
            draw_maps(line, data)
        else:
            line[0].text(0, 0.5, SILENT, va="center", transform=line[0].transAxes)
        named(line, name, 0.03, 8)
    return figure


def draw_maps(line: Array, data: dict[str, Array]) -> None:
    """Of each map nine projections beside the nine patches."""
    for axes, number, projections, patches in zip(
        line, data["maps"], data["projections"], data["patches"], strict=False
    ):
        halves = [sheet(reduced(one), 3) for one in (contrasted(projections), patches)]
        blank = np.ones((halves[0].shape[0], halves[0].shape[1], max(1, halves[0].shape[2] // 15)))
        figures.show_image(axes, np.concatenate([halves[0], blank, halves[1]], 2))
        axes.set_title(f"map {number}", pad=2, fontsize=7)


def draw_evolution(results: Results) -> Figure:
    """The projection of the strongest activation of one map of each layer, by epoch.

    Each picture has its own scale, since early ones are faint; its reach, as a share of the last
    one's, stands in the corner.
    """
    layers = layers_of(results, "evolution")
    epochs = results.arrays("converging")["epochs"]
    side = min(7.2, (figures.COLUMN_MM - 8) / len(epochs) - 0.6)
    figure = figures.canvas((side + 0.6) * len(epochs) + 8, (side + 0.6) * len(layers) + 5)
    grid = figure.subplots(len(layers), len(epochs), squeeze=False)
    for line, (name, data) in zip(grid, layers, strict=True):
        for axes in line:
            axes.set_axis_off()
        if data:
            draw_stages(line, data["projections"])
        else:
            line[0].text(0, 0.5, "silent", va="center", transform=line[0].transAxes)
        named(line, name, 0.08, 7)
    word = "epoch " if len(epochs) < 7 else ""  # of nine there is room for the number alone
    for axes, epoch in zip(grid[0], epochs, strict=True):
        axes.set_title(f"{word}{epoch}", pad=2, fontsize=6.5)
    return figure


def draw_stages(line: Array, projections: Array) -> None:
    """One map's projection by epoch, with its reach as a share of the last one's."""
    reach = np.nan_to_num(np.abs(projections).max((1, 2, 3)))
    for axes, projection, share in zip(
        line, projections, reach / max(reach[-1], 1e-12), strict=True
    ):
        figures.show_image(axes, reduced(shaded(projection)))
        if not np.isnan(projection).all():
            axes.text(0.04, 0.05, f"{share:.2g}", fontsize=6, transform=axes.transAxes,
                      bbox={"facecolor": "white", "linewidth": 0, "pad": 0.5})  # fmt: skip


def draw_converging(results: Results) -> Figure:
    """How like its final state each layer is, by epoch."""
    data = dict(results.arrays("converging"))
    epochs = data.pop("epochs")
    figure = figures.canvas(figures.COLUMN_MM, 27)
    axes = figure.subplots()
    shades = colormaps["viridis"](np.linspace(0, 0.9, len(data)))
    for (name, values), colour in zip(data.items(), shades, strict=True):
        figures.band(axes, epochs, values, colour, printed(name), marker="o")
    axes.set(xlabel="epoch", ylabel="CKA", ylim=(0, 1.03))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(ncols=2, loc="lower right")
    return figure


def draw_filters(results: Results) -> Figure:
    """First-layer filters of both geometries, each sheet on one scale, the largest first."""
    arms = {"zf": "7 × 7, stride 2", "alexnet": "11 × 11, stride 4", "given": "layer 1"}
    found = {arm: results.arrays(f"filters_{arm}") for arm in arms
             if f"filters_{arm}" in results.names("arrays")}  # fmt: skip
    figure = figures.canvas(figures.COLUMN_MM, 21)
    grid = figure.subplots(1, len(found), squeeze=False)[0]
    for axes, (arm, data) in zip(grid, found.items(), strict=True):
        figures.show_image(axes, sheet(shaded(data["weights"]), 6, 0.12))
        reach = np.abs(data["weights"]).max()
        axes.set_title(f"{arms[arm]}  [{-reach:.2g}, {reach:.2g}]", pad=2, fontsize=7)
    return figure


def draw_invariance(results: Results) -> Figure:
    """Feature distance of the first and last layer, and the probability of the class."""
    figure = figures.canvas(figures.COLUMN_MM, 36)
    grid = figure.subplots(2, len(CHANGES), sharey="row", sharex="col")
    for column, (name, label) in zip(grid.T, CHANGES.items(), strict=True):
        data = results.arrays(f"invariance_{name}")
        for key, colour in zip(("first", "last"), figures.COLOURS, strict=False):
            figures.band(column[0], data["amounts"], data[key], colour, f"{key} layer")
        figures.band(column[1], data["amounts"], 100 * data["probability"],
                     figures.COLOURS[2], "class")  # fmt: skip
        column[1].set_xlabel(label, fontsize=7)
        column[0].set_ylim(bottom=0)
        column[1].set_ylim(0, 100)
    grid[0, 0].set_ylabel("distance")
    grid[1, 0].set_ylabel("class (%)")
    figure.align_ylabels(grid[:, 0])
    figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=2)
    return figure


def draw_occlusion(results: Results) -> Figure:
    """Images, and what the network answers by the position of a grey square."""
    data = results.arrays("occlusion")
    count = len(data["image"])
    figure = figures.canvas(figures.PAGE_MM, 19 * count + 9)
    grid = figure.subplots(count, 5, squeeze=False)
    colours = class_colours(data)
    for number, line in enumerate(grid):
        draw_occluded(line, data, number, colours)
    titles = ("image and square", "activity of the map (share)", "projection of its activation",
              "probability of the class", "most probable class")  # fmt: skip
    for axes, title in zip(grid[0], titles, strict=True):
        axes.set_title(title, pad=3, fontsize=7)
    for column in (1, 3):
        figure.colorbar(grid[0, column].images[0], ax=grid[:, column], shrink=0.8, pad=0.02,
                        aspect=30)  # fmt: skip
    handles = [
        Patch(facecolor=colour, label=short(data, label)) for label, colour in colours.items()
    ]
    if len(colours) < len(np.unique(data["label"])):
        handles.append(Patch(facecolor=OTHERS, label="others"))
    names = [str(handle.get_label()) for handle in handles]
    figures.legend_below(figure, handles, names, handlelength=1)
    return figure


def class_colours(data: dict[str, Array]) -> dict[int, str]:
    """Colours of the classes that are most probable most often, as many as there are colours."""
    ranked = Counter(data["label"].ravel().tolist()).most_common(len(figures.TEN_COLOURS))
    return dict(zip(sorted(label for label, _ in ranked), figures.TEN_COLOURS, strict=False))


def short(data: dict[str, Array], label: int) -> str:
    """The name of a class, cut where it is long."""
    name = str(data["classes"][label])
    return name if len(name) < 19 else name[:17] + "…"


def draw_occluded(
    line: Array, data: dict[str, Array], number: int, colours: dict[int, str]
) -> None:  # fmt: skip
    """One image's row of pictures."""
    image, window, fill = data["image"][number], int(data["window"]), float(data["fill"])
    figures.show_image(line[0], image)
    line[0].add_patch(
        Rectangle((-0.5, -0.5), window, window, facecolor=str(fill), edgecolor="black", lw=0.5)
    )
    line[0].text(-0.04, 0.5, short(data, int(data["true"][number])), rotation=90, ha="right",
                 va="center", fontsize=7, transform=line[0].transAxes)  # fmt: skip
    known = list(colours)
    places = [known.index(label) if label in colours else len(known)
              for label in data["label"][number].ravel().tolist()]  # fmt: skip
    labels = np.reshape(places, data["label"][number].shape)
    shades = ListedColormap([*colours.values(), OTHERS])
    most = max(float(data["activity"].max()), 1e-12)
    picture(line[1], framed(data["activity"][number], data), "viridis", 0, most)
    figures.show_image(line[2], shaded(data["projection"][number]))
    picture(line[3], framed(data["probability"][number], data), "viridis", 0, 1)
    picture(line[4], framed(labels, data), shades, -0.5, len(known) + 0.5)


def framed(values: Array, data: dict[str, Array]) -> Array:
    """A map over positions of the square as an image as large as that it hides a part of.

    A pixel shows the position whose centre is nearest, or NaN where none is within half a stride.
    """
    centres = data["edges"] + (data["window"] - 1) / 2
    away = np.abs(np.arange(data["image"].shape[-1])[:, None] - centres)  # (side, positions)
    nearest, beyond = away.argmin(1), away.min(1) > data["stride"] / 2
    shown = values[np.ix_(nearest, nearest)].astype(float)
    shown[beyond], shown[:, beyond] = np.nan, np.nan
    return shown


def picture(
    axes: Axes, values: Array, colours: str | ListedColormap, least: float, most: float
) -> None:  # fmt: skip
    """A map with a frame."""
    axes.imshow(values, cmap=colours, vmin=least, vmax=most)
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set_visible(True)


def where(array: str, draw: Callable[[Results], Figure]) -> Callable[[Results], Figure | None]:
    """Draws only what was measured: a given network has no training to show."""

    def drawn(results: Results) -> Figure | None:
        return draw(results) if array in results.names("arrays") else None

    return drawn


FIGURES: dict[str, Callable[[Results], Figure | None]] = {
    "tops": draw_tops,
    "evolution": where("converging", draw_evolution),
    "converging": where("converging", draw_converging),
    "filters": draw_filters,
    "invariance": draw_invariance,
    "occlusion": draw_occlusion,
}
