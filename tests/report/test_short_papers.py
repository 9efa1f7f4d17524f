"""Short papers: what a page holds of lists, style sheets, fonts and addresses."""

import dataclasses
import os
import shutil
from pathlib import Path

import pypdf
import pytest

from research.errors import UserError
from research.paths import TEMPLATES
from research.records import Results, load, write_manifest, write_run
from research.report import Built, build, pdf
from research.verification.verify import verify
from tests.samples import SAMPLE

COMPUTE = {
    "hardware": "8 cores of a CPU", "wall_seconds": 131.0, "device_hours": 0.036,
    "peak_mib": 900.0, "peak_device_mib": 0.0,
}  # fmt: skip
SHORT = "---\ntitle: T\n---\n\n## Abstract\n\nWords.\n\n## Body\n\n"


def a_draft(record: Results, folder: Path, body: str, templates: Path = TEMPLATES) -> Built:
    source = folder / "ae.md"
    write_run(record.folder, dataclasses.replace(record.run, compute=COMPUTE))
    write_manifest(record.folder)
    source.write_text(f"{SHORT}{body}\n")
    return build(
        load(record.folder), source, folder / "ae.pdf", author=SAMPLE / "author.toml",
        templates=templates, draft=True,
    )  # fmt: skip


def test_a_draft_of_one_page_says_there_what_it_took(record: Results, tmp_path: Path) -> None:
    """Later pages have no place then: what stands at the foot of the second is on the first."""
    built = a_draft(record, tmp_path, "See {mse_pca:.4f}.")
    (page,) = (one.extract_text() for one in pypdf.PdfReader(built.pdf).pages)
    assert "Computed on 8 cores of a CPU: 131 s of wall time" in " ".join(page.split())
    named = {entry["name"]: entry["page"] for entry in built.provenance["numbers"]}
    assert named["compute.wall_seconds"] == named["mse_pca"] == 1
    verdict = verify(built.pdf)
    assert [problem.where for problem in verdict.problems] == ["draft"]  # one page is too few


@pytest.mark.long
def test_a_list_is_printed_to_its_deepest_item_or_refused(record: Results, tmp_path: Path) -> None:
    def nested(depth: int) -> str:
        item = "- item {mse_pca:.4f} of level"
        return "\n".join(f"{'  ' * level}{item} {'abcdefghijk'[level]}-" for level in range(depth))

    built = a_draft(record, tmp_path, nested(9))
    printed = [entry for entry in built.provenance["numbers"] if entry["name"] == "mse_pca"]
    assert len(printed) == 9
    assert "of level i-" in " ".join(pypdf.PdfReader(built.pdf).pages[0].extract_text().split())
    for depth in (10, 11, 60):
        body = nested(depth) if depth < 12 else "> " * depth + "item"
        with pytest.raises(UserError, match=r"at most 9 deep in each other: write it flatter"):
            a_draft(record, tmp_path, body)


@pytest.mark.parametrize(
    "body",
    [
        "[a](http://a.example/{mse_pca})", "<http://a.example/{mse_pca}>",
        '[a](http://a.example "{mse_pca}")', "![{mse_pca}](x.png)",
    ],
)  # fmt: skip
def test_a_value_in_an_address_or_description_is_refused(
    body: str, record: Results, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r"a value prints into the text, not into|no picture"):
        a_draft(record, tmp_path, body)


def test_what_a_style_sheet_hides_is_named(record: Results, tmp_path: Path) -> None:
    templates = tmp_path / "templates"
    shutil.copytree(TEMPLATES, templates)
    with (templates / "blocks.css").open("a") as file:
        file.write("em { display: none; }\n")
    with pytest.raises(UserError, match=r"but number 'mse_pca' on none: does a style sheet"):
        a_draft(record, tmp_path, "*{mse_pca}*", templates)


@pytest.mark.long
def test_fonts_that_fonttools_cuts_are_as_good(
    record: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where HarfBuzz-subset is missing: built without a complaint, verified, the same bytes."""
    pdf.engine()
    monkeypatch.setattr("weasyprint.pdf.fonts.harfbuzz_subset", None)
    papers = []
    for epoch in ("1", "2000000000"):
        monkeypatch.setenv("SOURCE_DATE_EPOCH", epoch)  # the time, as a font would tell it
        out = tmp_path / f"{epoch}.pdf"
        build(
            record, SAMPLE / "ae.md", out, author=SAMPLE / "author.toml",
            templates=TEMPLATES,
        )  # fmt: skip
        assert os.environ["SOURCE_DATE_EPOCH"] == epoch
        papers.append(out.read_bytes())
    assert papers[0] == papers[1]
    assert verify(tmp_path / "1.pdf").ok
