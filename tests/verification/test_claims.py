"""The claims of a paper as numbers, facts and an attached table, and edits of each."""

import csv
import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pikepdf
import pytest

from research.provenance import trail as provenance
from research.records import Claim, Number, write_claims, write_manifest
from research.report import Built
from research.verification.verify import verify
from tests.verification.edits import attach, edited, record_edit

OVER = Number(0.31, half_width=0.06, n=3, values=(0.30, 0.29, 0.34))
CLAIMS = {
    "sharper": Claim(OVER, 0.002, 3, "paired t test"),
    "quicker": Claim(OVER, 0.04, 3, "paired t test"),
    "larger": Claim(OVER, 0.03, 3, "paired t test"),
}
WORDS = (
    "It gains {sharper.effect:.2f} (p = {sharper.p:.2g}, adjusted {sharper.adjusted:.2g}) and "
    "{sharper.outcome}. [Quick.|Slow.|Open.]{quicker} "
)


@pytest.fixture
def claiming(request: pytest.FixtureRequest) -> Built:
    """A paper with claims, built once: its tests only read it."""
    if not CLAIMING:
        record, write = map(request.getfixturevalue, ("record", "write"))
        write_claims(record.folder, CLAIMS)
        write_manifest(record.folder)
        CLAIMING.append(write(replace=("## Abstract\n", f"## Abstract\n\n{WORDS}")))
    return CLAIMING[0]


CLAIMING: list[Built] = []


def table_of(pdf: Path) -> bytes:
    with pikepdf.open(pdf) as document:
        return bytes(document.attachments["claims.csv"].get_file().read_bytes())


def test_effects_and_outcomes_are_printed_and_verified(claiming: Built) -> None:
    assert verify(claiming.pdf).problems == ()
    told = {one["name"]: one["printed"] for one in claiming.provenance["numbers"]}
    assert told["sharper.effect"].replace("\u00a0", " ") == "0.31 ± 0.06"
    assert (told["sharper.p"], told["sharper.adjusted"]) == ("0.002", "0.006")
    assert told["sharper.outcome"] == "holds"
    [claim] = claiming.provenance["claims"]
    assert (claim["outcome"], claim["adjusted"]) == ("undecided", 0.06)
    rows = [*csv.DictReader(io.StringIO(table_of(claiming.pdf).decode()))]
    assert {row["claim"]: row["outcome"] for row in rows} == {
        "sharper": "holds", "quicker": "undecided", "larger": "undecided"
    }  # fmt: skip


def test_another_table_of_claims_is_found(claiming: Built, tmp_path: Path) -> None:
    """By someone who knows of the digest and the seal."""
    false = table_of(claiming.pdf).replace(b"undecided", b"holds")

    def edit(document: pikepdf.Pdf) -> None:
        trail = json.loads(document.attachments["provenance.json"].get_file().read_bytes())
        [entry] = [one for one in trail["files"] if one["path"] == "claims.csv"]
        entry["sha256"] = hashlib.sha256(false).hexdigest()
        trail["seal"] = provenance.seal(trail)
        attach(document, "provenance.json", json.dumps(trail).encode())
        attach(document, "claims.csv", false)

    out = edited(claiming.pdf.read_bytes(), edit, tmp_path / "a.pdf")
    told = [str(one) for one in verify(out).problems]
    assert any("is not the table of the claims" in one for one in told)


def test_an_edited_adjustment_or_effect_is_found(claiming: Built, tmp_path: Path) -> None:
    changes: dict[str, Callable[[dict[str, Any]], None]] = {
        "is not the claim of the data": lambda t: t["claims"][0].update(adjusted=0.01),
        "its data say": lambda t: next(
            one for one in t["numbers"] if one["name"] == "sharper.p"
        ).update(value=1e-9, printed="1 × 10⁻⁹"),
    }
    for told, change in changes.items():
        edit = record_edit(change, True)
        out = edited(claiming.pdf.read_bytes(), edit, tmp_path / "a.pdf")
        assert any(told in str(one) for one in verify(out).problems), told
