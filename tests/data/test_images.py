"""Image files of any mode are decoded and turned upright; damaged ones are errors that name the file."""

import numpy as np
import pytest
from PIL import Image

from minigemini.data.images import open_image

RGB = np.random.default_rng(0).integers(0, 256, (13, 29, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("mode", "suffix"),
    [
        ("RGB", "png"),
        ("L", "png"),
        ("LA", "png"),
        ("RGBA", "png"),
        ("P", "png"),
        ("1", "png"),
        ("L", "jpg"),
        ("CMYK", "jpg"),
    ],
)
def test_every_mode_is_decoded(tmp_path, mode, suffix):
    image = Image.fromarray(RGB).convert(mode)
    image.save(tmp_path / f"a.{suffix}")
    opened = open_image(str(tmp_path / f"a.{suffix}"))
    assert (opened.mode, opened.size) == (mode, (29, 13))
    if suffix == "png":
        assert np.array_equal(np.asarray(opened.convert("RGB")), np.asarray(image.convert("RGB")))


def test_a_photo_taken_sideways_is_turned_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees to see it upright
    Image.fromarray(RGB).save(tmp_path / "a.png", exif=exif)
    assert open_image(str(tmp_path / "a.png")).size == (13, 29)


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_damage_is_an_error_that_names_the_file(tmp_path, suffix):
    whole, cut, other = (tmp_path / f"{name}.{suffix}" for name in ("whole", "cut", "other"))
    Image.fromarray(RGB).save(whole)
    cut.write_bytes(whole.read_bytes()[:-300])
    other.write_text("this is no image")
    for file in (cut, other):
        with pytest.raises(ValueError, match=f"image .*{file.name}: cannot be decoded"):
            open_image(str(file))
    with pytest.raises(ValueError, match=r"image .*gone: no such file"):
        open_image(str(tmp_path / "gone"))
    flipped = bytearray(whole.read_bytes())
    flipped[len(flipped) // 2] ^= 0xFF
    if suffix == "png":  # a check sum guards its pixels; JPEG has none
        cut.write_bytes(bytes(flipped))
        with pytest.raises(ValueError, match=r"cut\.png: cannot be decoded"):
            open_image(str(cut))


def test_a_decompression_bomb_is_refused(tmp_path, monkeypatch):
    Image.fromarray(RGB).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(ValueError, match=r"a\.png: cannot be decoded: .*bomb"):
        open_image(str(tmp_path / "a.png"))
