"""Figures have the size they are printed at, one scale per comparison, and repeat their bytes."""

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
