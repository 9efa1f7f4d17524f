"""The study `autoencoders`, run small: figures and write-up."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from research import __main__ as command
from research.records import Results
from research.studies import autoencoders
from tests.studies.drawn import drawn

from .tiny import parent


def test_every_branch_of_every_claim_is_fit_to_print(
    record: Results, spoken: Callable[[Results, str], set[str]]
) -> None:
    counted = {name for name in record.claims if re.search(r"_beats_pca_(digits|pictures)", name)}
    tabulated = {name for name in record.claims if name.startswith("conv_better_")}
    said = spoken(record, "autoencoders")
    assert said - tabulated == {*record.claims} - counted - tabulated


def test_every_figure_is_drawn_from_files_of_the_record(record: Results) -> None:
    assert drawn(record, autoencoders.FIGURES)
    examples = record.arrays("examples_digits")
    # mid-grey and brighter is all that the network as published can draw
    assert examples["published"].min() >= 0.5 and examples["input"].min() == 0


def test_the_paper_is_built(store: Path, paper: Path) -> None:
    assert command.main(["report", "autoencoders", "--log", f"folder:{store}"]) == 0
    text = (paper / "autoencoders.html").read_text().split("<script")[0]
    assert "†" not in text and "single seed" not in text


@pytest.mark.long
def test_the_paper_of_given_weights_and_a_single_seed(
    record: Results, tmp_path: Path, paper: Path, flags: list[str]
) -> None:
    given = [str(path) for path in (record.folder / "weights").glob("*seed0.safetensors")]
    run = ["run", "autoencoders", "--log", f"folder:{tmp_path / 'store'}", *flags[:-2], "0"]
    assert command.main([*run, "--weights", *given]) == 0
    again = parent(tmp_path / "store")
    first = errors_of_seed(record, "published")
    assert again.numbers["mse_published"].value == pytest.approx(first, rel=1e-4)
    assert "floor" not in again.names("figures")
    assert command.main(["report", "autoencoders", "--log", f"folder:{tmp_path / 'store'}"]) == 0
    text = (paper / "autoencoders.html").read_text().split("<script")[0]
    assert "were given and not trained here" in text
    assert "±\u00a0" not in text


def errors_of_seed(record: Results, group: str) -> float:
    """The test error of the first seed, from its curve."""
    return float(record.arrays(f"curve_{group}-seed0")["loss_test"][-1])
