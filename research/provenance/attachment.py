"""What a finished PDF carries: files are put into it, and the trail is read back."""

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from research.errors import UserError
from research.provenance.drawing import DIGITS
from research.provenance.trail import digests
from research.records import sha256

NAME = "provenance.json"


@dataclass(frozen=True)
class Attached:
    """A file inside the PDF."""

    name: str
    description: str
    content: bytes
    kind: str = "application/json"


def plain(content: bytes) -> bytes:
    """A PDF as WeasyPrint wrote it, in a form that other programs keep as it is.

    Coordinates outside of the drawings have as many digits as 32-bit floats hold, in which some
    programs read them; and no file is named twice among those that belong to the document.
    """
    import pikepdf

    with pikepdf.open(io.BytesIO(content)) as document:
        for one in document.objects:
            _round(one)
        if "/AF" in document.Root:
            once = {one.objgen: one for one in document.Root.AF}
            document.Root.AF = pikepdf.Array(once.values())
        return _saved(document)


def _round(value: Any) -> None:
    """Rounds the numbers in a thing, in place, and in what lies in it itself."""
    import pikepdf

    if isinstance(value, pikepdf.Array):
        places: Any = range(len(value))
    elif isinstance(value, pikepdf.Dictionary | pikepdf.Stream):
        places = list(value.keys())
    else:
        return
    for place in places:
        inner = value[place]
        if isinstance(inner, Decimal):
            value[place] = Decimal(f"{Decimal(f'{inner:.{DIGITS}g}'):f}")
        elif not getattr(inner, "is_indirect", False):
            _round(inner)


def attach(content: bytes, one: Attached, ended: str) -> bytes:
    """A PDF with one more file in it, or another in the place of the one of that name.

    The record tells of the pages and so comes after them; WeasyPrint cannot write a document twice:
    it draws some figures otherwise the second time.
    """
    import pikepdf

    date = datetime.fromisoformat(ended).strftime("D:%Y%m%d%H%M%SZ")
    with pikepdf.open(io.BytesIO(content)) as document:
        kept = [spec for spec in document.Root.get("/AF", []) if str(spec.get("/F")) != one.name]
        spec = pikepdf.AttachedFileSpec(
            document, one.content, filename=one.name, description=one.description,
            mime_type=one.kind, creation_date=date, mod_date=date,
        )  # fmt: skip
        spec.relationship = pikepdf.Name.Data
        document.attachments[one.name] = spec
        document.Root.AF = pikepdf.Array([*kept, document.attachments[one.name].obj])
        return _saved(document)


def _saved(document: Any) -> bytes:
    out = io.BytesIO()
    document.save(out, deterministic_id=True)
    return out.getvalue()


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
