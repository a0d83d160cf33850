"""Pictures from files and bytes, by one policy: what training learned from is what chat, evaluation and tools see.

- **Formats**: PNG, JPEG, WebP, GIF, BMP, TIFF, PPM, and AVIF where Pillow reads it. Of an animation the first frame.
- **Upright** as the EXIF orientation says.
- **Transparent** pixels lie on white.
- **Greys of more than 8 bits**: 0..65535 becomes 0..255, floating-point 0..1 becomes 0..255. Other values have no known
  range and are refused. All else (palette, CMYK, Lab, black and white) becomes RGB as Pillow converts it.
- **Limits**: size in pixels, longest side and longest to shortest side are checked before a pixel is decoded, and are
  those of the image processor, so that what is opened can also be read.
- **Damage**: a file that is cut short or fails its check sums is refused. Text in a PNG, of whatever length, is passed over.

LLaVA and the published evaluation tools do otherwise (``Image.open(file).convert("RGB")``: a photograph with an
orientation stays on its side, transparency is dropped, which often leaves black, and 16-bit greys are clipped). Numbers of benchmarks
with such pictures, of which there are few, may differ from theirs for this reason.
"""

from __future__ import annotations

import base64
import io
import struct
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError, features

FORMATS = (
    *("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM"),
    *(["AVIF"] if "avif" in features.modules and features.check("avif") else []),
)
MAX_PIXELS = 64_000_000
"""Larger than the pictures of today's cameras; 192 MB as RGB."""
LONGEST_SIDE = 16384
LONGEST_TO_SHORTEST = 200  # made square, what is thinner would be mostly padding
TINY, SMALL = 128, 256  # longer side of a picture on a page: what stays as it is, and what others become

BROKEN = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    struct.error,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,  # where warnings are errors
)
"""All that Pillow says when a file is not as it should be."""
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
ORIENTATION_KEYWORDS = (b"XML:com.adobe.xmp", b"Raw profile type exif")


def open_image(source: str | Path | bytes, name: str | None = None, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """The whole picture as RGB, by the policy above.

    Args:
        source: a file, or what it holds.
        name: for messages; the path by default.

    Raises:
        ValueError: there is no such file, it is no picture or a broken one, or one beyond the limits; the name is in it.
    """
    name = name or (str(source) if not isinstance(source, bytes) else "a picture")
    with open_header(source, name, max_pixels) as image:
        try:
            image.load()
            return to_rgb(ImageOps.exif_transpose(image))
        except BROKEN as error:
            raise ValueError(f"{name}: a broken picture ({error})") from error


def open_header(
    source: str | Path | bytes, name: str | None = None, max_pixels: int = MAX_PIXELS, *, with_text: bool = False
) -> Image.Image:
    """The picture with format and size read and checked, and the pixels not yet.

    Args:
        with_text: also with the texts of a PNG, in ``info``; more than Pillow reads of them is then an error.

    Raises:
        ValueError: as :func:`open_image`.
    """
    name = name or (str(source) if not isinstance(source, bytes) else "a picture")
    data = _read(source)
    try:
        image = Image.open(io.BytesIO(data if with_text else _without_text(data)), formats=FORMATS)
    except UnidentifiedImageError:
        raise ValueError(f"{name}: not a picture ({', '.join(FORMATS)})") from None
    except BROKEN as error:
        raise ValueError(f"{name}: not a picture that can be opened ({error})") from error
    if problem := _beyond_limits(*image.size, max_pixels):
        image.close()
        raise ValueError(f"{name}: {problem}")
    return image


def to_rgb(image: Image.Image) -> Image.Image:
    """A picture of any mode by the policy above; orientation is not looked at.

    Raises:
        ValueError: greys of no known range.
    """
    if image.mode.startswith("I") or image.mode == "F":
        grey = np.asarray(image)
        top = 1.0 if image.mode == "F" else 65535.0
        if not (grey.min() >= 0 and grey.max() <= top):  # also where a value is no number
            raise ValueError(
                f"greys from {grey.min():g} to {grey.max():g} in mode {image.mode}; 0 to {top:g} can be read"
            )
        image = Image.fromarray(np.round(grey.astype(np.float64) * (255 / top)).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def data_uri(image: Image.Image) -> str:
    """As a page holds it in itself: up to ``TINY`` a side exact to the pixel, larger ones made small."""
    image = image.convert("RGB")
    exact = max(image.size) <= TINY
    if not exact:
        image.thumbnail((SMALL, SMALL))
    data = io.BytesIO()
    image.save(data, format="PNG" if exact else "JPEG", quality=80)
    return f"data:image/{'png' if exact else 'jpeg'};base64,{base64.b64encode(data.getvalue()).decode()}"


def _read(source: str | Path | bytes) -> bytes:
    if isinstance(source, bytes):
        return source
    try:
        return Path(source).read_bytes()
    except FileNotFoundError:
        raise ValueError(f"{source}: no such file") from None
    except (OSError, ValueError) as error:  # ValueError: a zero byte in a path
        reason = error.strerror if isinstance(error, OSError) else None
        raise ValueError(f"{source}: {reason or error}") from error


def _beyond_limits(width: int, height: int, max_pixels: int) -> str | None:
    if width * height > max_pixels:
        return f"{width}x{height} pixels are more than {max_pixels:,}"
    if max(width, height) > LONGEST_SIDE:
        return f"{width}x{height} pixels; a side may have {LONGEST_SIDE:,}"
    if max(width, height) > LONGEST_TO_SHORTEST * min(width, height):
        return f"{width}x{height} pixels; a side may be {LONGEST_TO_SHORTEST} times as long as the other"
    return None


def _without_text(data: bytes) -> bytes:
    """A PNG without its texts, whose length Pillow limits: image generators keep whole work flows there. What may say which way
    is up stays."""
    if not data.startswith(PNG_SIGNATURE):
        return data
    kept, start = [PNG_SIGNATURE], len(PNG_SIGNATURE)
    while start < len(data):
        end = start + 12 + int.from_bytes(data[start : start + 4], "big")  # length, kind, content, check sum
        is_text = data[start + 4 : start + 8] in (b"tEXt", b"zTXt", b"iTXt")
        if not is_text or data[start + 8 : start + 100].startswith(ORIENTATION_KEYWORDS):
            kept.append(data[start:end])
        start = end
    return b"".join(kept)
