"""Opening a picture somebody sent: its format and size are checked before a single pixel is decoded."""

from __future__ import annotations

import struct
import warnings
from pathlib import Path

from PIL import Image, ImageOps, UnidentifiedImageError

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
MAX_PIXELS = 64_000_000
"""Larger than the pictures of today's cameras; 192 MB as RGB."""


def open_header(path: str | Path, max_pixels: int = MAX_PIXELS, formats: tuple[str, ...] = FORMATS) -> Image.Image:
    """The picture of a file with format and size read and the pixels not yet.

    Raises:
        ValueError: the file cannot be read, is none of ``formats``, or has more than ``max_pixels``; it names the file.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # our own limit follows
            image = Image.open(path, formats=formats)
    except OSError as error:
        if isinstance(error, UnidentifiedImageError):
            raise ValueError(f"{path}: not a picture ({', '.join(formats)})") from error
        raise ValueError(f"{path}: {error.strerror or error}") from error
    except (Image.DecompressionBombError, ValueError, SyntaxError, struct.error) as error:
        raise ValueError(f"{path}: not a picture that can be opened ({error})") from error
    width, height = image.size
    if width * height > max_pixels:
        image.close()
        raise ValueError(f"{path}: {width}x{height} pixels are more than {max_pixels:,}")
    return image


def open_image(path: str | Path, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """The whole picture of a file as RGB, upright as its EXIF says, what is transparent on white.

    Raises:
        ValueError: as :func:`open_header`, or the file is broken; it names the file.
    """
    with open_header(path, max_pixels) as image:
        try:
            upright = ImageOps.exif_transpose(image)
            if upright.has_transparency_data:
                upright = upright.convert("RGBA")
                upright = Image.alpha_composite(Image.new("RGBA", upright.size, "white"), upright)
            return upright.convert("RGB")
        except (OSError, ValueError, SyntaxError, struct.error, EOFError, Image.DecompressionBombError) as error:
            raise ValueError(f"{path}: broken picture ({error})") from error
