"""Which numbers of a finished paper's text nothing vouches for."""

import numpy as np
import pytest

from research.provenance.page_text import Page
from research.verification.accounting import unaccounted

AUTHOR = {"name": "A. Student", "course": "Course 101"}
HEADINGS = ["A title of 3 words", "1 Method", "References"]


def page(text: str, vouched: str = "") -> Page:
    letters = list(text)
    made = Page(letters, np.zeros((len(letters), 2)), np.zeros(len(letters), bool))
    start = text.index(vouched) if vouched else 0
    made.vouched[start : start + len(vouched)] = True
    return made


def left(*texts: str, vouched: str = "") -> list[tuple[int, str]]:
    pages = [page(text, vouched if n == 0 else "") for n, text in enumerate(texts)]
    return [(number, found) for number, found, _ in unaccounted(pages, HEADINGS, AUTHOR)]


@pytest.mark.parametrize(
    "text",
    [
        "Since 2014 as in [1] and [2, 14] for conv1 of Table 2 and Section 3.2 on CIFAR-10",
        "as others [3,\r\n5] say",
        "1 Method\nfollows",
        "A title of 3 words",
        "Course 101",
        "its end 1 / 1",
        "References\n[1] A. Author. Title. 12(3):45, 1999.\nSpringer 8689",
    ],
)
def test_what_is_no_value(text: str) -> None:
    assert left(text) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("an error of 0.5", "0.5"),
        ("Course 101 and Course 101", "101"),  # the author block stands once
        ("2 Method", "2"),  # the outline knows no such heading
        ("it ends 2 / 3 here", "2"),
        ("see [0.5]", "0.5"),
        ("References\n[1] A. Author. 12.\nFigure 1. The error is 7.", "7"),
    ],
)
def test_a_number_that_nothing_vouches_for(text: str, found: str) -> None:
    assert found in {one for _, one in left(text)}


def test_a_tracked_value_is_vouched_for() -> None:
    assert left("errs by 0.25 and 0.75", vouched="0.25") == [(1, "0.75")]


def test_references_run_over_pages_and_around_figures() -> None:
    first = "text\nReferences\n[1] A. Author. Title. In Proceedings, 818–"
    second = "833, 2014.\n[2] B. Author. 44.\nFigure 2. A caption, 7\n[3] C. Author. 55\n2 / 2"
    assert left(first, second) == [(2, "7")]


def test_a_page_before_the_references_has_none() -> None:
    assert left("[1] 44 apples", "References\n[1] A. 12.") == [(1, "44")]
