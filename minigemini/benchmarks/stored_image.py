"""A benchmark's picture, as it is stored: opened when its question is answered, not before.

Thousands of photographs do not fit into memory as pixels; as files, or encoded in a table, they do.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image

from minigemini.media import open_header, open_image


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
            ValueError: they do not begin as a picture does, or as one beyond the limits; the message has its name.
        """
        data = self.encoded()
        open_header(data, self.name).close()
        return hashlib.sha256(data).hexdigest()

    def open(self) -> Image.Image:
        """As :func:`media.open_image`. Raises ValueError: as :meth:`digest`; or it is broken."""
        return open_image(self.encoded(), self.name)
