"""A write-up that reads two runs names both."""

import dataclasses
import shutil
from pathlib import Path

import pikepdf
import pytest

from research.errors import UserError
from research.paths import TEMPLATES
from research.records import Number, Results, load, write_manifest, write_numbers, write_run
from research.report import Built, build, differences, reads
from tests.samples import SAMPLE
from tests.trails import trail

OTHER = "ffff0000" * 4
SENTENCE = (
    "Earlier it was {fgsm:mse_pca:.4f}, which is "
    "[more|less|the same]{mse_pca <> fgsm:mse_pca}, "
    "at rate {fgsm:config.train.lr} on {fgsm:run.device}[, worse]{fgsm:mse_pca > mse_pca}."
)


@pytest.fixture
def other(record: Results, tmp_path: Path) -> Results:
    folder = Path(shutil.copytree(record.folder, tmp_path / "other"))
    config = {**record.run.config, "train.lr": 0.25}
    write_run(folder, dataclasses.replace(record.run, id=OTHER, study="fgsm", config=config))
    write_numbers(folder, {"mse_pca": Number(0.7777), "only_there": Number(1.0)})
    write_manifest(folder)
    return load(folder)


def written(tmp_path: Path, front: str = "reads: fgsm\n", sentence: str = SENTENCE) -> Path:
    source = tmp_path / "ae.md"
    text = (SAMPLE / "ae.md").read_text()
    text = text.replace("---\n", f"---\n{front}", 1)
    head, mark, rest = text.partition("## Abstract\n")
    source.write_text(f"{head}{mark}\n{sentence}\n{rest}")
    return source


def paper(record: Results, source: Path, **others: Results) -> Built:
    out = source.parent / "out/ae.pdf"
    author = SAMPLE / "author.toml"
    return build(record, source, out, author=author, templates=TEMPLATES, others=others)


def test_numbers_of_both_runs_are_printed_and_traced(
    record: Results, other: Results, tmp_path: Path
) -> None:
    source = written(tmp_path)
    assert reads(source) == ("fgsm",)
    built = paper(record, source, fgsm=other)
    found = trail(built.pdf)
    traced = {(e["kind"], e["name"]): e for e in found["numbers"] if e.get("run") == OTHER}
    assert traced["number", "mse_pca"]["printed"] == "0.7777"
    assert traced["setting", "train.lr"]["printed"] == "0.25"
    assert traced["fact", "device"]["printed"] == "cpu"
    own = {e["run"] for e in found["numbers"] if e["name"] == "mse_pca"} - {OTHER}
    assert own == {record.run.id}
    assert {"a": "mse_pca", "b": "fgsm:mse_pca", "outcome": "less"} in found["comparisons"]
    assert found["reads"]["fgsm"]["id"] == OTHER
    html = built.html.read_text().split("<script")[0]
    assert "which is more, at rate" in html
    assert ", worse." in html
    with pikepdf.open(built.pdf) as document:
        assert len(document.pages) in (2, 3)
    assert "beside it run" in html and "ffff0000" in html


@pytest.mark.long
def test_the_paper_is_out_of_date_when_the_other_run_is_another(
    record: Results, other: Results, tmp_path: Path
) -> None:
    source = written(tmp_path)
    out = paper(record, source, fgsm=other).pdf

    def reasons(id: str) -> list[str]:
        author, given = SAMPLE / "author.toml", (out, record.run.id, record.folder, source)
        return differences(*given, author=author, templates=TEMPLATES, others={"fgsm": id})

    assert reasons(OTHER) == []
    assert reasons("abc") == [f"reads run {OTHER[:8]} of 'fgsm'"]


@pytest.mark.parametrize(
    ("front", "sentence", "message"),
    [
        ("", "A {fgsm:mse_pca}.", "add a line 'reads: fgsm'"),
        ("reads: fgsm\n", "A {fgms:mse_pca}.", "it reads fgsm"),
        ("reads: fgsm\n", "A {fgsm:only_ther}.", "Did you mean 'only_there'?"),
        ("reads: fgsm\n", "A {only_there}.", "1a2b3c4d has nothing called"),
        ("reads: fgsm, vgg\n", "A.", "reads a run of 'vgg' too, there is none: make run-vgg"),
    ],
)
def test_a_name_of_no_run_that_is_read_is_answered(
    front: str, sentence: str, message: str, record: Results, other: Results, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r"ae\.md") as error:
        paper(record, written(tmp_path, front, sentence), fgsm=other)
    assert message in str(error.value)
