"""Pictures of the author's, beside the write-up: `![caption](file.svg)` as a paragraph of its own.

SVG, PNG, JPEG or a page of a PDF. A picture must hold all that it shows: what an SVG would load or
run is refused.
"""

import base64
import io
import re
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from research import text as texts
from research.errors import UserError
from research.provenance.trail import sha256_of
from research.report.source import slug

KINDS = {
    ".pdf": "application/pdf",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
}
LIMIT = 8_000_000
"""Bytes of a picture at most, which stands in the PDF and in the HTML."""

_ADDRESS = re.compile(r"\]\(<?([^()<>]+?)>?(?:\s+\"[^\"]*\")?\)")
_LENGTH = re.compile(r"\s*(\d*\.?\d+)\s*(px|mm|cm|in|pt|pc|em|ex|)\s*")
_UNITS = {"px": 25.4 / 96, "": 25.4 / 96, "mm": 1.0, "cm": 10.0, "in": 25.4, "pt": 25.4 / 72,
          "pc": 25.4 / 6, "em": 25.4 / 6, "ex": 25.4 / 12}  # fmt: skip


@dataclass(frozen=True)
class Picture:
    """A picture that was read.

    Attributes:
        path: as the write-up calls it.
        source: the picture as an address that holds it.
        width_mm, height_mm: its own size.
    """

    path: str
    sha256: str
    source: str
    width_mm: float
    height_mm: float

    @property
    def name(self) -> str:
        """By which the text refers to it."""
        return slug(Path(self.path).stem) or "picture"

    def size(self, width: float) -> str:
        """Width and height as CSS has them, for a width in millimetres."""
        return f"width:{width:.2f}mm;height:{width * self.height_mm / self.width_mm:.2f}mm"


# --- in the write-up -----------------------------------------------------------------------------


def in_text(text: str) -> list[str]:
    """The files of a write-up's pictures, as it calls them."""
    return [match[1] for match in _ADDRESS.finditer(text) if Path(match[1]).suffix.lower() in KINDS]


# --- files ---------------------------------------------------------------------------------------


def read(folder: Path, path: str, page: int = 1) -> Picture:
    """A picture beside a write-up; of a PDF one page.

    Raises:
        UserError: no such file, of another kind or too large, one that cannot be read, or one that
            would load something or run.
    """
    if re.match(r"[a-z][a-z0-9+.-]*:|//", path, re.IGNORECASE):
        raise UserError(f"a picture lies beside the write-up, got the address '{path}'; save it")
    file = folder / path
    kind = KINDS.get(file.suffix.lower())
    if kind is None:
        raise UserError(f"a picture is {', '.join(KINDS)}, got '{path}'; convert it")
    if not file.is_file():
        raise UserError(f"there is no picture '{path}' beside the write-up")
    content = file.read_bytes()
    if len(content) > LIMIT:
        raise UserError(f"a picture may have at most {LIMIT // 10**6} MB, '{path}' has more")
    if kind == "image/svg+xml":
        size = _of_svg(content, path)
    elif kind == "application/pdf":
        size, content, kind = _of_page(content, path, page)
    else:
        size, content, kind = _of_pixels(content, path, kind)
    source = f"data:{kind};base64,{base64.b64encode(content).decode()}"
    return Picture(path, sha256_of(file.read_bytes()), source, *size)


def _of_pixels(content: bytes, path: str, kind: str) -> tuple[tuple[float, float], bytes, str]:
    """Size in millimetres at 96 pixels an inch, and the picture as the PDF can hold it."""
    from PIL import Image, ImageOps

    try:
        with Image.open(io.BytesIO(content)) as image:
            upright = ImageOps.exif_transpose(image)
            odd = image.mode not in ("1", "L", "LA", "P", "RGB", "RGBA")
            if odd or upright.size != image.size or image.getexif():
                upright.convert("RGB").save(out := io.BytesIO(), "png")
                content, kind = out.getvalue(), "image/png"
            upright.load()
            width, height = upright.size
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UserError(f"the picture '{path}' cannot be read ({error}); save it anew") from None
    return (width * _UNITS["px"], height * _UNITS["px"]), content, kind


PDF_DPI = 300
"""Pixels an inch at which the page of a PDF is drawn, which is what printers resolve."""


def _of_page(content: bytes, path: str, page: int) -> tuple[tuple[float, float], bytes, str]:
    """Size in millimetres and the page as PNG."""
    import pypdfium2

    try:
        with pypdfium2.PdfDocument(content) as document:
            if not 1 <= page <= len(document):
                pages = f"{len(document)} page{'s' * (len(document) > 1)}"
                raise UserError(f"the picture '{path}' has {pages}, got page {page}")
            sheet = document[page - 1]
            width, height = sheet.get_size()
            sheet.render(scale=PDF_DPI / 72).to_pil().save(out := io.BytesIO(), "png")
    except pypdfium2.PdfiumError as error:
        raise UserError(f"the picture '{path}' cannot be read ({error}); save it anew") from None
    return (width * _UNITS["pt"], height * _UNITS["pt"]), out.getvalue(), "image/png"


def _of_svg(content: bytes, path: str) -> tuple[float, float]:
    """Size in millimetres. Raises UserError for what is no SVG, or more than a drawing."""
    text = texts.decoded(content, path)
    if re.search(r"<!(?:DOCTYPE[^>]*\[|ENTITY)", text):
        raise UserError(f"the picture '{path}' declares entities; save it as plain SVG")
    try:
        root = ElementTree.fromstring(text.encode() if "encoding" not in text[:100] else content)
    except ElementTree.ParseError as error:
        raise UserError(f"the picture '{path}' is not SVG: {error}") from None
    if root.tag.rpartition("}")[2] != "svg":
        raise UserError(f"the picture '{path}' is not SVG: its root is <{root.tag}>")
    for element in root.iter():
        _check(element, path)
    return _size(root, path)


_ACTIVE = ("script", "foreignObject", "iframe", "audio", "video", "handler", "set", "animate",
           "animateMotion", "animateTransform")  # fmt: skip
_LOADED = re.compile(r"@import|url\(\s*['\"]?\s*(?!#|data:image/|['\"])", re.IGNORECASE)


def _check(element: ElementTree.Element, path: str) -> None:
    kind = str(element.tag).rpartition("}")[2]
    if kind in _ACTIVE:
        raise UserError(f"the picture '{path}' holds a <{kind}>; save it as plain SVG")
    for key, value in element.attrib.items():
        name = key.rpartition("}")[2].lower()
        if name.startswith("on"):
            raise UserError(f"the picture '{path}' runs something ({name}); save it as plain SVG")
        outside = name == "href" and not re.match(r"#|data:image/(?!svg)", value.strip())
        if (kind != "a" and outside) or _LOADED.search(value):
            raise UserError(f"the picture '{path}' loads '{value[:60]}'; put it into the file")
    if kind == "style" and _LOADED.search(element.text or ""):
        raise UserError(f"the picture '{path}' loads something in its <style>; put it in the file")


def _size(root: ElementTree.Element, path: str) -> tuple[float, float]:
    """By its width and height, else by its viewBox in pixels."""
    sides = [_LENGTH.fullmatch(root.get(side, "")) for side in ("width", "height")]
    if all(sides):
        size = [float(side[1]) * _UNITS[side[2]] for side in sides if side]
    else:
        box = re.split(r"[\s,]+", root.get("viewBox", "").strip())
        try:
            size = [float(side) * _UNITS["px"] for side in box[2:4]]
        except ValueError:
            size = []
    if len(size) != 2 or min(size) <= 0:
        raise UserError(
            f"the picture '{path}' has no size: give it a width and height or a viewBox"
        )
    return size[0], size[1]
