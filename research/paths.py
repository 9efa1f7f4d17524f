"""Where things lie: in the user's project, or in the package that works on it.

A project is a folder with `paper/`: the nearest one upwards from where the command was given, or
that of the environment's RESEARCH_ROOT. This repository is one, and its package lies in it; of
another the package is installed somewhere else.
"""

import os
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
SOURCE = PACKAGE.parent
"""Below it the module `research.x` is `research/x.py`."""
SKELETON = PACKAGE / "skeleton"
"""The files of a new project, see `research new`."""


def project(folder: Path) -> Path | None:
    """The nearest folder upwards, itself included, with `paper/`; None where there is none."""
    return next(
        (parent for parent in (folder, *folder.parents) if (parent / "paper").is_dir()), None
    )


def packaged(package: Path) -> Path:
    """The package's own templates: within it where it was installed, else beside it."""
    within = package / "templates"
    return within if within.is_dir() else package.parent / "templates"


def _root() -> Path:
    """The project, or the folder of the command where there is none, see `cli.needs.project`."""
    if named := os.environ.get("RESEARCH_ROOT"):
        return Path(named).resolve()
    return project(Path.cwd()) or Path.cwd()


ROOT = _root()
PAPER = ROOT / "paper"
TEMPLATES = ROOT / "templates"
"""The project's own, which may be none; each of its files takes the place of one of `PACKAGED`."""
PACKAGED = packaged(PACKAGE)
RUNS = Path(os.environ.get("RESEARCH_RUNS", ROOT / "runs")).absolute()
MODELS = RUNS / "models"
"""Trained models by digest, see `research.training.cache`; deleting it costs only time."""
CACHE = RUNS / "cache"
"""Decoded images, see `research.data.decoded`; deleting it costs only time."""
DATA = Path(os.environ.get("RESEARCH_DATA", ROOT / "data")).absolute()


def template(folder: Path, name: str) -> Path:
    """A file of a project's templates, or the package's where the project has none of its own.

    Arguments:
        folder: the project's templates, as `TEMPLATES`; it need not exist.
    """
    own = folder / name
    return own if own.is_file() else PACKAGED / name
