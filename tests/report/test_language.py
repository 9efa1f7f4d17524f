"""Every construct of the language of write-ups, as templates/README.md lists them."""

import dataclasses
import shutil
from pathlib import Path

import pytest
from PIL import Image

from research.provenance.trail import Ledger
from research.records import Number, Results, load, write_manifest, write_numbers, write_run
from tests.report.language import FRONT, Speak, Spoken, claimed, spoken, written

SPACE = "\u00a0"


@pytest.fixture
def speak(record: Results, tmp_path: Path) -> Speak:
    claimed(record)
    results = load(record.folder)
    folder = Path(shutil.copytree(record.folder, tmp_path / "other"))
    run = dataclasses.replace(record.run, id="ffff0000" * 4, study="fgsm", seeds=(0,))
    write_run(folder, run)
    write_numbers(folder, {"mse_pca": Number(0.7777), "own": Number(2.0)})
    write_manifest(folder)
    other = load(folder)

    def run_over(body: str, front: str = FRONT, *, draft: bool = False) -> Spoken:
        others = {"fgsm": other} if "reads" in front else {}
        return spoken(written(tmp_path, body, front), Ledger(results, others), draft=draft)

    return run_over


PRINTED = [
    ("{mse_pca}", "0.00451"),
    ("{mse_transpose:.4f}", "0.0123 ± 0.0004"),
    ("{mse_transpose:.4f|no interval}", "0.0123"),
    ("{drift:.2f}", "−0.25 dB"),
    ("{drift:+.1f|no unit}", "−0.2"),
    ("{mse_transpose:.4f|no interval, no unit}", "0.0123"),
    ("{parameters:,d}", "1,495"),
    ("{knn_pixels:.1%}", "55.1%"),
    ("{mse_pca:.1e}", "4.5 × 10−3"),
    ("{run.seeds}", "3"),
    ("{run.seeds:# seed}", "3 seeds"),
    ("{run.seeds:#\nseed}", "3 seeds"),
    ("{data.train:,d training image}", "4,000 training images"),
    ("{data.classes:# class/classes}", "3 classes"),
    ("{run.preset} {run.device} {run.ended}", "sample cpu 2026-03-04"),
    ("{data.name}, {data.shape}", "photos, 3 × 32 × 32"),
    ("{config.train.lr} {config.train.epochs:# epoch}", "0.001 12 epochs"),
    ("{seconds.training:.0f} s", "93 s"),
    (r"\{x\} `{mse_pca}`", "{x} {mse_pca}"),
    ("*{mse_pca:.3f}*, **{mse_pca:.2f}**", "0.005, 0.00"),
    ("[0.165]{@udacity2018}", "0.165 [1]"),
    ('[95 %]{by="convention"}', "95 %"),
    ("[it gains]{gain=holds}, [it loses]{loss=fails}", "it gains, it loses"),
    ("[a|b|c]{gain} [a|b|c]{loss} [a|b|c]{half}", "a b c"),
    ("so[, *as expected*||]{gain}.", "so, as expected."),
    ("[by {mse_pca:.3f} in [@wang2004]]{gain=holds}", "by 0.005 in [2]"),
    ("[less]{mse_pca < mse_transpose} [more]{mse_transpose > 0.001}", "less more"),
    ("[alike]{mse_transpose ~ mse_upsample}", "alike"),
    ("[l|g|t]{mse_pca <> mse_transpose} [l|g|t]{mse_transpose <> mse_upsample}", "l t"),
    ("[@wang2004; @zeiler2014] and [@wang2004]", "[2], [3] and [2]"),
    ("As <!-- not {mse_pca} 5 --> so.", "As so."),
    ("<!--\n{nothing} 7\n-->\n\nSo.", "So."),
    ('"Quoted" -- so...', "“Quoted” – so…"),
    ("H~2~O and x^n^, ~~gone~~", "H2O and xn, gone"),
    ("[here](https://example.org)", "here"),
    ("> quoted\n\n- one\n- two {mse_pca:.3f}\n\n1. first", "quoted one two 0.005 first"),
    ("| A | B |\n|---|---|\n| a | {mse_pca:.3f} |", "A B a 0.005"),
    ("Term\n: what it means", "Term what it means"),
]
"""written, printed"""


def test_what_is_printed(speak: Speak) -> None:
    """All in one text, each behind a sign of its own."""
    body = "".join(f"¶\n\n{written}\n\n" for written, _ in PRINTED)
    found = speak(body).text.replace(SPACE, " ").split("¶ ")[1:]
    found[-1] = found[-1].split(" References ")[0]
    expected = [(written, printed) for written, printed in PRINTED]
    assert [(one[0], text.strip()) for one, text in zip(PRINTED, found, strict=True)] == expected


def test_sections_are_referred_to(speak: Speak) -> None:
    body = "@sec:body, @sec:end.\n\n## The end {#sec:end}\n\n### Below\n\n## Thanks {-}\n\nSo."
    text = speak(body).text.replace(SPACE, " ")
    assert text == "1 Body Section 1, Section 2. 2 The end 2.1 Below Thanks So."


def test_formats_and_names_of_the_front_matter(speak: Speak) -> None:
    front = FRONT + (
        "formats: {mse_*: .2f, mse_pca: .5f, errors.mse: .3f, psnr: .1f}\n"
        "names: {photos: pictures, pca: PCA of $x$, errors: {upsample: Upsampled}}\n"
    )
    table = (
        "::: {.table name=errors}\nC.\n\n"
        "| column | heading |\n|---|---|\n| arm | Arm |\n| mse | MSE |\n:::"
    )
    made = speak(f"{{mse_pca}} {{mse_transpose}} {{mse_pca:.1e}} {{data.name}}\n\n{table}", front)
    assert "0.00451</span> <span" in made.html
    assert "pictures" in made.text and "Upsampled" in made.text
    assert 'alt="x"' in made.html and "0.012 ±" in made.text.replace(SPACE, " ")
    assert [one["name"] for one in made.ledger.numbers].count("errors.arm") == 4


def test_the_title_is_text_like_any_other(speak: Speak) -> None:
    made = speak("So.", 'title: "Keeps: {run.seeds:# seed} of *$x$*"\nkeywords: [a, "b, *c*"]\n')
    assert '<h1>Keeps: <span class="v" id="v-1">3</span>\u00a0seeds of <em><img' in made.title
    assert made.head["title"] == "Keeps: 3\u00a0seeds of x" and made.head["keywords"] == [
        "a",
        "b, c",
    ]


def test_a_pattern_makes_no_decimals_of_a_count(speak: Speak) -> None:
    made = speak("{run.seeds:# seed}, {mse_pca}, {data.train}", FRONT + 'formats: {"*": .4f}\n')
    assert "3 seeds, 0.0045, 4,000" in made.text.replace(SPACE, " ")


def test_other_studies_are_read(speak: Speak) -> None:
    body = (
        "{fgsm:mse_pca:.4f} {fgsm:own:d} {fgsm:run.seeds:# seed} {fgsm:data.name} "
        "[better]{mse_pca < fgsm:mse_pca}"
    )
    made = speak(body, FRONT + "reads: fgsm\n")
    assert "0.7777 2 1 seed photos better" in made.text.replace(SPACE, " ")
    runs = {one["name"]: one["run"] for one in made.ledger.numbers}
    assert runs["own"] == runs["data.name"] == "ffff0000" * 4
    assert made.ledger.comparisons[0].b == "fgsm:mse_pca"


def test_what_is_printed_is_entered(speak: Speak) -> None:
    made = speak(
        "{mse_pca:.3f} [0.1]{@wang2004} [95 %]{by='choice'} [it gains]{gain=holds} "
        "[less]{mse_pca < 0.5} [{mse_pca}|{drift}|x]{half}"
    )
    kinds = [(one["kind"], one["name"]) for one in made.ledger.numbers]
    kinds = [one for one in kinds if one[0] != "fact"]
    assert kinds == [("number", "mse_pca"), ("quoted", "wang2004"), ("stated", "choice")]
    # the branches that are not printed are not entered
    assert sum(one["kind"] == "number" for one in made.ledger.numbers) == 1
    assert [one["name"] for one in made.ledger.claims] == ["gain", "half"]
    assert [one["printed"] for one in made.ledger.claims] == ["it gains", "x"]
    assert [one.outcome for one in made.ledger.comparisons] == ["less"]


CONDITIONS = [
        ("data.name=photos", True), ("data.name=mnist", False), ('data.name="mnist|photos"', True),
        ("run.preset=sample", True), ("config.shuffle=on", True), ("config.shuffle=off", False),
        ("run.seeds=3", True), ('run.seeds=">2"', True), ('run.seeds=">3"', False),
        ('run.seeds=">=3"', True), ('mse_pca="<0.01"', True), ("gain=holds", True),
        ("loss=holds", False), ("config.weights=none", True), ("data.name=none", False),
        ("nothing=none", True), ('nothing=">0"', False), ("data.name=photos run.seeds=1", False),
]  # fmt: skip
"""condition, whether it is met"""


@pytest.mark.parametrize("word", ["only", "except"])
def test_blocks_for_some_runs(word: str, speak: Speak) -> None:
    body = "".join(f"¶\n\n::: {{.{word} {one}}}\nSo *it* is.\n:::\n\n" for one, _ in CONDITIONS)
    found = speak(body).text.split("¶")[1:]
    there = [(one[0], "So it is." in text) for one, text in zip(CONDITIONS, found, strict=True)]
    assert there == [(condition, met == (word == "only")) for condition, met in CONDITIONS]


def test_figures_and_pictures(speak: Speak, tmp_path: Path) -> None:
    Image.new("RGB", (96, 48), "red").save(tmp_path / "mine.png")
    Image.new("RGB", (96, 48), "red").save(tmp_path / "sheet.pdf", resolution=96)
    made = speak(
        "As @fig:maps, @fig:mine and [@fig:curves; @fig:sheet].\n\n"
        '![Maps of {run.seeds:# seed} [@wang2004].](maps){.wide alt="Of {run.seeds} kinds"}\n\n'
        "![Curves in [@wang2004].](curves)\n\n"
        '![Mine.](mine.png){width=50% alt="A red box"}\n\n![A page.](sheet.pdf){page=1}'
    )
    assert "As Figure 1, Figure 3 and Figure 2 and Figure 4." in made.text.replace(SPACE, " ")
    assert made.kinds[2:6] == ["wide", "float", "float", "float"]
    assert 'alt="Of 3 kinds. Drawn from maps' in made.html
    assert 'id="i-curves" alt="Drawn from curves' in made.html
    assert 'alt="A red box"' in made.html and "width:43.00mm" in made.html
    assert 'alt="A page."' in made.html and "width:25.4" in made.html
    assert [one.name for one in made.ledger.pictures] == ["mine.png", "sheet.pdf"]
    assert [one.name for one in made.ledger.figures] == ["maps", "curves"]


def test_a_table(speak: Speak) -> None:
    made = speak(
        '::: {.table name=errors .wide rows="arm=transpose|pca" most=1}\n'
        "Errors of {run.seeds:# seed} by $J$.\n\n"
        "| column | heading | format | best | interval |\n|---|---|---|---|---|\n"
        "| arm | | | | |\n| mse | *MSE* of {run.preset} | .3f | min | no |\n"
        "| psnr | PSNR | .1f | max | |\n:::\n\nSee @tab:errors."
    )
    text = made.text.replace(SPACE, " ")
    assert "Table 1. Errors of 3 seeds by ." in text and "See Table 1." in text
    assert "Printed are 1 of 4 rows" in text
    assert '<th scope="col" class="number"><em>MSE</em> of <span' in made.html
    assert ">0.012<" in made.html and "19.11" not in text and "19.1 ± 0.1" in text
    assert "PCA" not in text and made.kinds[1] == "wide"


def test_a_table_of_the_authors_own(speak: Speak) -> None:
    made = speak(
        "| | So |\n|:--|--:|\n| a | {mse_transpose:.4f\\|no interval} |\n| b | {mse_pca:.4f} |\n\n"
        ": What *we* say in {run.seeds:# seed}. {#tab:own .wide}\n\nSee @tab:own."
    )
    text = made.text.replace(SPACE, " ")
    assert "Table 1. What we say in 3 seeds. So a 0.0123 b 0.0045 See Table 1." in text
    assert '<td class="number"><span class="v"' in made.html and made.kinds[1] == "wide"
    assert '<table id="t-own">' in made.html, "for the check of its width"


def test_formulas(speak: Speak) -> None:
    made = speak(r"Let $\frac{a}{b}$ be, $$x = \frac{1}{2}.$$ and on; \$x is no formula.")
    assert made.kinds[1:4] == ["text", "formula", "text"]
    assert r'alt="\frac{a}{b}"' in made.html and "$x is no formula" in made.text


def test_styles_of_citations(speak: Speak, tmp_path: Path) -> None:
    body = "Seen [@wang2004]; @zeiler2014 looked."
    made = speak(body, FRONT + "csl: apa\n")
    text = made.text.replace(SPACE, " ")
    assert "Seen (Wang et al., 2004); Zeiler & Fergus (2014) looked." in text
    assert "[1]" not in made.text and "References Wang, Z., " in made.text
    (tmp_path / "mine.bib").write_text("@misc{own, author={Rivers, Ada}, title={On X}, year=2001}")
    made = speak("Seen [@own].", FRONT + "bibliography: mine.bib\n")
    assert "Seen [1]." in made.text.replace(SPACE, " ") and "A. Rivers, “On x.” 2001" in made.text


def test_a_draft_has_boxes_with_places(speak: Speak) -> None:
    made = speak(
        "{mse_pcb} [it loses]{gain=fails} [so]{mse_pca > mse_transpose}\n\n![C.](kernel)\n\n"
        "[@nobody1999] and @fig:nowhere",
        draft=True,
    )
    assert made.html.count("MISSING") == 6
    told = "\n".join(made.gaps)
    assert "ae.md:11:1: run 1a2b3c4d has nothing called 'mse_pcb'. Did you mean 'mse_pca'?" in told
    assert "ae.md:11:21: the text says 'it loses' because claim 'gain' fails, but in this" in told
    assert "ae.md:11:38: the text says 'so', which holds if mse_pca is above mse_transpose" in told
    assert "ae.md:13:5: run 1a2b3c4d has no figure 'kernel'. Did you mean 'kernels'?" in told
    assert "ae.md:15:2: references.bib has no entry 'nobody1999'" in told
    assert "nothing to refer to as 'fig:nowhere'" in told
