"""The study `seq2seq`, run small: what a run tells, and what makes another one."""

from dataclasses import replace
from pathlib import Path

import pytest

from research.config import Text, digest
from research.data import bitext
from research.records import Results
from research.studies import seq2seq

from .tiny import run


def test_the_run_tells_what_it_was(record: Results) -> None:
    assert record.run.name == "seq2seq sample on numerals"
    assert (record.run.status, record.run.seeds) == ("FINISHED", (0, 1))
    assert record.run.data["train"] == 150 and record.run.data["name"] == "numerals"
    assert sorted(record.run.models) == [
        "copy-seed0", "copy-seed1", "translation-seed0", "translation-seed1",
    ]  # fmt: skip
    assert record.names("figures") == sorted(seq2seq.FIGURES)
    for name in seq2seq.FIGURES:
        drawing = record.figure(name)
        assert drawing.data
        assert drawing.width_mm <= (178.01 if name == "attention" else 86.01)


@pytest.mark.long
def test_a_second_run_trains_nothing_and_finds_the_same(record: Results, tmp_path: Path) -> None:
    other = run(tmp_path, "0", "1")
    assert {model["origin"] for model in other.run.models.values()} == {"found"}
    assert other.numbers == record.numbers


def test_presets_have_no_unknown_words() -> None:
    for preset in seq2seq.PRESETS.values():
        made = bitext.load(preset.data)
        assert [len(known) for known in made.vocabularies] == [35, 33]


def test_another_corpus_is_another_experiment() -> None:
    config = seq2seq.PRESETS["sample"]
    others = [Text(Path("a.txt"), Path("b.txt")), Text(Path("a.txt"), Path("c.txt"))]
    digests = {digest(replace(config, data=data)) for data in (config.data, *others)}
    assert len(digests) == 3
