"""docs/results.md: its verdicts follow from the records, and no row is without one."""

import importlib
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from research import studies
from research.methods.statistics import over_seeds, wilson
from research.paths import PACKAGED
from research.records import (
    Claim,
    Number,
    Results,
    Table,
    load,
    write_claims,
    write_manifest,
    write_numbers,
    write_run,
    write_table,
)
from research.records.measured import SHARE
from research.records.printed import Place, Printed, Why
from tests.samples import a_run
from tests.scripts import script


@pytest.fixture(scope="module")
def results() -> ModuleType:
    return script("results")


def record(folder: Path, study: str, numbers: dict[str, Number], **facts: Any) -> Results:
    """A forged record of a study."""
    folder.mkdir(parents=True, exist_ok=True)
    write_run(folder, a_run(study=study, preset="full", **facts))
    write_numbers(folder, numbers)
    write_manifest(folder)
    return load(folder)


def accuracy(*values: float) -> dict[str, Number]:
    return {"accuracy_baseline": over_seeds(values, range=SHARE)}


def test_the_verdict_flips_when_our_number_moves(results: ModuleType, tmp_path: Path) -> None:
    near = results.section("mlp", record(tmp_path / "a", "mlp", accuracy(0.976, 0.978, 0.977)))
    far = results.section("mlp", record(tmp_path / "b", "mlp", accuracy(0.946, 0.948, 0.947)))
    assert [row.verdict.word for row in near.rows] == ["reproduced"]
    assert [row.verdict.word for row in far.rows] == ["differs"]


def test_one_more_run_is_a_wider_interval_than_the_mean(results: ModuleType) -> None:
    """Of 1, 2, 3 the mean's is 2 ± 2.484 and that of one more run 2 ± 4.968: t = 4.3027."""
    printed = Printed("x", 6.0, "goodfellow2015", "", Place("x"))
    found = results.verdict(printed, over_seeds([1.0, 2.0, 3.0]))
    assert found.word == "reproduced"
    assert (found.low, found.high) == pytest.approx((2 - 4.9683, 2 + 4.9683), abs=1e-3)


@pytest.mark.parametrize(
    ("ours", "printed", "format", "word"),
    [
        (Number(232650.0), 232650, ",.0f", "reproduced"),
        (Number(232651.0), 232650, ",.0f", "differs"),
        ("32 × 26 × 26", "32 × 26 × 26", "", "reproduced"),
        ("32 × 24 × 24", "32 × 26 × 26", "", "differs"),
        (wilson(50, 100), 0.55, ".2f", "reproduced"),
        (wilson(50, 100), 0.65, ".2f", "differs"),
        (over_seeds([0.3, 0.3, 0.3]), 0.3, ".2f", "reproduced"),
        (over_seeds([0.3, 0.3, 0.3]), 0.31, ".2f", "differs"),
        (Number(0.5), 0.504, ".2f", "reproduced"),
    ],
)  # fmt: skip
def test_what_has_no_seeds_is_judged_by_its_own_interval_or_by_equality(
    results: ModuleType, ours: Number | str, printed: float | str, format: str, word: str
) -> None:
    asked = Printed("x", printed, "goodfellow2015", "", Place("x"), format)
    assert results.verdict(asked, ours).word == word


def test_a_reason_is_told_only_where_numbers_differ_and_only_if_it_counts(
    results: ModuleType, tmp_path: Path
) -> None:
    shorter = {"changed": {"train.epochs": 2}}
    differs = results.section(
        "mlp", record(tmp_path / "a", "mlp", accuracy(0.9, 0.9, 0.91), **shorter)
    )
    assert differs.rows[0].reasons == ("size: fewer epochs than the course's",)
    agrees = results.section(
        "mlp", record(tmp_path / "b", "mlp", accuracy(0.976, 0.978, 0.977), **shorter)
    )
    assert agrees.rows[0].reasons == ()
    assert "fewer epochs" not in results.page({"mlp": agrees})
    bare = results.section("mlp", record(tmp_path / "c", "mlp", accuracy(0.9, 0.9, 0.91)))
    assert bare.rows[0].unexplained
    assert "not explained" in results.page({"mlp": bare})
    assert results.lacks({"mlp": bare})[0].startswith("'test accuracy of the baseline' of mlp")


def test_what_a_run_has_not_measured_is_named(results: ModuleType, tmp_path: Path) -> None:
    found = results.section("mlp", record(tmp_path, "mlp", {}))
    assert not found.rows
    assert "not measured by this run: test accuracy of the baseline." in results.page(
        {"mlp": found}
    )


def test_a_place_finds_one_cell_of_a_table(tmp_path: Path) -> None:
    one = record(tmp_path, "fgsm", {})
    rows = ((0.1, Number(0.8)), (0.30000000000000004, Number(0.1)))
    write_table(tmp_path, "curves", Table(("eps", "cnn"), rows))
    found = Place("curves", "cnn", {"eps": 0.3}).find(one)
    assert isinstance(found, Number) and found.value == 0.1
    assert Place("curves", "cnn", {"eps": 0.2}).find(one) is None
    assert Place("curves", "other", {"eps": 0.3}).find(one) is None
    assert Place("other", "cnn").find(one) is None


def test_why_counts_by_the_settings_that_the_run_changed() -> None:
    why = Why("size", "fewer", ("train.epochs",))
    assert why.counts(a_run(changed={"train.epochs": 1}))
    assert not why.counts(a_run(changed={"seeds": [0]}))
    assert Why("definition", "another").counts(a_run())


def test_missing_runs_are_told_with_exit_code_2(
    results: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(results, "PAGE", tmp_path / "results.md")
    monkeypatch.setattr("sys.argv", ["results.py", "--log", f"folder:{tmp_path}"])
    assert results.main() == 2
    told = capsys.readouterr().err
    slugs = [entry.slug for entry in studies.own()]
    assert f"{', '.join(slugs)} has none: make full" in told
    assert (tmp_path / "results.md").read_text(encoding="utf-8").count("no finished full run") == 9


@pytest.mark.parametrize(
    ("low", "title"),
    [
        (0.01, "## Float32 cross-entropy overstates robustness"),
        (-0.01, "## Whether float32 cross-entropy overstates robustness is not decided"),
        (-0.9, "## Float32 cross-entropy does not overstate robustness"),
    ],
)
def test_the_headline_says_what_the_claim_bears(
    results: ModuleType, tmp_path: Path, low: float, title: str
) -> None:
    high = -0.1 if low < -0.5 else 0.2
    gap = Number((low + high) / 2, low=low, high=high, n=3)
    numbers = {"largest_eps": Number(0.3), "gap_cnn": gap, "gap_lenet": gap}
    one = record(tmp_path, "fgsm", numbers)
    write_claims(tmp_path, {"rounding_flatters_cnn": Claim(gap, 0.001, 3, "paired t test")})
    columns = ("arm", "epochs", "saturated", "wrong", "wrong_stable", "gap")
    write_table(tmp_path, "signs", Table(columns, (("cnn", 4, gap, gap, gap, gap),)))
    assert results.page({"fgsm": results.section("fgsm", one)}).count(title) == 1


def test_every_source_of_every_study_is_in_the_bibliography(results: ModuleType) -> None:
    tables = [
        importlib.import_module(f"research.studies.{entry.slug.replace('-', '_')}.printed")
        for entry in studies.own()
    ]
    keys = {printed.source for table in tables for printed in table.PRINTED}
    known = (PACKAGED / "references.bib").read_text(encoding="utf-8")
    assert len(keys) > 10 and all(f"{{{key}," in known for key in keys)
    assert results.cited()["goodfellow2015"].startswith("[Goodfellow et al. 2015](https://")
    assert results.cited()["zeiler2014"].startswith("[Zeiler and Fergus 2014](")


def test_the_page_has_a_verdict_in_every_row(results: ModuleType) -> None:
    lines = results.PAGE.read_text(encoding="utf-8").splitlines()
    rows = [line.split(" | ") for line in lines if re.search(r"\| `[0-9a-f]{8}` \|$", line)]
    assert rows
    for row in rows:
        word, why = row[4].strip("* "), row[5].strip()
        assert word in ("reproduced", "differs")
        assert bool(why) == (word == "differs"), row
        assert why != "not explained"
