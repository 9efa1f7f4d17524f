"""What a verb needs, looked at before it installs, downloads or trains anything."""

import os
import sys
from pathlib import Path

from research import paths
from research.errors import UserError
from research.machine import libraries, packages
from research.tracking import Store
from research.tracking.folder import FolderStore


def project() -> None:
    """Raises UserError where there is none, see `research.paths`."""
    if paths.PAPER.is_dir():
        return
    if named := os.environ.get("RESEARCH_ROOT"):
        raise UserError(f"RESEARCH_ROOT must be a folder with paper/, got {named}; set another")
    raise UserError(
        f"a project is needed, a folder with paper/, but none was found at or above {paths.ROOT}: "
        "go into one, or make one with `research new NAME`"
    )


def tracking(store: Store) -> None:
    """Raises UserError where a run is to be kept in MLflow and that is not installed."""
    if not isinstance(store, FolderStore):
        what = "a run kept in MLflow (--log folder:DIR does without)"
        packages.need(packages.TRACK, what)


def interface() -> None:
    """Raises UserError where MLflow, whose page is to be shown, is not installed."""
    packages.need(packages.TRACK, "research ui")


def pdf(folder: Path) -> None:
    """Looks for all that a PDF in this folder takes; tells once who cuts its fonts.

    Raises:
        UserError: a package or a system library is missing, or the folder cannot be written.
    """
    packages.need(packages.REPORT, "a PDF")
    if message := libraries.missing():
        raise UserError(message)
    writable(folder)
    if not libraries.subsets():
        print(libraries.CUT_BY_FONTTOOLS, file=sys.stderr)


def reading() -> None:
    """Raises UserError where the packages are missing that PDFs are read with."""
    packages.need(packages.REPORT, "reading papers")


def writable(folder: Path) -> None:
    """Raises UserError where no file can be made in the folder, or in the one to make it in."""
    place = folder
    while not place.exists():
        place = place.parent
    if not (place.is_dir() and os.access(place, os.W_OK | os.X_OK)):
        raise UserError(
            f"papers are written to {folder}, which is not writable: change its permissions, or "
            "work in a copy of the project"
        )
