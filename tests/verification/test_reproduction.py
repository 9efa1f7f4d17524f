"""Reproduction: which code and which flags run again, and what counts as the same number."""

import contextlib
import dataclasses
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from research.errors import UserError
from research.records import Number
from research.verification import agreement, recipe
from research.verification import reproduction as replay
from research.verification.agreement import DIFFERS, IDENTICAL, WITHIN
from research.verification.recipe import Reproduce
from tests.trails import a_number, a_run


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("10m", 600), ("1.5 h", 5400)])
def test_a_budget_is_a_time(text: str, seconds: float) -> None:
    assert recipe.seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["10", "0s", "-1m", "ten minutes", ""])
def test_a_budget_that_is_no_time(text: str) -> None:
    with pytest.raises(UserError, match="--budget must be a time"):
        recipe.seconds_of(text)


def test_settings_become_flags() -> None:
    config = {"train.lr": 0.01, "shuffle": False, "mirrored": True, "seeds": [0, 1],
              "boxes": [["eye", [1, 2]]], "limit": None, "train.epochs": 3}  # fmt: skip
    assert recipe.flags(config) == [
        "--train.lr=0.01", "--no-shuffle", "--mirrored", "--seeds", "0", "1",
        "--boxes", "eye", "1", "2", "--limit=None", "--train.epochs=3",
    ]  # fmt: skip


@pytest.mark.parametrize("key", ["log", "resume", "a b", "x;y", "Weights", "--log"])
def test_a_pdf_cannot_smuggle_in_a_flag(key: str) -> None:
    with pytest.raises(UserError, match="it was edited"):
        recipe.flags({key: "anything"})
    with pytest.raises(UserError, match="it was edited"):
        recipe.flags({"seeds": [0, "--log=elsewhere"]})


def test_a_pdf_cannot_end_a_word() -> None:
    with pytest.raises(UserError, match="it was edited"):
        recipe.command(a_run(config={"text": "a\0b"}), Reproduce(), Path("log"))


OVER = Number(0.50, half_width=0.04, n=3)


@pytest.mark.parametrize(
    ("old", "new", "verdict"),
    [
        (Number(0.1), Number(0.1), IDENTICAL),
        (Number(0.1), Number(0.1 + 1e-16), DIFFERS),
        (OVER, Number(0.50, half_width=0.04, n=3), IDENTICAL),
        (OVER, Number(0.53, half_width=0.05, n=3), WITHIN),
        (OVER, Number(0.55, half_width=0.09, n=3), DIFFERS),
        # an interval that was widened in the PDF lets nothing through
        (Number(0.50, half_width=9.0, n=3), Number(0.53, half_width=0.01, n=3), DIFFERS),
        (OVER, Number(0.50, half_width=0.05, n=3), DIFFERS),
        (OVER, Number(0.51, half_width=0.04, n=5), DIFFERS),
        (Number(0.5, low=0.4, high=0.7), Number(0.6, low=0.4, high=0.7), WITHIN),
        (Number(0.1), None, DIFFERS),
        ("a", "a", IDENTICAL),
        ("a", "b", DIFFERS),
    ],
)
def test_when_numbers_are_the_same(old: Any, new: Any, verdict: str) -> None:
    assert agreement.judge(old, new)[0] == verdict


def git(folder: Path, *arguments: str) -> str:
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    done = subprocess.run(
        ["git", *who, *arguments], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    root = tmp_path / "checkout"
    root.mkdir()
    git(root, "init", "--quiet")
    for text in ("first", "second"):
        (root / "code.py").write_text(text)
        (root / "research").mkdir(exist_ok=True)
        (root / "research/__init__.py").touch()
        git(root, "add", ".")
        git(root, "commit", "--quiet", "-m", text)
    return root


def test_the_checkout_runs_where_it_is_that_commit(checkout: Path) -> None:
    with replay.code_of(a_run(commit=git(checkout, "rev-parse", "HEAD")), checkout) as code:
        assert code.folder == checkout and not code.doubt


def test_an_older_commit_runs_in_a_clone(checkout: Path) -> None:
    with replay.code_of(a_run(commit=git(checkout, "rev-parse", "HEAD^")), checkout) as code:
        assert (code.folder / "code.py").read_text() == "first" and not code.doubt
    assert not code.folder.exists()
    assert (checkout / "code.py").read_text() == "second"


def test_a_project_that_is_a_folder_of_its_repository_runs_in_a_clone(checkout: Path) -> None:
    project = checkout / "research"
    with replay.code_of(a_run(commit=git(checkout, "rev-parse", "HEAD^")), project) as code:
        assert not code.doubt and code.folder.name == "research"
        assert (code.folder / "../code.py").read_text() == "first"


@pytest.mark.parametrize(
    ("facts", "doubt"),
    [
        ({}, "is not at hand"),
        ({"commit": ""}, "names no commit"),
        ({"commit": "--upload-pack=x"}, "names no commit"),
        ({"dirty": True}, "differed from commit"),
    ],
)
def test_code_that_cannot_be_had_is_said(checkout: Path, facts: Any, doubt: str) -> None:
    with replay.code_of(a_run(**facts), checkout) as code:
        assert code.folder == checkout and doubt in code.doubt


def test_a_run_beyond_the_budget_is_not_begun(tmp_path: Path) -> None:
    code = replay.Code(tmp_path, "this checkout")
    with pytest.raises(UserError, match="took 100 s on cpu, more than the 60 s"):
        replay.again(a_run(), code, Reproduce(), tmp_path, 60)


def test_training_of_found_models_counts() -> None:
    models = {"a": {"origin": "found", "seconds": 50.0}, "b": {"origin": "trained", "seconds": 7.0}}
    assert replay.recorded_seconds(a_run(models=models)) == 150


def test_what_a_pdf_cannot_carry_is_asked_for() -> None:
    run = a_run(config={"data.name": "folder", "data.root": "mine"})
    with pytest.raises(UserError, match="give --data-root DIR"):
        recipe.command(run, Reproduce(), Path("log"))
    run = a_run(config={"weights": "ae-seed0 1234"})
    with pytest.raises(UserError, match="give --weights"):
        recipe.command(run, Reproduce(), Path("log"))


def test_an_edited_setting_is_the_one_that_runs() -> None:
    """So that its numbers are not those of the PDF."""
    edited = a_run(config={"train.lr": 0.5}, changed={"train.lr": 0.01})
    assert "--train.lr=0.5" in recipe.command(edited, Reproduce(), Path("log"))
    [told] = replay.contradictions(edited)
    assert "train.lr 0.01" in told


def test_the_sample_is_drawn_by_the_pdf_and_the_seed() -> None:
    compared = [
        agreement.Compared(f"n{i}", 1, "1", 1.0, 1.0, IDENTICAL, 0.0, "0") for i in range(50)
    ]
    first = replay.drawn(compared, "ab", Reproduce(sample="3"))
    assert first == replay.drawn(compared, "ab", Reproduce(sample="3")) and len(first) == 3
    assert first != replay.drawn(compared, "ab", Reproduce(sample="3", seed=1))
    assert replay.drawn(compared, "ab", Reproduce(sample="all")) == compared
    with pytest.raises(UserError, match="--sample must be a number or all"):
        replay.drawn(compared, "ab", Reproduce(sample="few"))


class Stored:
    """A record of which only the run is looked at."""

    def __init__(self, **facts: Any) -> None:
        values = {"versions": {}, "device": "cpu", "data": {}, "config": {}, "compute": {}}
        self.run = type("Run", (), values | facts)


RAN = a_run(data={"sha256": "ab" * 32}, config={}, compute={"hardware": "a processor"})


@pytest.mark.parametrize(("digest", "faults"), [("ab" * 32, 0), ("cd" * 32, 1), (None, 1)])
def test_other_data_are_no_reproduction(digest: str | None, faults: int) -> None:
    found = replay.other_inputs(RAN, Stored(data={"sha256": digest}))  # type: ignore[arg-type]
    assert len(found) == faults
    same = agreement.Compared("same", 1, "1", 1.0, 1.0, IDENTICAL, 0.0, "0")
    outcome = replay.Outcome([same], [], tuple(found))
    assert outcome.ok == (not faults)
    assert found == [line for line in replay.lines(outcome, []) if "no reproduction" in line]


def test_other_hardware_is_told_where_it_is_known() -> None:
    another, unknown = Stored(compute={"hardware": "another"}), Stored()
    assert replay.surroundings(RAN, another) == [  # type: ignore[arg-type]
        "hardware a processor then, another now"
    ]
    assert replay.surroundings(RAN, unknown) == []  # type: ignore[arg-type]
    assert replay.surroundings(dataclasses.replace(RAN, compute={}), another) == [  # type: ignore[arg-type]
        "hardware None then, another now"
    ]


@pytest.mark.parametrize(
    ("dirty", "hardware", "told"), [(False, "a processor", 1), (True, "a processor", 0),
                                    (False, "another", 0)]
)  # fmt: skip
def test_what_is_near_on_the_same_machine_is_told(
    dirty: bool, hardware: str, told: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = dataclasses.replace(RAN, id="1", dirty=dirty)
    record = Stored(data=run.data, compute={"hardware": hardware})
    record.printable = {"a": Number(0.51, half_width=0.1, n=3)}  # type: ignore[attr-defined]
    trail: Any = SimpleNamespace(run=run, numbers=[a_number(half_width=0.1, n=3)])
    code = replay.Code(Path(), "code", "the run's code differed" if dirty else "")
    monkeypatch.setattr(replay, "code_of", lambda run: contextlib.nullcontext(code))
    monkeypatch.setattr(replay, "again", lambda *given: record)
    outcome = replay.reproduce(trail, Reproduce())
    assert [one.verdict for one in outcome.compared] == [WITHIN]
    assert outcome.ok
    assert outcome.notes.count(replay.UNSTEADY) == told


def test_every_number_that_differs_is_named() -> None:
    same = agreement.Compared("same", 1, "1", 1.0, 1.0, IDENTICAL, 0.0, "0")
    other = dataclasses.replace(same, name="other", new=2.0, verdict=DIFFERS)
    outcome = replay.Outcome([same, other], [])
    assert not outcome.ok
    told = list(replay.lines(outcome, [same]))
    assert any("other" in line and "1.0 → 2.0" in line for line in told)
    assert told[-1] == "2 numbers: 1 identical, 1 differs"


# --- places, threads, budget ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("study", "config", "flag"),
    [
        ("autoencoders", {"pictures.name": "folder", "pictures.root": "mine"}, "pictures-root"),
        ("zf", {"parts.name": "folder", "parts.root": "mine"}, "parts-root"),
        ("zf-features", {"target.name": "folder", "target.root": "mine"}, "target-root"),
        ("seq2seq", {"data.source": "a.de", "data.target": "a.en"}, "data-source"),
        ("vgg", {"imagenet": "vgg16.pth"}, "imagenet"),
        ("zf", {"model": "mine.py:Net"}, "model"),
    ],
)
def test_every_place_of_every_study_is_asked_for(
    study: str, config: dict[str, Any], flag: str, tmp_path: Path
) -> None:
    run = a_run(study=study, config=config)
    with pytest.raises(UserError, match=f"give --{flag}"):
        recipe.command(run, Reproduce(), Path("log"))
    names = [key.replace(".", "_") for key in config if not key.endswith(".name")]
    mine: dict[str, Any] = dict.fromkeys(names, tmp_path)
    words = recipe.command(run, Reproduce(**mine), Path("log"))
    for key in config:
        if not key.endswith(".name"):
            assert f"--{key}={tmp_path}" in words
    assert not [word for word in words if "mine" in word or "a.de" in word]


def test_a_place_of_another_data_set_does_not_slip_through() -> None:
    data = {"data.name": "photos", "data.root": "/theirs"}
    of_study: dict[str, dict[str, object]] = {
        "autoencoders": {"pictures.name": "photos", "pictures.root": "/theirs"},
        "zf": {"parts.name": "faces", "parts.root": "/theirs", "model": "zfnet", "imagenet": None},
        "zf-features": {"target.name": "photos", "target.root": "/theirs"},
    }
    for study, config in of_study.items():
        words = recipe.command(a_run(study=study, config=data | config), Reproduce(), Path("log"))
        assert not [word for word in words if "/theirs" in word]
    # one that this checkout does not know, and that the run itself called a place
    run = a_run(config={"further": "/theirs"}, local=("further",))
    with pytest.raises(UserError, match="was given its further, '/theirs'"):
        recipe.command(run, Reproduce(), Path("log"))


@pytest.mark.parametrize(
    ("old", "new", "order", "verdict"),
    [
        (Number(12.202155113220215), Number(12.202155272165934), "threads", WITHIN),
        (Number(0.08000418931306817), Number(0.08000418926039057), "threads", WITHIN),
        (Number(12.202155113220215), Number(12.202155272165934), "", DIFFERS),
        (Number(0.9644308943089431), Number(0.959349593495935), "threads", DIFFERS),
        (Number(0.5, half_width=0.1, n=3), Number(0.5, half_width=0.1 + 1e-10, n=3), "threads",
         WITHIN),
        (Number(0.5, half_width=0.1, n=3), Number(0.5, half_width=0.1, n=4), "threads", DIFFERS),
        (Number(0.5, half_width=0.1, n=3), Number(0.5), "threads", DIFFERS),
        (Number(0.1), Number(0.1), "threads", IDENTICAL),
    ],
)  # fmt: skip
def test_another_order_of_adding_may_round_otherwise(
    old: Number, new: Number, order: str, verdict: str
) -> None:
    found, _, why = agreement.judge(old, new, order)
    assert found == verdict
    assert ("rounding: threads" in why) == (verdict == WITHIN)


def test_the_origin_of_the_tolerance_is_said() -> None:
    entry = a_number(name="psnr", value=12.202155113220215)
    record = Stored(compute={"threads": 2})
    record.printable = {"psnr": Number(12.202155272165934)}  # type: ignore[attr-defined]
    recorded = {"1": a_run(compute={"threads": 1})}
    (one,) = agreement.compare([entry], {"1": record}, recorded)  # type: ignore[dict-item]
    assert one.verdict == WITHIN
    told = list(replay.lines(replay.Outcome([one], []), [one]))
    assert "rounding: threads 1 then, 2 now" in told[0]
    assert replay.surroundings(dataclasses.replace(RAN, compute={"threads": 1}), record)[-1] == (  # type: ignore[arg-type]
        "threads 1 then, 2 now"
    )


def test_the_second_run_takes_the_recorded_number_of_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    seen = tmp_path / "seen"
    code = f"import os; open({str(seen)!r}, 'w').write(os.environ['OMP_NUM_THREADS'])"
    (tmp_path / "research.py").write_text(code)
    for threads, taken in ((1, "1"), (3, "3"), (None, "7"), ("9; x", "7"), (10**9, "7")):
        assert replay.execute([], tmp_path, 60, threads) == 0
        assert seen.read_text() == taken


def test_the_budget_is_estimated_and_told(capsys: pytest.CaptureFixture[str]) -> None:
    run = a_run(seconds={"training": 100.0, "data": 20.0})
    assert replay.budget([run], Reproduce()) == 3 * 120 + replay.GRACE
    said = capsys.readouterr().err
    assert "took 120 s (training 100 s, data 20 s) on cpu; this one is stopped after 390 s" in said
    assert replay.budget([run, run], Reproduce(budget="2m")) == 120
    assert "took 240 s" in capsys.readouterr().err
