"""Formulas: TeX to SVG images that stand on the line's baseline, drawn by ziamath."""

import base64
import html
import re
from collections.abc import Callable
from functools import cache

from research.errors import UserError

SIZE = 12.6
"""Letter size in CSS pixels, that of the body's 9.5 pt."""

LONGEST = 2000
"""Letters of a formula."""

_FORMULA = re.compile(
    r"""(?P<code>(`+).+?\2)
      | (?P<sign>\\\$)
      | \$\$(?P<display>.+?)\$\$
      | \$(?P<inline>(?!\s)[^$]+?(?<!\s))\$(?!\d)
      | \$""",
    re.DOTALL | re.VERBOSE,
)


def set_aside(text: str, keep: Callable[[str, bool], str]) -> str:
    """Replaces each formula by what `keep(tex, display)` returns, so TeX meets no other syntax.

    `$…$` stands in the line, `$$…$$` on a line of its own; code and `\\$` are left alone. The
    number of lines stays the same, so that errors further down name the right one.
    """

    def replace(match: re.Match[str]) -> str:
        if display := match["display"]:
            return keep(display.strip(), True) + _hidden(match[0].count("\n"))
        if inline := match["inline"]:
            return keep(inline, False) + "\n" * match[0].count("\n")
        if match["code"]:
            return match[0]
        if match["sign"]:
            return "$"
        line = text.count("\n", 0, match.start()) + 1
        raise UserError(
            f"line {line}: a lone $. A formula is $…$ without a space at its ends; \\$ is the sign"
        )

    return _FORMULA.sub(replace, text)


def _hidden(lines: int) -> str:
    """Line breaks that count for the template and vanish for Markdown."""
    return "{#" + "\n" * lines + "#}" if lines else ""


@cache
def image(tex: str, display: bool, room: float) -> str:
    """An `<img>` of the formula with its TeX as alternative text.

    Args:
        room: the width of the column in CSS pixels.

    Raises:
        UserError: ziamath cannot read the TeX, or the formula is wider than the column.
    """
    import ziamath

    if len(tex) > LONGEST:
        raise UserError(
            f"the formula '{tex[:60]}…' has {len(tex):,} letters, at most are {LONGEST:,}"
        )
    try:
        drawn = ziamath.zmath.Latex(tex, size=SIZE, inline=not display)
        svg, drop = drawn.svg(), drawn.getyofst()
    except Exception as error:  # ziamath raises whatever its parser met
        raise UserError(
            f"the formula '{tex[:200]}' cannot be set: {error or type(error).__name__}"
        ) from None
    width = float(drawn.svgxml().get("width", 0))
    if width > room:
        raise UserError(
            f"the formula '{tex}' is {width / room - 1:.0%} wider than its column: break it"
        )
    style = "" if display else f' style="vertical-align:{drop:.3f}px"'
    source = data_uri(svg.encode())
    picture = f'<img class="tex" alt="{html.escape(tex)}" src="{source}"{style}>'
    return f'<p class="display">{picture}</p>' if display else picture


def data_uri(svg: bytes) -> str:
    """An SVG as an address that holds it: its ids then clash with nothing in the page."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg).decode()
