"""Looks: what front matter may ask for, how a page of one column is planned, a paper in two."""

from dataclasses import replace
from pathlib import Path

import pikepdf
import pypdf
import pytest

from research.errors import UserError
from research.paths import TEMPLATES
from research.records import Results
from research.report import build
from research.report import source as texts
from research.report.layout import LOOKS, Piece, Sheet, plan
from research.verification.verify import verify

HEAD = "---\ntitle: T\n{}---\n\n## Abstract\n\nWords of {{mse_pca:.4f}}.\n\n## Body\n\n"
PARAGRAPH = "Words that say little and fill the page as far as it goes, again and again. " * 6
FIGURE = '![Maps.](maps){.wide alt="Rows of maps"}\n\n'
AUTHORS = """acknowledgements = "We thank R&D <all>; grant 4711."
[[author]]
name = "Ada Rivers"
affiliation = "University A"
orcid = "0000-0002-1825-0097"
[[author]]
name = "Bo Stone"
affiliation = "Institute B"
"""


def written(folder: Path, look: str) -> Path:
    path = folder / "ae.md"
    path.write_text(HEAD.format(f"look: {look}\n" if look else "") + FIGURE + PARAGRAPH)
    return path


def test_a_look_is_named_in_the_front_matter(tmp_path: Path) -> None:
    assert texts.read(written(tmp_path, "")).look == "course"
    assert texts.read(written(tmp_path, "ieee")).look == "ieee"
    with pytest.raises(UserError, match=r"ae.md:3.*there is no look 'iee'.*ieee"):
        texts.read(written(tmp_path, "iee"))


@pytest.mark.parametrize("look", LOOKS)
def test_columns_and_gaps_fill_the_text(look: str) -> None:
    sheet = LOOKS[look]
    filled = sheet.columns * sheet.column + (sheet.columns - 1) * sheet.gap
    assert filled == pytest.approx(sheet.width - 2 * sheet.side)
    assert not sheet.style or (TEMPLATES / sheet.style).is_file()


def test_a_page_of_one_column_holds_half_as_much() -> None:
    pieces = [Piece(f"p{n}", "text", 50.0) for n in range(12)]
    two, one = Sheet(), replace(Sheet(), columns=1)
    assert plan(pieces, one, 40).turn is None
    assert plan(pieces, two, 40).turn is not None
    assert two.depth == one.depth
    excess = [plan(pieces, sheet, 40).excess(pieces, sheet, 40, 1) for sheet in (one, two)]
    assert excess[0] - excess[1] == pytest.approx(two.depth - 40)


@pytest.mark.parametrize("look", ["ieee", "neurips"])
def test_a_paper_of_a_conference(
    look: str, record: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(LOOKS, look, replace(LOOKS[look], pages=(1, 9)))
    (tmp_path / "author.toml").write_text(AUTHORS)
    built = build(
        record, written(tmp_path, look), tmp_path / "ae.pdf", author=tmp_path / "author.toml",
        templates=TEMPLATES,
    )  # fmt: skip
    assert verify(built.pdf).problems == ()
    [figure] = built.provenance["figures"]
    left, _, right, _ = figure["rectangle"]
    room = LOOKS[look].text * 72 / 25.4
    assert right - left == pytest.approx(min(room, 178 * 72 / 25.4), abs=0.5)
    reader = pypdf.PdfReader(built.pdf)
    assert [float(side) for side in reader.pages[0].mediabox[2:]] == pytest.approx(
        [612, 792], abs=0.1
    )
    text = " ".join(reader.pages[-1].extract_text().split())
    assert "Acknowledgements We thank R&D <all>; grant 4711." in text
    [stated] = [one for one in built.provenance["numbers"] if one["kind"] == "stated"]
    assert (stated["printed"], stated["name"]) == ("4711", "acknowledgements of author.toml")
    with pikepdf.open(built.pdf) as document:
        links = [
            str(one.A.URI) for page in document.pages for one in page.get("/Annots", [])
            if "/A" in one and "/URI" in one.A
        ]  # fmt: skip
    assert links == ["https://orcid.org/0000-0002-1825-0097"]
