"""Image files -> upright RGB pictures, or an error that names the file."""

import numpy as np
from PIL import Image, ImageOps

SIXTEEN_BIT = ("I", "I;16", "I;16L", "I;16B")  # what PIL calls 16-bit grey PNG, by its version


def open_image(path: str) -> Image.Image:
    """Decode a JPEG, PNG, ... of any mode to RGB: turned upright by its EXIF tag, transparency dropped.

    That is what transformers does with a path, but for 16-bit grey, which PIL alone would clip to white.

    Raises:
        ValueError: the file is missing, broken, cut short or absurdly large; the message names it.
    """
    try:
        with Image.open(path) as image:
            upright = ImageOps.exif_transpose(image)
            if upright.mode in SIXTEEN_BIT:
                upright = Image.fromarray((np.asarray(upright).clip(0, 65535) // 257).astype(np.uint8))
            return upright.convert("RGB")
    except FileNotFoundError as error:
        raise ValueError(f"image {path}: no such file") from error
    # PIL reports damage as OSError, SyntaxError (PNG) or ValueError, and refuses a decompression bomb before decoding
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"image {path}: cannot be decoded: {error}") from error
