"""A build ends soon, whatever the write-up or a figure asks for, and says where it went too far."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from research.errors import UserError
from research.records import Results, write_manifest
from research.report import Built, limits, pdf, vectors
from research.report.limits import TooMuch

ENDLESS = {
    "[" * 20_000: "a word of 20,000 letters",
    "$" + "{" * 10_000 + "x" + "}" * 10_000 + "$": "a word of 20,003 letters",
    "word " * 100_000: "a paper of three pages",
}


@pytest.mark.parametrize("text", ENDLESS, ids=[text[:24] for text in ENDLESS])
def test_a_text_without_end_is_refused_with_its_place(
    text: str, write: Callable[..., Built]
) -> None:
    with pytest.raises(UserError, match=r"^ae\.md(:9:1)?: ") as told:
        write(replace=("## Abstract\n", f"## Abstract\n\n{text}\n\n"))
    assert ENDLESS[text] in str(told.value)
    assert len(str(told.value)) < 400 and "\n" not in str(told.value)


def test_computing_without_end_is_ended() -> None:
    with pytest.raises(TooMuch, match="more than 1 s of computing"), limits.within(seconds=1):
        while True:
            pass


def test_memory_without_end_is_told() -> None:
    with pytest.raises(TooMuch, match="more than 1 GiB of memory"), limits.within(memory=1 << 30):
        bytearray(3 << 30)


def test_a_build_in_a_thread_has_no_clock() -> None:
    done: list[bool] = []

    def work() -> None:
        with limits.within():
            done.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [True]


# --- figures -------------------------------------------------------------------------------------

SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9">{}</svg>'
LAYERS = "".join(
    f'<g id="l{n + 1}">{f"<use href=#l{n}/>".replace("=#", "=*#").replace("/>", "*/>") * 10}</g>'
    for n in range(8)
).replace("*", '"')
BROKEN = {
    "nested": (SVG.format('<rect id="l0"/>' + LAYERS), r"draws \de\+08 elements|draws \d\.\de\+08"),
    "a circle": (SVG.format('<g id="a"><use href="#b"/></g><g id="b"><use href="#a"/></g>'),
                 "stands for itself"),
    "a mask in itself": (SVG.format('<g id="a" mask="url(#a)"/>'), "stands for itself"),
    "entities": ('<!DOCTYPE svg [<!ENTITY a "b">]>' + SVG.format("&a;"), "defines entities"),
    "cut": (SVG.format("<g>")[:-6], "no whole SVG"),
    "words": ("no figure at all", "no whole SVG"),
    "another": ("<html/>", "outermost element is <html>"),
    "deep": (SVG.format("<g>" * 5000 + "</g>" * 5000), "too deep"),
    "empty": ("", "no whole SVG"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_figure_is_told_by_name(name: str, tmp_path: Path) -> None:
    content, told = BROKEN[name]
    path = tmp_path / "maps.svg"
    path.write_text(content)
    with pytest.raises(UserError, match=rf"^figure 'maps' \(maps\.svg\).*{told}"):
        vectors.check("maps", path)


def test_a_whole_figure_is_none_of_these(record: Results) -> None:
    for path in (record.folder / "figures").glob("*.svg"):
        vectors.check(path.stem, path)


def test_a_build_names_the_broken_figure(record: Results, write: Callable[..., Built]) -> None:
    (record.folder / "figures/maps.svg").write_text("<svg")
    write_manifest(record.folder)
    with pytest.raises(UserError, match=r"figure 'maps' \(maps\.svg\) cannot be drawn") as told:
        write()
    assert "base64" not in str(told.value)


def test_what_the_engine_says_of_a_picture_names_it() -> None:
    pictures = ("iVBORw0KGgo=", "QkJC")
    html = "".join(f'<img id="i-{n}" src="data:image/png;base64,{n}">' for n in pictures)
    told = [pdf._figure(f"'data:image/png;base64,{n}'", html) for n in (*pictures, "AAAA")]
    assert told == ["figure 'iVBORw0KGgo='", "figure 'QkJC'", "a picture"]
    with pytest.raises(UserError, match=r"Failed to load image at figure 'b': $"):
        pdf._lay_out('<img id="i-b" src="data:image/png;base64,QkJC">', {})
