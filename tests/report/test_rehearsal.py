"""A write-up is read without a run: what is found, where, and what is left to the run."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from research import studies
from research.paths import ROOT, TEMPLATES
from research.report import rehearsal
from tests.samples import SAMPLE

pytestmark = pytest.mark.usefixtures("no_other_fonts")

KNOWN = [entry.slug for entry in studies.entries()]
HEAD = "---\ntitle: T\n---\n\n## Abstract\n\nWords.\n\n## Body\n\n"
LINE = 11
"""of the file, where a body begins"""

Read = Callable[..., list[str]]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """The mistakes in a body, or in a whole text."""

    def mistakes(body: str = "", *, text: str | bytes = "", author: Path | None = None,
                 templates: Path = TEMPLATES) -> list[str]:  # fmt: skip
        path = tmp_path / "ae.md"
        whole = text or f"{HEAD}{body}\n"
        path.write_bytes(whole if isinstance(whole, bytes) else whole.encode())
        signed = author or SAMPLE / "author.toml"
        return rehearsal.mistakes(path, author=signed, templates=templates, studies=KNOWN)

    return mistakes


@pytest.mark.parametrize("path", sorted((ROOT / "paper").glob("*.md")), ids=lambda p: p.stem)
def test_the_studies_own_write_ups_are_fit_for_a_run(path: Path) -> None:
    author = ROOT / "paper/author.toml"
    assert rehearsal.mistakes(path, author=author, templates=TEMPLATES, studies=KNOWN) == []


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ("We saw 12 of them.", "the number 12 is typed into the text"),
        ('{{ cite("zeiler1914") }}', "has no entry 'zeiler1914'. Did you mean 'zeiler2014'?"),
        ('{{ quoted("1.5", "nosuch") }}', "references.bib has no entry 'nosuch'"),
        ('{{ numbre("x") }}', "a write-up knows no word 'numbre'. Did you mean 'number'?"),
        ("{{ nosuch }}", "a write-up knows no word 'nosuch'"),
        ('{{ "a" | nosuch }}', "No filter named 'nosuch'"),
        ('{{ number("x" }}', "unexpected '}', expected ')'"),
        ('{% if value("x") %}a', "Unexpected end of template"),
        ("{{ number() }}", "number() missing 1 required positional argument: 'name'"),
        ('{{ number("x", digits=3) }}', "number() got an unexpected keyword argument 'digits'"),
        ('{{ number("x", ".3q") }}', "'.3q' is no format of a number"),
        ('{{ fact("x", ".3q") }}', "'.3q' is no format of a number"),
        ('{{ stated("0.312", "r") }}', "'0.312' looks like a result"),
        ('{{ number("mlp:x") }}', "add a line 'reads: mlp'"),
        ('{{ ref("fig:nosuch") }}', "the text has nothing to refer to as 'fig:nosuch'"),
        ("See [there](#nosuch).", "the text has nothing to refer to as 'nosuch'"),
        ("\n\n![A picture](nosuch.png)", "no picture 'nosuch.png' beside the write-up"),
        (
            "See ![A picture](x.png)",
            "a paragraph of its own with a caption, got 'x.png'",
        ),
        ("$\\frac{x$", "the formula '\\frac{x' cannot be set"),
        ("日本", "no font here has '日'"),
        ('{% if number("x") > 3 %}a{% endif %}', "a printed word cannot be compared"),
        ("## Body", "two headings are called 'Body'"),
        ("# One", "headings are '## Section' or '### Subsection', got '# One'"),
        ('{{ compare("a", "b", less="by 8") }}', "the number 8 is typed into a comparison of 'a'"),
        (
            '{{ claim("c", holds="a", fails="by 7", undecided="b") }}',
            "rest on 'c', where",
        ),
        ('{{ claim("c", holds="a", fails="b") }}', "argument: 'undecided'"),
        ('{{ figure("k", caption="c 9", alt="a") }}', "the number 9 is typed into the text"),
        ('{{ table("t", caption="c", columns={"a": "B 6"}) }}', "the number 6 is typed into"),
        ('{{ table("t", caption="c", columns={"a": col("B", best="x")}) }}', "best is 'min' or"),
        ('[x](http://a.example/{{ number("x") }})', "a word prints into the text, not into the"),
    ],
)
def test_a_mistake_is_one_line_with_its_place(body: str, named: str, read: Read) -> None:
    found = read(f"Before.\n\n{body}\n\nAfter.")
    assert len(found) == 1 and named in found[0]
    assert "\n" not in found[0]
    assert re.match(rf"ae\.md:({LINE + 2}|9|15):(\d+:)? ", found[0]), (
        found
    )  # a heading, the text's end


def test_all_are_told_at_once_in_the_order_of_the_text(read: Read) -> None:
    body = 'We saw 12.\n\n{{ cite("nosuch") }} {{ numbre("x") }}\n\nAnd 13, and 12 again.'
    places = [int(line.split(":")[1]) for line in read(body)]
    assert places == [LINE, LINE + 2, LINE + 2, LINE + 4, LINE + 4]


def test_every_branch_is_read(read: Read) -> None:
    body = (
        '{% if value("a") > 3 %}so 21{% elif value("b") %}or 22{% else %}'
        '{% if value("c") %}else 23{% else %}{{ cite("nosuch") }}{% endif %}{% endif %}'
        ' {{ "in 24" if value("d") else "in 25" }}'
    )
    found = "\n".join(read(body))
    assert all(f"the number {number} is typed" in found for number in range(21, 26))
    assert "no entry 'nosuch'" in found


def test_what_only_some_ways_have_is_no_mistake(read: Read) -> None:
    """Which branch is taken is for the run to say, and two conditions may exclude each other."""
    body = """{% if value("given") %}{{ figure("kernels", caption="c", alt="a") }}{% endif %}

{% if not value("given") %}{{ figure("kernels", caption="d", alt="a") }}{% endif %}

{{ ref("fig:kernels") }} of CIFAR-{% if value("many") %}100{% else %}10{% endif %}.
{% set reasons = (["its data"] if value("other") else []) + [] %}
{% if reasons %}{% set causes = reasons | join(" and ") %}{{ causes }}{% else %}None{% endif %}
{% for name in ["a", "b"] %}{{ number("mse_" ~ name, ".4f") }}{% endfor %}
{% for one in value("many") %}{{ one.name | upper }}{% endfor %}
{% if value("a") + 2 * value("b") < value("c") | round(2) %}x{% endif %}
"""
    assert read(body) == []


def test_names_that_the_run_decides_are_left_to_it(read: Read) -> None:
    body = """{{ number("nosuch", ".1%") }} {{ setting("no.such") }} {{ fact("data.no", ",d") }}
{{ claim("nosuch", holds="a", fails="b", undecided="c") }} {{ compare("a", 0.5) }}

{{ figure("nosuch", caption="c " ~ number("x") ~ cite("zeiler2014"), alt="a", wide=True) }}

{{ table("nosuch", caption="c", columns={"a": "A", "b": col("B", ".2f", best="min")}) }}

See {{ ref("fig:nosuch") }}, {{ ref("tab:nosuch") }} and {{ ref("sec:body") }}.

1. A list, `code 55`, $x_2$ and 1998.
"""
    assert read(body) == []


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("Words.", "ae.md:1: a write-up begins with '---'"),
        ("---\ntitel: T\n---\n", "ae.md:2:1: front matter has no key 'titel'"),
        ("---\ntitle\n---\n", "ae.md:2: front matter is lines of 'key: value'"),
        (HEAD.replace("title: T", "title: 17 T"), "ae.md:2: the number 17 is typed"),
        (HEAD.replace("title: T", "title: T\nkeywords: 3 x"), "ae.md:3: the number 3 is typed"),
        (HEAD.replace("title: T", "title: T\nreads: mpl"), "ae.md:3: there is no study 'mpl'"),
        (
            HEAD.replace("## Abstract", "## Abstrakt"),
            "the text must begin with a section '## Abstr",
        ),
        (HEAD.encode() + b"caf\xe9\n", f"ae.md:{LINE}: text must be UTF-8, got the byte 0xE9"),
    ],
)
def test_front_matter_and_frame(text: str | bytes, named: str, read: Read) -> None:
    found = read(text=text)
    assert len(found) == 1 and named in found[0]


def test_the_files_around_the_text(read: Read, tmp_path: Path) -> None:
    author = tmp_path / "author.toml"
    for text, named in (
        ('email = "x"', "author.toml needs a line: name"), ("name =", "author.toml is not TOML"),
        ('name = "日本"', "author.toml: no font here has '日'"),
    ):  # fmt: skip
        author.write_text(text)
        found = read("Words.", author=author)
        assert len(found) == 1 and named in found[0]
    templates = tmp_path / "templates"
    shutil.copytree(TEMPLATES, templates)
    (templates / "foot.html.jinja").write_text("\n{{ x | nosuch }}")
    (templates / "references.bib").write_text("@article{a, title={x}")
    found = read('{{ cite("a") }}', templates=templates)
    assert any(line.startswith("references.bib:1: the bibliography cannot be") for line in found)
    assert "foot.html.jinja:2: this is no template: No filter named 'nosuch'." in found
    (templates / "references.bib").unlink()
    found = read("Words [@wang2004].", templates=templates)  # the package's own is read
    assert len(found) == 1 and found[0].startswith("foot.html.jinja")
    absent = read("Words.", author=tmp_path / "nosuch.toml")
    assert len(absent) == 1 and "no nosuch.toml: write a file" in absent[0]


def test_a_file_that_cannot_be_read_is_told(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Path.read_bytes

    def denied(path: Path) -> bytes:
        if path.name == "ae.md":
            raise PermissionError(13, "Permission denied")
        return whole(path)

    monkeypatch.setattr(Path, "read_bytes", denied)
    assert read("Words.") == ["ae.md: it cannot be read: Permission denied"]


def test_an_entry_that_cannot_be_read_is_told(read: Read, tmp_path: Path) -> None:
    templates = tmp_path / "templates"
    shutil.copytree(TEMPLATES, templates)
    with (templates / "references.bib").open("a") as file:
        file.write("\n@thesis{odd, title={A \\foobar x}, author={B, C}, year={1999}}\n")
    found = read('{{ cite("odd") }}', templates=templates)
    assert len(found) == 1 and "odd" in found[0] and "foobar" in found[0]
    assert read('{{ cite("zeiler2014") }}', templates=templates) == []
