"""Edits of a paper, saved by another library than the one that wrote it."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pikepdf
from pikepdf import Pdf
from pydantic import TypeAdapter

from research.provenance import trail as provenance
from research.provenance.entries import Printed

Trail = dict[str, Any]
Edit = Callable[[Pdf], None]


def edited(original: bytes, edit: Edit, out: Path, **how: Any) -> Path:
    """The paper after an edit, saved by another library than the one that wrote it."""
    with pikepdf.open(io.BytesIO(original)) as document:
        edit(document)
        document.save(out, **how)
    return out


def number_in(trail: Trail, kind: str = "number") -> Trail:
    return next(one for one in trail["numbers"] if one["kind"] == kind)


def record_edit(change: Callable[[Trail], None], sealed: bool = False) -> Edit:
    """Changes the record; `sealed` as someone who knows of the seal would."""

    def edit(document: Pdf) -> None:
        trail = json.loads(document.attachments["provenance.json"].get_file().read_bytes())
        change(trail)
        if sealed:
            trail["seal"] = provenance.seal(trail)
        attach(document, "provenance.json", json.dumps(trail).encode())

    return edit


def attach(document: Pdf, name: str, content: bytes) -> None:
    document.attachments[name] = pikepdf.AttachedFileSpec(
        document,
        content,
        filename=name,
        description="",
        mime_type="",
        creation_date="",
        mod_date="",
    )


def value_changed(trail: Trail) -> None:
    number_in(trail)["value"] *= 1.01


def untouched(document: Pdf) -> None:
    """Only saves it again."""


def typed(raw: Trail) -> Printed:
    """An entry of a trail as a reader has it."""
    found: Printed = TypeAdapter(Printed).validate_json(json.dumps(raw), strict=True)
    return found
