"""What the foot of a paper says of the runs around the one that it prints."""

import dataclasses
from pathlib import Path

import pytest

from research.paths import TEMPLATES
from research.provenance.cohort import cohort, differing, selection
from research.records import Results, Run, write_manifest, write_run
from research.report import History, Past, build
from tests.samples import SAMPLE, a_run

MODELS = {
    "a": {"origin": "trained", "run": a_run().id},
    "b": {"origin": "found", "run": "same"},
    "c": {"origin": "found", "run": "other"},
    "d": {"origin": "found", "run": "other"},
    "e": {"origin": "given"},
}


def past(id: str, status: str = "FINISHED", **facts: str) -> Past:
    known = {"preset": "sample", "config_digest": a_run().config_digest, "started": "2026-01-01"}
    return Past(id, status=status, **known | facts)


def test_runs_of_one_condition_differ_in_nothing() -> None:
    assert differing(a_run(), a_run(id="else", seeds=(3,), name="x")) == []


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"commit": "fedcba9876"}, "commit fedcba9"),
        ({"commit": ""}, "commit unknown"),
        ({"data": {"sha256": "cd" * 32}}, "data cdcdcdcdcdcd"),
        ({"versions": {"torch": "2.9"}}, "torch 2.9"),
        ({"config": {"train.precision": "bf16"}}, "precision bf16"),
        ({"device": "cuda"}, "device cuda"),
        ({"dirty": True}, "a modified tree"),
    ],
)
def test_each_condition_that_differs_is_named(changes: dict[str, object], text: str) -> None:
    assert differing(a_run(), a_run(**changes)) == [text]


def test_models_of_other_conditions_are_counted_by_them() -> None:
    run = a_run(models=MODELS)
    lenders: dict[str, Run] = {"same": a_run(id="same"), "other": a_run(commit="fedcba9876")}
    assert cohort(run, lenders) == "2 of them with commit fedcba9"
    assert cohort(run, {"same": a_run(), "other": a_run()}) == ""
    assert cohort(run, {"other": a_run()}) == "1 of them by a run that is gone"


def test_selection_tells_of_every_run() -> None:
    run = a_run()
    runs = [
        past(run.id), past("1", "FAILED"), past("2", "FAILED"), past("3", "KILLED"),
        past("4", "RUNNING"), past("5"), past("6", started="2027-01-01"), past("7", preset="full"),
        past("8", config_digest="d"), past("9"),
    ]  # fmt: skip
    assert selection(run, History(runs, {"9": run})) == (
        "Of 10 runs of this study 1 is printed and 1 lent models; left out: 2 failed, 1 newer, "
        "1 of other settings, 1 of preset full, 1 older, 1 still running, 1 stopped."
    )
    assert selection(run, History([past(run.id)])) == "It is the study's only run."
    assert selection(run, History()) == ""


@pytest.mark.long
def test_the_foot_prints_both(record: Results, tmp_path: Path) -> None:
    run = dataclasses.replace(record.run, models=MODELS)
    write_run(record.folder, run)
    write_manifest(record.folder)
    record = Results(run, record.folder)
    history = History([past(run.id), past("1", "FAILED")], {"same": run})
    built = build(
        record, SAMPLE / "ae.md", tmp_path / "ae.pdf",
        author=SAMPLE / "author.toml", templates=TEMPLATES, history=history,
    )  # fmt: skip
    printed = {n["name"]: n["printed"] for n in built.provenance["numbers"]}
    assert printed["models.apart"] == "2 of them by a run that is gone"
    assert printed["selection"] == "Of 2 runs of this study 1 is printed; left out: 1 failed."
