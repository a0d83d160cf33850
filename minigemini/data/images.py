"""Image files -> upright pictures, or an error that names the file."""

from PIL import Image, ImageOps


def open_image(path: str) -> Image.Image:
    """Decode a JPEG, PNG, ... and turn it upright by its EXIF tag. Its mode stays: making RGB of it is the processor's.

    Raises:
        ValueError: the file is missing, broken, cut short or absurdly large; the message names it.
    """
    try:
        with Image.open(path) as image:
            image.load()
            return ImageOps.exif_transpose(image)
    except FileNotFoundError as error:
        raise ValueError(f"image {path}: no such file") from error
    # PIL reports damage as OSError, SyntaxError (PNG) or ValueError, and refuses a decompression bomb before decoding
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"image {path}: cannot be decoded: {error}") from error
