"""One decoding for all image files: as a viewer shows them, and nothing clipped."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from research.config import Data
from research.data import Dataset, load
from research.data.pixels import decode, is_image, read_rgb
from research.errors import UserError

RNG = np.random.default_rng(0)
NOISE = RNG.integers(0, 256, (5, 6, 3)).astype(np.uint8)
ORIENTATION = 0x0112


def seen(path: Path) -> Any:
    return np.asarray(read_rgb(path, "replace it"))


def tree(root: Path, images: list[tuple[str, Any]]) -> Dataset:
    """A set whose training images of class `a` are these, of file name and array or image."""
    for side in ("train", "test"):
        for name in "ab":
            (root / side / name).mkdir(parents=True)
            if (side, name) != ("train", "a"):
                Image.fromarray(NOISE).save(root / side / name / "x.png")
    for name, image in images:
        picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
        picture.save(root / "train/a" / name)
    return load(Data("folder", root))


def first(data: Dataset, index: int = 0) -> Any:
    return data.train.images[index].permute(1, 2, 0).numpy()


# --- orientation ---------------------------------------------------------------------------------

SHOWN = {  # what a viewer makes of the stored rows, by EXIF's definition of row 0 and column 0
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a),
}


@pytest.mark.parametrize("orientation", SHOWN)
@pytest.mark.parametrize("ending", ["png", "tif", "webp"])
def test_an_image_is_shown_upright(ending: str, orientation: int, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    Image.fromarray(NOISE).save(tmp_path / f"x.{ending}", exif=exif, lossless=True)
    assert (seen(tmp_path / f"x.{ending}") == SHOWN[orientation](NOISE)).all()


def test_orientations_that_exif_does_not_know_turn_nothing(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 9
    Image.fromarray(NOISE).save(tmp_path / "x.png", exif=exif)
    assert (seen(tmp_path / "x.png") == NOISE).all()


def test_turned_images_are_counted(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 3
    Image.fromarray(NOISE).save(tmp_path / "x.png", exif=exif)
    for name in "yz":
        (tmp_path / "s/train/a").mkdir(parents=True, exist_ok=True)
        (tmp_path / f"s/train/a/{name}.png").write_bytes((tmp_path / "x.png").read_bytes())
    for place in ("train/b", "test/a", "test/b"):
        (tmp_path / "s" / place).mkdir(parents=True)
        Image.fromarray(NOISE).save(tmp_path / "s" / place / "x.png")
    data = load(Data("folder", tmp_path / "s"))
    assert data.reading == "turned as their EXIF orientation says: 2 images"
    assert data.source.endswith(data.reading) and data.facts()["reading"] == data.reading


# --- transparency --------------------------------------------------------------------------------


def clear(mode: str, path: Path) -> None:
    """A left half that is transparent over noise, a right half that is opaque and red."""
    image = np.zeros((4, 4, 4), np.uint8)
    image[:, :2, :3] = RNG.integers(0, 256, (4, 2, 3))
    image[:, 2:] = (255, 0, 0, 255)
    picture = Image.fromarray(image)
    if mode == "P":
        picture = picture.quantize(16)
    elif mode == "tRNS":
        picture = Image.fromarray(np.where(image[..., 3:] == 0, 9, image)[..., :3])
        picture.save(path, transparency=(9, 9, 9))
        return
    elif mode == "LA":
        picture = picture.convert("LA")
    picture.save(path)


@pytest.mark.parametrize("mode", ["RGBA", "P", "tRNS", "LA"])
def test_transparent_pixels_are_white(mode: str, tmp_path: Path) -> None:
    clear(mode, tmp_path / "x.png")
    shown = seen(tmp_path / "x.png")
    assert (shown[:, :2] == 255).all()
    assert (shown[:, 2:] == ((76, 76, 76) if mode == "LA" else (255, 0, 0))).all()
    assert decode(tmp_path / "x.png", "").traits == {"transparent"}


def test_half_transparent_pixels_are_mixed_with_white(tmp_path: Path) -> None:
    Image.new("RGBA", (1, 1), (100, 0, 200, 51)).save(tmp_path / "x.png")
    assert seen(tmp_path / "x.png").tolist() == [[[224, 204, 244]]]  # 0.2 · c + 0.8 · 255


def test_an_opaque_alpha_channel_changes_nothing_and_is_not_told(tmp_path: Path) -> None:
    data = tree(tmp_path, [("x.png", Image.fromarray(NOISE).convert("RGBA"))])
    assert (first(data) == NOISE).all() and data.reading == ""


# --- more than 8 bits ----------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["png", "tif", "jp2"])
@pytest.mark.parametrize("reach", [(0, 65535), (0, 4095), (75, 1745), (30000, 30100)])
def test_16_bits_take_the_range_of_the_set(
    ending: str, reach: tuple[int, int], tmp_path: Path
) -> None:
    low, high = reach
    whole = RNG.integers(low, high + 1, (2, 5, 6)).astype(np.uint16)
    whole[0, 0, 0], whole[1, 0, 0] = low, high  # the ends are in two images, which share one scale
    images = [(f"{i}.{ending}", one) for i, one in enumerate(whole)]
    if ending == "jp2":
        images = [(name, Image.fromarray(one)) for name, one in images]
    data = tree(tmp_path, images)
    exact = (whole.astype(float) - low) / (high - low) * 255
    for index, wanted in enumerate(exact):
        assert (np.abs(first(data, index) - wanted[..., None]) <= 0.5).all()
    assert data.reading == (
        f"grey values of more than 8 bits (2 images) from {low:,} to {high:,} taken to 0 to 255"
    )


@pytest.mark.parametrize("dtype", [">u2", "<u2", "<i2", "<i4", "<u4", "<f4"])
def test_every_kind_of_number_in_a_tiff(dtype: str, tmp_path: Path) -> None:
    import tifffile

    ends = {"u": (10, 60000), "i": (-1024, 3071), "f": (-0.25, 1.5)}[dtype[1]]
    if dtype == "<u4":
        ends = (10, 4_000_000_000)
    values = np.linspace(*ends, 30).reshape(5, 6).astype(dtype)
    tifffile.imwrite(tmp_path / "x.tif", values, byteorder=">" if dtype[0] == ">" else "<")
    exact = (values.astype(float) - ends[0]) / (ends[1] - ends[0]) * 255
    assert np.abs(seen(tmp_path / "x.tif") - exact[..., None]).max() <= 0.51


def test_floats_and_whole_numbers_have_a_scale_each(tmp_path: Path) -> None:
    floats = np.linspace(0, 1, 30, dtype=np.float32).reshape(5, 6)
    whole = np.linspace(0, 1000, 30).reshape(5, 6).astype(np.uint16)
    data = tree(tmp_path, [("0.tif", floats), ("1.png", whole), ("2.png", NOISE)])
    assert (first(data, 0).min(), first(data, 0).max()) == (0, 255)
    assert (first(data, 1).min(), first(data, 1).max()) == (0, 255)
    assert (first(data, 2) == NOISE).all()
    assert "floating-point grey values (1 image) from 0 to 1 taken to 0 to 255" in data.reading


def test_a_turned_16_bit_image(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    values = np.arange(0, 30000, 1000, dtype=np.uint16).reshape(5, 6)
    Image.fromarray(values).save(tmp_path / "x.png", exif=exif)
    exact = np.rot90(values, -1) / 29000 * 255
    assert np.abs(seen(tmp_path / "x.png")[..., 0] - exact).max() <= 0.5


def test_a_16_bit_image_of_one_value_stays_one(tmp_path: Path) -> None:
    data = tree(tmp_path, [("x.png", np.full((5, 6), 700, np.uint16))])
    assert len(np.unique(first(data))) == 1


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_values_that_are_no_numbers_are_refused(wrong: float, tmp_path: Path) -> None:
    values = np.full((5, 6), 0.5, np.float32)
    values[2, 2] = wrong
    with pytest.raises(UserError, match=r"x\.tif cannot be read.*not finite numbers"):
        tree(tmp_path, [("x.tif", values)])


def test_16_bit_colour_is_read_by_its_upper_half_or_refused(tmp_path: Path) -> None:
    full = RNG.integers(0, 65536, (5, 6, 3)).astype(np.uint16)
    _colour16(tmp_path / "full.png", full)
    assert (seen(tmp_path / "full.png") == full >> 8).all()
    assert decode(tmp_path / "full.png", "").traits == {"halved"}
    (tmp_path / "dark").mkdir()
    for side in ("train", "test"):
        for name in "ab":
            (tmp_path / "dark" / side / name).mkdir(parents=True)
            _colour16(tmp_path / "dark" / side / name / "x.png", full // 40)
    with pytest.raises(UserError, match=r"4 colour images have 16 bits a channel.*only 7 of 256"):
        load(Data("folder", tmp_path / "dark"))


def _colour16(path: Path, values: Any) -> None:
    """A PNG of 16 bits a channel, which Pillow does not write."""
    import struct
    import zlib

    height, width, _ = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    chunks = {
        b"IHDR": struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0),
        b"IDAT": zlib.compress(rows),
        b"IEND": b"",
    }
    content = b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks.items()
    )
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + content)


# --- kinds ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "ending"),
    [
        ("1", "png"), ("L", "png"), ("P", "gif"), ("RGB", "bmp"), ("RGB", "ppm"), ("RGB", "tga"),
        ("CMYK", "tif"), ("YCbCr", "jpg"), ("RGB", "qoi"), ("RGB", "jp2"), ("L", "pgm"),
        ("RGB", "sgi"), ("RGB", "pcx"), ("RGB", "dds"), ("RGB", "ico"),
    ],
)  # fmt: skip
def test_what_pillow_reads_is_read(mode: str, ending: str, tmp_path: Path) -> None:
    picture = Image.fromarray(NOISE).resize((16, 16)).convert(mode)
    picture.save(tmp_path / f"x.{ending}")
    with Image.open(tmp_path / f"x.{ending}") as image:
        assert (seen(tmp_path / f"x.{ending}") == np.asarray(image.convert("RGB"))).all()
    assert is_image(tmp_path / f"x.{ending}")


def test_lab_colours_are_those_that_were_meant(tmp_path: Path) -> None:
    Image.new("LAB", (2, 2), (255, 128, 128)).save(tmp_path / "x.tif")  # L = 100, a = b = 0
    assert seen(tmp_path / "x.tif").min() > 250


def test_the_first_of_several_frames_is_read_and_told(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (6, 5), colour) for colour in ("red", "lime", "blue")]
    for name in ("x.gif", "x.tif"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
        assert (seen(tmp_path / name) == (255, 0, 0)).all()
        assert decode(tmp_path / name, "").traits == {"frames"}


def test_the_name_s_ending_does_not_matter(tmp_path: Path) -> None:
    Image.fromarray(NOISE).save(tmp_path / "x.png")
    content = (tmp_path / "x.png").read_bytes()
    for name in ("y", "y.dat", "y.JPG", "y.txt"):
        (tmp_path / name).write_bytes(content)
        assert is_image(tmp_path / name)
        assert (seen(tmp_path / name) == NOISE).all()


@pytest.mark.parametrize("content", [b"", b"text\n", b"#define x 1\n", bytes(64), b"%!PS-Adobe"])
def test_other_files_are_no_images(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.dat").write_bytes(content)
    assert not is_image(tmp_path / "x.dat")


def test_all_damaged_files_are_told_at_once(tmp_path: Path) -> None:
    tree(tmp_path, [(f"{i}.png", NOISE) for i in range(6)])
    for i in range(5):
        (tmp_path / f"train/a/{i}.png").write_bytes(b"" if i % 2 else b"no image")
    with pytest.raises(UserError) as caught:
        load(Data("folder", tmp_path))
    message = str(caught.value)
    assert message.startswith("5 files cannot be read:") and message.endswith("; and 2 more")
    assert all(f"{i}.png cannot be read as an image" in message for i in range(3))
