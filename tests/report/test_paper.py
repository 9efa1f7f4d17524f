"""The finished paper, read back by other libraries than the one that wrote it."""

import dataclasses
import hashlib
import json
import os
import re
import subprocess
import sys
import unicodedata
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pikepdf
import pypdf
import pytest

from research.errors import UserError
from research.paths import ROOT, TEMPLATES
from research.provenance.trail import Ledger
from research.records import Results, load, write_manifest, write_run
from research.report import Built, authors, build, composition, pdf, render
from research.report import source as texts
from research.report.layout import Sheet
from research.report.words import Words
from tests.samples import SAMPLE


def tokens(text: str) -> Counter[str]:
    return Counter(re.findall(r"\d+(?:[.,]\d+)*", unicodedata.normalize("NFKC", text)))


def test_numbers_of_the_pdf_are_those_of_the_provenance(built: Built) -> None:
    """Extracted text, less what layout and bibliography made, holds the tracked numbers exactly."""
    pages = [page.extract_text() for page in pypdf.PdfReader(built.pdf).pages]
    text = "\n".join(re.sub(r"\d / \d\s*$", "", page) for page in pages)
    text = text.replace("\u00a0", " ")
    text = re.sub(r"References\n\[1\].*?(?=\nBuilt from|\Z)", "", text, flags=re.DOTALL)
    text = re.sub(r"\[\d+(, \d+)*\]", "", text)
    text = re.sub(r"(Figure|Table|Section)\s\d+(\.\d)?", "", text)
    text = re.sub(r"^\d(\.\d)?\s+[A-Z]", "", text, flags=re.MULTILINE)
    text = text.replace("exercise 1", "").replace("Deep Learning for Vision, ", "")
    printed = sum((tokens(entry["printed"]) for entry in built.provenance["numbers"]), Counter())
    assert tokens(text) == printed
    assert sum(printed.values()) > 80


def test_each_number_stands_in_its_rectangle(built: Built) -> None:
    chunks: dict[int, list[tuple[str, float, float]]] = {}
    for number, page in enumerate(pypdf.PdfReader(built.pdf).pages, start=1):
        found = chunks.setdefault(number, [])

        def visit(text: str, cm: Any, tm: Any, *_: Any, found: list[Any] = found) -> None:
            found.append((text, tm[4] * cm[0] + cm[4], tm[5] * cm[3] + cm[5]))

        page.extract_text(visitor_text=visit)
    for entry in built.provenance["numbers"]:
        left, bottom, right, top = entry["rectangle"]
        inside = [
            text
            for text, x, y in chunks[entry["page"]]
            if left - 0.6 <= x <= right and bottom <= y <= top
        ]
        assert "".join(entry["printed"].split()) in "".join("".join(inside).split()), entry
        assert right - left < 250 and top - bottom < 16


def test_values_are_those_of_the_record(built: Built, record: Results) -> None:
    for entry in built.provenance["numbers"]:
        if entry["kind"] == "number":
            number = record.numbers[entry["name"]]
            assert (entry["value"], entry["half_width"], entry["n"]) == (
                number.value,
                number.half_width,
                number.n,
            )
        if entry["kind"] == "cell":
            table, _, column = entry["name"].partition(".")
            cell = record.table(table).column(column)[entry["row"] - 1]
            assert entry["value"] == getattr(cell, "value", cell)
    assert {e["kind"] for e in built.provenance["numbers"]} == {
        "number", "cell", "setting", "fact", "quoted", "stated",
    }  # fmt: skip


def test_figures_stand_on_the_page_at_the_size_they_were_drawn(
    built: Built, record: Results
) -> None:
    assert len(built.provenance["figures"]) == 6
    for figure in built.provenance["figures"]:
        drawing = record.figure(figure["name"])
        left, bottom, right, top = figure["rectangle"]
        assert right - left == pytest.approx(drawing.width_mm * 72 / 25.4, abs=0.1)
        assert top - bottom == pytest.approx(drawing.height_mm * 72 / 25.4, abs=0.1)
        assert left >= 40 and right <= 595.3 - 40 and bottom > 50 and top < 842 - 40
        digest = hashlib.sha256((record.folder / figure["artifact"]).read_bytes()).hexdigest()
        assert figure["sha256"] == digest


def test_figures_and_tables_do_not_overlap(built: Built) -> None:
    boxes = [*built.provenance["figures"], *built.provenance["tables"]]
    for n, one in enumerate(boxes):
        for other in boxes[n + 1 :]:
            a, b = one["rectangle"], other["rectangle"]
            apart = a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
            assert one["page"] != other["page"] or apart, (one["name"], other["name"])


def test_attachments_are_what_the_provenance_says(built: Built) -> None:
    with pikepdf.open(built.pdf) as document:
        files = {name: spec.get_file().read_bytes() for name, spec in document.attachments.items()}
        relations = {str(spec["/AFRelationship"]) for spec in document.Root.AF}
    assert json.loads(files["provenance.json"]) == json.loads(json.dumps(built.provenance))
    assert relations == {"/Data"}
    listed = [f for x in ("figures", "tables") for one in built.provenance[x] for f in one["data"]]
    assert len(listed) == 9
    for file in listed:
        assert hashlib.sha256(files[file["attachment"]]).hexdigest() == file["sha256"]


def test_the_pdf_is_tagged_pdf_a(built: Built) -> None:
    with pikepdf.open(built.pdf) as document:
        assert "/StructTreeRoot" in document.Root
        assert str(document.Root.Lang) == "en"
        with document.open_metadata() as metadata:
            assert metadata.pdfa_status == "3A"
            assert metadata["dc:title"].startswith("What a Small")
            assert metadata["xmp:CreateDate"].startswith("2026-03-04")
        objects = [o for o in document.objects if isinstance(o, pikepdf.Dictionary)]
        alts = [str(o.Alt) for o in objects if o.get("/S") == "/Figure" and "/Alt" in o]
        fonts = {str(o.BaseFont).split("+")[-1] for o in objects if o.get("/Type") == "/Font"}
        assert not any(
            bool(o.get("/Interpolate", False)) for o in document.objects if hasattr(o, "get")
        )
    assert any(alt.startswith("A grid of small colour patches. ") for alt in alts)
    assert len(alts) >= 6
    assert fonts and all(font.startswith("STIX") for font in fonts)


def test_nothing_of_the_machine_is_told(built: Built) -> None:
    told = json.dumps(built.provenance) + built.html.read_text()
    for secret in ("secret-user", "/home", str(ROOT), str(Path.home()) + "/"):
        assert secret not in told


def test_the_page_for_a_screen_is_one_file_with_the_same_text(built: Built) -> None:
    page = built.html.read_text()
    assert not re.search(r'(?:src|href)="(?!data:|#|https://)', page)
    assert page.count("<figure") == 9
    script = re.search(r'<script type="application/json"[^>]*>(.*?)</script>', page, re.DOTALL)
    assert script and json.loads(script[1]) == json.loads(json.dumps(built.provenance))
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    for target in re.findall(r'href="#([^"]+)"', page):
        assert target in ids


@pytest.mark.long
def test_the_same_record_gives_the_same_bytes_in_another_process(
    built: Built, record: Results, tmp_path: Path
) -> None:
    code = (
        "import sys; from pathlib import Path; from research.report import build; "
        "from research.records import load; r, s, t, o = map(Path, sys.argv[1:]); "
        "build(load(r), s / 'ae.md', o, author=s / 'author.toml', templates=t); "
        "heavy = {'torch', 'mlflow', 'matplotlib', 'pandas', 'sklearn', 'scipy'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    out = tmp_path / "again.pdf"
    paths = map(str, (record.folder, SAMPLE, TEMPLATES, out))
    environment = os.environ | {
        "PYTHONHASHSEED": "4711",
        "PYTHONPATH": str(ROOT),
        "TZ": "Asia/Tokyo",
    }
    done = subprocess.run(
        [sys.executable, "-c", code, *paths],
        env=environment, cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "[]"
    assert out.read_bytes() == built.pdf.read_bytes()
    assert out.with_suffix(".html").read_bytes() == built.html.read_bytes()


@pytest.mark.long
def test_remembered_heights_give_the_same_bytes(record: Results, tmp_path: Path) -> None:
    memory = record.folder / "report/galley.json"
    out = tmp_path / "ae.pdf"
    pages = []
    for _ in range(2):
        build(
            record,
            SAMPLE / "ae.md",
            out,
            author=SAMPLE / "author.toml",
            templates=TEMPLATES,
        )
        pages.append(out.read_bytes())
        assert memory.exists()
    assert pages[0] == pages[1]
    known = json.loads(memory.read_text())
    memory.write_text(json.dumps(known | {"key": "of another text"}))
    build(record, SAMPLE / "ae.md", out, author=SAMPLE / "author.toml", templates=TEMPLATES)
    assert out.read_bytes() == pages[0]
    assert json.loads(memory.read_text()) == known


def test_a_paper_that_is_too_long_names_its_section_and_the_former_one_stays(
    write: Callable[..., Built], tmp_path: Path
) -> None:
    former = tmp_path / "out/ae.pdf"
    former.parent.mkdir()
    former.write_bytes(b"former")
    more = "Words that fill the page again and again without saying anything at all. " * 160
    with pytest.raises(UserError, match=r"fills \d pages.*'Conclusion' runs past page 3.* \d\d cm"):
        write(replace=("A network of {", more + "\n\nA network of {"))
    assert former.read_bytes() == b"former"
    assert list(former.parent.iterdir()) == [former]


TALL = """::: {.table name=classes}
C.

| column        | heading | format |
|---------------|---------|--------|
| class         | C       |        |
| mse_transpose | A       | .9f    |
| mse_upsample  | B       | .9f    |
| share         | S       | .40f   |
:::
"""


def test_a_table_wider_than_its_column_is_named(write: Callable[..., Built]) -> None:
    head = "---\ntitle: T\n---\n\n## Abstract\n\nWords.\n\n## Body\n\n"
    with pytest.raises(UserError, match=r"section 'Body': table 'classes' is \d+ mm wider"):
        write(head + TALL)


def test_a_line_that_runs_out_of_its_column_is_named(write: Callable[..., Built]) -> None:
    long = f'[{"1" * 70}]{{by="a number that cannot break"}}'
    head = "---\ntitle: T\n---\n\n## Abstract\n\nWords.\n\n## Body\n\n"
    with pytest.raises(UserError, match=r"section 'Body': a line runs \d+ mm out of .* let '1111"):
        write(f"{head}See {long}.\n")


def test_what_the_engine_warns_of_is_an_error() -> None:
    page = "<html lang=en><title>t</title><p><a href='#nowhere'>x</a><img alt=a src=%s></html>"
    with pytest.raises(UserError, match="not fit to print"):
        pdf._lay_out(page % "http://localhost/x.png", {})
    document = pdf._lay_out(page.replace("<img alt=a src=%s>", ""), {})
    with pytest.raises(UserError, match="nowhere"):
        pdf.write(document, [], "2026-03-04T10:00:00+00:00")


def test_a_changed_record_is_refused(record: Results, tmp_path: Path) -> None:
    path = record.folder / "figures/kernels.svg"
    path.write_text(path.read_text() + "<!-- -->")
    with pytest.raises(UserError, match=r"figures/kernels.svg of run 1a2b3c4d was changed"):
        build(
            record, SAMPLE / "ae.md", tmp_path / "x.pdf",
            author=SAMPLE / "author.toml", templates=TEMPLATES,
        )  # fmt: skip


def test_the_first_page_says_what_the_run_was(built: Built) -> None:
    first = " ".join(pypdf.PdfReader(built.pdf).pages[0].extract_text().split())
    assert "Not the final experiment." in first
    assert "Built from run 1a2b3c4d" in first and "commit 0123456" in first


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ({"preset": "full"}, (False, False, False, False)),
        ({"preset": "full", "dirty": True}, (True, False, False, True)),
        ({"preset": "sample"}, (True, True, False, False)),
        ({"preset": "full", "commit": "unknown", "dirty": None}, (True, False, False, False)),
        ({"preset": "full", "changed": {"train.lr": 0.001}}, (False, False, True, False)),
    ],
)
def test_the_note_says_what_is_not_final(
    facts: dict[str, Any], told: tuple[bool, ...], record: Results
) -> None:
    write_run(record.folder, dataclasses.replace(record.run, **facts))
    write_manifest(record.folder)
    results = load(record.folder)
    source = texts.read(SAMPLE / "ae.md")
    words = Words.over(Ledger(results), source, TEMPLATES, Sheet())
    author = authors.read(SAMPLE / "author.toml")
    env = render.environment(TEMPLATES)
    title = composition.paper(env, source, words, author).title
    changed = "Settings other than the preset's: train.lr = "
    parts = ("Not the final experiment", "a reduced run", changed, "uncommitted changes")
    assert tuple(part in title for part in parts) == told


def test_missing_system_libraries_name_the_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def find_spec(self, name: str, *_: object) -> None:
            if name == "weasyprint":
                raise OSError("cannot load library 'libpango-1.0-0': no such file")

    monkeypatch.delitem(sys.modules, "weasyprint", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
    pdf.engine.cache_clear()
    with pytest.raises(
        UserError, match=r"libpango-1.0-0.*apt-get install libpango-1.0-0 libpangoft2.*dnf.*brew"
    ):
        pdf.engine()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('nmae = "x"', "author.toml has no key 'nmae'. Did you mean 'name'?"),
        ('email = "x"', "needs a line: name"),
        ("name =", "is not TOML"),
    ],
)
def test_the_author_block(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "author.toml"
    path.write_text(text)
    with pytest.raises(UserError) as error:
        authors.read(path)
    assert message in str(error.value)


def test_no_line_of_a_paragraph_ends_long_before_the_column_does(built: Built) -> None:
    """The engine's early line break shows as a line of one short word inside a paragraph."""
    for page in pypdf.PdfReader(built.pdf).pages:
        lines = page.extract_text().splitlines()
        for line, following in pairwise(lines):
            lonely = re.fullmatch(r"[a-z]{1,12}\.?", line.strip())
            assert not (lonely and re.match(r"[a-z]", following)), (line, following)
