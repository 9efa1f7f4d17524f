"""Edits of a built PDF: every harmful one is found and named, no harmless one is."""

import dataclasses
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pikepdf
import pypdf
import pytest
from pikepdf import Pdf

from research import __main__ as command
from research.errors import UserError
from research.paths import TEMPLATES
from research.provenance import container, page_text
from research.provenance.entries import Printed
from research.provenance.reading import read_trail
from research.records import (
    Claim,
    Number,
    Results,
    Table,
    read_manifest,
    write_claims,
    write_json,
    write_manifest,
    write_table,
)
from research.report import Built, build
from research.tracking import Summary
from research.tracking.record import Lineage, write_lineage
from research.verification.evidence import reprinted
from research.verification.verdicts import as_json, as_text, checked
from research.verification.verify import Problem, Verdict, against, verify
from tests.samples import SAMPLE
from tests.verification.edits import (
    Edit,
    Trail,
    edited,
    number_in,
    record_edit,
    typed,
    untouched,
    value_changed,
)


def test_the_paper_as_built_is_verified(built: Built) -> None:
    verdict = verify(built.pdf)
    assert verdict.problems == ()
    assert verdict.run == "1a2b3c4d5e6f70819203a4b5c6d7e8f9"
    assert verdict.counts["numbers"] == len(built.provenance["numbers"]) > 80
    assert verdict.counts["pages"] == built.pages


def new_producer(document: Pdf) -> None:
    document.docinfo["/Producer"] = "Another library"
    document.docinfo["/ModDate"] = "D:20300101000000Z"


HARMLESS: dict[str, tuple[Edit, dict[str, Any]]] = {
    "saved again": (untouched, {}),
    "linearised": (untouched, {"linearize": True}),
    "compressed anew": (untouched, {"recompress_flate": True}),
    "uncompressed": (
        untouched,
        {"compress_streams": False, "stream_decode_level": pikepdf.StreamDecodeLevel.generalized},
    ),
    "objects in streams": (
        untouched, {"object_stream_mode": pikepdf.ObjectStreamMode.generate}),
    "objects apart": (untouched, {"object_stream_mode": pikepdf.ObjectStreamMode.disable}),
    "operators laid out": (untouched, {"normalize_content": True}),
    "another producer": (new_producer, {}),
}  # fmt: skip


@pytest.mark.parametrize("name", HARMLESS)
def test_what_changes_nothing_is_verified(name: str, original: bytes, tmp_path: Path) -> None:
    edit, how = HARMLESS[name]
    out = edited(original, edit, tmp_path / "a.pdf", **how)
    assert out.read_bytes() != original
    assert verify(out).problems == ()


@pytest.mark.parametrize("compress", [False, True])
def test_another_library_may_save_it(built: Built, tmp_path: Path, compress: bool) -> None:
    writer = pypdf.PdfWriter(clone_from=built.pdf)
    if compress:
        for page in writer.pages:
            page.compress_content_streams()
    writer.write(tmp_path / "a.pdf")
    assert verify(tmp_path / "a.pdf").problems == ()


def entry(kind: str = "number", **facts: Any) -> Printed:
    plain = {"kind": kind, "id": "v-1", "name": "a", "printed": "", "page": 1,
             "rectangle": [0, 0, 1, 1], "value": 0.5}  # fmt: skip
    if kind not in ("quoted", "stated"):
        plain["run"] = "1"
    if kind in ("number", "cell"):
        plain |= {"unit": "", "half_width": None, "n": 1, "low": None, "high": None, "values": []}
        plain |= {"lone": False, "format": ".2f", "shows": {"spread": True, "unit": True}}
    if kind == "cell":
        plain["row"] = 1
    return typed(plain | facts)


@pytest.mark.parametrize(
    ("facts", "printed"),
    [
        ({}, "0.50"),
        ({"half_width": 0.04}, "0.50\u00a0±\u00a00.04"),
        ({"half_width": 0.04, "shows": {"spread": False, "unit": True}}, "0.50"),
        ({"low": 0.4, "high": 0.6, "format": ".0%"}, "50\u00a0[40,\u00a060]%"),
        ({"unit": "dB"}, "0.50\u00a0dB"),
        ({"unit": "dB", "shows": {"spread": True, "unit": False}}, "0.50"),
        ({"kind": "setting", "value": 1000, "format": None}, "1,000"),
        ({"kind": "fact", "value": True, "format": None}, "yes"),
        ({"kind": "quoted", "value": "97.7 %"}, "97.7 %"),
        ({"kind": "cell", "value": 12, "format": None}, "12"),
        ({"kind": "cell", "value": None}, "–"),
        ({"kind": "cell", "value": "transpose"}, None),
    ],
)
def test_a_value_is_printed_again(facts: Trail, printed: str | None) -> None:
    assert reprinted(entry(**facts)) == printed


@pytest.mark.parametrize(
    ("facts", "printed"),
    [
        ({"values": [0.5]}, "0.50†"),
        ({"values": [0.4, 0.6], "half_width": 0.2, "n": 2}, "0.50\u00a0±\u00a00.20"),
        ({"kind": "cell", "values": [0.5], "lone": False}, "0.50"),
        ({"kind": "cell", "values": [0.5], "lone": True}, "0.50†"),
        ({"kind": "count", "value": [1]}, "n = 1 seed†"),
        ({"kind": "count", "value": [1, 3]}, "n = 3 seeds, † n = 1"),
    ],
)
def test_a_single_seed_is_marked_again(facts: Trail, printed: str) -> None:
    assert reprinted(entry(**facts)) == printed


@pytest.fixture
def claiming(request: pytest.FixtureRequest) -> Built:
    """`claimed`, built once: its tests only read it."""
    if not CLAIMING:
        record, write = map(request.getfixturevalue, ("record", "write"))
        CLAIMING.append(claimed(record, write))
    return CLAIMING[0]


CLAIMING: list[Built] = []


def claimed(record: Results, write: Callable[..., Built]) -> Built:
    """A paper with a claim that holds, and a table over seeds."""
    over = Number(0.31, half_width=0.06, n=3, values=(0.30, 0.29, 0.34))
    write_claims(record.folder, {"sharper": Claim(over, 0.002, 3, "paired t test")})
    table = record.table("errors")
    arm, _, *rest = table.rows[0]
    rows = ((arm, dataclasses.replace(over, value=0.0123, half_width=0.0004), *rest),)
    write_table(record.folder, "errors", Table(table.columns, rows + table.rows[1:]))
    write_manifest(record.folder)
    words = "[It is sharper.]{sharper=holds}"
    return write(replace=("## Abstract\n", f"## Abstract\n\n{words} "))


def test_claims_and_counts_are_verified(claiming: Built) -> None:
    assert verify(claiming.pdf).problems == ()
    [claim] = claiming.provenance["claims"]
    assert claim["outcome"] == "holds"
    counts = [one for one in claiming.provenance["numbers"] if one["kind"] == "count"]
    assert [(one["printed"], one["value"]) for one in counts] == [("n = 3 seeds", [3])]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda t: t["claims"][0].update(outcome="fails"), "its test says 'holds'"),
        (lambda t: t["claims"][0].update(low=-1.0), "not the claim of the data"),
        (lambda t: t["claims"][0].update(effect=0.9), "is not the claim of the data"),
        (lambda t: t["claims"][0].update(p=1e-9), "is not the claim of the data"),
        (lambda t: t["claims"][0].update(name="blunter"), "is not the claim of the data"),
        (lambda t: number_in(t, "count").update(value=[9], printed="n = 9 seeds"),
         "its data say [3]"),
    ],
)  # fmt: skip
def test_an_edited_claim_or_count_is_found(
    claiming: Built, tmp_path: Path, change: Callable[[Trail], None], told: str
) -> None:  # fmt: skip
    out = edited(claiming.pdf.read_bytes(), record_edit(change, True), tmp_path / "a.pdf")
    assert told in as_text({"a": verify(out)})


def test_what_looks_like_a_path_is_kept_and_a_drawn_formula_is_passed_over(
    record: Results, write: Callable[..., Built]
) -> None:  # fmt: skip
    table = record.table("errors")
    rows = tuple(("loss" if row[0] == "pca" else row[0], *row[1:]) for row in table.rows)
    write_table(record.folder, "errors", Table(table.columns, rows))
    write_manifest(record.folder)
    text = (SAMPLE / "ae.md").read_text()
    text = text.replace("## Abstract\n", '## Abstract\n\n[/255]{by="levels"} ', 1)
    assert text.count("pca: PCA") == 1
    text = text.replace("pca: PCA", "loss: Ascent on $L$, pca: PCA", 1)
    built = write(text)
    assert verify(built.pdf).problems == ()
    printed = [one["printed"] for one in built.provenance["numbers"]]
    assert "/255" in printed and "Ascent on L" in printed


def test_a_draft_is_no_submission(record: Results, tmp_path: Path) -> None:
    text = (SAMPLE / "ae.md").read_text().replace("{parameters:", "{paramters:", 1)
    (tmp_path / "ae.md").write_text(text)
    built = build(record, tmp_path / "ae.md", tmp_path / "ae.pdf", author=SAMPLE / "author.toml",
                  templates=TEMPLATES, draft=True)  # fmt: skip
    assert "draft: lacks 1" in as_text({"a": verify(built.pdf)})


def test_what_changed_since_the_run_is_vouched_for(record: Results, tmp_path: Path) -> None:
    built = build(record, SAMPLE / "ae.md", tmp_path / "ae.pdf", author=SAMPLE / "author.toml",
                  templates=TEMPLATES, stale=["environment: torch 2.15.0 → 2.16.1"])  # fmt: skip
    assert verify(built.pdf).problems == ()
    stated = [one for one in built.provenance["numbers"] if one["name"] == "stale"]
    assert [one["printed"] for one in stated] == ["environment: torch 2.15.0 → 2.16.1"]


def test_the_run_that_it_was_built_from_agrees(built: Built, record: Results) -> None:
    assert against(read_trail(built.pdf), record) == []


def test_a_run_that_is_gone(built: Built) -> None:
    [problem] = against(read_trail(built.pdf), None)
    assert problem == Problem("store", "1a2b3c4d", "the store holds no such run")


def test_a_run_that_was_drawn_anew(built: Built, record: Results) -> None:
    manifest = read_manifest(record.folder) | {"figures/maps.svg": "0" * 64}
    write_json(record.folder / "manifest.json", manifest)
    [problem] = against(read_trail(built.pdf), record)
    assert problem == Problem("store", "figures/maps.svg", "is not what the PDF was built from")


def test_a_run_that_was_changed_after_its_end(built: Built, record: Results) -> None:
    """The alarm itself is tested with `research.tracking.mutations`; here that it is heard."""
    run = record.run
    write_lineage(record.folder, Lineage(started=0))
    write_manifest(record.folder)
    (record.folder / "numbers.json").write_text("{}")
    summary = Summary(run.id, run.study, run.preset, run.status, run.name, run.started, run.ended,
                      run.config_digest, run.id, lambda: record.folder)  # fmt: skip
    store = MagicMock(find=MagicMock(return_value=summary))
    told = as_text({"a": checked(built.pdf, store)})
    assert "numbers.json was changed after its end" in told
    assert "number parameters: printed from 1495.0, the run has none" in told


def test_a_run_that_tells_other_numbers(built: Built, record: Results) -> None:
    target = record.folder / "numbers.json"
    target.write_text(target.read_text().replace("1495.0", "1496.0"))
    found = [p for p in against(read_trail(built.pdf), record) if p.where == "number parameters"]
    assert {p.message for p in found} == {"printed from 1495.0, the run has 1496.0"}


def test_the_command_says_it_in_a_line(
    built: Built, original: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["verify", str(built.pdf)]) == 0
    assert "verified: " in capsys.readouterr().out
    bad = edited(original, record_edit(value_changed), tmp_path / "bad.pdf")
    assert command.main(["verify", str(built.pdf), str(bad), "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told[str(built.pdf)]["ok"] and not told[str(bad)]["ok"]
    assert told[str(bad)]["problems"][0]["kind"] == "record"


def test_a_missing_file_is_a_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["verify", "nowhere.pdf"]) == 2
    assert "a PDF is required" in capsys.readouterr().err
    assert command.main(["verify"]) == 2


def test_verification_needs_neither_torch_nor_mlflow(built: Built) -> None:
    import subprocess

    script = (
        "import sys; from research.__main__ import main; code = main(['verify', sys.argv[1]]); "
        "assert not {'torch', 'mlflow', 'weasyprint', 'matplotlib'} & sys.modules.keys(); "
        "sys.exit(code)"
    )
    subprocess.run([sys.executable, "-c", script, str(built.pdf)], check=True)


def test_a_verdict_as_json_names_everything() -> None:
    verdict = Verdict((Problem("text", "page 1", "a"),), "run", {"pages": 2})
    [told] = json.loads(as_json({"a.pdf": verdict})).values()
    assert told == {"ok": False, "run": "run", "counts": {"pages": 2},
                    "problems": [{"kind": "text", "where": "page 1", "message": "a"}]}  # fmt: skip


def test_too_large_a_file_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(container, "FILE_LIMIT", 10)
    path = tmp_path / "a.pdf"
    path.write_bytes(b"%PDF-1.7 long enough")
    assert "is larger than" in as_text({"a": checked(path, None)})
    with pytest.raises(UserError, match="is larger than"):
        read_trail(path)


def test_the_reader_knows_what_it_cannot_place() -> None:
    assert page_text.bare("auto‐\nencoder a-b") == "autoencoderab"
    assert page_text.collapsed("10\u207b\u00b3  ½") == "10\u22123 1\u20442"


def test_names_in_scripts_that_readers_reorder_are_vouched_for(
    record: Results, tmp_path: Path
) -> None:
    """A vowel sign that is drawn before its letter has no place in the text of a PDF."""
    built = build(record, SAMPLE / "ae.md", tmp_path / "ae.pdf", author=SAMPLE / "author.toml",
                  templates=TEMPLATES)  # fmt: skip
    [entry, *_] = [one for one in built.provenance["numbers"] if one["name"] == "classes.class"]
    told = [dict(entry) | {"printed": "क्रिकेट"}, dict(entry)]
    page_text.note_reordered(told, built.pdf.read_bytes())
    assert told[0]["stands"] == entry["printed"] and "stands" not in told[1]


def test_letters_in_two_halves_are_one() -> None:
    assert page_text._whole(["a", "\ud83c", "\udf4e", "b", "\ud83c"]) == [
        "a",
        "🍎",
        "",
        "b",
        "\ufffd",
    ]
