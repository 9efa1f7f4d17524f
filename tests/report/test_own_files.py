"""What an author writes beside words and numbers: titles, formulas, pictures."""

import base64
import hashlib
import html
import json
import re
from dataclasses import replace
from pathlib import Path

import pikepdf
import pytest
from PIL import Image

from research.errors import UserError
from research.report import Built, formulas, pictures
from research.report import source as texts
from research.report.layout import LOOKS
from research.verification import verify
from tests.samples import Speak

BODY = "\n## Abstract\n\nWords.\n\n## Body\n\nSee @sec:body. "
HEAD = "---\ntitle: T\n---\n" + BODY
SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="60" height="30"><rect width="60" height="30" '
    'fill="teal"/><text x="4" y="20">layer 7</text></svg>'
)


def page(built: Built) -> str:
    return built.html.read_text().split("<body")[1].split("<script")[0]


def fails(write: Speak, text: str) -> str:
    with pytest.raises(UserError) as caught:
        write(text)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Papers of one page are long enough here."""
    monkeypatch.setitem(LOOKS, "course", replace(LOOKS["course"], pages=(1, 3)))


# --- titles --------------------------------------------------------------------------------------


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("quotes", ["", "'"])
def test_titles_and_keywords_are_rendered_and_their_metadata_are_plain(
    write: Speak, quotes: str
) -> None:
    title = f"title: {quotes}An $\\ell_\\infty$ View, *Small* Nets & `code`{quotes}"
    built = write(f'---\n# a comment\n{title}\nkeywords: [pooling, "$k$-NN"]\n---\n{BODY}')
    shown = page(built)
    heading = re.search("<h1>(.*?)</h1>", shown)
    assert heading
    assert re.sub("<img[^>]*>", "#", heading[1]) == (
        "An # View, <em>Small</em> Nets &amp; <code>code</code>"
    )
    assert 'alt="\\ell_\\infty"' in heading[1]
    assert re.sub("<img[^>]*>", "#", shown).count("</b> pooling, #-NN</p>") == 1
    wanted = "An ℓ∞ View, Small Nets & code"
    assert built.provenance["title"] == wanted
    with pikepdf.open(built.pdf) as document:
        assert str(document.docinfo["/Title"]) == wanted
        assert str(document.docinfo["/Keywords"]) == "pooling, k-NN"
        with document.open_metadata() as metadata:
            assert metadata["dc:title"] == wanted
    assert verify.verify(built.pdf).problems == ()


def test_what_is_wrong_in_a_title_is_said(write: Speak) -> None:
    assert "the formula '\\foo' cannot" in fails(write, f"---\ntitle: A $\\foo$\n---\n{BODY}")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a, b", ("a", "b")),
        ("[a, b]", ("a", "b")),
        ("[\"a b\", 'it''s']", ("a b", "it's")),
        ("", ()),
        ("a [b], c", ("a [b]", "c")),
    ],
)
def test_keywords_are_listed_with_brackets_or_without(
    tmp_path: Path, text: str, words: tuple[str, ...]
) -> None:
    path = tmp_path / "ae.md"
    path.write_text(f"---\ntitle: T\nkeywords: {text}\n---\n")
    assert texts.read(path).keywords == words


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_write_up_of_another_encoding(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "ae.md"
    path.write_bytes("---\r\ntitle: Größe\r\n---\r\na\rb\x0bc\r\n".encode(encoding))
    source = texts.read(path)
    assert source.title == "Größe" and source.text == "\n\n\na b\x0bc\n"
    path.write_bytes("---\ntitle: Größe\n---\n".encode("latin-1"))
    with pytest.raises(UserError, match=r"ae\.md:2: text must be UTF-8, got the byte 0xF6"):
        texts.read(path)


# --- formulas ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tex", "said"),
    [
        (r"\foobar{x}", r"the TeX command '\foobar' is unknown"),
        (r"a \nicefrac{a}{b}", r"the TeX command '\nicefrac' is unknown"),
        (r"\label{eq:one} x", r"the TeX command '\label' is unknown"),
        (r"\frac{\norm{x}}{2}", r"the TeX command '\norm' is unknown"),
        (r"\text{a\_b}", r"the TeX command '\_' is unknown"),
        ("x_{i", "a '{' is not closed"),
        ("x}", "a '}' closes nothing"),
        ("}x{", "a '}' closes nothing"),
        (r"\begin{foo}x\end{foo}", "the environment 'foo' is unknown"),
        (r"\text{王小明}", "the mathematical font has no glyph for '王' (U+738B)"),
        ("x + 王", "the mathematical font has no glyph for '王'"),
        (r"\left( x", "cannot be set"),
    ],
)
@pytest.mark.parametrize("display", [False, True])
def test_what_would_be_printed_as_typed_is_refused(
    write: Speak, tex: str, said: str, display: bool
) -> None:
    mark = "$$" if display else "$"
    message = fails(write, f"{HEAD}\n\nA\nline {mark}x\n{tex}{mark} here.\n")
    assert re.match(r"ae\.md:14:\d: the formula 'x ", message)
    assert said in message


def test_formulas_of_the_write_ups_are_known() -> None:
    """Everything that our own papers set, and what an author may well use."""
    for path in sorted(Path(__file__).parents[2].glob("paper/*.md")):
        formulas.set_aside(
            path.read_text(), lambda tex, display: formulas.image(tex, display, 1000.0)
        )
    for tex in (
        r"\begin{cases} a & b \\ c & d \end{cases}", r"\begin{aligned} a &= b \\ c \end{aligned}",
        r"\|x\|_2 \{a\} \mathbb{R} \mathcal{L} \ell_\infty \operatorname{softmax}(x)",
        r"\hat{x} \bar{y} \tilde{z} \sqrt[3]{x} \binom{n}{k} \text{if } x \quad \ldots",
        r"\left\{ x \;\middle|\; y \right\}", r"\mathbf{x}^\top \boldsymbol{\theta}",
    ):  # fmt: skip
        assert formulas.image(tex, True, 1000.0).startswith("<p")


def test_a_formula_is_as_large_as_the_text_around_it() -> None:
    """In em: 9.5 pt in the PDF, more on a screen or in a title."""
    shown = formulas.image("x_i", False, 300.0)
    found = re.search(
        r'style="width:([\d.]+)em;height:([\d.]+)em;vertical-align:-([\d.]+)em"', shown
    )
    assert found
    source = re.search('base64,([^"]*)"', shown)
    assert source
    drawn = re.search(r'width="([\d.]+)" height="([\d.]+)"', base64.b64decode(source[1]).decode())
    assert drawn
    for em, pixels in zip(found.groups(), drawn.groups(), strict=False):
        assert float(em) * 9.5 / 0.75 == pytest.approx(float(pixels), rel=1e-3)
    css = Path(__file__).parents[2].joinpath("templates/screen.css").read_text()
    assert not re.search(r"\.tex \{[^}]*height", css), "an inline size is overridden by nothing"


# --- pictures ------------------------------------------------------------------------------------


@pytest.mark.usefixtures("short")
def test_a_picture_beside_the_write_up(write: Speak, tmp_path: Path) -> None:
    (tmp_path / "figs").mkdir()
    (tmp_path / "figs/own diagram.svg").write_text(SVG)
    Image.new("RGB", (4000, 1000), "red").save(tmp_path / "photo.png")
    Image.new("CMYK", (40, 20)).save(tmp_path / "print.jpg")
    text = (
        f"{HEAD}As @fig:own-diagram and @fig:photo show.\n"
        "\n![Of {parameters:.0f} weights, [see] $x^2$](<figs/own diagram.svg>)\n"
        '\n![K.](kernels){alt="a"}\n'
        '\n![A *photo*](photo.png "A red field"){.wide width=50%}\n\n![Print](print.jpg)\n'
        "\n```\n![code](none.svg)\n```\n"
    )
    built = write(text)
    shown = page(built)
    captions = [" ".join(html.unescape(re.sub("<[^>]*>", "", one)).split())
                for one in re.findall("<figcaption>(.*?)</figcaption>", shown)]  # fmt: skip
    assert captions == ["Figure 1. Of 1495 weights, [see]", "Figure 2. K.", "Figure 3. A photo",
                        "Figure 4. Print"]  # fmt: skip
    assert "As <a" in shown and ">Figure\u00a01</a> and" in shown and ">Figure\u00a03</a>" in shown
    assert 'alt="A red field"' in shown and 'alt="Of 1495 weights, [see] x^2"' in shown
    own = {one["name"]: one for one in built.provenance["pictures"]}
    assert set(own) == {"figs/own diagram.svg", "photo.png", "print.jpg"}
    for name, one in own.items():
        digest = hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()
        assert one["sha256"] == built.provenance["sources"][Path(name).name] == digest
    left, bottom, right, top = own["photo.png"]["rectangle"]
    assert right - left == pytest.approx(0.5 * (right - left) * 2)
    assert (right - left) / (top - bottom) == pytest.approx(4, rel=0.01)
    left, bottom, right, top = own["figs/own diagram.svg"]["rectangle"]
    assert right - left == pytest.approx(45, abs=0.5), "its own size: 60 CSS pixels"
    assert verify.verify(built.pdf).problems == (), "the 7 in the picture is the author's"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("none.svg", None, "there is no picture 'none.svg' beside the write-up"),
        ("x.gif", b"GIF89a", "a picture is .pdf, .svg, .png, .jpg, .jpeg, got 'x.gif'"),
        ("https://x.org/a.png", None, "got the address 'https://x.org/a.png'"),
        ("a.png", b"no picture", "the picture 'a.png' cannot be read"),
        ("a.svg", b"<svg", "the picture 'a.svg' is not SVG"),
        ("a.svg", b"<html/>", "its root is <html>"),
        ("a.svg", b'<svg width="1" height="1"><script>x</script></svg>', "holds a <script>"),
        ("a.svg", b'<svg width="1" height="1" onload="x()"/>', "runs something (onload)"),
        ("a.svg", b'<svg width="1" height="1"><image href="b.png"/></svg>', "loads 'b.png'"),
        ("a.svg", b'<svg xmlns:xlink="http://www.w3.org/1999/xlink" width="1" height="1">'
                  b'<use xlink:href="http://x.org/a.svg#b"/></svg>', "loads 'http://x.org/a.svg#b'"),
        ("a.svg", b'<svg width="1" height="1"><style>@import "x";</style></svg>', "in its <st"),
        ("a.svg", b'<svg width="1" height="1"><g style="fill:url(x#a)"/></svg>', "loads 'fill:u"),
        ("a.svg", b'<svg width="1" height="1"><foreignObject/></svg>', "holds a <foreignObject>"),
        ("a.svg", b'<!DOCTYPE svg [<!ENTITY a "b">]><svg>&a;</svg>', "declares entities"),
        ("a.svg", b"<svg/>", "has no size"),
    ],
)  # fmt: skip
def test_a_picture_that_cannot_be_printed_is_named_with_its_line(
    write: Speak, tmp_path: Path, name: str, content: bytes | None, said: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    message = fails(write, f"{HEAD}\n\n![Caption]({name})\n")
    assert message.startswith("ae.md:13:") and said in message


def test_a_picture_within_a_line_and_odd_attributes(write: Speak, tmp_path: Path) -> None:
    (tmp_path / "a.svg").write_text(SVG)
    assert "a picture is a paragraph of its own with a caption, got 'a.svg'" in fails(
        write, f"{HEAD}Words ![c](a.svg) here.\n"
    )
    assert "ae.md:13:4: a picture takes .wide, width=…, page=…, alt=…, got 'height=…'" in fails(
        write, f"{HEAD}\n\n![c](a.svg){{height=3%}}\n"
    )
    assert "ae.md:13:4: there is no picture 'b.svg'" in fails(
        write, f"{HEAD}\n\n![c](b.svg)\n\n![d](a.svg)\n"
    )


def test_the_pictures_that_a_text_names_are_found() -> None:
    text = '![a](a.svg)\n\n[b](b.html) ![](<c d.PDF>){page=2} ![e](e.png "E"){.wide} ![f](maps)'
    assert pictures.in_text(text) == ["a.svg", "c d.PDF", "e.png"]


def test_gradients_and_embedded_pixels_of_an_svg_are_fine(tmp_path: Path) -> None:
    (tmp_path / "a.svg").write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 96 48"><defs><linearGradient id="g"/>'
        '<style>.a { fill: url("#g") }</style></defs><rect fill="url(#g)"/>'
        '<image href="data:image/png;base64,AAAA"/><a href="https://x.org"/></svg>'
    )
    picture = pictures.read(tmp_path, "a.svg")
    assert (picture.width_mm, picture.height_mm) == pytest.approx((25.4, 12.7))
    assert json.dumps(picture.sha256)
