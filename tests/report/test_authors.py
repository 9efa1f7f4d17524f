"""One author or several, in any of the ways to write them down, and on the page."""

from pathlib import Path

import pytest

from research.errors import UserError
from research.paths import TEMPLATES
from research.records import Results
from research.report import authors, build
from research.verification.verify import verify
from tests.samples import SAMPLE
from tests.trails import trail


def read(text: str, folder: Path) -> authors.Authors:
    (folder / "author.toml").write_text(text, encoding="utf-8")
    return authors.read(folder / "author.toml")


ONE = 'name = "Ada Rivers"\naffiliation = "U"\nemail = "a@u.org"\ncourse = "C"\n'


def test_one_author_has_no_marks(tmp_path: Path) -> None:
    told = read(ONE, tmp_path)
    block = {"name": "Ada Rivers", "affiliation": "U", "email": "a@u.org", "course": "C"}
    assert told.block() == block and told.single() == block
    assert told.marked() == ("Ada Rivers", "U")


@pytest.mark.parametrize(
    ("text", "names", "places"),
    [
        ('name = ["A", "B"]', "A, B", ""),
        ('author = ["A", "B"]\naffiliation = "U"', "A, B", "U"),
        ('name = ["A", "B"]\naffiliation = ["U", "U"]', "A, B", "U"),
        ('name = ["A", "B"]\naffiliation = ["U", "V"]', "Aa, Bb", "aU, bV"),
        ('name = "A"\naffiliation = ["U", "V"]', "Aa,b", "aU, bV"),
        (
            '[[author]]\nname = "A"\naffiliation = ["U", "V"]\n[[author]]\nname = "B"\n'
            'affiliation = "V"\n',
            "Aa,b, Bb",
            "aU, bV",
        ),
        ('\ufeffname = " A  B "', "A B", ""),
    ],
)
def test_several_authors_and_affiliations(
    text: str, names: str, places: str, tmp_path: Path
) -> None:
    told = read(text, tmp_path)
    assert told.byline() == (names, places)
    block = told.block()
    assert block["affiliation"] == places and block.get("byline", block["name"]) == names
    assert not set(block["name"]) & set("ab")


def test_raised_letters_and_escapes_in_html(tmp_path: Path) -> None:
    told = read('name = ["A <b>", "B"]\naffiliation = ["R&D", "V"]', tmp_path)
    one, two = ('<sup class="auto">a</sup>', '<sup class="auto">b</sup>')
    assert told.marked() == (f"A &lt;b&gt;{one}, B{two}", f"{one}R&amp;D, {two}V")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('name = ["A", "B", "C"]\naffiliation = ["U", "V"]', "3 names and 2 of 'affiliation'"),
        ('name = ["A", "B"]\nemail = ["a", "b", "c"]', "2 names and 3 of 'email'"),
        ("name = 3", "'name' must be text, got 3"),
        ('name = ["A", 3]', "'name' must be text, got 3"),
        ("name = []", "needs a line: name"),
        ('[[author]]\nemail = "x"', "each [[author]] needs a name"),
        ('[[author]]\nname = "A"\nphone = "x"', "has no key of an author 'phone'"),
    ],
)
def test_a_mistake_costs_one_line(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        read(text, tmp_path)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_every_name_is_looked_for_by_itself_in_an_anonymous_paper(tmp_path: Path) -> None:
    told = read('name = ["Ada Rivers", "Bo Stone"]\naffiliation = ["U", "V"]', tmp_path)
    assert told.single() == {
        "name 1": "Ada Rivers", "name 2": "Bo Stone", "affiliation 1": "U", "affiliation 2": "V",
    }  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        'name = ["Nguyễn Thị Ánh", "Bo Stone", "Cy Third-Author"]\n'
        'affiliation = ["Institute of Long Names, University of Examples", "Second Institute 2", '
        '"A Third Institute With a Name That Does Not Fit the Line"]\nemail = "a@u.org"\n',
        'name = ["محمد علي", "שלום", "A $ B_C {{x}} 😀"]\naffiliation = ["U 1", "V", "W"]',
    ],
    ids=["affiliations", "scripts"],
)
@pytest.mark.long
def test_several_authors_are_printed_and_verified(
    text: str, record: Results, tmp_path: Path
) -> None:
    (tmp_path / "author.toml").write_text(text, encoding="utf-8")
    out = tmp_path / "ae.pdf"
    build(record, SAMPLE / "ae.md", out, author=tmp_path / "author.toml",
          templates=TEMPLATES)  # fmt: skip
    assert verify(out).problems == ()
    told = authors.read(tmp_path / "author.toml")
    assert trail(out)["author"]["name"] == ", ".join(person.name for person in told.people)


def test_an_orcid_is_read_from_any_form_and_checked(tmp_path: Path) -> None:
    ids = '"0000-0002-1825-0097", "https://orcid.org/0000-0002-1694-233X"'
    told = read(f'name = ["A", "B"]\norcid = [{ids}]', tmp_path)
    assert [one.orcid for one in told.people] == ["0000-0002-1825-0097", "0000-0002-1694-233X"]
    assert '<a href="https://orcid.org/0000-0002-1825-0097">A</a>' in told.marked()[0]
    assert told.single()["orcid 2"] == "0000-0002-1694-233X"
    for wrong in ("0000-0002-1825-0096", "0000-0002-1825", "x"):
        with pytest.raises(UserError, match="'orcid' must be like 0000-0002-1825-0097"):
            read(f'name = "A"\norcid = "{wrong}"', tmp_path)
    with pytest.raises(UserError, match="2 names and 1 of 'orcid'"):
        read('name = ["A", "B"]\norcid = "0000-0002-1825-0097"', tmp_path)


def test_a_licence_is_one_of_spdx(tmp_path: Path) -> None:
    assert read('name = "A"\nlicence = "CC-BY-4.0"', tmp_path).licence == "CC-BY-4.0"
    with pytest.raises(UserError, match="a short name of SPDX's list"):
        read('name = "A"\nlicence = "all mine"', tmp_path)
