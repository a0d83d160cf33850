"""Pictures by hash: a conversation holds names, not pixels."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from minigemini.generation.generation_record import GenerationRecord, has_record, read_record, save_png
from minigemini.media import open_image, to_rgb


class Assets:
    """PNGs under the SHA-256 of their bytes. The record of a drawn one is inside, so it can be drawn again from nothing else.

    Args:
        folder: where they lie as ``HASH.png``; made when there is something to write. None: in memory.
    """

    def __init__(self, folder: str | Path | None = None) -> None:
        self.folder = None if folder is None else Path(folder)
        self._pngs: dict[str, bytes] = {}

    def put(self, image: Image.Image, record: GenerationRecord | None = None) -> Asset:
        """Keep a picture as RGB, by the policy of :mod:`minigemini.media`."""
        file = io.BytesIO()
        if record is None:
            to_rgb(image).save(file, format="PNG")
        else:
            save_png(image, record, file)
        return self.put_png(file.getvalue())

    def put_png(self, png: bytes) -> Asset:
        key = hashlib.sha256(png).hexdigest()
        if self.folder is None:
            self._pngs[key] = png
        elif not (self.folder / f"{key}.png").exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            part = self.folder / f"{key}.part"
            part.write_bytes(png)
            part.replace(self.folder / f"{key}.png")
        return Asset(key, self)

    def get(self, key: str) -> Asset:
        """
        Raises:
            ValueError: there is none, or it is another than its name says.
        """
        self.png(key)
        return Asset(key, self)

    def png(self, key: str) -> bytes:
        """The file; errors as of :meth:`get`."""
        png = self._pngs.get(key)
        # A name from a file of somebody else's is no path before it is known to be a hash.
        if png is None and self.folder is not None and len(key) == 64 and not set(key) - set("0123456789abcdef"):
            path = self.folder / f"{key}.png"
            png = path.read_bytes() if path.is_file() else None
        if png is None:
            raise ValueError(f"there is no picture {key!r}")
        if hashlib.sha256(png).hexdigest() != key:
            raise ValueError(f"the picture {key} was changed since it was named")
        return png


@dataclass(frozen=True)
class Asset:
    """A picture of a message; what a conversation holds in its place.

    Attributes:
        key: SHA-256 of the PNG, in hexadecimal digits.
    """

    key: str
    assets: Assets = field(repr=False, compare=False)

    @property
    def png(self) -> bytes:
        return self.assets.png(self.key)

    def open(self) -> Image.Image:
        """RGB."""
        return open_image(self.png, self.key)

    def record(self) -> GenerationRecord | None:
        """What drew it; None: nothing that we know.

        Raises:
            ValueError: what is inside is no valid record.
        """
        return read_record(self.png, self.key) if has_record(self.png) else None
