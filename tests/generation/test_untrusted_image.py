import struct
import zlib

import pytest
from PIL import Image

from minigemini.generation.untrusted_image import open_image


@pytest.mark.parametrize(
    ("mode", "suffix"), [("RGB", "png"), ("L", "png"), ("P", "gif"), ("CMYK", "jpg"), ("1", "png"), ("I;16", "png")]
)
def test_pictures_of_any_mode_become_rgb(tmp_path, mode, suffix):
    Image.new(mode, (5, 3)).save(tmp_path / f"a.{suffix}")
    image = open_image(tmp_path / f"a.{suffix}")
    assert (image.mode, image.size) == ("RGB", (5, 3))


def test_what_is_transparent_lies_on_white(tmp_path):
    image = Image.new("RGBA", (2, 1), (255, 0, 0, 255))
    image.putpixel((1, 0), (0, 0, 0, 0))
    image.save(tmp_path / "a.png")
    image = open_image(tmp_path / "a.png")
    assert [image.getpixel((x, 0)) for x in (0, 1)] == [(255, 0, 0), (255, 255, 255)]


def test_a_photo_is_turned_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held sideways
    Image.new("RGB", (40, 20)).save(tmp_path / "a.jpg", exif=exif)
    assert open_image(tmp_path / "a.jpg").size == (20, 40)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def test_a_bomb_is_refused_before_it_is_decoded(tmp_path):
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    (tmp_path / "bomb.png").write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
    )
    with pytest.raises(ValueError, match=r"bomb\.png"):
        open_image(tmp_path / "bomb.png")
    Image.new("RGB", (30, 30)).save(tmp_path / "large.png")
    with pytest.raises(ValueError, match="30x30 pixels are more than 899"):
        open_image(tmp_path / "large.png", max_pixels=899)


def test_what_is_no_picture_is_named(tmp_path):
    Image.effect_noise((50, 50), 50).save(tmp_path / "whole.png")
    whole = (tmp_path / "whole.png").read_bytes()
    (tmp_path / "half.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.png").write_text("hello")
    (tmp_path / "empty.png").write_bytes(b"")
    Image.new("RGB", (3, 3)).save(tmp_path / "a.pdf")  # a format that is not among ours
    for name in ("half.png", "text.png", "empty.png", "a.pdf", "missing.png", "."):
        with pytest.raises(ValueError, match=str(tmp_path / name)):
            open_image(tmp_path / name)


def test_noise_in_place_of_any_byte_never_gets_further_than_a_valueerror(tmp_path):
    Image.effect_noise((20, 20), 50).save(tmp_path / "a.png")
    whole = (tmp_path / "a.png").read_bytes()
    for position in range(0, len(whole), 7):
        broken = bytearray(whole)
        broken[position] ^= 0xFF
        (tmp_path / "b.png").write_bytes(broken)
        try:
            open_image(tmp_path / "b.png")
        except ValueError as error:
            assert "b.png" in str(error)  # noqa: PT017
