"""The parts of a paper come from a template, which a project may have its own of."""

from pathlib import Path

import pytest

from research.errors import UserError
from research.paths import PACKAGED
from research.report.render import PARTS, Parts


def test_text_is_escaped_and_html_is_not() -> None:
    made = Parts(PACKAGED)(
        "figure", name="k", wide=False, alt='a "b" & c', source="data:,x", size="width:1mm",
        caption="a <b>word</b>",
    )  # fmt: skip
    assert 'alt="a &#34;b&#34; &amp; c"' in made
    assert "<figcaption>a <b>word</b></figcaption>" in made


def test_a_project_writes_a_part_its_own_way(tmp_path: Path) -> None:
    (tmp_path / PARTS).write_text(
        '{% macro paragraph(text) %}<p class="mine">{{ text | safe }}</p>{% endmacro %}'
    )
    assert Parts(tmp_path)("paragraph", text="x") == '<p class="mine">x</p>'


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{% macro paragraph(words) %}{% endmacro %}", "needs a macro 'paragraph' of text"),
        ("{% macro other(text) %}{% endmacro %}", "needs a macro 'paragraph' of text"),
        ("{% macro paragraph(text) %}{{ lost }}{% endmacro %}", "'lost' is undefined"),
        ("{% macro paragraph(text) %}", "is no template"),
    ],
)
def test_a_mistake_in_it_costs_one_line(tmp_path: Path, template: str, message: str) -> None:
    (tmp_path / PARTS).write_text(template)
    with pytest.raises(UserError, match=message) as caught:
        Parts(tmp_path)("paragraph", text="x")
    assert "\n" not in str(caught.value)
