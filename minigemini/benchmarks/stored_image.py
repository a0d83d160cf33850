"""A benchmark's picture, as it is stored: opened when its question is answered, not before.

Thousands of photographs do not fit into memory as pixels; as files, or encoded in a table, they do.
"""

from __future__ import annotations

import hashlib
import io
import struct
import warnings
from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image, UnidentifiedImageError

from minigemini.generation.untrusted_image import FORMATS, MAX_PIXELS


@dataclass(frozen=True)
class StoredImage:
    """
    Attributes:
        name: where it comes from, such as a path or "mmbench.tsv, index 5": one name, one picture.
        encoded: gives the bytes of its PNG, JPEG, ...; called whenever they are needed.
    """

    name: str
    encoded: Callable[[], bytes]

    def digest(self) -> str:
        """SHA-256 of the encoded bytes.

        Raises:
            ValueError: they do not begin as a picture does, or as an absurdly large one; the message has its name.
        """
        data = self.encoded()
        self._begun(data).close()
        return hashlib.sha256(data).hexdigest()

    def open(self) -> Image.Image:
        """All pixels, in the mode in which they are stored; turning by EXIF is none of the published tools' doing.

        Raises:
            ValueError: as :meth:`digest`; or it is broken.
        """
        image = self._begun(self.encoded())
        try:
            image.load()
        except (OSError, SyntaxError, ValueError, EOFError, struct.error) as error:
            raise ValueError(f"{self.name}: a broken picture ({error})") from error
        return image

    def _begun(self, data: bytes) -> Image.Image:
        """With format and size read and the pixels not yet."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # our own limit follows
                image = Image.open(io.BytesIO(data), formats=FORMATS)
        except UnidentifiedImageError:
            raise ValueError(f"{self.name}: not a picture ({', '.join(FORMATS)})") from None
        except (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError) as error:
            raise ValueError(f"{self.name}: not a picture that can be opened ({error})") from error
        if image.width * image.height > MAX_PIXELS:
            raise ValueError(f"{self.name}: {image.width}x{image.height} pixels are more than {MAX_PIXELS:,}")
        return image
