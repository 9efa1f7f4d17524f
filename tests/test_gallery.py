"""docs/gallery.py: pictures of all pages, and the PDFs that fit."""

import io
import sys
from pathlib import Path
from types import ModuleType

import pikepdf
import pytest
from PIL import Image

from research.errors import UserError
from tests.scripts import script


@pytest.fixture(scope="module")
def gallery() -> ModuleType:
    return script("gallery")


def a_pdf(path: Path, pages: int, bytes_more: int = 0) -> Path:
    with pikepdf.new() as document:
        for _ in range(pages):
            document.add_blank_page(page_size=(595, 842))
        document.docinfo["/Title"] = f"On {path.stem}"
        document.attachments["more"] = b""
        document.save(path)
    with path.open("ab") as file:
        file.write(b"%" * bytes_more)
    return path


def test_pages_are_drawn_and_the_smaller_pdf_is_kept(gallery: ModuleType, tmp_path: Path) -> None:
    small = gallery.paper("ae", a_pdf(tmp_path / "ae.pdf", 2))
    large = gallery.paper("zf", a_pdf(tmp_path / "zf.pdf", 3, 50_000))
    kept = gallery.write([large, small], tmp_path / "made", limit=40_000)
    assert kept == {"ae"}
    names = {path.name for path in (tmp_path / "made").iterdir()}
    assert names == {f"{n}.webp" for n in ("ae-1", "ae-2", "zf-1", "zf-2", "zf-3")} | {"ae.pdf"}
    assert sum(path.stat().st_size for path in (tmp_path / "made").iterdir()) <= 40_000
    assert Image.open(io.BytesIO(small.pages[0])).size == (778, gallery.HEIGHT)
    text = gallery.page([large, small], kept, "made")
    assert "## On zf" in text and "[PDF](made/ae.pdf)" in text and "made/zf.pdf" not in text
    assert text.count("<img") == 5 and "`make final-zf` builds `paper/zf.pdf`" in text


def test_pictures_over_the_limit_are_refused(gallery: ModuleType, tmp_path: Path) -> None:
    one = gallery.paper("ae", a_pdf(tmp_path / "ae.pdf", 2))
    with pytest.raises(UserError, match="100 bytes at most, these take"):
        gallery.write([one], tmp_path / "made", limit=100)


def test_papers_that_are_missing_are_told(
    gallery: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    a_pdf(tmp_path / "ae.pdf", 1)
    monkeypatch.setattr(gallery, "PAGE", tmp_path / "gallery.md")
    monkeypatch.setattr(gallery, "SOURCE", tmp_path)
    monkeypatch.setattr(gallery, "PICTURES", tmp_path / "gallery")
    monkeypatch.setattr(sys, "argv", ["gallery.py", "--papers", str(tmp_path)])
    assert gallery.main() == 2
    told = capsys.readouterr()
    assert told.out.startswith("1 papers") and "missing: autoencoders, cnn" in told.err
    assert "On ae" in (tmp_path / "gallery.md").read_text(encoding="utf-8")
