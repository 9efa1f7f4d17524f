"""What looks unfinished in laid-out pages is told, and what is well filled is not."""

from typing import Any

import pytest

from research.report import fill, pdf

LINE = 20.0
STYLE = f"""@page {{ size: 400px 500px; margin: 50px; }}
html {{ font: 14px/{LINE}px STIX; }} body, p, h2 {{ margin: 0; }} p {{ orphans: 1; widows: 1; }}
main {{ columns: 2; column-fill: auto; column-gap: 20px; }}
h2 {{ font-size: 14px; break-after: auto; }}
.tall {{ height: 300px; break-inside: avoid; }} .out {{ position: absolute; bottom: -20px; }}
svg {{ display: block; }}"""
"""Columns of twenty lines."""
FIGURE = '<svg xmlns="http://www.w3.org/2000/svg" width="100" height="{}"></svg>'


def text(lines: int) -> str:
    return f'<div class="block text"><p>{"a line<br>" * (lines - 1)}a line</p></div>'


def figure(lines: int) -> str:
    picture = f'<figure style="margin: 0">{FIGURE.format(lines * LINE)}</figure>'
    return f'<div class="block float" style="break-inside: avoid">{picture}</div>'


def heading(words: str) -> str:
    return f'<div class="block heading"><h2>{words}</h2></div>'


def laid(*blocks: str, columns: int = 2) -> Any:
    style = STYLE.replace("columns: 2", f"columns: {columns}" if columns > 1 else "color: black")
    body = f'<main id="columns">{"".join(blocks)}</main>'
    return pdf._lay_out(f"<style>{style}</style>{body}", {})


def told(*blocks: str, columns: int = 2) -> list[str]:
    return fill.remarks(laid(*blocks, columns=columns), LINE)


def test_full_columns_need_no_remark() -> None:
    assert told(text(20), text(20), text(18), text(2), text(16)) == []


@pytest.mark.parametrize(("lines", "empty"), [(12, None), (11, 9), (5, 15)])
def test_a_hole_is_told_from_nine_lines_on(lines: int, empty: int | None) -> None:
    # the figure of eighteen lines does not fit under the text, and goes to the next column
    remarks = told(text(lines), figure(18), text(2), text(40))
    holes = [remark for remark in remarks if "empty" in remark]
    assert holes == [] if empty is None else len(holes) == 1
    if empty:
        assert holes[0].startswith(f"page 1, column 1: {empty} lines are empty, at most 8")


def test_the_last_page_may_end_early_but_not_unevenly() -> None:
    ends = [text(20), text(20)]
    assert told(*ends, text(5)) == []  # its only column may be short
    assert told(*ends, text(12), figure(10)) == []  # two lines apart
    [remark] = told(*ends, text(20), text(3))
    assert remark.startswith("page 2: its columns end 17 lines apart")


@pytest.mark.parametrize(("behind", "lone"), [(0, True), (1, True), (2, False), (3, False)])
def test_a_heading_needs_two_lines_behind_it(behind: int, lone: bool) -> None:
    before = text(19 - behind)
    remarks = told(before, heading("Results and more"), text(20 + behind), text(20 - behind))
    found = [remark for remark in remarks if "heading" in remark]
    assert bool(found) == lone
    if lone:
        assert found[0].startswith(
            "page 1, column 1: fewer than 2 lines follow the heading 'Results and more'"
        )


def test_one_column_has_no_number_and_no_balance() -> None:
    assert told(text(9), figure(15), text(3), columns=1) == [
        "page 1: 11 lines are empty, at most 8 should be; move a figure or table of the next page, "
        "or make it lower"
    ]


def test_what_is_placed_in_a_margin_fills_no_column() -> None:
    wide = f'<div class="block wide out"><figure>{FIGURE.format(20)}</figure></div>'
    remarks = told(text(5), wide, figure(18), text(2), text(40))
    assert any("15 lines are empty" in remark for remark in remarks)
