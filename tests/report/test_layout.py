"""Plans against what a reader sees: nothing lost, order kept, columns full, figures in place."""

from hypothesis import given
from hypothesis import strategies as st

from research.report.layout import Piece, Plan, Sheet, anchor, fill, plan

SHEET = Sheet()
HEAD = 80.0

texts = st.builds(lambda h: ("text", float(h)), st.integers(8, 90))
floats = st.builds(lambda h: ("float", float(h)), st.integers(30, 90))
wides = st.builds(lambda h: ("wide", float(h)), st.integers(30, 120))


def pieces_of(kinds: list[tuple[str, float]]) -> list[Piece]:
    return [Piece(f"b-{n}", kind, height) for n, (kind, height) in enumerate(kinds)]  # type: ignore[arg-type]


@given(st.lists(texts | floats | wides, max_size=25))
def test_every_piece_stands_once_and_each_kind_keeps_its_order(
    kinds: list[tuple[str, float]],
) -> None:
    pieces = pieces_of(kinds)
    made = plan(pieces, SHEET, HEAD)
    assert sorted(made.order) == sorted(piece.id for piece in pieces)
    for kind in ("text", "float"):
        ids = [piece.id for piece in pieces if piece.kind == kind]
        assert [name for name in made.order if name in ids] == ids
    assert [wide.id for wide in made.wides] == [p.id for p in pieces if p.kind == "wide"]


@given(st.lists(texts | floats | wides, max_size=25))
def test_page_wide_pieces_never_stand_before_their_place_and_never_overlap(
    kinds: list[tuple[str, float]],
) -> None:
    pieces = pieces_of(kinds)
    made = plan(pieces, SHEET, HEAD)
    starts = dict(fill(pieces, SHEET, HEAD, made))
    edges = [(wide.page, wide.edge) for wide in made.wides]
    assert len(edges) == len(set(edges))
    assert (1, "top") not in edges
    pages = [wide.page for wide in made.wides]
    assert pages == sorted(pages)
    for wide in made.wides:
        assert wide.page >= starts[wide.id] or len(made.wides) > 1


def test_text_fills_the_column_that_a_figure_does_not_fit_into() -> None:
    room = SHEET.depth - HEAD
    pieces = pieces_of([("text", room - 40), ("float", 60), ("text", 30), ("text", 30)])
    assert plan(pieces, SHEET, HEAD).order == ["b-0", "b-2", "b-3", "b-1"]


def test_the_last_page_turns_in_the_middle() -> None:
    kinds = [("float", 20.0)] * 10
    assert plan(pieces_of(kinds), SHEET, HEAD).turn == "b-5"
    # the first page takes two of 60 mm in each column of 178; then 2 × 60 stand beside 4 × 30
    kinds = [("float", 60.0)] * 6 + [("float", 30.0)] * 4
    assert plan(pieces_of(kinds), SHEET, HEAD).turn == "b-6"


def test_a_single_column_has_no_turn() -> None:
    assert plan(pieces_of([("text", 10.0)]), SHEET, HEAD).turn is None


def test_no_figure_stands_among_the_references() -> None:
    room = SHEET.depth - HEAD
    kinds = [("text", room - 20), ("float", 60), ("heading", 10), ("text", 5), ("text", 200)]
    order = plan(pieces_of(kinds), SHEET, HEAD).order
    assert order == ["b-0", "b-1", "b-2", "b-3", "b-4"]


def test_a_figure_that_fits_stays() -> None:
    pieces = pieces_of([("text", 20), ("float", 60), ("text", 30)])
    assert plan(pieces, SHEET, HEAD).order == ["b-0", "b-1", "b-2"]


def test_pages_begin_where_the_heights_say() -> None:
    column = SHEET.depth
    lines = column // SHEET.line * SHEET.line
    pieces = pieces_of([("text", lines), ("text", lines), ("text", 20)])
    assert [page for _, page in fill(pieces, SHEET, 0, Plan([]))] == [1, 1, 2]


def test_a_page_wide_piece_reserves_a_margin_and_is_met_on_its_page() -> None:
    pieces = pieces_of([("text", 100), ("wide", 60), *[("text", 90.0)] * 8])
    made = plan(pieces, SHEET, HEAD)
    assert made.margins == [(1, 0, 60)]
    starts = dict(fill(pieces, SHEET, HEAD, made))
    after = made.order[made.order.index("b-1") + 1]
    assert starts[after] == 1


def test_anchor_follows_the_pages_that_were_seen() -> None:
    pieces = pieces_of([("text", 50), ("wide", 60), ("text", 50), ("text", 50)])
    made = plan(pieces, SHEET, HEAD)
    anchor(made, made.wides[0], {"b-0": 2, "b-2": 2, "b-3": 1})
    assert made.order == ["b-0", "b-2", "b-1", "b-3"]
