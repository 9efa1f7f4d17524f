"""A paper of adopted runs, by the command line alone, and all that stands behind it."""

import json
from pathlib import Path

import pytest

from research import open_run, paths
from research.__main__ import main
from research.cli.adoption import gathered, slug_of
from research.errors import UserError
from research.verification.verdicts import record

from .conftest import PAPER

ASIDE = (
    "The networks differ in depth alone, and each of them was trained from the same seeds, so that "
    "what they reach can be compared pair by pair. Whatever is said here of accuracy is said of "
    "the images that were held back, and of nothing else. "
)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of papers of one's own, with an author."""
    folder = tmp_path / "paper"
    folder.mkdir()
    (folder / "author.toml").write_text('name = "Ada Lovelace"\naffiliation = "A University"\n')
    monkeypatch.setattr(paths, "PAPER", folder)
    return folder


def test_from_an_experiment_to_a_paper(
    uri: str, here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = ["--log", f"folder:{tmp_path / 'store'}"]
    asked = ["--experiment", "digits", "--runs", PAPER, "--group", "model", "--seeds", "seed"]
    asked += ["--metric", "val_acc=best", "--metric", "test acc", "--as", "theirs", *log]
    claim = ["--claim", "deeper_is_better: resnet-18 > mlp on val_acc"]
    assert main(["adopt", uri, *asked, *claim]) == 0
    told = capsys.readouterr().out
    assert "Of 8 runs of the experiment 6 are used" in told
    assert "paper/theirs.md is the beginning of its paper" in told

    source = here / "theirs.md"
    begun = source.read_text()
    assert "[holds]{deeper_is_better=holds}" in begun and "{{" not in begun
    source.write_text(begun.replace("## Results", f"{5 * ASIDE}\n\n" * 8 + "## Results"))
    assert main(["report", "theirs", *log]) == 0
    assert "draft" not in capsys.readouterr().err
    pdf = here / "theirs.pdf"
    trail = record(pdf)
    assert trail.run.adopted["by"] == "another program"
    foot = {entry.name: entry.printed for entry in trail.numbers}
    assert foot["adopted.by"] == "another program" and foot["adopted.runs"] == "6"
    assert (trail.claims[0].name, trail.claims[0].outcome) == ("deeper_is_better", "holds")
    assert str(tmp_path) not in json.dumps(trail.run.adopted)

    assert main(["verify", str(pdf), "--store", *log]) == 0
    assert main(["studies", *log]) == main(["show", "theirs", *log]) == 0
    assert "val_acc_resnet_18" in capsys.readouterr().out
    assert main(["reproduce", str(pdf)]) == 2
    assert "its runs were logged by another program" in capsys.readouterr().err
    assert open_run("theirs", log[1]).numbers["val_acc_mlp"].n == 3

    first = tmp_path / "first.pdf"
    first.write_bytes(pdf.read_bytes())
    assert main(["adopt", uri, *[word.replace("=best", "") for word in asked], *claim]) == 0
    assert main(["report", "theirs", *log]) == 0
    capsys.readouterr()
    assert main(["diff", str(first), str(pdf)]) == 1
    said = capsys.readouterr().out
    assert "theirs: adopted rules val_acc highest over steps" in said and "unknown" not in said

    assert main(["report", "theirs", "--anonymous", *log]) == 0
    assert record(here / "theirs-anonymous.pdf").run.adopted["source"] == ""


def test_flags_of_several_values_may_be_given_again() -> None:
    given = ["--metric", "a", "b", "--as", "x", "--claim=c: a > b on d", "--metric", "e"]
    together = ["--as", "x", "--metric", "a", "b", "e", "--claim", "c: a > b on d"]
    assert gathered(given) == together


def test_a_paper_has_a_name_of_its_own() -> None:
    assert slug_of("My runs/2") == "my-runs-2"
    for name, said in {"ae": "is a study of its own", "…": "letters and digits"}.items():
        with pytest.raises(UserError, match=said):
            slug_of(name)
