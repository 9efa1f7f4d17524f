"""What the methods section and the compute statement take from the run, and where it stands."""

import dataclasses
from pathlib import Path

import pypdf
import pytest

from research.paths import TEMPLATES
from research.provenance.facts import facts
from research.records import Results
from research.report import build
from tests.samples import SAMPLE, a_run

ADAM = {"origin": "trained", "run": "a" * 32, "optimiser": "Adam", "lr": 0.001, "epochs": 12}
MODELS = {
    "small": {**ADAM, "parameters": 1495, "batch": 64, "seconds": 60.0},
    "large": {**ADAM, "parameters": 20111, "batch": 64, "seconds": 30.0, "origin": "found"},
}
COMPUTE = {
    "hardware": "Some GPU; A CPU, 4 cores, 15.6 GiB", "wall_seconds": 5400.4,
    "device_hours": 1.5001, "peak_mib": 2048.2, "peak_device_mib": 512.7,
}  # fmt: skip


def test_facts_of_the_models_are_one_value_where_they_agree() -> None:
    known = facts(a_run(models=MODELS))
    assert known["models.optimiser"] == "Adam"
    assert known["models.lr"] == 0.001
    assert known["models.epochs"] == 12
    assert known["models.parameters"] == "1,495, 20,111"
    assert known["models.large.parameters"] == 20111
    assert known["models.found_seconds"] == 30.0
    assert "models.optimiser" not in facts(a_run(models={"x": {"origin": "given"}}))
    rates = {"x": {**ADAM, "lr": [0.1, 0.2]}}
    assert facts(a_run(models=rates))["models.lr"] == "0.1, 0.2"


def test_the_compute_statement_stands_at_the_foot_of_page_two(
    record: Results, tmp_path: Path
) -> None:
    run = dataclasses.replace(record.run, compute=COMPUTE, models=MODELS)
    out, author = tmp_path / "ae.pdf", SAMPLE / "author.toml"
    told = Results(run, record.folder)
    built = build(told, SAMPLE / "ae.md", out, author=author, templates=TEMPLATES)
    pages = [" ".join(page.extract_text().split()) for page in pypdf.PdfReader(built.pdf).pages]
    statement = (
        "Computed on Some GPU; A CPU, 4 cores, 15.6 GiB: 5,400 s of wall time, 1.500 device hours, "
        "at most 2,048 MiB of main memory and 513 MiB of the device's; training of models found "
        "took 30 s before."
    )
    assert [statement in page.replace("\u00a0", " ") for page in pages[:2]] == [False, True]
    entries = {e["name"]: e for e in built.provenance["numbers"]}
    assert entries["compute.wall_seconds"]["value"] == 5400.4
    _, bottom, _, top = entries["compute.wall_seconds"]["rectangle"]
    assert entries["compute.wall_seconds"]["page"] == 2 and 20 < bottom < top < 21 * 72 / 25.4


@pytest.mark.parametrize("compute", [{"wall_seconds": 1.0}])
def test_a_record_that_does_not_know_prints_none(
    compute: dict[str, float], record: Results, tmp_path: Path
) -> None:
    told = Results(dataclasses.replace(record.run, compute=compute), record.folder)
    out, author = tmp_path / "ae.pdf", SAMPLE / "author.toml"
    built = build(told, SAMPLE / "ae.md", out, author=author, templates=TEMPLATES)
    assert "Computed on" not in built.html.read_text()
