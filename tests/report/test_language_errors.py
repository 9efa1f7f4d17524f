"""Every mistake in the language of write-ups is one line: its place, what is wrong, what to do."""

from collections.abc import Callable
from pathlib import Path

import pytest

from research.errors import UserError
from research.paths import TEMPLATES
from research.provenance.trail import Ledger
from research.records import Results, load
from research.report import rehearsal
from tests.report.language import FRONT, claimed, spoken, written
from tests.samples import SAMPLE

pytestmark = pytest.mark.usefixtures("no_other_fonts")

PLAN = "| column | heading |\n|---|---|\n| arm | Arm |"
MISTAKES = [
    ("We saw 12 of them.", "1:8: the number 12 is typed into the text"),
    ("We saw [12 cats]{gain=holds}.", "1:17: the number 12 is typed into the words that rest on"),
    ("[a|b|by 8]{gain}", "1:11: the number 8 is typed into the words that rest on 'gain'"),
    ("{mse pca}", "1:1: '{mse' is no value: write {name} or {name:.2f}, or \\{"),
    ("{x:.3q}", "1:1: '.3q' is no format of a number in {x:.3q}: use one as '.4f'"),
    ("{x:.2f|no units}", "1:1: a value has no option 'no units'. Did you mean 'no unit'?"),
    (
        "{fgsm:acc:.1f}",
        "1:1: 'fgsm:acc' is of another study, and the front matter says: add a line",
    ),
    ("[0.3]{@nosuch}", "1:6: references.bib has no entry 'nosuch'"),
    (
        "So [@zeiler1914].",
        "1:5: references.bib has no entry 'zeiler1914'. Did you mean 'zeiler2014'?",
    ),
    ('[0.312]{by="us"}', "1:8: '0.312' looks like a result, which is no choice"),
    ('[0.3]{by=""}', "1:6: a number of your own needs its reason"),
    ("[so]{gain=hold}", "1:5: claim 'gain' cannot come out as 'hold'. Did you mean 'holds'?"),
    ("[a|b]{gain}", "1:6: a span has one text for an outcome"),
    ("[a|b]{gain=holds}", "1:6: a span has one text for an outcome"),
    ("[so]{a < b:c:d}", "1:5: a value is compared with a name or a number, got 'b:c:d'"),
    ("See @fig:nowhere.", "the text has nothing to refer to as 'fig:nowhere'"),
    ("## Body", "two headings are called 'Body': give each its own name"),
    ("# One", "1:1: headings are '## Section' or '### Subsection', got '# One'"),
    ("## One {#one}", "the id of a section begins with sec:, got 'one'"),
    ("See ![A picture](x.png) there.", "1:16: a picture is a paragraph of its own with a caption"),
    ("![C.](x.png)", "1: there is no picture 'x.png' beside the write-up"),
    ("![C.](maps){height=50%}", "1:5: a figure takes .wide, alt=…, got 'height=…'"),
    ("![C.](x.png){width=5cm}", "1:5: a picture's width is a share of its place, as width=50%"),
    ("![C 9.](maps)", "1:5: the number 9 is typed into the text"),
    (
        f"::: {{.table}}\nC.\n\n{PLAN}\n:::",
        "a table names one of the run: ::: {.table name=errors}",
    ),
    (f"::: {{.table name=e}}\n{PLAN}\n:::", "1:13: table 'e' needs one paragraph, its caption"),
    (f"::: {{.table name=e most=x}}\nC.\n\n{PLAN}\n:::", "1:13: table 'e' prints so many rows"),
    (f"::: {{.table name=e most=0}}\nC.\n\n{PLAN}\n:::", "1:13: table 'e' prints at least 1 row"),
    (f"::: {{.table name=e rows=a}}\nC.\n\n{PLAN}\n:::", "rows of table 'e' are chosen as rows="),
    (f"::: {{.table name=e row=a}}\nC.\n\n{PLAN}\n:::", "1:13: a table takes .table, .wide"),
    ("::: {.table name=e}\nC.\n\n| column | head |\n|---|---|\n| a | A |\n:::", "got 'head'"),
    ("| a |\n|---|\n| b |\n\n: C.", "a table with a caption has an id, by which the text"),
    ("::: {.tabel name=e}\nC.\n:::", "1:5: a block ':::' is {.table name=…}, {.only name=value}"),
    ("::: {.only}\nC.\n:::", "1:5: a block for some runs says for which"),
    ("::: {.only a=b}\nC.", "pandoc says: Div at line 11"),
    ("Footnote.[^1]\n\n[^1]: Note.", "1:10: there are no footnotes: write it into the text"),
    ("<b>so</b>", "'<b>' is HTML, which is not printed"),
    ("$\\nosuch{x}$", "1:2: the formula '\\nosuch{x}' cannot be set"),
    ("[x](http://a.example/{y})", "1:5: a value prints into the text, not into the address"),
    ("日本", "no font here has '日'"),
    ("- " * 10 + "deep", "lists and quotations stand at most 9 deep in each other"),
    ("[@wang2004, p. 3]", "1:2: the citation '[1, p. 3]' prints 1 outside brackets of its own"),
]


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., list[str]]:
    def mistakes(body: str, front: str = FRONT) -> list[str]:
        path, author = written(tmp_path, body, front), SAMPLE / "author.toml"
        return rehearsal.mistakes(path, author=author, templates=TEMPLATES, studies=["ae", "fgsm"])

    return mistakes


@pytest.mark.parametrize(("body", "told"), MISTAKES, ids=[one[0][:25] for one in MISTAKES])
def test_before_a_run(body: str, told: str, read: Callable[..., list[str]]) -> None:
    found = read(body)
    assert len(found) == 1 and found[0].startswith(("ae.md:11", "ae.md:15"))
    assert told.replace("1:", "ae.md:11:", 1) in found[0] if told[0] == "1" else told in found[0]


def test_all_mistakes_are_told_in_order(read: Callable[..., list[str]]) -> None:
    found = read("{x:.q}\n\nSo 9.\n\n[@zeiler1914] and {y:.q}")
    assert [one.split(" ")[0] for one in found] == [
        "ae.md:11:1:", "ae.md:13:4:", "ae.md:15:2:", "ae.md:15:19:",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("front", "told"),
    [
        ("title: A: B\n", "ae.md:2:9: the front matter is no YAML: mapping values"),
        ("titel: A\n", "ae.md:2:1: front matter has no key 'titel'. Did you mean 'title'?"),
        ("keywords: a\n", "ae.md:1: the front matter needs a line 'title: …'"),
        ("title: T\nformats: {x: .q}\n", "ae.md:3: '.q' is no format of a number"),
        ("title: T\nformats: x\n", "ae.md:3: 'formats' in the front matter is of names"),
        ("title: T\nnames: [a]\n", "ae.md:3: 'names' in the front matter is of words"),
        ("title: T\nkeywords: {a: b}\n", "ae.md:3: 'keywords' in the front matter is a list"),
        ("title: T\nreads: fgms\n", "ae.md:3: there is no study 'fgms'. Did you mean 'fgsm'?"),
        ("title: T\nbibliography: no.bib\n", "no bibliography no.bib"),
        ("title: T9 7\n", "ae.md:2: the number 7 is typed into the text"),
        ("title: '# T'\n", "its title must be one line of text"),
    ],
)
def test_front_matter(front: str, told: str, read: Callable[..., list[str]]) -> None:
    found = read("So.", front)
    assert len(found) == 1 and told in found[0]


def test_a_style_that_there_is_not(read: Callable[..., list[str]]) -> None:
    found = read("So [@wang2004].", FRONT + "csl: ieeee\n")
    assert len(found) == 1 and "there is no style of citations 'ieeee': name one of" in found[0]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (
            "So {mse_pcb}.",
            "11:4: run 1a2b3c4d has nothing called 'mse_pcb'. Did you mean 'mse_pca'?",
        ),
        ("{seeds}", "11:1: run 1a2b3c4d has nothing called 'seeds'. Did you mean 'run.seeds'?"),
        (
            "{config.train.lrr}",
            "nothing called 'config.train.lrr'. Did you mean 'config.train.lr'?",
        ),
        ("[so]{gian=holds}", "11:5: run 1a2b3c4d logged no claim 'gian'. Did you mean 'gain'?"),
        (
            "[so]{gain=fails}",
            "11:5: the text says 'so' because claim 'gain' fails, but in this run it",
        ),
        (
            "[so]{mse_pca > 1}",
            "11:5: the text says 'so', which holds if mse_pca is above 1.0, but it",
        ),
        ("![C.](map_)", "11:5: run 1a2b3c4d has no figure 'map_'. Did you mean 'map'?"),
        ("![C.](maps)", "11:5: figure 'maps' is 178 mm wide, 92 mm more than the column: draw it"),
        (f"::: {{.table name=eror}}\nC.\n\n{PLAN}\n:::", "11:13: run 1a2b3c4d has no table 'eror'"),
        ("::: {.table name=errors}\nC.\n\n| column |\n|---|\n| amr |\n:::", "has no column 'amr'"),
        ("See @fig:nowhere.", "11:6: the text has nothing to refer to as 'fig:nowhere'"),
        ("We saw 12 of them.", "11:8: the number 12 is typed into the text"),
    ],
)
def test_over_a_run(body: str, told: str, record: Results, tmp_path: Path) -> None:
    claimed(record)
    with pytest.raises(UserError) as caught:
        spoken(written(tmp_path, body), Ledger(load(record.folder)))
    assert str(caught.value).startswith("ae.md:") and told in str(caught.value)
