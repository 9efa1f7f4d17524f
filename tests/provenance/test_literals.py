import pytest

from research.provenance.literals import numbers, result_like, untracked


@pytest.mark.parametrize(
    "text",
    ["conv1 and CIFAR-10", "an A4 page", "t-SNE", "in 2016 (2009–2014)", "ResNet-18v2.", "x2, y3"],
)
def test_names_and_years_are_allowed(text: str) -> None:
    assert numbers(text) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("reaches 0.0123 now", ["0.0123"]),
        ("1,495 parameters", ["1,495"]),
        ("95 % of 32×32", ["95", "32", "32"]),
        ("MSE-3.5", ["3.5"]),
        ("conv1.5", ["1.5"]),
        ("10k and 3D", ["10", "3"]),
        ("2016.5 and 12016", ["2016.5", "12016"]),
        ("−2016", ["2016"]),
        ("½ of it", ["½"]),
        ("5.", ["5"]),
    ],
)
def test_numbers_are_found(text: str, found: list[str]) -> None:
    assert numbers(text) == found


def test_tracked_and_made_elements_are_skipped() -> None:
    html = (
        '<p>A <span class="v" id="v-1">1 <sup>2</sup></span> <a class="auto">Figure 3</a> '
        "<code>x = 4</code> <img alt='5'><b>six</b></p><p>then <em>7</em> left</p>"
    )
    assert untracked(html) == [("7", "then 7 left")]


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("97.7", True), ("97.71 %", True), ("0.312", True), ("1.52e-3", True), ("97 %", True),
        ("\u22120.312", True), ("12 per cent", True), ("1,234", True), ("from 0.5 to 0.725", True),
        ("95 %", False), ("95\u00a0%", False), ("99 %", False), ("0.9", False), ("0.0005", False),
        ("1e-8", False), ("256", False), ("4096", False), ("1,000", False), ("95th", False),
        ("1/8", False), ("/255", False), ("30°", False), ("half", False),
    ],
)  # fmt: skip
def test_what_looks_like_a_result(text: str, result: bool) -> None:
    assert result_like(text) == result
