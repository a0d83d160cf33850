"""One policy for every picture that comes in; damaged and absurd ones are errors that name the file."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from minigemini import media
from minigemini.media import open_image
from minigemini.model import image_processing_minigemini as processing

RGB = np.random.default_rng(0).integers(0, 256, (13, 29, 3), dtype=np.uint8)
SIDEWAYS = Image.Exif()
SIDEWAYS[0x0112] = 6  # turn by 90 degrees to see it upright


def saved(image, path, **options):
    image.save(path, **options)
    return path


@pytest.mark.parametrize(
    ("mode", "suffix"),
    [
        ("RGB", "png"),
        ("L", "png"),
        ("LA", "png"),
        ("RGBA", "png"),
        ("P", "png"),
        ("1", "png"),
        ("P", "gif"),
        ("L", "jpg"),
        ("CMYK", "jpg"),
        ("CMYK", "tif"),
        ("LAB", "tif"),
    ],
)
def test_pictures_of_any_mode_become_rgb(tmp_path, mode, suffix):
    image = Image.fromarray(RGB)
    if mode != "LAB":
        image = image.convert(mode)
        expected = np.asarray(image.convert("RGB"))
    else:
        image, expected = Image.new("LAB", (29, 13), (255, 128, 128)), np.full((13, 29, 3), 255)
    opened = open_image(saved(image, tmp_path / f"a.{suffix}"))
    assert (opened.mode, opened.size) == ("RGB", (29, 13))
    if suffix != "jpg":
        assert np.abs(np.asarray(opened).astype(int) - expected).max() <= 1


def test_bytes_are_opened_as_their_file(tmp_path):
    file = saved(Image.fromarray(RGB), tmp_path / "a.png")
    assert np.array_equal(np.asarray(open_image(file.read_bytes())), RGB)
    with pytest.raises(ValueError, match=r"^row 5: not a picture \(PNG"):
        open_image(b"?", "row 5")


def test_what_is_transparent_lies_on_white(tmp_path):
    image = Image.new("RGBA", (2, 1), (255, 0, 0, 255))
    image.putpixel((1, 0), (0, 0, 0, 0))
    palette = image.convert("RGB").quantize(2)
    black = palette.getpixel((1, 0))
    for file in (saved(image, tmp_path / "a.png"), saved(palette, tmp_path / "b.png", transparency=black)):
        assert [open_image(file).getpixel((x, 0)) for x in (0, 1)] == [(255, 0, 0), (255, 255, 255)]


def test_deep_greys_are_scaled_and_not_clipped(tmp_path):
    sixteen = Image.fromarray(np.array([[0, 257 * 100, 65535]], dtype=np.uint16))
    thirty_two = Image.fromarray(np.array([[0, 257 * 100, 65535]], dtype=np.int32))
    floating = Image.fromarray(np.array([[0, 100 / 255, 1]], dtype=np.float32))
    for name, image in (("a.png", sixteen), ("a.tif", sixteen), ("b.tif", thirty_two), ("c.tif", floating)):
        opened = open_image(saved(image, tmp_path / name))
        assert [opened.getpixel((x, 0)) for x in range(3)] == [(0,) * 3, (100,) * 3, (255,) * 3]


@pytest.mark.parametrize("value", [-0.5, 1.5, float("nan")])
def test_greys_of_no_known_range_are_refused(tmp_path, value):
    file = saved(Image.fromarray(np.array([[0, value]], dtype=np.float32)), tmp_path / "a.tif")
    with pytest.raises(ValueError, match=r"a\.tif: a broken picture \(greys from .* 0 to 1 can be read"):
        open_image(file)


def test_a_photo_is_turned_upright(tmp_path):
    assert open_image(saved(Image.fromarray(RGB), tmp_path / "a.jpg", exif=SIDEWAYS)).size == (13, 29)


def test_an_animation_is_its_first_frame(tmp_path):
    first, second = Image.new("RGB", (4, 4), "red"), Image.new("RGB", (4, 4), "blue")
    for suffix in ("gif", "png"):
        first.save(tmp_path / f"a.{suffix}", save_all=True, append_images=[second])
        assert open_image(tmp_path / f"a.{suffix}").getpixel((0, 0)) == (255, 0, 0)


@pytest.mark.parametrize("place", ["before", "after"])
def test_text_in_a_png_is_passed_over(tmp_path, place):
    """More of it than Pillow reads; and which way is up is still known from where ImageMagick writes it."""
    text = PngInfo()
    text.add_text("workflow", "x" * 3_000_000, zip=True)
    image = Image.fromarray(RGB)
    image.save(tmp_path / "a.png", pnginfo=text)
    whole = (tmp_path / "a.png").read_bytes()
    if place == "after":  # behind the pixels, where it is read when they are decoded
        start = whole.index(b"zTXt") - 4
        end = start + 12 + int.from_bytes(whole[start : start + 4], "big")
        (tmp_path / "a.png").write_bytes(whole[:start] + whole[end:-12] + whole[start:end] + whole[-12:])
    with pytest.raises(ValueError, match="too large"), Image.open(tmp_path / "a.png") as plain:
        plain.load()
    assert np.array_equal(np.asarray(open_image(tmp_path / "a.png")), RGB)
    packet = '<x:xmpmeta xmlns:x="adobe:ns:meta/" xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/>'
    turned = PngInfo()
    turned.add_itxt("XML:com.adobe.xmp", packet)
    assert open_image(saved(image, tmp_path / "b.png", pnginfo=turned)).size == (13, 29)


def test_limits_come_before_decoding(tmp_path):
    large = saved(Image.new("RGB", (30, 30)), tmp_path / "large.png")
    with pytest.raises(ValueError, match=r"large\.png: 30x30 pixels are more than 899"):
        open_image(large, max_pixels=899)
    thin = saved(Image.new("RGB", (402, 2)), tmp_path / "thin.png")
    with pytest.raises(ValueError, match=r"thin\.png: 402x2 pixels; a side may be 200 times"):
        open_image(thin)
    long = saved(Image.new("1", (16385, 100)), tmp_path / "long.png")
    with pytest.raises(ValueError, match=r"long\.png: 16385x100 pixels; a side may have 16,384"):
        open_image(long)
    assert open_image(saved(Image.new("1", (16384, 100)), tmp_path / "longest.png")).size == (16384, 100)


def test_what_is_opened_the_processor_takes_and_sees_alike(tmp_path):
    """The model's code stands alone, so the policy is written there again."""
    assert (media.LONGEST_SIDE, media.LONGEST_TO_SHORTEST) == (processing.LONGEST_SIDE, processing.LONGEST_TO_SHORTEST)
    transparent = Image.fromarray(RGB).convert("RGBA")
    transparent.putalpha(Image.fromarray(RGB[..., 0]))
    deep = Image.fromarray(RGB[..., 0].astype(np.uint16) * 257)
    floating = Image.fromarray(RGB[..., 0].astype(np.float32) / 255)
    for name, image in (("a.png", transparent), ("b.png", deep), ("c.tif", floating), ("d.jpg", Image.fromarray(RGB))):
        file = saved(image, tmp_path / name, **({"exif": SIDEWAYS} if name == "d.jpg" else {}))
        assert np.array_equal(np.asarray(open_image(file)), np.asarray(processing.to_rgb(Image.open(file))))


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def test_a_bomb_is_refused_before_it_is_decoded(tmp_path):
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    (tmp_path / "bomb.png").write_bytes(
        media.PNG_SIGNATURE + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
    )
    with pytest.raises(ValueError, match=r"bomb\.png"):
        open_image(tmp_path / "bomb.png")


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_damage_is_an_error_that_names_the_file(tmp_path, suffix):
    whole = saved(Image.fromarray(RGB), tmp_path / f"whole.{suffix}").read_bytes()
    flipped = bytearray(whole)
    flipped[len(flipped) // 2] ^= 0xFF
    damaged = {"half": whole[: len(whole) // 2], "cut": whole[:-300], "text": b"hello", "empty": b""}
    if suffix == "png":  # a check sum guards its pixels; JPEG has none
        damaged["flipped"] = bytes(flipped)
    for name, data in damaged.items():
        (tmp_path / f"{name}.{suffix}").write_bytes(data)
    saved(Image.new("RGB", (3, 3)), tmp_path / "a.pdf")  # a format that is not among ours
    for name in (*(f"{name}.{suffix}" for name in damaged), "a.pdf", "missing.png", ".", "x\0y.png"):
        with pytest.raises(ValueError, match=str(tmp_path / name)):
            open_image(tmp_path / name)


def test_noise_in_place_of_any_byte_never_gets_further_than_a_valueerror(tmp_path):
    whole = saved(Image.effect_noise((20, 20), 50), tmp_path / "a.png").read_bytes()
    for position in range(0, len(whole), 7):
        broken = bytearray(whole)
        broken[position] ^= 0xFF
        try:
            open_image(bytes(broken), "b.png")
        except ValueError as error:
            assert "b.png" in str(error)  # noqa: PT017
