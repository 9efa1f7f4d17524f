"""The study `seq2seq`, run small: its write-up."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from research import __main__ as command
from research.records import Results

from .tiny import run


def report(folder: Path, store: Path) -> str:
    """The write-up's text as one line, without marks and what is attached to it."""
    assert command.main(["report", "seq2seq", "--log", f"folder:{store}"]) == 0
    page = (folder / "seq2seq.html").read_text().split("<script")[0]
    return " ".join(re.sub("<[^>]*>", "", page).split())


def test_the_paper_of_several_seeds(record: Results, store: Path, paper: Path) -> None:
    text = report(paper, store)
    assert "In 1 of 1 epochs the printed" in text or "In 0 of 1 epochs the printed" in text
    assert "Frames are the known alignment" in text
    assert "single seed" not in text and "were given" not in text


def test_every_branch_of_every_claim_is_fit_to_print(
    record: Results, spoken: Callable[[Results, str], set[str]]
) -> None:
    assert spoken(record, "seq2seq") == set(record.claims)


@pytest.mark.long
def test_a_corpus_with_one_seed_and_given_weights(
    record: Results, tmp_path: Path, paper: Path
) -> None:
    sides = {"de": ("das", "ist", "satz", "nummer"), "en": ("this", "is", "sentence", "number")}
    files = {side: tmp_path / f"{side}.txt" for side in sides}
    for side, path in files.items():
        lines = [" ".join((*sides[side][: 1 + i % 4], f"w{i}")) for i in range(120)]
        path.write_text("\n".join(lines))
    corpus = [f"--data.source={files['de']}", f"--data.target={files['en']}"]
    weights = str(record.folder / "weights/copy-seed0.safetensors")
    store = tmp_path / "store"
    made = run(store, "0", *corpus, "--weights", weights)
    assert made.run.name == "seq2seq sample on de.txt and en.txt"
    assert made.run.data["train"] == 75
    assert "peak_all" not in made.numbers and "copy_expected" not in made.numbers
    assert made.names("figures") == ["attention"]
    shown = made.arrays("attention0")
    assert shown["weights"].shape == (len(shown["target"]), len(shown["source"]))
    text = report(paper, store)
    assert "single seed" in text and "1 of the models were given and not trained here" in text
    assert "has nothing called 'peak" not in text  # a corpus has no known alignment
    assert str(tmp_path) not in text and "±\u00a0" not in text
