"""Letters that the paper's font lacks come from another font, or a line says which to install."""

import io
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from fontTools.ttLib import TTFont

from research import fonts
from research.errors import UserError


def make_font(path: Path, letters: str) -> Path:
    """A font whose letters are boxes, each of a width of its own."""
    names = {letter: f"u{ord(letter):04X}" for letter in letters}
    pen = TTGlyphPen(None)
    for point in ((0, 0), (0, 700), (500, 700), (500, 0)):
        (pen.moveTo if point == (0, 0) else pen.lineTo)(point)
    pen.closePath()
    glyph = pen.glyph()
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder([".notdef", *names.values()])
    builder.setupCharacterMap({ord(letter): name for letter, name in names.items()})
    builder.setupGlyf(dict.fromkeys((".notdef", *names.values()), glyph))
    builder.setupHorizontalMetrics(dict.fromkeys((".notdef", *names.values()), (600, 0)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": "Boxes", "styleName": "Regular"})
    builder.setupOS2(sTypoAscender=800, sTypoDescender=-200)
    builder.setupPost()
    path.parent.mkdir(parents=True, exist_ok=True)
    builder.save(path)
    return path


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A machine without any font but those that are always there, and a folder for more."""
    monkeypatch.setattr(fonts, "_packaged", lambda: ())
    monkeypatch.setattr(fonts, "_installed", lambda: tuple(sorted((tmp_path / "f").glob("*"))))
    fonts._faces.cache_clear()
    yield tmp_path / "f"
    fonts._faces.cache_clear()


@pytest.mark.parametrize(
    "text", ["plain", "Nguyễn Thị Ánh", "محمد", "שלום", "Ђорђе", "Ἀθῆναι", "é", "a\u200db\ufe0f"]
)
@pytest.mark.usefixtures("elsewhere")
def test_most_alphabets_need_no_other_font(text: str) -> None:
    assert fonts.faces(text) == ()


def test_the_paper_s_own_font_goes_first() -> None:
    assert fonts.within("Ada", 1) and not fonts.within("ễ", 1) and fonts.within("ễ")


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize(
    ("text", "named", "package"),
    [
        ("日本", "'日' (U+65E5), '本' (U+672C)", "pip install noto-cjk-sans-jp-regular, or"),
        ("한국", "(U+AD6D)", "apt install fonts-noto-cjk;"),
        ("ไทย", "'ท' (U+0E17)", "pip install manimgx-fonts, or"),
        ("日ไ", "(U+0E44)", "pip install manimgx-fonts noto-cjk-sans-jp-regular, or"),
        ("日本語文字", "and 2 more letters", "fonts-noto-cjk"),
    ],
)
def test_one_line_says_which_to_install(text: str, named: str, package: str) -> None:
    with pytest.raises(UserError) as caught:
        fonts.require(["cat", text], "the names of the classes")
    line = str(caught.value)
    assert line.startswith("the names of the classes: no font here has")
    assert named in line and package in line and "\n" not in line


def test_a_font_of_the_system_is_cut_to_what_is_needed(elsewhere: Path) -> None:
    make_font(elsewhere / "Boxes.ttf", "日本語文字")
    (face,) = fonts.faces("日本 a")
    assert set(TTFont(io.BytesIO(face.content)).getBestCmap()) == {*map(ord, "日本")}
    assert TTFont(face.path)["name"].getDebugName(1) == face.family
    assert fonts.faces("a 本日") == (face,)  # the same letters, the same font


def test_the_fewest_fonts_and_no_broken_ones(elsewhere: Path) -> None:
    make_font(elsewhere / "a.ttf", "日")
    make_font(elsewhere / "b.ttf", "日本")
    make_font(elsewhere / "c.ttf", "語")
    (elsewhere / "d.ttf").write_bytes(b"no font")
    known = [set(map(chr, TTFont(f.path).getBestCmap())) for f in fonts.faces("日本語")]
    assert known == [{"日", "本"}, {"語"}]


def test_fonts_of_packages_are_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    make_font(tmp_path / "noto_boxes/NotoBoxes-Regular.ttf", "日")
    info = tmp_path / "noto_boxes-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: noto-boxes\nVersion: 1.0\n")
    (info / "RECORD").write_text("noto_boxes/NotoBoxes-Regular.ttf,,\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert tmp_path / "noto_boxes/NotoBoxes-Regular.ttf" in fonts._packaged.__wrapped__()
    shutil.rmtree(info)


def test_marks_are_asked_for_too(elsewhere: Path) -> None:
    """The virama of Devanagari is a mark, and no letter of the others."""
    make_font(elsewhere / "a.ttf", "नमसते")
    with pytest.raises(UserError, match=r"U\+094D"):
        fonts.faces("नमस्ते")


def shapes(figure: Any, folder: Path) -> str:
    from research import figures

    figures.save(figure, folder / "x")
    return (folder / "x.svg").read_text()


def test_figures_take_the_same_fonts(elsewhere: Path, tmp_path: Path) -> None:
    from research import figures

    def titled(text: str) -> Any:
        with figures.style():
            figure = figures.canvas(40, 30)
            figure.subplots().set_title(text)
        return figure

    with pytest.raises(UserError, match="no font here has '日'"):
        shapes(titled("日"), tmp_path)
    make_font(elsewhere / "Boxes.ttf", "日")
    fonts._faces.cache_clear()
    assert shapes(titled("日"), tmp_path) != shapes(titled("a"), tmp_path)
