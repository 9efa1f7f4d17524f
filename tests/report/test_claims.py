"""Sentences that rest on a test: the branch that is true is printed, all three are checked."""

import json
from collections.abc import Callable
from pathlib import Path

import pypdf
import pytest

from research.errors import UserError
from research.records import Claim, Number, Results, write_claims, write_manifest
from research.records.family import adjusted
from research.report import Built

HEAD = "---\ntitle: T\n---\n\n## Abstract\n\nWords.\n\n## Body\n\n"
EFFECT = Number(0.4, "dB", half_width=0.1, n=3, values=(0.35, 0.4, 0.45))
CLAIMS = {
    "gain": Claim(EFFECT, 0.003, 3, "paired t test over seeds"),
    "loss": Claim(EFFECT, 0.003, 3, "paired t test over seeds", "less"),
    "half": Claim(EFFECT, 0.4, 3, "paired t test over seeds", "greater", 0.45),
    "one": Claim(Number(0.4, values=(0.4,)), None, 1, "paired t test over seeds"),
}


@pytest.fixture
def write_claimed(record: Results, write: Callable[..., Built]) -> Callable[..., Built]:
    write_claims(record.folder, CLAIMS)
    write_manifest(record.folder)
    return write


@pytest.mark.parametrize(
    ("name", "text"),
    [("gain", "it gains"), ("loss", "it loses"), ("half", "nobody knows"), ("one", "nobody knows")],
)
def test_the_branch_that_is_true_is_printed(
    name: str, text: str, write_claimed: Callable[..., Built]
) -> None:
    """Told through an error that quotes the prose."""
    with pytest.raises(UserError, match=f"'So {text} 99'"):
        write_claimed(HEAD + f"So [it gains|it loses|nobody knows]{{{name}}} 99\n")


def test_a_claim_stands_in_the_trail_with_its_test_and_place(
    write_claimed: Callable[..., Built],
) -> None:
    text = "[*which* is {mse_pca:.4f} here]{gain=holds}[a||b]{loss}\n\n"
    built = write_claimed(replace=("## Method\n", "## Method\n\n" + text))
    found, empty = built.provenance["claims"]
    assert (found["outcome"], found["printed"]) == ("holds", "which is 0.0045 here")
    assert (found["effect"], found["p"], found["n"]) == (0.4, 0.003, 3)
    assert (found["low"], found["high"]) == (pytest.approx(0.3), pytest.approx(0.5))
    assert found["test"] == "paired t test over seeds"
    assert empty["outcome"] == "fails"
    assert any(
        n["name"] == "mse_pca" and n["printed"] == "0.0045" for n in built.provenance["numbers"]
    )
    page = pypdf.PdfReader(built.pdf).pages[found["page"] - 1]
    left, bottom, right, top = found["rectangle"]
    assert 0 < left < right < page.mediabox.width
    assert 0 < bottom < top < page.mediabox.height


def test_the_record_holds_claims_as_plain_json(record: Results) -> None:
    write_claims(record.folder, CLAIMS)
    write_manifest(record.folder)
    raw = json.loads(Path(record.folder, "claims.json").read_text())
    assert raw["gain"]["effect"]["values"] == [0.35, 0.4, 0.45]
    assert record.claims == adjusted(CLAIMS)
    assert str(CLAIMS["loss"]).startswith("fails: 0.4 [0.3, 0.5] dB less than 0, p = 0.003, n = 3")
