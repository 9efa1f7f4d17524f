"""Formulas: TeX to SVG images that stand on the line's baseline, drawn by ziamath."""

import base64
import html
import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any
from xml.etree import ElementTree

from research.errors import UserError

SIZE = 12.6
"""Letter size in CSS pixels for which formulas are drawn: that of the body's 9.5 pt."""

EM = 9.5 * 96 / 72
"""The body's letter size in CSS pixels, against which a formula is as large as the text around."""

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

    `$…$` stands in the line, `$$…$$` on a line of its own; code and `\\$` are left alone.

    Raises:
        UserError: a lone `$`, or `keep` refuses a formula.
    """

    def kept(match: re.Match[str]) -> str:
        if display := match["display"]:
            return keep(display.strip(), True)
        if inline := match["inline"]:
            return keep(inline, False)
        if match["code"]:
            return match[0]
        if match["sign"]:
            return "$"
        raise UserError("a lone $. A formula is $…$ without a space at its ends; \\$ is the sign")

    return _FORMULA.sub(kept, text)


@cache
def image(tex: str, display: bool, room: float) -> str:
    """An `<img>` of the formula with its TeX as alternative text, as large as the text around it.

    Args:
        room: the width of the column in CSS pixels.

    Raises:
        UserError: the TeX cannot be read or holds an unknown command, the font lacks a glyph, or
            the formula is wider than the column.
    """
    import ziamath

    if len(tex) > LONGEST:
        raise UserError(
            f"the formula '{tex[:60]}…' has {len(tex):,} letters, at most are {LONGEST:,}"
        )
    shown = " ".join(tex.split())
    try:
        _check(tex, display)
        drawn = ziamath.zmath.Latex(tex, size=SIZE, inline=not display)
        svg, drop = drawn.svg(), drawn.getyofst()
    except UserError as error:
        raise UserError(f"the formula '{shown}' cannot be set: {error}") from None
    except Exception as error:  # ziamath raises whatever its parser met
        raise UserError(
            f"the formula '{shown[:200]}' cannot be set: {error or type(error).__name__}"
        ) from None
    width, height = (float(drawn.svgxml().get(side, 0)) for side in ("width", "height"))
    if width > room:
        raise UserError(
            f"the formula '{shown}' is {width / room - 1:.0%} wider than its column: break it"
        )
    style = f"width:{width / EM:.4f}em;height:{height / EM:.4f}em"
    style += "" if display else f";vertical-align:{drop / EM:.4f}em"
    source = data_uri(svg.encode())
    picture = f'<img class="tex" alt="{html.escape(tex)}" src="{source}" style="{style}">'
    return f'<p class="display">{picture}</p>' if display else picture


def as_text(tex: str) -> str:
    """The letters and signs of a formula one after the other, for where nothing can be drawn."""
    return "".join(text for _, text in _tokens(tex, display=False))


def _tokens(tex: str, *, display: bool) -> Iterator[tuple[str, str]]:
    """Kind and text of what a formula is made of, as `mi` and x."""
    from ziamath.tex import tex2mml

    for element in ElementTree.fromstring(tex2mml(tex, inline=not display)).iter():
        yield element.tag.rpartition("}")[2], element.text or ""


_GROUPS = re.compile(r"\\.|[{}]", re.DOTALL)
_ENVIRONMENT = re.compile(r"\\begin\s*\{([^}]*)\}")
_MADE = ("aligned",)
"""Environments that ziamath makes of others."""


def _check(tex: str, display: bool) -> None:
    """Raises UserError for what ziamath would print as typed, or leave out, without a word."""
    depth = 0
    for sign in _GROUPS.findall(tex):
        depth += (sign == "{") - (sign == "}")
        if depth < 0:
            break
    if depth:
        raise UserError("a '{' is not closed" if depth > 0 else "a '}' closes nothing")
    from latex2mathml.commands import MATRICES

    for name in _ENVIRONMENT.findall(tex):
        if f"\\{name}" not in MATRICES and name not in _MADE:
            raise UserError(f"the environment '{name}' is unknown; write it otherwise")
    for _, text in _tokens(tex, display=display):
        unknown = re.search(r"\\(?:[A-Za-z]+|.)", text)
        if unknown:
            raise UserError(f"the TeX command '{unknown[0]}' is unknown; write it otherwise")
        for letter in text:
            if not letter.isspace() and not _drawn(letter):
                raise UserError(
                    f"the mathematical font has no glyph for '{letter}' (U+{ord(letter):04X}); "
                    "write it outside of the formula"
                )


@cache
def _drawn(letter: str) -> bool:
    """Whether the font of formulas has a glyph; its blanks and joiners draw nothing."""
    return _font().glyphindex(letter) > 0 or not letter.isprintable()


@cache
def _font() -> Any:
    import ziamath

    return ziamath.zmath.Latex("x", size=SIZE).font


def data_uri(svg: bytes) -> str:
    """An SVG as an address that holds it: its ids then clash with nothing in the page."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg).decode()
