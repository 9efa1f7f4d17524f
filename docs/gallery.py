"""Writes docs/gallery.md and its pictures from the built papers: python docs/gallery.py

Pictures of all pages come first; of the PDFs themselves those are added that fit in the same 3 MB,
the smallest first. Of the others the page says which command builds them.
"""

import argparse
import io
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pypdfium2

from research import studies
from research.errors import UserError
from research.paths import PAPER

SOURCE = Path(__file__).resolve().parent.parent
PAGE = SOURCE / "docs/gallery.md"
PICTURES = SOURCE / "docs/gallery"
LIMIT = 3_000_000
"""Bytes of everything in `PICTURES`."""
HEIGHT = 1100
"""Pixels of a page's picture."""
QUALITY = 55
"""Of WebP; text of nine points stays legible."""
HEAD = """# Gallery
The papers as `make final-STUDY` builds them from the full runs of \
[the results](results.md). Written by `make gallery`. Each paper is also one HTML page, \
`paper/STUDY.html`.
"""


@dataclass(frozen=True)
class Paper:
    """A built paper.

    Attributes:
        pages: each as WebP.
    """

    slug: str
    title: str
    pdf: Path
    pages: tuple[bytes, ...]

    @property
    def pictures(self) -> list[str]:
        """Their names within `PICTURES`."""
        return [f"{self.slug}-{number}.webp" for number in range(1, len(self.pages) + 1)]


def paper(slug: str, pdf: Path) -> Paper:
    """Reads a paper and draws its pages."""
    with closing(pypdfium2.PdfDocument(pdf)) as document:
        title = document.get_metadata_dict()["Title"]
        return Paper(slug, title, pdf, tuple(picture(page) for page in document))


def picture(page: pypdfium2.PdfPage) -> bytes:
    """A page as WebP, `HEIGHT` pixels high."""
    drawn = page.render(scale=HEIGHT / page.get_height()).to_pil()
    out = io.BytesIO()
    drawn.convert("RGB").save(out, "WEBP", quality=QUALITY, method=6)
    return out.getvalue()


def write(papers: Sequence[Paper], folder: Path, limit: int = LIMIT) -> set[str]:
    """Replaces a folder by pictures of all pages, and the PDFs that fit; whose PDFs those are.

    Raises:
        UserError: the pictures alone are over the limit.
    """
    left = limit - sum(len(page) for one in papers for page in one.pages)
    if left < 0:
        raise UserError(
            f"pictures must take {limit:,} bytes at most, these take {limit - left:,}: lower "
            "HEIGHT or QUALITY in docs/gallery.py"
        )
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for one in papers:
        for name, page in zip(one.pictures, one.pages, strict=True):
            (folder / name).write_bytes(page)
    kept = set()
    for one in sorted(papers, key=lambda one: one.pdf.stat().st_size):
        left -= one.pdf.stat().st_size
        if left >= 0:
            shutil.copyfile(one.pdf, folder / f"{one.slug}.pdf")
            kept.add(one.slug)
    return kept


def page(papers: Sequence[Paper], kept: set[str], folder: str) -> str:
    """The gallery in Markdown; `folder` is where the pictures lie, seen from it."""
    return HEAD + "".join(f"\n{line}" for one in papers for line in told(one, kept, folder))


def told(one: Paper, kept: set[str], folder: str) -> Iterator[str]:
    yield f"## {one.title}"
    made = f"`make final-{one.slug}` builds `paper/{one.slug}.pdf` and `paper/{one.slug}.html`"
    here = f"[PDF]({folder}/{one.slug}.pdf) · " if one.slug in kept else ""
    yield f"[Source](../paper/{one.slug}.md) · {here}{made}\n"
    for number, name in enumerate(one.pictures, start=1):
        alt = f"Page {number} of {one.slug}"
        yield f'<a href="{folder}/{name}"><img src="{folder}/{name}" width="32%" alt="{alt}"></a>'
    yield ""


def main() -> int:
    parser = argparse.ArgumentParser(description="Writes docs/gallery.md from the built papers.")
    parser.add_argument("--papers", type=Path, default=PAPER, help="folder of the PDFs")
    folder = parser.parse_args().papers
    slugs = [entry.slug for entry in studies.own()]
    built = [slug for slug in slugs if (folder / f"{slug}.pdf").is_file()]
    try:
        papers = [paper(slug, folder / f"{slug}.pdf") for slug in built]
        PAGE.write_text(page(papers, write(papers, PICTURES), PICTURES.name), encoding="utf-8")
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    size = sum(path.stat().st_size for path in PICTURES.iterdir())
    print(f"{len(papers)} papers, {size / 1e6:.2f} MB in {PICTURES.relative_to(SOURCE)}")
    if missing := [slug for slug in slugs if slug not in built]:
        print(f"every study's PDF is required in {folder}, missing: {', '.join(missing)}; "
              f"make {' '.join(f'final-{slug}' for slug in missing)}", file=sys.stderr)  # fmt: skip
    return 2 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
