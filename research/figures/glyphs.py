"""Text in SVG pictures as one path per line instead of one element per letter.

A PDF engine spends about a millisecond on each element. The seven figures of a write-up hold 1,600
letters, which cost more than the layout of the text around them.
"""

import re
from xml.etree import ElementTree

_SVG, _XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
_HREF = f"{{{_XLINK}}}href"
_GLYPH_SCALE = "scale(0.015625)"  # matplotlib's outlines have 64 units where the text has one
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e-?\d+)?")


def joined(svg: bytes) -> bytes:
    """The picture that matplotlib wrote, with the letters of each line of text in one path."""
    ElementTree.register_namespace("", _SVG)
    ElementTree.register_namespace("xlink", _XLINK)
    root = ElementTree.fromstring(svg)
    glyphs = {
        f"#{path.get('id')}": path.get("d", "")
        for path in root.iter(f"{{{_SVG}}}path")
        if path.get("transform") == _GLYPH_SCALE
    }
    for group in list(root.iter(f"{{{_SVG}}}g")):
        letters = [use for use in group.findall(f"{{{_SVG}}}use") if use.get(_HREF) in glyphs]
        if letters:
            outline = " ".join(_placed(glyphs[use.attrib[_HREF]], use) for use in letters)
            for child in (*letters, *group.findall(f"{{{_SVG}}}defs")):
                group.remove(child)
            ElementTree.SubElement(group, f"{{{_SVG}}}path", {"d": outline})
    return bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True))


def _placed(outline: str, use: ElementTree.Element) -> str:
    """A glyph's outline, x and y in turn, where and as large as its `use` element draws it."""
    given = dict(re.findall(r"(translate|scale)\(([^)]*)\)", use.get("transform", "")))
    x, y = (*map(float, given.get("translate", "0").split()), 0.0)[:2]
    size = float(given.get("scale", "1").split()[0]) / 64
    count = 0

    def place(number: re.Match[str]) -> str:
        nonlocal count
        count += 1
        # a tenth is 1/100 of a pixel in text of 8 points
        return f"{float(number[0]) * size + (x if count % 2 else y):.1f}"

    return _NUMBER.sub(place, outline)
