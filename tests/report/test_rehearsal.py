"""A write-up is read without a run: what is found, where, and what is left to the run."""

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


def test_a_link_to_nothing_is_told(read: Read) -> None:
    (found,) = read("Before.\n\nSee [there](#nosuch).")
    assert found.startswith(f"ae.md:{LINE + 2}:")
    assert "the text has nothing to refer to as 'nosuch'" in found


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ('So {{ number("x") }}.', "3: '{{ … }}' belongs to the former language; write {mse:.4f}"),
        ("{% if x %}so{% endif %}", "0: '{% … %}' belongs to the former language; write ::: {.on"),
    ],
)
def test_the_former_language_is_told_once(body: str, told: str, read: Read) -> None:
    place, _, message = told.partition(": ")
    (found,) = read(body)
    assert found.startswith(f"ae.md:{LINE}:{int(place) + 1}: {message}")
    assert found.endswith(", see templates/README.md")


def test_braces_of_code_and_formulas_are_no_former_language(read: Read) -> None:
    assert read("So `{{ x }}` and $a_{{i}}$.\n\n~~~\n`{% x %}`\n~~~\n\n<!-- {{ x }} -->") == []


def test_every_branch_is_read(read: Read) -> None:
    body = (
        "[so 21|or 22|else [@nosuch]]{a} [in 24||]{b <> c}\n\n"
        "::: {.only data.name=a}\nSo 25.\n:::\n\n"
        "::: {.except data.name=a}\nSo 26.\n:::"
    )
    found = "\n".join(read(body))
    assert all(f"the number {number} is typed" in found for number in (21, 24, 25, 26))
    assert "no entry 'nosuch'" in found


def test_what_stands_in_blocks_for_different_runs_is_no_mistake(read: Read) -> None:
    """Which is printed is for the run to say, and two conditions may exclude each other."""
    block = '::: {{.{} run.seeds=1}}\n## So it is\n\n![C.](kernels){{alt="a"}}\n:::\n\n'
    body = f"{block.format('only')}{block.format('except')}See @fig:kernels and @sec:so-it-is."
    assert read(body) == []
    assert len(read('![C.](kernels){alt="a"}\n\n![C.](kernels){alt="a"}')) == 1


def test_names_that_the_run_decides_are_left_to_it(read: Read) -> None:
    body = """{nosuch:.1%} {config.no.such} {data.no:,d} [a|b|c]{nosuch} [a|b|c]{a <> 0.5}

![c {x} [@zeiler2014].](nosuch){.wide alt="a"}

::: {.table name=nosuch}
c

| column | heading | format | best |
|--------|---------|--------|------|
| a      | A       |        |      |
| b      | B       | .2f    | min  |
:::

See @fig:nosuch, @tab:nosuch and @sec:body.

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
    found = read("[@a]", templates=templates)
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
    found = read("[@odd]", templates=templates)
    assert len(found) == 1 and "odd" in found[0] and "foobar" in found[0]
    assert read("[@zeiler2014]", templates=templates) == []
