"""What a write-up may say wrong, and what it is told."""

from collections.abc import Callable

import pytest

from research.errors import UserError
from research.report import Built
from research.report.slots import Slots

HEAD = "---\ntitle: T\n---\n\n## Abstract\n\nWords.\n\n## Body\n\n"
SOURCES = {
    "no front matter": ("Text", "a write-up begins with '---'"),
    "no title": ("---\nkeywords: a\n---\n", "needs a line 'title: …'"),
    "unknown key": (
        "---\ntitel: a\n---\n",
        "ae.md:2:1: front matter has no key 'titel'. Did you mean",
    ),
    "no abstract": ("---\ntitle: T\n---\nText.\n", "begin with a section '## Abstract'"),
    "deep heading": (HEAD + "#### Deep\n", "'## Section' or '### Subsection'"),
    "same heading": (HEAD + "## Body\n", "two headings are called 'Body'"),
    "no format": (
        HEAD + "::: {.table name=errors}\nC.\n\n| column |\n|---|\n| arm |\n| mse |\n:::\n",
        "ae.md:11:13: column 'mse' holds measured numbers",
    ),
    "bad formula": (HEAD + "A $\\frac{a$ b.\n", "cannot be set"),
    "wide formula": (HEAD + "$$" + "a + b = " * 30 + "c$$\n", "wider than its column"),
    "typed number": (
        HEAD + "We reach\n*exactly* 0.93 here.\n",
        "ae.md:12:11: the number 0.93 is typed",
    ),
    "typed in caption": (
        HEAD + '![All 16 kernels](kernels){alt="a"}\n',
        "the number 16 is typed",
    ),
    "figure twice": (
        HEAD + '![C.](kernels){alt="a"}\n\n' * 2,
        "figure 'kernels' stands twice",
    ),
    "foreign letter": (HEAD + "The word 猫 means cat.\n", "no font here has '猫' (U+732B)"),
    "too short": (HEAD + "Words.\n", "fills 1 page, it has to fill 2 to 3 pages"),
}


@pytest.mark.parametrize("case", SOURCES)
def test_a_source_that_is_not_fit_to_print(
    case: str, write: Callable[..., Built], no_other_fonts: None
) -> None:
    text, message = SOURCES[case]
    with pytest.raises(UserError) as error:
        write(text)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_what_is_printed_cannot_be_compared() -> None:
    """A page template asks with value('…'); the sign of what is printed equals nothing."""
    with pytest.raises(UserError, match="what is printed cannot be compared"):
        assert Slots().put(lambda: "full") == "full"
