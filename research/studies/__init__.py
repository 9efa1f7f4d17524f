"""One file = one question = one write-up. A study is a module, or a package where it is long, with

- a docstring: the question on its first line, then a line `Source: …`;
- `Config`, a frozen dataclass of settings (with `data`, `train` and `seeds` among them), and
  `PRESETS`, at least `sample` and `full`;
- `children(config)`, the names of the models that it trains;
- `study(config, log)`, which trains, measures and logs, and draws nothing;
- `FIGURES`, name -> pure function from `Results` to a matplotlib Figure, or to None where the run
  has not measured what it would show.

Nothing is registered: the file's name, with `-` for each `_`, is the study's name everywhere.
"""

import ast
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from types import ModuleType

from research.errors import UserError


@dataclass(frozen=True)
class Entry:
    """A study as its file introduces it, read without importing it (and with it torch)."""

    slug: str
    question: str
    source: str


def entries() -> list[Entry]:
    here = Path(__file__).parent
    files = {path.stem: path for path in here.glob("[!_]*.py")}
    files |= {path.parent.name: path for path in here.glob("[!_]*/__init__.py")}
    named = {name.replace("_", "-"): path for name, path in files.items()}
    return [_entry(slug, named[slug]) for slug in sorted(named)]


def entry(slug: str) -> Entry:
    """Raises UserError for a name that is no study's."""
    known = {entry.slug: entry for entry in entries()}
    if slug not in known:
        raise UserError(f"there is no study '{slug}': {nearest(slug, known)}")
    return known[slug]


def module_of(slug: str) -> ModuleType:
    """The study itself, and with it torch: for whoever runs it or asks what its settings mean."""
    return import_module(f"{__name__}.{slug.replace('-', '_')}")


def nearest(name: str, known: Iterable[str]) -> str:
    """What a person may have meant, or else what there is to choose from."""
    close = get_close_matches(name, list(known), 1)
    return f"did you mean '{close[0]}'?" if close else f"choose from {', '.join(known)}"


def _entry(slug: str, path: Path) -> Entry:
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    question, *rest = text.splitlines() or [""]
    source = next((line for line in rest if line.startswith("Source: ")), "")  # one being written
    return Entry(slug, question, source.removeprefix("Source: "))
