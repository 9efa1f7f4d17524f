"""What a write-up may say wrong, and what it is told."""

from collections.abc import Callable

import pytest

from research.errors import UserError
from research.report import Built

HEAD = "---\ntitle: T\n---\n\n## Abstract\n\nWords.\n\n## Body\n\n"
ERRORS = 'table("errors", caption="c", columns={"arm": "A"'

MISSES = {
    'number("test_mes")': "run 1a2b3c4d logged no number 'test_mes'. There are:",
    'number("mse_transpse")': "Did you mean 'mse_transpose'?",
    'value("mse_upsampl")': "Did you mean 'mse_upsample'?",
    'compare("mse_pca", "mse_pcb")': "Did you mean 'mse_pca'?",
    'setting("train.lrr")': "run 1a2b3c4d has no setting 'train.lrr'. Did you mean 'train.lr'?",
    'fact("devise")': "has no fact 'devise'. Did you mean 'device'?",
    'figure("kernel", caption="c", alt="a")': "has no figure 'kernel'. Did you mean 'kernels'?",
    'figure("kernels", caption="c", alt=" ")': "figure 'kernels' needs alt=",
    'stated("0.312", "a choice")': "'0.312' looks like a result, which is no choice: log it",
    'figure("maps", caption="c", alt="a")': "178 mm wide, 92 mm more than the column",
    'table("error", caption="c", columns={"arm": "A"})': "Did you mean 'errors'?",
    ERRORS + ', "mes": "M"})': "table 'errors' has no column 'mes'. Did you mean 'mse'?",
    ERRORS + ', "mse": "M"})': "column 'mse' holds measured numbers",
    ERRORS + ', "mse": col("M", ".2f", best="low")})': "best is 'min' or 'max', got 'low'",
    'cite("zeiler2024")': "references.bib has no entry 'zeiler2024'. Did you mean 'zeiler2014'?",
    'quoted("0.5", "zhang2081")': "Did you mean 'zhang2018'?",
    'ref("fig:kernels")': "nothing to refer to as 'fig:kernels'",
    'ref("sec:bodi")': "Did you mean 'sec:body'?",
    'nubmer("mse_pca")': "a write-up knows no word 'nubmer'. Did you mean 'number'?",
    'number("mse_pca", ".4q")': "'.4q' is no format of a number",
    "number()": "missing 1 required positional argument: 'name'",
    "number.__class__": "__class__",
}


@pytest.mark.parametrize("word", MISSES)
def test_a_miss_names_the_line_and_the_nearest_thing(
    word: str, write: Callable[..., Built]
) -> None:
    with pytest.raises(UserError) as error:
        write(HEAD + "{{ " + word + " }}\n")
    assert str(error.value).startswith("ae.md:11: ")
    assert MISSES[word] in str(error.value)


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
    "syntax": (HEAD + "{{ number( }}\n", "ae.md:11: "),
    "bad formula": (HEAD + "A $\\frac{a$ b.\n", "cannot be set"),
    "wide formula": (HEAD + "$$" + "a + b = " * 30 + "c$$\n", "wider than its column"),
    "typed number": (
        HEAD + "We reach\n*exactly* 0.93 here.\n",
        "ae.md:12:11: the number 0.93 is typed",
    ),
    "typed in caption": (
        HEAD + '{{ figure("kernels", caption="All 16 kernels", alt="a") }}\n',
        "the number 16 is typed",
    ),
    "printed value": (HEAD + '{{ value("mse_pca") }}\n', "the number 0.004513 is typed"),
    "compared mark": (
        HEAD + '{% if fact("preset") == "full" %}Yes.{% endif %}\n',
        "a printed word cannot be compared: use value('…')",
    ),
    "figure twice": (
        HEAD + '{{ figure("kernels", caption="c", alt="a") }}\n' * 2,
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


def test_compare_says_what_the_intervals_allow(write: Callable[..., Built]) -> None:
    """Three numbers whose outcome is known by hand, told through an error that quotes the prose."""
    words = '{{ compare("mse_transpose", "mse_upsample") }}, '
    words += '{{ compare("mse_pca", "mse_upsample") }}, '
    words += '{{ compare("checker_transpose", "checker_upsample", greater="above") }}, '
    words += '{{ compare("mse_pca", 1) }}, '
    words += '{% if value("preset") == "sample" and value("data.name") %}true{% endif %} 99\n'
    known = "indistinguishable from, lower than, above, lower than, true 99"
    with pytest.raises(UserError, match=f"'{known}'"):
        write(HEAD + words)
