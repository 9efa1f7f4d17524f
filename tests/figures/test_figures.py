"""Figures have the size they are printed at, one scale per comparison, and repeat their bytes."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from research import figures

RNG = np.random.default_rng(0)


def sample() -> Figure:
    with figures.style():
        figure = figures.canvas(figures.COLUMN_MM, 40)
        axes = figure.subplots()
        figures.spread(axes, RNG.random((3, 5)) * 0 + np.arange(5), "k", "mean $x^2$")
        axes.set_xlabel("epoch")
        return figure


def test_equal_data_give_equal_bytes_and_text_is_paths(tmp_path: Path) -> None:
    for name in ("a", "b"):
        with figures.style():
            figures.save(sample(), tmp_path / name)
    for suffix in (".svg", ".png"):
        assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()
    assert "<text" not in (tmp_path / "a.svg").read_text()


def test_the_canvas_is_as_wide_as_a_column() -> None:
    assert sample().get_figwidth() * 25.4 == pytest.approx(86)


def test_scales_start_at_zero_or_are_symmetric_about_it() -> None:
    name, norm = figures.scale_of(np.array([0.5, 2.0]))
    assert (name, norm.vmin, norm.vmax) == ("viridis", 0, 2)
    name, norm = figures.scale_of(np.array([-3.0, 2.0]))
    assert (name, norm.vmin, norm.vmax) == ("RdBu_r", -3, 3)
    assert norm(0.0) == 0.5


def test_spread_shows_the_mean_and_the_range_of_the_runs() -> None:
    figure = figures.canvas(86, 40)
    axes = figure.subplots()
    figures.spread(axes, np.array([[1.0, 4.0], [3.0, 8.0]]), "k", "runs")
    assert axes.lines[0].get_xydata().tolist() == [[1, 2], [2, 6]]  # type: ignore[union-attr]
    band = axes.collections[0].get_paths()[0].get_extents()
    assert (band.ymin, band.ymax) == (1, 8)


def test_tiles_stand_where_they_belong_on_one_scale() -> None:
    rows = np.zeros((1, 2, 12, 12))
    rows[0, 1] = 7
    axes = figures.canvas(86, 40).subplots()
    figures.tiles(axes, rows, "conv")
    sheet = axes.images[0].get_array()
    assert sheet is not None and sheet.shape == (12, 25)
    assert sheet[:, :12].max() == 0 and sheet[:, 13:].min() == 7
    assert np.ma.getmaskarray(sheet)[:, 12].all()
    assert axes.images[0].get_clim() == (0, 7)
    assert axes.get_title(loc="left") == "conv  [0.00, 7.00]"


def test_every_channel_of_every_layer_is_on_the_activation_sheet() -> None:
    maps = {
        "conv": RNG.standard_normal((16, 8, 8)),
        "pool": RNG.random((4, 4, 4)),
        "out": RNG.random((3, 8, 8)),
    }
    figure = figures.activation_sheet(RNG.random((3, 8, 8)), maps)
    titles = [axes.get_title(loc="left").split("  ")[0] for axes in figure.axes]
    assert titles == ["input", "reconstruction", "conv", "pool", "out"]
    widths = [axes.images[0].get_array().shape[1] for axes in figure.axes[2:]]  # type: ignore[union-attr]
    assert widths == [16 * 9 - 1, 4 * 5 - 1, 3 * 9 - 1]
    for axes in figure.axes:
        box = axes.get_position()
        assert 0 <= box.x0 < box.x1 <= 1 and -1e-9 <= box.y0 < box.y1 <= 1


# --- names of the user's -------------------------------------------------------------------------


def titled(text: str, folder: Path) -> bytes:
    with figures.style():
        figure = figures.canvas(60, 30)
        figure.subplots().set(title=text, yscale="log", ylim=(1e-3, 1))
        figures.save(figure, folder / "x")
    return (folder / "x.svg").read_bytes()


@pytest.mark.parametrize("name", ["a$b$c", r"$\frac{1$", "$", r"\$x$", "a_b^c%d&e<f>{{g}}*"])
def test_a_dollar_sign_is_a_character(
    name: str, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    """It is drawn, and no formula is tried."""
    assert titled(name, tmp_path) != titled(name.replace("$", " ") + "!", tmp_path)
    with figures.style():
        figure = figures.canvas(60, 30)
        text = figure.text(0, 0, name)
        plain = figure.text(0, 0, name.replace("$", "S"))
        figures.save(figure, tmp_path / "y")
    assert text.get_window_extent().width == pytest.approx(
        plain.get_window_extent().width, rel=0.15
    )
    assert not recwarn.list


def test_powers_of_ten_along_an_axis_stay_powers(tmp_path: Path) -> None:
    """Their dollar signs are matplotlib's own: as text they would run over the whole figure."""
    with figures.style():
        figure = figures.canvas(60, 30)
        axes = figure.subplots()
        axes.set(title="a$b$c", yscale="log", ylim=(1e-3, 1))
        figures.save(figure, tmp_path / "x")
    assert all(label.get_parse_math() for label in axes.get_yticklabels())
    assert not axes.title.get_parse_math()


def painted(classes: Sequence[str], per: int = 5) -> Figure:
    labels = np.repeat(np.arange(len(classes)), per)
    points = RNG.normal(size=(len(labels), 2))
    with figures.style():
        figure = figures.canvas(figures.COLUMN_MM, 54)
        axes = figure.subplots()
        figures.scatter_classes(axes, points, labels, classes)
        figures.class_legend(figure, axes)
        figure.draw_without_rendering()
    return figure


@pytest.mark.parametrize("count", [2, 10, 12, 30, 31, 102])
@pytest.mark.parametrize("name", ["{}", "flower{:02d}", "{:03d}.Some_Bird_Species_Of_Length_{}"])
@pytest.mark.long
def test_every_dot_is_drawn_and_the_legend_fits(count: int, name: str) -> None:
    classes = [name.format(i, i) for i in range(count)]
    figure = painted(classes)
    (axes,) = figure.axes
    assert sum(np.shape(dots.get_offsets())[0] for dots in axes.collections) == 5 * count
    (legend,) = figure.legends
    outer, inner = figure.bbox, legend.get_window_extent()
    assert outer.x0 <= inner.x0 and inner.x1 <= outer.x1 and outer.y0 <= inner.y0
    assert inner.y1 <= axes.get_window_extent().y0 + 1
    entries = [text.get_text() for text in legend.get_texts()]
    shown = [entry for entry in entries if not entry.startswith("… and ")]
    assert shown == [figures.short(one) for one in classes[: len(shown)]]
    rest = count - len(shown)
    more = [f"… and {rest} more" + ", in the same marks again" * (count > 80)]
    assert entries == shown + (more if rest else [])
    assert axes.get_window_extent().height > 0.6 * 54 / 25.4 * figure.dpi


def test_up_to_eighty_classes_look_different() -> None:
    figure = painted([str(i) for i in range(80)])
    looks = {
        (str(dots.get_facecolor()), str(dots.get_paths()[0].vertices))
        for dots in figure.axes[0].collections
    }
    assert len(looks) == 80


@pytest.mark.parametrize("count", [3, 12, 13, 100])
def test_confusions_name_their_classes_within_the_figure(count: int) -> None:
    classes = [f"{i:03d}.Some_Bird_Species" for i in range(count)]
    counts = RNG.integers(0, 9, (count, count)) + np.eye(count, dtype=int)
    with figures.style():
        figure = figures.confusions({"a": counts, "b": counts}, classes)
        figure.draw_without_rendering()
    for axes in figure.axes:
        labels = [
            *axes.get_xticklabels(),
            *(axes.get_yticklabels() if axes is figure.axes[0] else ()),
        ]
        boxes = [label.get_window_extent() for label in labels]
        assert all(box.x0 >= 0 and box.y0 >= 0 and box.x1 <= figure.bbox.x1 for box in boxes)
        columns = [label.get_window_extent() for label in axes.get_xticklabels()]
        assert all(a.x1 <= b.x0 + 1 for a, b in pairwise(columns))
        assert bool(axes.texts) == (count <= 12)
        assert axes.get_window_extent().height > 60


def test_a_class_without_test_images_divides_by_nothing(recwarn: pytest.WarningsRecorder) -> None:
    figures.confusions({"a": np.array([[3, 1], [0, 0]])}, ["x", "y"])
    assert not recwarn.list
