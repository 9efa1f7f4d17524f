"""A paper as LaTeX and for Word: the text of the PDF, values as macros, and it compiles."""

import io
import re
import shutil
import subprocess
import zipfile
from dataclasses import replace
from pathlib import Path

import pypandoc
import pypdf
import pytest

from research import __main__ as command
from research import paths
from research.errors import UserError
from research.export import latex, manuscript, tex, word
from research.export.manuscript import Manuscript
from research.paths import TEMPLATES
from research.provenance.trail import Ledger
from research.records import Results
from research.report import authors, pdf
from research.report import source as texts
from research.tracking.record import Lineage, write_lineage

TEXT = """---
title: What 100 % of $x_i$ Keeps
keywords: [autoencoder, R&D]
look: LOOK
formats: {mse_*: .4f, parameters: ",d", knn_*: .1%, "errors.*": .4f, errors.psnr: .2f}
names: {transpose: Transposed, pca: PCA of the $k$ best}
---

## Abstract

We count {parameters} parameters and reach {mse_transpose}, on {data.name}.

## Introduction

Networks are looked into [@zeiler2014; @wang2004], as @odena2016 do; see @sec:the-code, @fig:maps
and @tab:errors. The linear code reaches {mse_pca}, and once more {mse_pca}; with two digits
{mse_pca:.2f}. It is [0.165]{@udacity2018} there, 5 × ε & *all* of it, x_y ≤ y~2~.

$$\\mathcal{L} = \\sum_i x_i$$

- one item, with {run.seeds:# seed}
- another

![Maps of every layer; {mse_upsample} is the error of $\\hat{x}$.](maps){.wide alt="Rows of maps"}

![Two boxes.](boxes.svg){width=50% alt="Two boxes"}

::: {.table name=errors .wide}
Errors on the test set, after [@wang2004].

| column | heading   | format | best |
|--------|-----------|--------|------|
| arm    | Decoder   |        |      |
| mse    | MSE $e^2$ | .4f    | min  |
| psnr   | PSNR      | .2f    | max  |
:::

## The code

Neighbours are right in {knn_code}.

### A part {#sec:part}

It ends.
"""
SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="60" height="30">'
    '<rect width="60" height="30" fill="teal"/></svg>'
)
AUTHORS = """acknowledgements = "We thank R&D; grant 42."
[[author]]
name = "Ada Rivers"
affiliation = ["University A", "Institute B"]
email = "ada_r@example.org"
orcid = "0000-0002-1825-0097"
[[author]]
name = "Bo Stone"
affiliation = "Institute B"
"""


def read(record: Results, folder: Path, look: str = "ieee", *, keyed: bool = True) -> Manuscript:
    path = folder / "ae.md"
    path.write_text(TEXT.replace("LOOK", look))
    (folder / "boxes.svg").write_text(SVG)
    (folder / "author.toml").write_text(AUTHORS)
    told = authors.read(folder / "author.toml")
    return manuscript.read(Ledger(record), texts.read(path), told, TEMPLATES, keyed=keyed)


def written(record: Results, folder: Path, look: str = "ieee") -> Path:
    out = folder / f"{look}-latex"
    out.mkdir()
    latex.write(read(record, folder, look), out, TEMPLATES)
    return out


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures take seconds, and most tests look at none."""
    monkeypatch.setattr(pdf, "drawn", lambda svg, width, height: b"%PDF")


@pytest.mark.usefixtures("undrawn")
def test_values_are_macros_that_name_their_run(record: Results, tmp_path: Path) -> None:
    out = written(record, tmp_path)
    main, values = (out / "main.tex").read_text(), (out / "values.tex").read_text()
    assert values.startswith(f"% The values of this paper, from run {record.run.id}")
    pca = record.numbers["mse_pca"].value
    assert f"\\newcommand{{\\valueMsePca}}{{0.0045}}  % mse_pca = {pca}, run 1a2b3c4d" in values
    assert main.count("\\valueMsePca{}") == 2  # printed alike twice
    assert "\\newcommand{\\valueMsePcaB}{0.00}" in values and "\\valueMsePcaB{}" in main
    defined = set(re.findall(r"\\newcommand\{\\(\w+)\}", values))
    used = set(re.findall(r"\\((?:value|cell)[A-Z]\w*)\{\}", main))
    assert defined == used and len(used) > 12
    assert "0.0123" not in main  # no measured digit stands in the text itself


@pytest.mark.usefixtures("undrawn")
def test_floats_citations_and_references_are_latexs_own(record: Results, tmp_path: Path) -> None:
    main = (written(record, tmp_path) / "main.tex").read_text()
    assert "\\documentclass[conference]{IEEEtran}" in main and "longtable" not in main
    assert "\\cite{zeiler2014,wang2004}" in main and "\\citet{odena2016}" in main
    assert (
        "Section~\\ref{sec:the-code}" in main and "\\section{The code}\\label{sec:the-code}" in main
    )
    assert "Figure~\\ref{fig:maps}" in main and "Table~\\ref{tab:errors}" in main
    assert "\\subsection{A part}\\label{sec:part}" in main
    figure = main[main.index("\\begin{figure*}") : main.index("\\end{figure*}")]
    assert "{figures/maps}" in figure and "\\label{fig:maps}" in figure and "\n\n" not in figure
    assert "\\caption{Maps of every layer; \\valueMseUpsample{}" in figure
    assert "\\includegraphics[width=0.5\\linewidth]{figures/boxes}" in main
    table = main[main.index("\\begin{table*}") : main.index("\\end{table*}")]
    assert table.index("\\caption{Errors") < table.index("\\begin{tabular}{@{}lrr@{}}")
    assert "Decoder & MSE \\(e^2\\) & PSNR (dB) \\\\\n\\midrule" in table
    assert "PCA of the \\(k\\) best & \\textbf{\\cellErrorsMseRowThree{}}" in table
    assert "\\cite{wang2004}" in table


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("look", ["ieee", "neurips"])
def test_authors_and_signs_with_a_meaning(look: str, record: Results, tmp_path: Path) -> None:
    main = (written(record, tmp_path, look) / "main.tex").read_text()
    assert (
        "\\title{What 100 \\% of \\(x_i\\) Keeps\\thanks{Values are those of run 1a2b3c4d" in main
    )
    assert "\\href{https://orcid.org/0000-0002-1825-0097}{Ada Rivers}" in main
    assert "ada\\_r@example.org" in main and "autoencoder, R\\&D" in main
    assert "\\section*{Acknowledgements}\nWe thank R\\&D; grant 42." in main
    assert "\\DeclareUnicodeCharacter{03B5}{\\ensuremath{\\epsilon}}" in main
    assert ("\\textsuperscript{a,b}" in main) == (look == "neurips")


@pytest.mark.usefixtures("undrawn")
def test_only_cited_works_are_in_the_bibliography(record: Results, tmp_path: Path) -> None:
    bibtex = (written(record, tmp_path) / "references.bib").read_text()
    keys = set(re.findall(r"@\w+\{(\w+),", bibtex))
    assert keys == {"zeiler2014", "wang2004", "odena2016", "udacity2018"}


def test_a_figure_is_as_large_as_it_was_drawn(record: Results) -> None:
    drawing = record.figure("curves")
    svg = (record.folder / drawing.svg).read_bytes()
    page = pypdf.PdfReader(io.BytesIO(pdf.drawn(svg, drawing.width_mm, drawing.height_mm))).pages
    assert len(page) == 1
    width, height = (float(side) * 25.4 / 72 for side in page[0].mediabox[2:])
    assert (width, height) == pytest.approx((drawing.width_mm, drawing.height_mm), abs=0.1)


@pytest.mark.service
@pytest.mark.parametrize("look", ["course", "single", "ieee", "neurips"])
def test_it_compiles(look: str, record: Results, tmp_path: Path) -> None:
    if not shutil.which("pdflatex") or not shutil.which("bibtex"):
        pytest.skip("needs TeX: apt install texlive-latex-recommended texlive-publishers")
    out = written(record, tmp_path, look)
    for program in ("pdflatex", "bibtex", "pdflatex", "pdflatex"):
        ways = ["-interaction=nonstopmode", "-halt-on-error"] if program == "pdflatex" else []
        done = subprocess.run(
            [program, *ways, "main"], cwd=out, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout[-2000:]
    log = (out / "main.log").read_text(errors="replace")
    assert "undefined" not in log and "Missing character" not in log and "Overfull" not in log
    text = " ".join(page.extract_text() for page in pypdf.PdfReader(out / "main.pdf").pages)
    flat = " ".join(text.split())
    for told in (
        "1,495 parameters",
        "Transposed 0.0123 ± 0.0004",
        "Bo Stone",
        "grant 42",
        "0.0045",
    ):
        assert told in flat, flat
    assert "??" not in text


def test_word_has_the_text_the_tables_and_the_pictures(record: Results, tmp_path: Path) -> None:
    out = tmp_path / "ae.docx"
    word.write(read(record, tmp_path, keyed=False), out)
    told = subprocess.run(
        [pypandoc.get_pandoc_path(), out, "--to=markdown", "--wrap=none"],
        capture_output=True, text=True, check=True,
    ).stdout.replace("\u00a0", " ")  # fmt: skip
    assert "We count 1,495 parameters and reach 0.0123 ± 0.0004" in told
    assert "looked into \\[1\\], \\[2\\]" in told and "see Section 2, Figure 1 and Table 1" in told
    assert "Table 1. Errors on the test set" in told and "# 1 Introduction" in told
    assert "Figure 1. Maps of every layer; 0.0127 ± 0.0004 is" in told
    assert "# References" in told and "Zeiler" in told and "We thank R&D; grant 42." in told
    assert "Values are those of run 1a2b3c4d of the study" in told
    with zipfile.ZipFile(out) as inside:
        pictures = [name for name in inside.namelist() if name.startswith("word/media/")]
    assert len(pictures) == 2


def test_what_the_paper_refuses_is_refused(record: Results, tmp_path: Path) -> None:
    paper = read(record, tmp_path)
    source = replace(paper.source, text=paper.source.text.replace("{mse_pca:.2f}", "{mse_pcs}"))
    with pytest.raises(UserError, match=r"ae.md:\d+:\d+: .*'mse_pcs'.*mse_pca"):
        manuscript.read(Ledger(record), source, paper.authors, TEMPLATES, keyed=True)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("5 % of a_b & #1", r"5 \% of a\_b \& \#1"),
        ("1.5·10⁻³", r"1.5\ensuremath{\cdot}10$^{-3}$"),
        ("−2 ± 1", r"\ensuremath{-}2 \ensuremath{\pm} 1"),
        ("a\\b{c}", r"a\textbackslash{}b\{c\}"),
    ],
)
def test_signs(text: str, told: str) -> None:
    assert tex.escaped(text) == told


def test_names_of_macros() -> None:
    assert tex.command("cell", "errors.mse", "row 12") == "cellErrorsMseRowOneTwo"
    assert tex.command("value", "fgsm:acc_95") == "valueFgsmAccNineFive"
    assert tex.unique(["a", "aB"], "a") == "aC"


# --- the command ---------------------------------------------------------------------------------


@pytest.mark.usefixtures("undrawn")
def test_the_command(
    record: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    paper = tmp_path / "paper"
    paper.mkdir()
    read(record, paper)
    monkeypatch.setattr(paths, "PAPER", paper)
    folder = Path(shutil.copytree(record.folder, tmp_path / "store" / record.run.id))
    write_lineage(folder, Lineage(started=0))
    log = ["--log", f"folder:{tmp_path / 'store'}"]
    assert command.main(["export", "ae", *log]) == 0
    assert "1 figure, 1 table" in capsys.readouterr().out
    assert (paper / "ae-latex/main.tex").is_file()
    assert command.main(["export", "ae", "--to", "docx", "-o", str(tmp_path / "a.docx"), *log]) == 0
    assert (tmp_path / "a.docx").stat().st_size > 5000
    capsys.readouterr()
    (tmp_path / "mine.txt").write_text("mine")
    for args, told in (
        (["-o", str(tmp_path)], "a folder that is new, empty or of an export is required"),
        (["--to", "docx", "-o", "a.pdf"], "a document is a .docx, got -o a.pdf"),
    ):
        assert command.main(["export", "ae", *args, *log]) == 2
        said = capsys.readouterr().err
        assert told in said and said.count("\n") == 1
    assert (tmp_path / "mine.txt").exists()
