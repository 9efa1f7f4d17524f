"""Pages as pictures: PDFium's drawing of each page as a coarse raster of greys.

What a page's operators are is one question and what a viewer makes of them another: a picture finds
what is read differently by the libraries that check a paper. It is compared with a tolerance, so
that another version of PDFium, which smooths edges in another way, sees the same page; a character
that changed is found by other means.
"""

import base64
import zlib
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from research.provenance.container import Refused

SIDE = 6
"""points of a cell's side"""
SCALE = 2
"""pixels of a point"""
LEVELS = 15
"""steps of grey from black to white"""
POINTS_LIMIT = 72 * 40
"""width and height of a page that is drawn at most"""

CELL = 40 / 255
"""By which a cell's grey may differ, of black to white. Another renderer (MuPDF) differs by 27/255
at most on papers of ours, the rounding to levels by 9/255; a removed curve by more than 100/255."""
PAGE = 6 / 255
"""By which the cells of a page may differ on average; MuPDF's by 1.5/255."""

Greys = npt.NDArray[np.uint8]


def pictures(content: bytes) -> list[Greys]:
    """Each page as greys from 0 (black) to `LEVELS`, (rows, columns).

    Raises:
        Refused: a page is too large.
    """
    import pypdfium2

    document = pypdfium2.PdfDocument(content)
    try:
        return [_greys(document[number], number + 1) for number in range(len(document))]
    finally:
        document.close()


def _greys(page: object, number: int) -> Greys:
    if max(page.get_size()) > POINTS_LIMIT:  # type: ignore[attr-defined]
        raise Refused(f"page {number} is larger than {POINTS_LIMIT / 72:.0f} inches")
    drawn = page.render(scale=SCALE, grayscale=True).to_numpy()  # type: ignore[attr-defined]
    pixels = drawn.reshape(drawn.shape[:2]).astype(np.float32)
    side = SIDE * SCALE
    height, width = pixels.shape
    more = ((0, -height % side), (0, -width % side))
    whole = np.pad(pixels, more, constant_values=255)
    cells = whole.reshape(whole.shape[0] // side, side, -1, side).mean((1, 3))
    return np.asarray(np.rint(cells / 255 * LEVELS), np.uint8)


def packed(greys: Greys) -> str:
    """As the record keeps it: rows, columns and the levels, deflated."""
    rows, columns = greys.shape
    return f"{rows} {columns} {base64.b64encode(zlib.compress(greys.tobytes(), 9)).decode()}"


def unpacked(text: str) -> Greys:
    """What `packed` packed. Raises Refused where it is something else."""
    try:
        rows, columns, content = text.split(" ")
        count = int(rows) * int(columns)
        if not 0 < count <= (POINTS_LIMIT // SIDE + 1) ** 2:
            raise ValueError("it is of no size")
        levels = zlib.decompressobj().decompress(base64.b64decode(content), count)
        return np.frombuffer(levels, np.uint8).reshape(int(rows), int(columns))
    except (ValueError, zlib.error) as error:
        raise Refused(f"a picture of a page in its record cannot be unpacked ({error})") from None


def changes(built: Sequence[str], now: Sequence[Greys]) -> Iterator[tuple[int, str]]:
    """(page, what) for each page that does not look as it was built."""
    for number, (text, picture) in enumerate(zip(built, now, strict=False), start=1):
        former = unpacked(text)
        if former.shape != picture.shape:
            yield number, "is of another size than it was built"
            continue
        apart = np.abs(former.astype(float) - picture) / LEVELS
        wrong = apart > CELL
        if wrong.any() or apart.mean() > PAGE:
            row, column = np.argwhere(apart == apart.max())[0]
            x, y = (int(place * SIDE * 25.4 / 72) for place in (column, row))
            yield (
                number,
                (
                    f"does not look as it was built: {np.count_nonzero(wrong)} places of it, "
                    f"most of all {x} mm from the left and {y} mm from the top"
                ),
            )
