"""Fonts for letters that the paper's own font lacks, in text and in figures alike.

STIX, in which papers are set, has Latin, Greek and Cyrillic. What it lacks comes from the DejaVu
fonts that matplotlib brings along (all of Latin, Arabic, Hebrew, Armenian, Georgian, …), then from
installed packages that carry fonts, then from the system's. Of a font from elsewhere only the
letters that are needed are taken, as a small font of its own name, so that collections and variable
fonts do as well.
"""

import atexit
import hashlib
import importlib.util
import io
import os
import shutil
import sys
import tempfile
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from research.errors import UserError

FAMILIES = {
    "STIXGeneral": "STIXGeneral.ttf",
    "DejaVu Serif": "DejaVuSerif.ttf",
    "DejaVu Sans": "DejaVuSans.ttf",
}
"""the fonts that are always there -> their files in `folder()`, in the order of preference"""

_ENDINGS = (".ttf", ".otf", ".ttc", ".otc")
_NO_USE = ("lastresort", "adobeblank", "blank", "notdef")
"""fonts that have a sign for everything and letters for nothing"""
_UNSEEN = frozenset({"Cc", "Cf", "Zs", "Zl", "Zp"})
"""categories whose letters are not seen"""
_CJK = (
    "CJK",
    "HIRAGANA",
    "KATAKANA",
    "HANGUL",
    "BOPOMOFO",
    "IDEOGRAPHIC",
    "FULLWIDTH",
    "HALFWIDTH",
)
_REMEDIES = {
    True: ("noto-cjk-sans-jp-regular", "fonts-noto-cjk"),
    False: ("manimgx-fonts", "fonts-noto-core"),
}
"""whether letters are Chinese, Japanese or Korean -> a package of pip and one of Debian"""


@dataclass(frozen=True)
class Face:
    """A font of the letters that were asked for.

    Attributes:
        family: its name, which no other font has.
        content: an OpenType or TrueType file of one face.
    """

    family: str
    content: bytes

    @property
    def path(self) -> Path:
        """A file of it, for libraries that read only files; gone when the program ends."""
        path = _scratch() / f"{self.family}.{'otf' if self.content[:4] == b'OTTO' else 'ttf'}"
        if not path.exists():
            path.write_bytes(self.content)
        return path


def folder() -> Path:
    """The folder of the fonts that matplotlib brings along, found without importing it."""
    spec = importlib.util.find_spec("matplotlib")
    if spec is None or spec.origin is None:
        raise UserError("the fonts of papers and figures come with matplotlib: install it")
    return Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf"


def within(text: str, families: int = len(FAMILIES)) -> bool:
    """Whether the first fonts that are always there have every letter."""
    return not _lacking(text, families)


def faces(text: str) -> tuple[Face, ...]:
    """Fonts for the letters that those which are always there lack; the fewest that have them all.

    Raises:
        UserError: no font has a letter; the line says which to install.
    """
    needed = _lacking(text, len(FAMILIES))
    return _faces(needed) if needed else ()


def require(texts: Iterable[str], what: str) -> None:
    """Fails where a text cannot be printed, before hours are spent on what is to show it.

    Arguments:
        what: the texts are, for the message: "the class names".

    Raises:
        UserError: as `faces`.
    """
    for text in texts:
        try:
            faces(text)
        except UserError as error:
            raise UserError(f"{what}: {error}") from None


def _lacking(text: str, families: int) -> str:
    """The letters, each once and sorted, that none of the first fonts has."""
    known = frozenset[int]().union(
        *(_letters(folder() / name) for name in list(FAMILIES.values())[:families])
    )
    absent = {letter for letter in text if ord(letter) not in known}
    return "".join(sorted(letter for letter in absent if not _is_unseen(letter)))


def _is_unseen(letter: str) -> bool:
    """Spaces, controls, and the selectors that say how the letter before them is to look."""
    selects = "VARIATION SELECTOR" in unicodedata.name(letter, "")
    return selects or unicodedata.category(letter) in _UNSEEN


@cache
def _faces(needed: str) -> tuple[Face, ...]:
    missing, chosen = set(needed), list[Face]()
    for search in (_packaged, _installed):
        has = {path: missing & set(map(chr, _letters(path))) for path in search()}
        while missing and any(has.values()):
            best = max(has, key=lambda path: (len(has[path]), *_preference(path)))
            chosen.append(_subset(best, needed))
            missing -= has[best]
            has = {path: letters & missing for path, letters in has.items()}
    if missing:
        raise UserError(_told("".join(sorted(missing))))
    return tuple(chosen)


def _told(missing: str) -> str:
    named = ", ".join(f"'{letter}' (U+{ord(letter):04X})" for letter in missing[:3])
    more = f" and {len(missing) - 3} more letters" if len(missing) > 3 else ""
    names = [unicodedata.name(letter, "") for letter in missing]
    packages = dict.fromkeys(_REMEDIES[name.startswith(_CJK)] for name in names)
    pip, debian = (" ".join(names) for names in zip(*packages, strict=True))
    return (
        f"no font here has {named}{more}: pip install {pip}, or install a font of the system that "
        f"has them (Debian and Ubuntu: apt install {debian}; elsewhere a font of the Noto family)"
    )


def _preference(path: Path) -> tuple[bool, bool, bool, str]:
    """The plainest font first, and always the same."""
    name = path.name.lower()
    slanted = any(word in name for word in ("italic", "oblique", "mono"))
    return "regular" in name or "[" in name, "noto" in name, not slanted, name


# --- where fonts are -----------------------------------------------------------------------------


@cache
def _packaged() -> tuple[Path, ...]:
    """Fonts of installed packages whose names say that they carry some."""
    folders = list[Path]()
    for distribution in distributions():
        name = (distribution.metadata["Name"] or "").lower()
        if "font" in name or "noto" in name:
            files = [file for file in distribution.files or () if file.suffix.lower() in _ENDINGS]
            folders += [Path(str(distribution.locate_file(file))) for file in files]
    return tuple(path for path in sorted(set(folders)) if _is_useful(path))


@cache
def _installed() -> tuple[Path, ...]:
    """Fonts of the user and the system."""
    directories = list[Path]()
    for root in _roots():
        for parent, folders, names in os.walk(root):
            folders.sort()
            directories += [Path(parent, name) for name in names if name.lower().endswith(_ENDINGS)]
    return tuple(path for path in sorted(set(directories)) if _is_useful(path))


def _roots() -> Iterator[Path]:
    home = Path.home()
    if sys.platform == "win32":
        yield Path(os.environ.get("WINDIR", "C:/Windows"), "Fonts")
        yield home / "AppData/Local/Microsoft/Windows/Fonts"
    elif sys.platform == "darwin":
        yield from (home / "Library/Fonts", Path("/Library/Fonts"), Path("/System/Library/Fonts"))
    else:
        yield from (home / ".fonts", home / ".local/share/fonts")
        shared = os.environ.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share"
        yield from (Path(place, "fonts") for place in shared.split(":") if place)


def _is_useful(path: Path) -> bool:
    name = path.name.lower().replace(" ", "").replace("-", "")
    return not any(word in name for word in _NO_USE)


# --- what is in them -----------------------------------------------------------------------------


@cache
def _letters(path: Path) -> frozenset[int]:
    """The code points that a font (of a collection the first) draws with outlines; none of a file
    that is no font."""
    from fontTools.ttLib import TTFont, TTLibError

    try:
        with TTFont(path, lazy=True, fontNumber=0) as font:
            drawn = {"glyf", "CFF ", "CFF2"} & set(font.keys())
            return frozenset(font.getBestCmap() or ()) if drawn else frozenset()
    except (TTLibError, OSError, ValueError, KeyError, AssertionError):
        return frozenset()


def _subset(path: Path, letters: str) -> Face:
    """One face with these letters, as far as it has them, and all that shapes them."""
    from fontTools import subset
    from fontTools.ttLib import TTFont
    from fontTools.varLib import instancer

    options = subset.Options(
        layout_features=["*"], notdef_outline=True, recalc_timestamp=False, name_IDs=[],
        drop_tables=["+", "COLR", "CPAL", "SVG ", "CBDT", "CBLC", "sbix", "DSIG"],
    )  # fmt: skip
    with TTFont(path, fontNumber=0, recalcTimestamp=False) as font:
        cutter = subset.Subsetter(options)
        cutter.populate(text=letters + " \u200c\u200d\u25cc")
        cutter.subset(font)
        if "fvar" in font:
            usual = {axis.axisTag: axis.defaultValue for axis in font["fvar"].axes}
            font = instancer.instantiateVariableFont(font, usual | _regular(font))
        family = f"Fallback-{hashlib.sha256(f'{path.name} {letters}'.encode()).hexdigest()[:12]}"
        _rename(font, family)
        out = io.BytesIO()
        font.save(out)
    return Face(family, out.getvalue())


def _regular(font: Any) -> dict[str, float]:
    """The weight of running text, of a font that has many."""
    weights = [axis for axis in font["fvar"].axes if axis.axisTag == "wght"]
    return {weight.axisTag: min(max(400.0, weight.minValue), weight.maxValue) for weight in weights}


def _rename(font: Any, family: str) -> None:
    names = font["name"]
    names.names = []
    for number, text in {1: family, 2: "Regular", 4: family, 6: family}.items():
        names.setName(text, number, 3, 1, 0x409)
        names.setName(text, number, 1, 0, 0)


@cache
def _scratch() -> Path:
    path = Path(tempfile.mkdtemp(prefix="research-fonts-"))
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return path
