"""What pip cannot install: Python with venv, and the system's libraries that a PDF is drawn with.

Runs by itself before anything is there, `python3 -I research/machine/libraries.py`, and is called
by every verb that builds a PDF: so it needs nothing but the standard library.
"""

import ctypes
import ctypes.util
import importlib.util
import sys
from collections.abc import Iterator

NEEDED = {
    "Pango": (("pango-1.0", "libpango-1.0.so.0", "libpango-1.0.dylib"),
              ("pangoft2-1.0", "libpangoft2-1.0.so.0", "libpangoft2-1.0.dylib")),
    "GLib": (("gobject-2.0", "libgobject-2.0.so.0", "libgobject-2.0.0.dylib"),),
    "HarfBuzz": (("harfbuzz", "libharfbuzz.so.0", "libharfbuzz.0.dylib"),),
    "fontconfig": (("fontconfig", "libfontconfig.so.1", "libfontconfig.1.dylib"),),
}  # fmt: skip
"""name -> its libraries, each as a linker, Linux and macOS call it"""

SUBSET = ("harfbuzz-subset", "libharfbuzz-subset.so.0", "libharfbuzz-subset.0.dylib")
"""cuts fonts to the letters of a paper; fontTools does it too"""

OLDEST_PANGO = (1, 44)

CUT_BY_FONTTOOLS = (
    "HarfBuzz-subset is not on this machine: fontTools cuts the paper's fonts, which serves as "
    "well (Debian, Ubuntu: libharfbuzz-subset0)"
)
"""said once where `subsets` is false"""

COMMANDS = {
    "Debian, Ubuntu": "sudo apt-get install libpango-1.0-0 libpangoft2-1.0-0",
    "Fedora": "sudo dnf install pango",
    "macOS": "brew install pango",
    "without root": "conda install -c conda-forge pango and LD_LIBRARY_PATH=$CONDA_PREFIX/lib",
}
"""system -> what installs Pango there, with all that it needs"""


def missing() -> str:
    """One line: what a PDF needs and this machine lacks, and the commands that install it.

    Empty where nothing is missing.
    """
    lacking = [name for name, files in NEEDED.items() if not all(map(_opened, files))]
    if lacking:
        return without(f"{', '.join(lacking)} cannot be opened here")
    old = _old_pango()
    return without(old) if old else ""


def without(message: str) -> str:
    """The line for what was found instead of a Pango that works."""
    ways = "; ".join(f"{system}: {command}" for system, command in COMMANDS.items())
    return f"a PDF needs the system's Pango, {message}: install it ({ways})"


def without_venv() -> str:
    """One line where this Python cannot make a virtual environment, as Debian's by itself."""
    if all(importlib.util.find_spec(module) for module in ("venv", "ensurepip")):
        return ""
    version = "{}.{}".format(*sys.version_info)
    return (
        f"Python {version} of this machine comes without venv and pip, which .venv is made with: "
        f"install them (Debian, Ubuntu: sudo apt-get install python{version}-venv; Fedora: sudo "
        f"dnf install python{version}; macOS: brew install python@{version}; without root: conda "
        f"install -c conda-forge python={version}, then make PYTHON=$CONDA_PREFIX/bin/python)"
    )


def subsets() -> bool:
    """Whether fonts are cut by HarfBuzz, as on most machines, and not by fontTools."""
    return _opened(SUBSET) is not None


def _opened(names: tuple[str, str, str]) -> ctypes.CDLL | None:
    """The library, looked for as WeasyPrint does; None where it is not found or is broken."""
    for file in _files(names):
        try:
            return ctypes.CDLL(file)
        except OSError:
            continue
    return None


def _files(names: tuple[str, str, str]) -> Iterator[str]:
    yield from names[1:]
    if name := ctypes.util.find_library(names[0]):
        yield name


def _old_pango() -> str:
    """`version 1.40 …` where Pango is older than WeasyPrint takes."""
    pango = _opened(NEEDED["Pango"][0])
    number = pango.pango_version() if pango else 0
    numbers = (number // 10000, number // 100 % 100)
    if numbers >= OLDEST_PANGO:
        return ""
    required, got = (".".join(map(str, version)) for version in (OLDEST_PANGO, numbers))
    return f"version {required} or newer, got {got}"


def main(*, pdf: bool) -> int:
    """Tells what is missing; exit code 2 if that stops `make`, as Pango does for a PDF alone."""
    bare, drawing = without_venv(), missing()
    for line in filter(None, (bare, drawing)):
        print(line, file=sys.stderr)
    return 2 if bare or (drawing and pdf) else 0


if __name__ == "__main__":
    sys.exit(main(pdf="--pdf" in sys.argv))
