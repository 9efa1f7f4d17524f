"""docs/gallery.py: pictures of all pages."""

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


def a_pdf(path: Path, pages: int) -> Path:
    with pikepdf.new() as document:
        for _ in range(pages):
            document.add_blank_page(page_size=(595, 842))
        document.docinfo["/Title"] = f"On {path.stem}"
        document.save(path)
    return path


def test_pages_are_drawn_and_linked(gallery: ModuleType, tmp_path: Path) -> None:
    papers = [gallery.paper(path.stem, path) for path in (
        a_pdf(tmp_path / "zf.pdf", 3), a_pdf(tmp_path / "ae.pdf", 2)
    )]  # fmt: skip
    (tmp_path / "made").mkdir()
    (tmp_path / "made/former-1.webp").touch()
    gallery.write(papers, tmp_path / "made")
    names = {path.name for path in (tmp_path / "made").iterdir()}
    assert names == {f"{n}.webp" for n in ("ae-1", "ae-2", "zf-1", "zf-2", "zf-3")}
    assert Image.open(io.BytesIO(papers[0].pages[0])).size == (778, gallery.HEIGHT)
    text = gallery.page(papers, "made")
    assert "## On zf" in text and "[PDF](../paper/ae.pdf)" in text and "`make report-zf`" in text
    assert text.count("<img") == 5


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
