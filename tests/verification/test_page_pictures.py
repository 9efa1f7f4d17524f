"""Pages compared as pictures."""

import io
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import pikepdf
import pytest

from research.provenance import raster
from research.provenance.container import Refused
from tests.verification.forgeries import (
    page_of,
)


def test_a_page_is_the_same_picture_when_edges_are_smoothed_otherwise(paper: bytes) -> None:
    import pypdfium2

    [drawn_page, *_] = raster.pictures(paper)
    page = pypdfium2.PdfDocument(paper)[0]
    for how in ({"no_smoothtext": True}, {"no_smoothpath": True}, {"no_smoothimage": True}):
        hard = MagicMock(get_size=page.get_size,
                         render=lambda how=how, **more: page.render(**more, **how))  # fmt: skip
        other = raster._greys(hard, 1)
        assert list(raster.changes([raster.packed(drawn_page)], [other])) == []
        assert not np.array_equal(drawn_page, other)


@pytest.mark.parametrize("operator", ["TJ", "Do"])
def test_a_line_or_a_picture_less_is_another_picture(operator: str, paper: bytes) -> None:
    built = [raster.packed(one) for one in raster.pictures(paper)]
    (_, told), *_ = raster.changes(built, raster.pictures(without(paper, operator)))
    assert "does not look as it was built" in told


def without(paper: bytes, operator: str) -> bytes:
    """The paper without the longest line of text, or without the pictures, of a page."""
    with pikepdf.open(io.BytesIO(paper)) as document:
        page = page_of(document, operator)
        found: list[Any] = list(pikepdf.parse_content_stream(page))
        places = [i for i, one in enumerate(found) if str(one[1]) == operator]
        if operator == "TJ":
            places = [max(places, key=lambda i: len(found[i][0][0]))]
        kept = [one for i, one in enumerate(found) if i not in places]
        page.Contents.write(pikepdf.unparse_content_stream(kept))
        out = io.BytesIO()
        document.save(out)
        return out.getvalue()


@pytest.mark.parametrize("text", ["", "1 2", "0 0 ", "9 9 AAAA", "a b c", "99999 99999 AAAA"])
def test_a_picture_of_another_form_is_none(text: str) -> None:
    with pytest.raises(Refused, match="cannot be unpacked"):
        raster.unpacked(text)
