"""Text as LaTeX: signs that it gives a meaning, and letters that its fonts lack or call by name."""

import re
import unicodedata
from collections.abc import Iterable

_SIGNS = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "%": r"\%",
    "#": r"\#", "_": r"\_", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': r"\textquotedbl{}",
}  # fmt: skip
_GREEK = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi rho "
    "varsigma sigma tau upsilon phi chi psi omega"
)
_CAPITALS = ("Gamma", "Delta", "Theta", "Lambda", "Xi", "Pi", "Sigma", "Phi", "Psi", "Omega")
LETTERS = {
    "\u00a0": "~", "±": r"\ensuremath{\pm}", "−": r"\ensuremath{-}", "×": r"\ensuremath{\times}",
    "·": r"\ensuremath{\cdot}", "†": r"\textdagger{}", "≤": r"\ensuremath{\leq}",
    "≥": r"\ensuremath{\geq}", "≈": r"\ensuremath{\approx}", "≠": r"\ensuremath{\neq}",
    "→": r"\ensuremath{\to}", "∞": r"\ensuremath{\infty}", "√": r"\ensuremath{\surd}",
    "∑": r"\ensuremath{\sum}", "∂": r"\ensuremath{\partial}", "∇": r"\ensuremath{\nabla}",
    "∈": r"\ensuremath{\in}", "‖": r"\ensuremath{\Vert}", "′": r"\ensuremath{'}",
    "\u2010": "-", "\u2011": "-", "\u2009": r"\,", "\u202f": r"\,", "°": r"\textdegree{}",
    **{
        chr(0x3B1 + place): rf"\ensuremath{{\{name}}}"
        for place, name in enumerate(_GREEK.split()) if name != "omicron"
    },
    **{
        sign: rf"\ensuremath{{\{name}}}"
        for sign, name in zip("ΓΔΘΛΞΠΣΦΨΩ", _CAPITALS, strict=True)
    },
}  # fmt: skip
_RAISED = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+")
_WORDS = ("Zero", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine")


def escaped(text: str) -> str:
    """A text for LaTeX, whatever signs are in it."""
    plain = "".join(_SIGNS.get(letter, letter) for letter in text)
    raised = _RAISED.sub(lambda m: f"$^{{{_levelled(m[0])}}}$", plain)
    return "".join(LETTERS.get(letter, letter) for letter in raised)


def _levelled(text: str) -> str:
    return unicodedata.normalize("NFKC", text).replace("−", "-")


def declared(text: str) -> str:
    """What tells LaTeX of the letters in a text that it does not know."""
    used = sorted({letter for letter in text if letter in LETTERS and letter != "\u00a0"})
    lines = (
        rf"\DeclareUnicodeCharacter{{{ord(letter):04X}}}{{{LETTERS[letter]}}}" for letter in used
    )
    return "\n".join(lines)


def command(*words: str) -> str:
    """A name of a macro, which has letters alone: `errors.mse`, 1 -> `errorsMseRowOne`."""
    parts = [part for word in words for part in re.split(r"[^A-Za-z0-9]+", word) if part]
    spelt = ["".join(_WORDS[int(c)] if c.isdigit() else c for c in part) for part in parts]
    return "".join([spelt[0][0].lower() + spelt[0][1:], *(p[0].upper() + p[1:] for p in spelt[1:])])


def unique(names: Iterable[str], name: str) -> str:
    """A macro's name that none of the others is: `mse`, `mseB`, `mseC`, …"""
    taken = set(names)
    endings = ["", *(chr(code) for code in range(ord("B"), ord("Z") + 1))]
    endings += [f"{a}{b}" for a in endings[1:] for b in endings[1:]]
    return next(name + ending for ending in endings if name + ending not in taken)
