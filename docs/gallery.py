"""Writes docs/gallery.md and its pictures from the built papers: python docs/gallery.py

The PDFs are built and not kept in the repository; the links lead to where they are built.
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
The papers as `make report-STUDY` builds them, written by `make gallery`. From which run its \
numbers come stands on a paper's first page; a red box there means that it is a reduced one. The \
links lead to where the papers are built, also as one HTML page each.
"""


@dataclass(frozen=True)
class Paper:
    """A built paper.

    Attributes:
        pages: each as WebP.
    """

    slug: str
    title: str
    pages: tuple[bytes, ...]

    @property
    def pictures(self) -> list[str]:
        """Their names within `PICTURES`."""
        return [f"{self.slug}-{number}.webp" for number in range(1, len(self.pages) + 1)]


def paper(slug: str, pdf: Path) -> Paper:
    """Reads a paper and draws its pages."""
    with closing(pypdfium2.PdfDocument(pdf)) as document:
        title = document.get_metadata_dict()["Title"]
        return Paper(slug, title, tuple(picture(page) for page in document))


def picture(page: pypdfium2.PdfPage) -> bytes:
    """A page as WebP, `HEIGHT` pixels high."""
    drawn = page.render(scale=HEIGHT / page.get_height()).to_pil()
    out = io.BytesIO()
    drawn.convert("RGB").save(out, "WEBP", quality=QUALITY, method=6)
    return out.getvalue()


def write(papers: Sequence[Paper], folder: Path, limit: int = LIMIT) -> None:
    """Replaces a folder by pictures of all pages.

    Raises:
        UserError: they are over the limit.
    """
    size = sum(len(page) for one in papers for page in one.pages)
    if size > limit:
        raise UserError(
            f"pictures must take {limit:,} bytes at most, these take {size:,}: lower HEIGHT or "
            "QUALITY in docs/gallery.py"
        )
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for one in papers:
        for name, page in zip(one.pictures, one.pages, strict=True):
            (folder / name).write_bytes(page)


def page(papers: Sequence[Paper], folder: str) -> str:
    """The gallery in Markdown; `folder` is where the pictures lie, seen from it."""
    return HEAD + "".join(f"\n{line}" for one in papers for line in told(one, folder))


def told(one: Paper, folder: str) -> Iterator[str]:
    yield f"## {one.title}"
    links = [f"[{kind}](../paper/{one.slug}.{kind.lower()})" for kind in ("PDF", "HTML")]
    yield f"{' · '.join(links)} · [source](../paper/{one.slug}.md) · `make report-{one.slug}`\n"
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
        write(papers, PICTURES)
        PAGE.write_text(page(papers, PICTURES.name), encoding="utf-8")
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    size = sum(path.stat().st_size for path in PICTURES.iterdir())
    print(f"{len(papers)} papers, {size / 1e6:.2f} MB in {PICTURES.relative_to(SOURCE)}")
    if missing := [slug for slug in slugs if slug not in built]:
        verbs = " ".join(f"report-{slug}" for slug in missing)
        print(
            f"every study's PDF is required in {folder}, missing: {', '.join(missing)}; "
            f"make {verbs}",
            file=sys.stderr,
        )
    return 2 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
