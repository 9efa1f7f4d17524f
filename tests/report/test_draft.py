"""Drafts: gaps become boxes that are seen; and what the figures' alternative texts say."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pikepdf
import pypdf
import pytest

from research.errors import GapError, UserError
from research.paths import TEMPLATES
from research.records import (
    Drawing,
    Number,
    Results,
    Table,
    write_arrays,
    write_manifest,
    write_table,
)
from research.report import Built, alternatives, build
from tests.samples import SAMPLE, without_data

GAPS = [
    "has nothing called 'mse_conv'",
    "has nothing called 'config.train.lrr'",
    "references.bib has no entry 'nobody1999'",
    "logged no number 'mse_b'",
    "has no figure 'kernel'",
    "has no table 'erors'",
    "nothing to refer to as 'fig:nowhere'",
    "figure 'kernels' needs alt=",
]
TEXT = """

We reach {mse_conv} at {config.train.lrr} [@nobody1999], which is
[less|more|alike]{mse_pca <> mse_b}.

![C.](kernel){alt="a"}

::: {.table name=erors}
C.

| column | heading |
|--------|---------|
| arm    | A       |
:::

See @fig:nowhere.

### Reconstruction
"""


def draft(record: Results, tmp_path: Path, text: str, **more: Any) -> Built:
    source = tmp_path / "ae.md"
    source.write_text(text)
    out, author = tmp_path / "ae.pdf", SAMPLE / "author.toml"
    return build(record, source, out, author=author, templates=TEMPLATES, draft=True, **more)


@pytest.fixture
def sample() -> str:
    return (SAMPLE / "ae.md").read_text()


def test_each_gap_is_a_box_on_the_page_and_listed(
    record: Results, tmp_path: Path, sample: str
) -> None:
    text = sample.replace("\n### Reconstruction\n", TEXT, 1)
    without_data(record, "kernels")
    text = text.replace('{alt="A grid of small colour patches"}', "")
    built = draft(record, tmp_path, text, stale=["code (research/training/loop.py)"])
    for gap, line in zip([*GAPS, "the paper fills 4 pages"], built.gaps, strict=True):
        assert gap in line
    page = " ".join(p.extract_text() for p in pypdf.PdfReader(built.pdf).pages)
    page = re.sub(r"\s+", " ", page).replace("\u2010 ", "")  # a hyphen that a line's end made
    assert "Draft with 8 gaps." in page
    assert page.count("MISSING:") == 7  # an alternative text is not seen
    assert "Changed since the run: code (research/training/loop.py)." in page
    assert built.html.read_text().count('class="auto missing"') == 7


def test_a_draft_without_gaps_is_the_paper(
    built: Built, record: Results, tmp_path: Path, sample: str
) -> None:
    done = draft(record, tmp_path, sample)
    assert done.gaps == ()
    assert done.pdf.read_bytes() == built.pdf.read_bytes()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{ number('a') }}", "belongs to the former language"),
        ("{mse pca}", "'{mse' is no value"),
        ("We reach 0.93.", "0.93 is typed"),
        ('[0.931]{by="a choice"}', "looks like a result"),
    ],
)
def test_mistakes_stop_a_draft_too(
    text: str, message: str, record: Results, tmp_path: Path, sample: str
) -> None:
    with pytest.raises(UserError, match=re.escape(message)) as error:
        draft(record, tmp_path, sample.replace("\n### Reconstruction\n", f"\n{text}\n", 1))
    assert not isinstance(error.value, GapError)


def test_the_tags_tell_language_and_order(built: Built) -> None:
    with pikepdf.open(built.pdf) as document:
        assert bool(document.Root.MarkInfo.Marked)
        assert str(document.Root.Lang) == "en"
        order = [_element(kid) for kid in _walk(document.Root.StructTreeRoot)]
        figures = [one for kind, one in order if kind == "/Figure"]
        assert all(str(one.get("/Alt", "")).strip() for one in figures)
        heads = [one for kind, one in order if kind in ("/H1", "/H2", "/H3")]
        assert [str(h.S)[1:] for h in heads] == levels(built.html.read_text())


def levels(html: str) -> list[str]:
    return [f"H{level}" for level in re.findall(r"<h([123])[ >]", html)]


def _element(one: Any) -> tuple[str, Any]:
    return str(one.get("/S", "")), one


def _walk(node: Any) -> Any:
    kids = node.get("/K", [])
    for kid in kids if isinstance(kids, pikepdf.Array) else [kids]:
        if isinstance(kid, pikepdf.Dictionary) and "/S" in kid:
            yield kid
            yield from _walk(kid)


def test_an_alternative_text_is_made_from_the_data(
    record: Results, tmp_path: Path, sample: str
) -> None:
    write_arrays(
        record.folder, "maps", {"loss": np.array([0.4, 0.01, np.nan]), "names": np.array(["a"])}
    )
    table = Table.of([{"arm": "a", "mse": Number(0.25)}, {"arm": "b", "mse": None}])
    write_table(record.folder, "few", table)
    data = ("arrays/maps.npz", "tables/few.json", "numbers.json", "gone.npz")
    known = alternatives.sentence(record, Drawing("a.svg", "a.png", 1, 1, data))
    assert known == (
        "Drawn from maps: loss, 3 values from 0.01 to 0.4, names, 1 value; "
        "table few, 2 rows: mse from 0.25 to 0.25; the run's numbers."
    )
    assert alternatives.sentence(record, Drawing("a.svg", "a.png", 1, 1)) == ""
    assert alternatives.joined("A curve", "Drawn.") == "A curve. Drawn."
    assert alternatives.joined("A curve.", "") == "A curve."
    write_manifest(record.folder)  # we changed its arrays
    built = draft(record, tmp_path, sample.replace(' alt="Five rows of activation maps"', ""))
    assert built.gaps == ()
    assert 'alt="Drawn from maps: loss, 3 values from' in built.html.read_text()
