"""Numbers written out in German and English, with the alignment of their words.

German compounds are written in their parts, so that each English word has one German word: 23 is
*drei und zwanzig* and *twenty three*. The order differs, and *und* has no counterpart.
"""

import random
from typing import NamedTuple

LEAST, MOST = 1, 999_999
SCALES = ("hundred", "thousand")
"""The English words that say what a digit before them counts."""

_GERMAN = (
    "null", "ein", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun", "zehn",
    "elf", "zwölf", "dreizehn", "vierzehn", "fünfzehn", "sechzehn", "siebzehn", "achtzehn",
    "neunzehn",
)  # fmt: skip
_ENGLISH = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen",
    "nineteen",
)  # fmt: skip
_GERMAN_TENS = (
    "zwanzig", "dreißig", "vierzig", "fünfzig", "sechzig", "siebzig", "achtzig", "neunzig",
)  # fmt: skip
_ENGLISH_TENS = (
    "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety",
)  # fmt: skip


class Numeral(NamedTuple):
    """A number in words.

    Attributes:
        german, english: its words.
        links: for each English word the place of its German word.
    """

    german: tuple[str, ...]
    english: tuple[str, ...]
    links: tuple[int, ...]


def numeral(number: int) -> Numeral:
    """A number from `LEAST` to `MOST` written out.

    Example:
        >>> numeral(23)
        Numeral(german=('drei', 'und', 'zwanzig'), english=('twenty', 'three'), links=(2, 0))
    """
    if not LEAST <= number <= MOST:
        raise ValueError(f"a numeral must be {LEAST} to {MOST}, got {number}")
    thousands, rest = divmod(number, 1000)
    whole = _joined(_hundreds(thousands), Numeral(("tausend",), ("thousand",), (0,)))
    whole = _joined(whole if thousands else _NOTHING, _hundreds(rest))
    if number % 100 == 1:  # German has another word for a one that stands alone or last
        whole = whole._replace(german=(*whole.german[:-1], "eins"))
    return whole


def numerals(count: int, seed: int = 0) -> list[Numeral]:
    """Different numbers in random order.

    Example:
        >>> len(set(numerals(100)))
        100
    """
    drawn = random.Random(seed).sample(range(LEAST, MOST + 1), count)
    return [numeral(number) for number in drawn]


_NOTHING = Numeral((), (), ())


def _hundreds(number: int) -> Numeral:
    """0 to 999; nothing for 0."""
    hundreds, rest = divmod(number, 100)
    word = Numeral(("hundert",), ("hundred",), (0,))
    return _joined(_joined(_single(hundreds), word) if hundreds else _NOTHING, _tens(rest))


def _tens(number: int) -> Numeral:
    """0 to 99; nothing for 0."""
    tens, unit = divmod(number, 10)
    if number < 20:
        return _single(number)
    german, english = _GERMAN_TENS[tens - 2], _ENGLISH_TENS[tens - 2]
    if not unit:
        return Numeral((german,), (english,), (0,))
    return Numeral((_GERMAN[unit], "und", german), (english, _ENGLISH[unit]), (2, 0))


def _single(number: int) -> Numeral:
    return Numeral((_GERMAN[number],), (_ENGLISH[number],), (0,)) if number else _NOTHING


def _joined(a: Numeral, b: Numeral) -> Numeral:
    links = (*a.links, *(link + len(a.german) for link in b.links))
    return Numeral(a.german + b.german, a.english + b.english, links)
