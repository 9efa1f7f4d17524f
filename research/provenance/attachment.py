"""What a finished PDF carries: puts files into it."""

import io
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from research.provenance.drawing import DIGITS

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
        for item in document.objects:
            _round(item)
        if "/AF" in document.Root:
            once = {file.objgen: file for file in document.Root.AF}
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


def attach(content: bytes, record: Attached, ended: str) -> bytes:
    """A PDF with one more file in it, or another in the place of the one of that name.

    The record tells of the pages and so comes after them; WeasyPrint cannot write a document twice:
    it draws some figures otherwise the second time.
    """
    import pikepdf

    date = datetime.fromisoformat(ended).strftime("D:%Y%m%d%H%M%SZ")
    with pikepdf.open(io.BytesIO(content)) as document:
        kept = [spec for spec in document.Root.get("/AF", []) if str(spec.get("/F")) != record.name]
        spec = pikepdf.AttachedFileSpec(
            document, record.content, filename=record.name, description=record.description,
            mime_type=record.kind, creation_date=date, mod_date=date,
        )  # fmt: skip
        spec.relationship = pikepdf.Name.Data
        document.attachments[record.name] = spec
        document.Root.AF = pikepdf.Array([*kept, document.attachments[record.name].obj])
        return _saved(document)


def _saved(document: Any) -> bytes:
    out = io.BytesIO()
    document.save(out, deterministic_id=True)
    return out.getvalue()
