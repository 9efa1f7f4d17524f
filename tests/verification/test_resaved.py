"""What programs do to a file without changing what it shows is let pass."""

import io
import shutil
import subprocess
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pikepdf
import pypdf
import pytest
from pikepdf import Array, Dictionary, Pdf

from research.verification.verify import verify
from tests.verification.forgeries import (
    Edit,
    edited,
    nothing,
)

QPDF = {
    "linearised": ["--linearize"],
    "objects in streams": ["--object-streams=generate"],
    "objects apart": ["--object-streams=disable"],
    "packed anew": ["--recompress-flate", "--compression-level=9"],
    "unpacked": ["--stream-data=uncompress"],
    "for an editor": ["--qdf"],
    "contents in one": ["--coalesce-contents"],
    "operators laid out": ["--normalize-content=y"],
    "a newline before the end": ["--newline-before-endstream"],
    "nothing that is unused": ["--remove-unreferenced-resources=yes"],
    "what is unused too": ["--preserve-unreferenced"],
    "another version": ["--force-version=1.7"],
    "no turned pages": ["--flatten-rotation"],
    "smaller pictures": ["--optimize-images"],
}
MUTOOL = {
    "cleaned": [], "cleaned of doubles": ["-gggg"], "cleaned and packed": ["-z"],
    "cleaned and unpacked": ["-d"], "cleaned, objects in streams": ["-Z"],
}  # fmt: skip


@pytest.mark.parametrize("name", QPDF)
def test_qpdf_may_rewrite_it(name: str, paper: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(paper)
    pikepdf.Job(["qpdf", *QPDF[name], str(tmp_path / "a.pdf"), str(tmp_path / "b.pdf")]).run()
    pikepdf.settings.set_flate_compression_level(-1)  # a job's level holds for the whole process
    assert verify(tmp_path / "b.pdf").problems == ()


@pytest.mark.parametrize("name", MUTOOL)
def test_mutool_may_clean_it(name: str, paper: bytes, tmp_path: Path) -> None:
    if shutil.which("mutool") is None:
        pytest.skip("needs mutool, of mupdf-tools")
    (tmp_path / "a.pdf").write_bytes(paper)
    done = subprocess.run(
        ["mutool", "clean", *MUTOOL[name], "a.pdf", "b.pdf"], cwd=tmp_path, capture_output=True
    )
    if done.returncode:
        pytest.skip(f"this mutool has no {MUTOOL[name]}")
    assert verify(tmp_path / "b.pdf").problems == ()


def in_short_floats(document: Pdf) -> None:
    """Coordinates as a program prints them that holds them in 32 bits, as MuPDF does."""

    def walk(value: Any) -> None:
        if isinstance(value, Array):
            for place, inner in enumerate(value):
                if isinstance(inner, Decimal):
                    value[place] = Decimal(np.format_float_positional(np.float32(inner)))
                elif not inner_is_indirect(inner):
                    walk(inner)
        elif isinstance(value, Dictionary):
            for key in value.keys():  # noqa: SIM118 - not a mapping of Python's
                if not inner_is_indirect(value[key]):
                    walk(value[key])

    for one in document.objects:
        walk(one)


def inner_is_indirect(value: Any) -> bool:
    return bool(getattr(value, "is_indirect", False))


def renewed(document: Pdf) -> None:
    with document.open_metadata() as metadata:
        metadata["xmp:ModifyDate"] = "2030-01-01T00:00:00"
        metadata["pdf:Producer"] = "another"
    document.docinfo["/Producer"] = "another"


def said_aloud(document: Pdf) -> None:
    """Boxes and turn that are what they are by default."""
    for one in document.pages:
        one.obj.CropBox = one.obj.MediaBox
        one.obj.Rotate = 0
        one.obj.UserUnit = 1


def inherited(document: Pdf) -> None:
    box = document.pages[0].obj.MediaBox
    for one in document.pages:
        del one.obj["/MediaBox"]
    document.Root.Pages.MediaBox = box


@pytest.mark.parametrize("edit", [nothing, in_short_floats, renewed, said_aloud, inherited])
def test_pikepdf_may_save_it(edit: Edit, paper: bytes, tmp_path: Path) -> None:
    assert verify(edited(paper, edit, tmp_path / "a.pdf")).problems == ()


def test_pypdf_may_save_it(paper: bytes, tmp_path: Path) -> None:
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(paper))
    writer.compress_identical_objects()
    writer.write(tmp_path / "a.pdf")
    assert verify(tmp_path / "a.pdf").problems == ()
