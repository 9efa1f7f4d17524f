"""Reads a finished PDF back: the trail it carries, and whether its sources have changed since."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from research.errors import UserError
from research.provenance.trail import digests
from research.records import sha256

NAME = "provenance.json"


def trail(pdf: Path) -> dict[str, Any]:
    """The provenance that is embedded in a PDF.

    Raises:
        UserError: not a PDF of this package.
    """
    import pikepdf

    try:
        with pikepdf.open(pdf) as document:
            return dict(json.loads(document.attachments[NAME].get_file().read_bytes()))
    except (OSError, pikepdf.PdfError, KeyError, ValueError) as error:
        reason = "it has no provenance.json" if isinstance(error, KeyError) else str(error)
        raise UserError(
            f"{pdf.name} must be a PDF that was built here, but {reason}; build it again"
        ) from None


def differences(
    pdf: Path, run: str, record: Path, sources: Sequence[Path], others: Mapping[str, str] = {}
) -> list[str]:
    """Why a PDF is not what a build from this run and these sources would give now; empty if it is.

    Arguments:
        run: id of the run that a build would take.
        record: that run's folder.
        sources: the write-up, the author's file and the templates.
        others: study -> id of the run that a build would read beside it.
    """
    built, now = trail(pdf), digests(sources)
    reasons = []
    if built["run"]["id"] != run:
        reasons.append(f"built from run {built['run']['id'][:8]}")
    else:
        drawn = [
            f["name"] for f in built["figures"] if f["sha256"] != sha256(record / f["artifact"])
        ]
        reasons += [f"figures drawn anew: {', '.join(drawn)}"] if drawn else []
    for study, other in built.get("reads", {}).items():
        if other["id"] != others.get(study):
            reasons.append(f"reads run {other['id'][:8]} of '{study}'")
    former = built["sources"]
    changed = sorted(name for name in {*former, *now} if former.get(name) != now.get(name))
    if changed:
        reasons.append(f"prose changed since: {', '.join(changed)}")
    return reasons
