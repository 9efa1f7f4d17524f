"""One file = one question = one write-up. A study is a module, or a package where it is long, with

- a docstring: the question on its first line, then a line `Source: …`;
- `Config`, a frozen dataclass of settings (with `data`, `train` and `seeds` among them), and
  `PRESETS`, at least `sample` and `full`;
- `children(config)`, the names of the models that it trains;
- `study(config, log)`, which trains, measures and logs, and draws nothing;
- `FIGURES`, name -> pure function from `Results` to a matplotlib Figure, or to None where the run
  has not measured what it would show.

Nothing is registered: the file's name, with `-` for each `_`, is the study's name everywhere. The
studies of a project lie in its `research/studies` or its `studies`, and are modules of this
package: `studies/width.py` is `research.studies.width`. A file that begins with `_` is no study,
and may be imported by one. A study of the package is found by name in any project that has none of
that name.
"""

import ast
import importlib
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType

from research import paths
from research.errors import UserError

PARTS = ("PRESETS", "FIGURES", "children", "study")
"""What a study has to offer."""


@dataclass(frozen=True)
class Entry:
    """A study as its file introduces it, read without importing it (and with it torch)."""

    slug: str
    question: str
    source: str


def folders() -> list[Path]:
    """Where studies lie, the project's own before the package's."""
    own = [paths.ROOT / "research/studies", paths.ROOT / "studies"]
    return [*(folder for folder in own if folder.is_dir() and folder != _PACKAGED), _PACKAGED]


def files(among: Iterable[Path]) -> dict[str, Path]:
    """Slug -> file of each study in some folders; of two of one name that of the first."""
    found: dict[str, Path] = {}
    for folder in among:
        for path in (*folder.glob("[!_]*.py"), *folder.glob("[!_]*/__init__.py")):
            name = path.parent.name if path.name == "__init__.py" else path.stem
            if name.isidentifier():
                found.setdefault(name.replace("_", "-"), path)
    return dict(sorted(found.items()))


def entries() -> list[Entry]:
    """All studies that can be run here, whose files can be read."""
    return [_told(slug, path) for slug, path in files(folders()).items()]


def own() -> list[Entry]:
    """The project's studies; without any, and in this repository, the package's."""
    return [_told(slug, path) for slug, path in (files(folders()[:-1]) or files(folders())).items()]


def entry(slug: str) -> Entry:
    """Raises UserError for a name that is no study's, or a file that is not Python."""
    known = files(folders())
    if slug not in known:
        raise UserError(f"there is no study '{slug}': {nearest(slug, known)}")
    return _entry(slug, known[slug])


def beside(slug: str, suffix: str) -> Path | None:
    """The file of a study's name that ends so, of the project if it has one, else the package's."""
    name = f"{slug.replace('-', '_')}{suffix}"
    return next((path for folder in folders() if (path := folder / name).is_file()), None)


def module_of(slug: str) -> ModuleType:
    """The study itself, and with it torch: for whoever runs it or asks what its settings mean.

    Raises:
        UserError: it lacks something that a study has to offer.
    """
    _look()
    module = importlib.import_module(f"{__name__}.{slug.replace('-', '_')}")
    lacking = [name for name in PARTS if not hasattr(module, name)]
    if lacking:
        raise UserError(f"a study needs {', '.join(PARTS)}; {slug} lacks {', '.join(lacking)}")
    return module


def nearest(name: str, known: Iterable[str]) -> str:
    """What a person may have meant, or else what there is to choose from."""
    close = get_close_matches(name, list(known), 1)
    return f"did you mean '{close[0]}'?" if close else f"choose from {', '.join(known)}"


def _entry(slug: str, path: Path) -> Entry:
    try:
        text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    except (SyntaxError, ValueError) as error:  # bytes that are no text are a ValueError
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
        told = f"{path.name}{line}: a study must be Python, got: {error.args[0]}"
        raise UserError(told) from None
    question, *rest = text.splitlines() or [""]
    source = next((line for line in rest if line.startswith("Source: ")), "")  # one being written
    return Entry(slug, question, source.removeprefix("Source: "))


def _told(slug: str, path: Path) -> Entry:
    """The study, with what is wrong with its file for a question: the others can be listed."""
    try:
        return _entry(slug, path)
    except UserError as error:
        return Entry(slug, str(error), "")


def _look() -> None:
    """Makes the project's studies modules of this package, and its other modules importable."""
    __path__[:] = map(str, folders())
    if paths.PAPER.is_dir() and str(paths.ROOT) not in sys.path:  # no folder that only holds PDFs
        sys.path.append(str(paths.ROOT))
    importlib.invalidate_caches()


_PACKAGED = paths.PACKAGE / "studies"
_look()  # a worker finds its study by the module's name alone
